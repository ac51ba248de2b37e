"""Whether a `serve` runs in a verifier's folder: the lock that it holds there, which ends with its process."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ledger.errors import Refused
from ledger.text import Text

SERVED_FILE: Final = "serve.lock"  # locked while `serve` keeps the replicas up to date
_LOOKS: Final = 100  # of others, who hold the lock for as long as they look
_LOOK_S: Final = 0.01
_SERVED: Final = Text("该目录已有一个 serve 在运行", "Another serve runs in this folder")


@contextmanager
def mark_served(folder: Path) -> Iterator[None]:
    """Say to others, as long as this lasts, that the replicas here are kept up to date. Raises Refused where another
    process says so already."""
    with (folder / SERVED_FILE).open("ab") as file:
        for _ in range(_LOOKS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_LOOK_S)
        else:
            raise Refused("SERVED", str(folder), _SERVED)
        yield


def is_served(folder: Path) -> bool:
    """Whether a running `serve` keeps the replicas here up to date."""
    try:
        with (folder / SERVED_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False

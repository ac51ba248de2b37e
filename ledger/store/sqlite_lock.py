"""One writer for a SQLite store: an advisory lock on a file beside it, which ends with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ledger.errors import Refused, cannot
from ledger.text import Text


def lock_file(path: Path) -> int:
    """The handle of the lock, held until that is closed. Raises Refused("STORE_IN_USE"), Unavailable."""
    try:
        handle = os.open(path.with_suffix(path.suffix + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot(Text(f"无法在 {path} 写入存储", f"no store can be written at {path}"), error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        text = Text("存储正被另一进程使用", "Another process has the store")
        raise Refused("STORE_IN_USE", str(path), text) from error
    return handle

"""What one client knows, on its own disk: the intent before it sends, the acknowledgement before it believes it.

One JSON object a line, synchronised before anything else happens. An intent with neither ack nor refusal has an
unknown outcome, whatever the log holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any


@dataclass
class Told:
    """What the journals say about one statement."""

    leaf: bytes
    acks: list[tuple[int, int, int]] = field(default_factory=list)  # index, log time, size that it was proven under
    refused: bool = False
    forbidden: bool = False  # the log must refuse it
    unknown: bool = False  # at least one request about it got no answer


class Journal:
    """Written by one client."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def intend(self, statements: Mapping[str, bytes], *, forbidden: bool = False) -> None:
        """Label to entry. Durable on return: only now may they be sent. `forbidden`: the log must refuse them."""
        self._write(
            {"intent": label, "leaf": sha256(b"\x00" + entry).hexdigest(), "forbidden": forbidden}
            for label, entry in statements.items()
        )

    def acknowledge(self, places: Mapping[str, tuple[int, int]], size: int) -> None:
        """Label to index and log time (ms), proven under a head of `size`."""
        self._write({"ack": label, "index": at, "time": time, "size": size} for label, (at, time) in places.items())

    def refuse(self, codes: Mapping[str, str]) -> None:
        self._write({"refused": label, "code": code} for label, code in codes.items())

    def lose(self, labels: Iterable[str]) -> None:
        """The answer did not come."""
        self._write({"unknown": label} for label in labels)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        os.write(self._file, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        os.fsync(self._file)


def read_journals(folder: Path) -> dict[str, Told]:
    """What all clients together know, read back from their disks."""
    told: dict[str, Told] = {}
    lines = [json.loads(line) for path in sorted(folder.glob("*.journal")) for line in path.read_bytes().splitlines()]
    for line in lines:
        if "intent" in line:
            told.setdefault(line["intent"], Told(bytes.fromhex(line["leaf"]), forbidden=line["forbidden"]))
    for line in lines:
        if "ack" in line:
            told[line["ack"]].acks.append((line["index"], line["time"], line["size"]))
        elif "refused" in line:
            told[line["refused"]].refused = True
        elif "unknown" in line:
            told[line["unknown"]].unknown = True
    return told

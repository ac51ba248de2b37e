"""Room on the disks of store and guard: asked for before statements are taken, not missed in the middle of a commit.

A write that fails ends the process (sequencer.py, publisher.py): nobody knows what it left behind. So a batch begins
only where there is room for all that may be written until the next one looks:

    batches   two of the largest, of certificates with photographs: this one, and the one before that is on its way
    copy      by how much the store's file grows when its write-ahead log is copied back: at most as long as that is,
              which is looked at first; it is never made shorter, so where that is too much SQLite is asked
    guard     is written in place; a file system that never does so needs a few blocks

Below that no statement is taken, and nothing else changes: readers are answered, and signatures renewed out of what is
left. It is over by itself, when there is a quarter more: else the next batch would begin it again.

Not to be known beforehand, and then the write fails as ever: a quota, a file system that does not say (one of no
blocks), and who else fills the disk meanwhile. A database's disk is its server's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.errors import Unavailable
from ledger.records.envelope import MAX_ENVELOPE
from ledger.service.config import LedgerSettings
from ledger.store.opening import is_postgres
from ledger.store.sqlite import COMMIT_PAGES, ENTRY_PAGES
from ledger.store.sqlite_wal import to_copy_back
from ledger.text import Text

log = logging.getLogger(__name__)
_PAGE: Final = 4096
_ENTRY: Final = 8 * 1024
_GUARD: Final = 64 * 1024
_OLD_S: Final = 1.0  # after which a look says nothing any more
_COME_AGAIN_S: Final = 30
_STORE_FULL: Final = Text(
    "账本存储所在的磁盘空间不足，暂不接收语句；已存内容照常可读，腾出空间后自动恢复，无需重启",
    "The disk of the log's store has too little room: no statement is taken until there is more. What is stored stays "
    "readable, and nothing has to be started again",
)
_GUARD_FULL: Final = Text(
    "签名守卫所在的磁盘空间不足，暂不接收语句；已存内容照常可读，腾出空间后自动恢复，无需重启",
    "The disk of the signer guard has too little room: no statement is taken until there is more. What is stored stays "
    "readable, and nothing has to be started again",
)


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system that the log writes to."""

    name: str
    folder: Path
    wanted: Callable[[], int]  # bytes, at most
    exactly: Callable[[], int]  # the same by a longer look
    full: Text  # what people are told: no path, for it goes over the network


def reserve(batch_limit: int) -> int:
    """Bytes that two batches of so many statements may take in the write-ahead log."""
    return 2 * (COMMIT_PAGES * _PAGE + batch_limit * (ENTRY_PAGES * _PAGE + _ENTRY + 2 * MAX_ENVELOPE))


def free_bytes(folder: Path) -> int | None:
    """What a program without privileges may still write there; None where the file system does not say."""
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize if told.f_blocks else None


def disks_of(folder: Path, settings: LedgerSettings) -> list[Disk]:
    """Where a log writes to files: none for store and guard in databases, one for both on one file system."""
    disks = []
    if not is_postgres(settings.store):
        store = folder / settings.store
        written = store.with_name(store.name + "-wal")
        need = reserve(settings.batch_limit)
        disks.append(
            Disk("store", store.parent, lambda: need + _size(written), lambda: need + to_copy_back(store), _STORE_FULL)
        )
    if not is_postgres(settings.guard):
        guard = (folder / settings.guard).parent
        if not disks or guard.stat().st_dev != disks[0].folder.stat().st_dev:
            disks.append(Disk("guard", guard, lambda: _GUARD, lambda: _GUARD, _GUARD_FULL))
    return disks


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


class DiskRoom:
    """`now_s`: a steady clock, in seconds; `free` is asked once a look for each of the disks."""

    def __init__(
        self,
        disks: Sequence[Disk],
        now_s: Callable[[], float],
        free: Callable[[Path], int | None] = free_bytes,
    ) -> None:
        self._disks, self._now_s, self._free = disks, now_s, free
        self._short: Disk | None = None  # which has too little
        self._looked_s = -_OLD_S

    def look(self) -> None:
        """Whoever begins a batch. Raises Unavailable where there is too little room for it."""
        self._looked_s = self._now_s()
        found = next((disk for disk in self._disks if self._is_short(disk)), None)
        if found is None and self._short is not None:
            log.info("there is room on the disk again", extra={"fields": {"disk": self._short.name}})
        self._short = found
        if found is not None:
            raise Unavailable(found.full, retry_after=_COME_AGAIN_S, public=True)

    def check(self) -> None:
        """Whoever only waits for a batch, by the last look unless that is old or found too little. Raises as `look`."""
        if self._short is not None or self._now_s() - self._looked_s >= _OLD_S:
            self.look()

    @property
    def is_short(self) -> bool:
        try:
            self.check()
        except Unavailable:
            return True
        return False

    def _is_short(self, disk: Disk) -> bool:
        """A disk that cannot be asked has no room either."""
        known = self._short is disk
        fields: dict[str, object] = {"disk": disk.name, "path": str(disk.folder)}
        try:
            free = self._free(disk.folder)
            for wanted in (ask() for ask in (disk.wanted, disk.exactly)):
                if free is None or free >= (wanted + wanted // 4 if known else wanted):
                    return False
        except OSError as error:
            fields["reason"] = error.strerror or type(error).__name__
        except Unavailable as error:
            fields["reason"] = str(error)
        else:
            fields |= {"free": free, "wanted": wanted}
        if not known:
            log.error("the disk has too little room; no statement is taken", extra={"fields": fields})
        return True

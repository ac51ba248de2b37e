"""A folder of bundles that the auditing service reads: what is there at first, and what is put in later.

A look, numbered:

    1 list      at most once in LIST_MS, the bundles there now: the first MAX_FILES by name. When one that was checked
                has changed or is gone, all are checked anew; until that is done what was found before stands, and no
                further change begins it again: a folder that changes all the time is found out too
    2 wait      a bundle whose entry is not replayed yet stays unread until it is
    3 check     at most AT_ONCE of those not read yet: a look for openings never keeps the replay waiting for long

Nothing of it is on disk: a process that starts again reads the folder again. A folder that cannot be listed for a while
changes nothing of what was found.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from ledger.errors import Unavailable
from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.audit.openings import (
    SUFFIX,
    EntryAt,
    OpeningsCheck,
    OpeningsResult,
    StateOf,
    check_bundle,
    index_of,
    read_bundle,
)

MAX_FILES: Final = 100_000  # about 100 MB of memory for numbers and persons
AT_ONCE: Final = 200  # bundles checked in one look: about 0.2 s
MAX_ALARMS: Final = 1_000
LIST_MS: Final = 30_000
_Look = tuple[int, int]  # size and time of the last change (ns): what a file looked like when it was read
journal = logging.getLogger("verifier.audit")


class OpeningsFolder:
    """What stands in one folder, checked a little at each look. `result` is what was found so far."""

    def __init__(self, folder: Path, ladder: Ladder, occupations: int) -> None:
        self.folder = folder
        self._ladder, self._occupations = ladder, occupations
        self._check = OpeningsCheck(ladder, occupations)
        self._there: dict[Path, _Look] = {}
        self._left_out = 0  # bundles beyond MAX_FILES
        self._checked: dict[Path, _Look] = {}
        self._none: dict[Path, _Look] = {}  # hold no bundle, as they stand
        self._waiting: dict[Path, tuple[_Look, int]] = {}  # and the index that has to be replayed first
        self._listed_ms: int | None = None
        self._anew = False
        self.result = OpeningsResult(0, 0, ())

    async def look(self, now_ms: int, size: int, entry_at: EntryAt, state_of: StateOf) -> OpeningsResult:
        """One look, when our copy of the log has `size` entries. Never raises for what is in the folder."""
        if self._listed_ms is None or now_ms - self._listed_ms >= LIST_MS:
            self._listed_ms = now_ms
            await self._list()  # 1
        todo = [path for path in self._there if self._is_due(path, size)]
        for path in todo[:AT_ONCE]:
            await self._read(path, size, entry_at, state_of)
        unread = len(self._there.keys() - self._checked.keys() - self._none.keys()) + self._left_out
        if self._anew and len(todo) > AT_ONCE:
            self.result = replace(self.result, unread=unread)
        elif todo or self._anew or unread != self.result.unread or len(self._none) != self.result.unreadable:
            self._anew = False
            found = self._check.result()
            alarms = found.alarms[:MAX_ALARMS]
            self.result = OpeningsResult(found.checked, len(self._none), alarms, unread)
        return self.result

    async def _list(self) -> None:
        try:
            self._there, self._left_out = await asyncio.to_thread(_listing, self.folder)
        except OSError as error:
            journal.warning("the folder of openings cannot be read: %s", type(error).__name__)
            return
        for known in (self._none, self._waiting):
            for path in known.keys() - self._there.keys():
                del known[path]
        if not self._anew and any(self._there.get(path) != look for path, look in self._checked.items()):
            self._check, self._checked = OpeningsCheck(self._ladder, self._occupations), {}
            self._anew = True

    def _is_due(self, path: Path, size: int) -> bool:
        look = self._there[path]
        if path in self._waiting:
            before, index = self._waiting[path]
            return before != look or index < size  # 2
        return path not in self._checked and self._none.get(path) != look

    async def _read(self, path: Path, size: int, entry_at: EntryAt, state_of: StateOf) -> None:  # 3
        look = self._there[path]
        self._none.pop(path, None)
        self._waiting.pop(path, None)
        try:
            bundle = await asyncio.to_thread(read_bundle, path)
        except Unavailable:
            self._none[path] = look  # gone meanwhile, or not ours to read: until it looks otherwise
            return
        if bundle is None:
            self._none[path] = look
        elif index_of(bundle) >= size:
            self._waiting[path] = look, index_of(bundle)
        else:
            await check_bundle(self._check, bundle, entry_at, state_of)
            self._checked[path] = look


def open_folder(folder: Path, ladder: Ladder, occupations: int) -> OpeningsFolder:
    """The folder of the settings. Raises Unavailable when there is none."""
    if not folder.is_dir():
        raise Unavailable(Text(f"openings：没有这个目录：{folder}", f"openings: no such folder: {folder}"))
    return OpeningsFolder(folder, ladder, occupations)


def _listing(folder: Path) -> tuple[dict[Path, _Look], int]:
    """The bundles of a folder and all below it with how they look, and how many are beyond the limit."""
    count = 0

    def found() -> Iterator[Path]:
        nonlocal count
        next(folder.iterdir(), None)  # raises where rglob would find nothing
        for path in folder.rglob("*" + SUFFIX):
            count += 1
            yield path

    looks = {}
    for path in heapq.nsmallest(MAX_FILES, found()):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        except OSError:  # a link to itself, for one: read, and counted as unreadable
            looks[path] = -1, -1
            continue
        looks[path] = stat.st_size, stat.st_mtime_ns
    return looks, max(0, count - MAX_FILES)

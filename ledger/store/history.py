"""The state map of an older seal, rebuilt from kept versions, and which seal was the last of a day.

A map is rebuilt from the committed one: every bucket with a key that changed since gets the leaves it had. That takes
as long as there were changes, so it is done in short pieces, one map at a time, and the last few are kept. Batches that
are committed meanwhile do no harm: they can only add to the keys that changed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, cast

from ledger.errors import Refused, Unavailable
from ledger.records.dates import batch_day
from ledger.records.seal import Seal, parse_seal
from ledger.store.growth import bucket_range
from ledger.store.integrate import Integrator
from ledger.store.protocol import VersionedStore, entry_at
from ledger.text import Text
from ledger.tlog.map_slots import bucket_of
from ledger.tlog.map_tree import MapTree

KEPT_DAYS: Final = 64
KEPT_MAPS: Final = 2  # 16 MiB each at the usual depth
_WAITING: Final = 4  # requests for maps that are not kept; more are told to come back
_PIECE: Final = 1024  # keys read at a time
_BUCKETS: Final = 64  # buckets rebuilt at a time
_BEGIN: Final = b"\xff" * 32
_NO_SIZE: Final = Text("这个大小处没有批次结束", "No batch ended at this size")
_TOO_EARLY: Final = Text("该日之前登记日志尚未开始", "The log had not begun by that day")
_TOO_LATE: Final = Text("该日尚未到来", "That day has not come yet")


class History:
    """Older maps of one log."""

    def __init__(self, integrator: Integrator) -> None:
        self._integrator = integrator
        self._store = cast("VersionedStore", integrator.store)
        self._days: OrderedDict[int, Seal] = OrderedDict()  # the last seal of a day that is over stays that
        self._kept: OrderedDict[int, MapTree] = OrderedDict()  # by index of the seal
        self._building = asyncio.Lock()
        self._waiting = 0

    async def seal_at_size(self, size: int, published: int) -> Seal:
        """The seal that ends the first `size` leaves, of `published`. Raises Refused when none does."""
        if not 1 <= size <= published or await self._store.seal_from(size - 1) != size - 1:
            raise Refused("NO_SUCH_SIZE", "size", _NO_SIZE)
        return await self.seal_at(size - 1)

    async def seal_at(self, index: int) -> Seal:
        return parse_seal(await entry_at(self._store, index))

    async def seal_of_day(self, day: int, newest: Seal, as_of_ms: int) -> Seal:
        """The last seal of `day` or earlier. `newest` is that of the checkpoint, which is fresh as of `as_of_ms`.

        Raises Refused when the log began later, or the day is later than the checkpoint.
        """
        if day > batch_day(as_of_ms):
            raise Refused("NOT_YET", "date", _TOO_LATE)
        if batch_day(newest.time) <= day:
            return newest
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = await self._last_of(day, newest)
            while len(self._days) > KEPT_DAYS:
                self._days.popitem(last=False)
        return found

    async def _last_of(self, day: int, newest: Seal) -> Seal:
        """The last seal of a day before that of `newest`, or of an earlier one."""
        low, high = -1, newest  # of seals: low is of the day or earlier, or the beginning; high is later
        found: Seal | None = None
        while True:
            middle = await self._seal_between(low, high)
            if middle is None:
                break
            if batch_day(middle.time) <= day:
                found, low = middle, middle.covered
            else:
                high = middle
        if found is None:
            raise Refused("TOO_EARLY", "date", _TOO_EARLY)
        return found

    async def _seal_between(self, low: int, high: Seal) -> Seal | None:
        """A seal behind index `low` and before `high`, near the middle; None when there is none."""
        if high.previous <= low:
            return None
        index = await self._store.seal_from((low + 1 + high.covered) // 2)
        if index is None or index >= high.covered:
            index = high.previous  # nothing in the upper half but `high` itself
        return await self.seal_at(index)

    async def map_at(self, seal: Seal) -> MapTree:
        """The map of an older seal. Raises Unavailable when too many ask, or when the kept versions do not make it."""
        tree = self._kept.get(seal.covered)
        if tree is None:
            if self._waiting >= _WAITING:
                raise Unavailable("other old versions are being rebuilt", retry_after=5)
            self._waiting += 1
            try:
                async with self._building:
                    tree = self._kept.get(seal.covered) or await self._build(seal)
            finally:
                self._waiting -= 1
            self._kept[seal.covered] = tree
            while len(self._kept) > KEPT_MAPS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(seal.covered)
        return tree

    async def _build(self, seal: Seal) -> MapTree:
        tree = self._integrator.map.copy()
        buckets: set[int] = set()
        last = seal.covered, _BEGIN
        while piece := await self._store.changed_since(*last, _PIECE):
            buckets.update(bucket_of(key, tree.depth) for _, key in piece)
            last = piece[-1]
            await asyncio.sleep(0)
        numbers = sorted(buckets)
        for start in range(0, len(numbers), _BUCKETS):
            some = numbers[start : start + _BUCKETS]
            ranges = [bucket_range(number, tree.depth) for number in some]
            leaves = await self._store.leaves_as_of(ranges, seal.covered)
            tree.overwrite(dict(zip(some, leaves, strict=True)), seal.map_count)
            await asyncio.sleep(0)
        if tree.root != seal.map_root:
            raise Unavailable("the kept versions of the state map do not make that of the seal; run fsck")
        return tree

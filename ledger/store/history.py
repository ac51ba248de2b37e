"""The state map of an older seal, rebuilt from kept versions, and which seal was the last of a day.

A map is rebuilt from the committed one: every bucket with a key that changed since gets the leaves it had. That takes
as long as there were changes, so it is done in short pieces, one map at a time, and the last few are kept. Batches that
are committed meanwhile do no harm: they can only add to the keys that changed. One that was begun is made to the end,
also where whoever asked has gone away meanwhile: the next to ask finds it, or what there is of it.

Where strangers may ask, as they may a ledger, maps that take long (minutes, of ten million) get a small part of the
time: behind one of them there is a pause that many times as long.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from math import ceil
from typing import Final, cast

from ledger.errors import CertLedgerError, Refused, Unavailable
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
_LONG: Final = 65_536  # keys that changed since: more take seconds
_COME_AGAIN_S: Final = 60  # the longest Retry-After
_BEGIN: Final = b"\xff" * 32
_NO_SIZE: Final = Text("这个大小处没有批次结束", "No batch ended at this size")
_TOO_EARLY: Final = Text("该日之前登记日志尚未开始", "The log had not begun by that day")
_TOO_LATE: Final = Text("该日尚未到来", "That day has not come yet")
_CLOSED: Final = Text("日志已经关闭", "the log is closed")


class History:
    """Older maps of one log. `pause`: how many times as long as a map took that takes long none such is begun. To be
    closed before the store is."""

    def __init__(self, integrator: Integrator, *, pause: int = 0) -> None:
        self._integrator = integrator
        self._store = cast("VersionedStore", integrator.store)
        self._days: OrderedDict[int, Seal] = OrderedDict()  # the last seal of a day that is over stays that
        self._kept: OrderedDict[int, MapTree] = OrderedDict()  # by index of the seal
        self._turn = asyncio.Lock()  # of whoever waits for a map
        self._waiting = 0
        self._work: asyncio.Task[MapTree | CertLedgerError] | None = None  # nobody has to wait for it
        self._work_on = -1  # index of its seal
        self._closed = False
        self._pause, self._pause_until = pause, 0.0  # by the loop's clock
        self._long = -1  # the newest seal whose map was found to take long: an older one takes longer

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
                raise Unavailable(
                    Text("正在重建其他旧版本，请稍后重试", "other old versions are being rebuilt; try again later"),
                    retry_after=5,
                )
            self._waiting += 1
            try:
                async with self._turn:
                    tree = await self._made(seal)
            finally:
                self._waiting -= 1
        self._kept.move_to_end(seal.covered)
        return tree

    async def close(self) -> None:
        """End what is being made. Whoever waits for it, or asks later, is told Unavailable."""
        self._closed = True
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _made(self, seal: Seal) -> MapTree:
        if self._work is not None and self._work_on != seal.covered:
            await asyncio.wait([self._work])  # begun for somebody who has gone away
        tree = self._kept.get(seal.covered)
        if tree is not None:
            return tree
        if self._closed:
            raise Unavailable(_CLOSED)
        if self._work is None or self._work.done():
            self._work, self._work_on = asyncio.create_task(self._make(seal)), seal.covered
        work = self._work
        await asyncio.wait([work])
        if work.cancelled():
            raise Unavailable(_CLOSED)
        made = work.result()
        if isinstance(made, CertLedgerError):
            raise made
        return made

    async def _make(self, seal: Seal) -> MapTree | CertLedgerError:
        try:
            tree = self._kept[seal.covered] = await self._build(seal)
        except CertLedgerError as error:
            return error
        while len(self._kept) > KEPT_MAPS:
            self._kept.popitem(last=False)
        return tree

    async def _build(self, seal: Seal) -> MapTree:
        clock, marks = asyncio.get_running_loop().time, bytearray(1 << self._integrator.depth)
        self._check_pause(seal)
        began = clock()
        try:
            last = await self._mark_changed(seal, (seal.covered, _BEGIN), marks)
            tree = self._integrator.map.copy()
            await self._mark_changed(seal, last, marks)  # what was committed before the copy; the rest is not in it
            for numbers in _marked(marks):
                ranges = [bucket_range(number, tree.depth) for number in numbers]
                leaves = await self._store.leaves_as_of(ranges, seal.covered)
                tree.overwrite(dict(zip(numbers, leaves, strict=True)), seal.map_count)
                await asyncio.sleep(0)
        finally:
            if seal.covered <= self._long:
                self._pause_until = max(self._pause_until, clock() + self._pause * (clock() - began))
        if tree.root != seal.map_root:
            raise Unavailable(
                Text(
                    "保存的状态表版本与封印不符，请运行 fsck",
                    "the kept versions of the state map do not make that of the seal; run fsck",
                )
            )
        return tree

    async def _mark_changed(self, seal: Seal, last: tuple[int, bytes], marks: bytearray) -> tuple[int, bytes]:
        """Mark the buckets of all keys that changed behind `last`; the newest of these."""
        count = 0
        while piece := await self._store.changed_since(*last, _PIECE):
            for _, key in piece:
                marks[bucket_of(key, self._integrator.depth)] = 1
            last, count = piece[-1], count + len(piece)
            if count > _LONG and seal.covered > self._long:
                self._long = seal.covered
                self._check_pause(seal)
            await asyncio.sleep(0)
        return last

    def _check_pause(self, seal: Seal) -> None:
        """Raise Unavailable when the map of this seal takes long, and it is not the time for one that does."""
        left_s = self._pause_until - asyncio.get_running_loop().time()
        if seal.covered <= self._long and left_s > 0:
            raise Unavailable(
                Text(
                    "刚重建过一个耗时的旧版本，请稍后重试",
                    "an old version that takes long was rebuilt just now; try again later",
                ),
                retry_after=min(ceil(left_s), _COME_AGAIN_S),
            )


def _marked(marks: bytearray) -> Iterator[list[int]]:
    """The places that are marked, some at a time."""
    some: list[int] = []
    at = marks.find(1)
    while at >= 0:
        some.append(at)
        at = marks.find(1, at + 1)
        if len(some) == _BUCKETS or at < 0:
            yield some
            some = []

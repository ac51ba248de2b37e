"""Where submissions are examined, off the event loop: what is small on one thread, what is large in processes apart."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from threading import Thread
from typing import Any, Final, TypeAlias, TypeVar

from ledger.errors import Unavailable
from ledger.process_pool import ProcessPool
from ledger.records.view import People
from ledger.service.admission import Examined, Examiner
from ledger.service.examined import pack_item
from ledger.service.examiners import (
    Submitter,
    authenticate_in,
    examine_for_sequencer,
    examine_in,
    start_examiners,
    warm_up,
)
from ledger.submissions import decode_submission, split_submissions
from ledger.text import Text

T = TypeVar("T")
_Work: TypeAlias = Callable[[ProcessPool, int, Any, Submitter], Awaitable[T]]
journal = logging.getLogger(__name__)
_CHUNK: Final = 64  # submissions examined in one hand-over
_APART: Final = 64 * 1024  # bytes of a request that is worth handing to other processes: about thirty submissions
_MANY: Final = 32  # entries, likewise
_LONGEST_S: Final = 30.0  # of one request with the processes: what may wait takes them a few on a slow machine
_GRACE_S: Final = 2.0  # for the processes to end by themselves
_ANEW_S: Final = 30.0  # between two starts of the processes
_WAITING: Final = 8 * 1024 * 1024  # bytes of requests under examination: some 5,000 statements


class Desk:
    """One examiner for each thread or process. `count` processes hold `index_key`; 0: none apart.

    Processes of which one has died or says nothing are replaced, and meanwhile this process does their work.
    """

    def __init__(self, examiner: Examiner, index_key: bytes, count: int) -> None:
        self._examiner, self._index_key, self._count = examiner, index_key, count
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="examiner")
        self._pool: ProcessPool | None = None
        self._anew_at = time.monotonic()  # when they may be started
        self._start()
        self._apart_now = self._apart_bytes = 0  # requests that are with the processes

    def warm_up(self) -> None:
        """Start the processes now rather than with the first large request."""
        warm_up(self._pool, self._count)

    async def examine(self, body: bytes, by: Submitter) -> list[Examined]:
        """The outcomes for the submissions of one request's body. Raises Malformed as ledger.submissions, and
        Unavailable when there is too much to examine already."""
        found = await self._apart(examine_in, body, len(body), by)
        if found is not None:
            return found
        work = partial(self._examiner.examine, filing=by.filing, authority=by.authority)
        return await self._in_chunks(
            work, [decode_submission(raw, at) for at, raw in enumerate(split_submissions(body))]
        )

    async def examine_for_sequencer(self, body: bytes, by: Submitter) -> list[bytes]:
        """The same, as items for the sequencer (examined.py)."""
        found = await self._apart(examine_for_sequencer, body, len(body), by)
        if found is not None:
            return found
        return [pack_item(one) for one in await self.examine(body, by)]

    async def authenticate(self, entries: Sequence[bytes], by: Submitter) -> list[Examined]:
        """Form, key and signatures of entries whose openings a front has examined."""
        found = await self._apart(authenticate_in, entries, sum(map(len, entries)), by, len(entries) >= _MANY)
        if found is not None:
            return found

        def work(some: Sequence[bytes]) -> list[Examined]:
            return [self._examiner.authenticate(entry, by.filing, by.authority) for entry in some]

        return await self._in_chunks(work, entries)

    async def examine_authority(self, entry: bytes, authority: People) -> Examined:
        """A statement of the authority, which carries its own authorisation."""
        work = partial(self._examiner.examine_authority, entry, authority)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Also when a process stands still: what it examines is nobody's any more."""
        self._thread.shutdown(wait=True)
        if self._pool is not None:
            self._pool.end(_GRACE_S)

    def _start(self) -> None:
        if self._pool is None and self._count and time.monotonic() >= self._anew_at:
            self._pool = start_examiners(self._count, self._index_key)
            self._anew_at = time.monotonic() + _ANEW_S

    def _give_up(self, pool: ProcessPool) -> None:
        if self._pool is pool:  # another request may have found out first
            self._pool = None
            Thread(target=pool.end, args=(0.0,), name="examiners-end", daemon=True).start()

    async def _apart(
        self,
        work: _Work[T],
        what: Any,
        size: int,
        by: Submitter,
        large: bool | None = None,
    ) -> T | None:
        if not (size >= _APART if large is None else large):
            return None
        self._start()
        pool = self._pool
        if pool is None:
            return None
        if self._apart_now and self._apart_bytes + size > _WAITING:
            # Before the queue of the sequencer is asked: whatever waits here longer would only be refused there.
            raise Unavailable(
                Text("正在审查的语句过多，请稍后重试", "too many statements are being examined; try again later"),
                retry_after=1,
            )
        # A request alone is shared out, for its own sake; of several each goes to one process, because every share has
        # to read the whole of its request.
        shares = 1 if self._apart_now else min(self._count, 2)
        self._apart_now += 1
        self._apart_bytes += size
        try:
            async with asyncio.timeout(_LONGEST_S):
                return await work(pool, shares, what, by)
        except BrokenProcessPool:  # somebody killed one: nothing is lost, this process can do it alone
            journal.error("an examining process has died; others are started")
            self._give_up(pool)
            return None
        except TimeoutError as error:  # one stands still, and with it perhaps the queue of all
            journal.error("an examining process says nothing; others are started")
            self._give_up(pool)
            raise Unavailable(
                Text("审查耗时过长，请稍后重试", "examination takes too long; try again later"), retry_after=2
            ) from error
        finally:
            self._apart_now -= 1
            self._apart_bytes -= size

    async def _in_chunks(self, work: Callable[[Sequence[Any]], list[Examined]], items: Sequence[Any]) -> list[Examined]:
        loop, found = asyncio.get_running_loop(), []
        for at in range(0, len(items), _CHUNK):
            found += await loop.run_in_executor(self._thread, work, items[at : at + _CHUNK])
        return found

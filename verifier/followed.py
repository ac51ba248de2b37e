"""The logs of a running `serve`: each is opened, read and followed by a task of its own, and none waits for another.

1 open    all at the same time, each with the deadlines of its own store
2 begin   once each was tried, or once one is open and START_S are over. Where none opens there is nothing to answer
          from, and `serve` does not start: with one log it is as strict as any other command
3 again   of several, one that does not open is told and tried again, with pauses that grow to a minute, whatever
          keeps it away. Until then it has no answer, and it says so to operators
4 follow  for good: a follower that ends by a bug, or because the log broke a rule, leaves what is held readable
5 end     nobody gets the replica any more, then its source and its store are closed, whenever it was opened
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ledger.errors import CertLedgerError, Refused
from verifier.config import LogConfig, VerifierSettings
from verifier.known_log import KnownLog
from verifier.opened import open_replica, reading_pool
from verifier.replica import Replica
from verifier.violation import Violation, say_failure

START_S: Final = 30.0  # to wait for the other logs once one is open
AGAIN_S: Final = (1.0, 60.0)  # after a failure, twice as long each time
_log = logging.getLogger("verifier")


@asynccontextmanager
async def followed(
    folder: Path,
    settings: VerifierSettings,
    logs: Sequence[KnownLog],
    now_ms: Callable[[], int],
    *,
    start_s: float = START_S,
    again_s: tuple[float, float] = AGAIN_S,
) -> AsyncIterator[None]:
    """Each of `logs`, those of the settings in their order, with its replica as soon as that opens. Raises as
    `open_replica` when none opens."""
    with reading_pool() as pool:
        keepers = [
            _Keeper(folder, log, known, pool, now_ms, settings.poll_ms / 1000, again_s if len(logs) > 1 else None)
            for log, known in zip(settings.logs, logs, strict=True)
        ]
        tasks = [asyncio.create_task(keeper.keep()) for keeper in keepers]
        for task, keeper in zip(tasks, keepers, strict=True):
            task.add_done_callback(keeper.ended)
        try:
            await _begin(keepers, start_s)  # 2
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _begin(keepers: Sequence[_Keeper], start_s: float) -> None:
    """Raises the first log's failure when none opens."""
    opened = {keeper.opened for keeper in keepers}
    _, waiting = await asyncio.wait([keeper.tried for keeper in keepers], timeout=start_s)
    while waiting and not any(each.done() for each in opened):
        either: set[asyncio.Future[Any]] = {*waiting, *opened}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting = {each for each in waiting if not each.done()}
    if not any(each.done() for each in opened):
        raise next(error for keeper in keepers if (error := keeper.tried.result()) is not None)
    for keeper in keepers:
        if not keeper.tried.done():
            _log.error("replica of %s is not open yet: answering begins without it", keeper.origin)


class _Keeper:
    """One log. `again_s`: None where it is the only one, and tried once."""

    def __init__(
        self,
        folder: Path,
        log: LogConfig,
        known: KnownLog,
        pool: Executor,
        now_ms: Callable[[], int],
        every_s: float,
        again_s: tuple[float, float] | None,
    ) -> None:
        self.origin = log.origin
        loop = asyncio.get_running_loop()
        self.tried: asyncio.Future[Exception | None] = loop.create_future()  # what kept it from opening, if anything
        self.opened: asyncio.Future[None] = loop.create_future()
        self._folder, self._log, self._known, self._pool = folder, log, known, pool
        self._now_ms, self._every_s, self._again_s = now_ms, every_s, again_s

    async def keep(self) -> None:
        """Until cancelled, or until it could not be opened and is not tried again."""
        pause, longest = self._again_s or (0.0, 0.0)
        while True:
            async with AsyncExitStack() as stack:
                replica = await self._open(stack)
                if replica is not None:
                    await self._follow(replica)
            if self._again_s is None:
                return
            await asyncio.sleep(pause)  # 3
            pause = min(2 * pause, longest)

    def ended(self, done: asyncio.Task[None]) -> None:
        """Only a bug ends this by itself, in closing what was opened."""
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.critical("replica of %s: a bug where it was closed", self.origin, exc_info=error)

    async def _open(self, stack: AsyncExitStack) -> Replica | None:  # 1
        try:
            opened = await open_replica(self._folder, self._log, self._known.trust, self._pool, stack, self._now_ms)
        except Exception as error:  # noqa: BLE001  # a bug that this replica brings out is no other log's either
            self._set_tried(error)
            if self._again_s is not None:
                self._tell(error)
            return None
        if self._known.unopened:
            _log.info("replica of %s is open now", self.origin)
        self._known.unopened = ""
        self._known.replica = opened.replica
        stack.callback(self._leave)  # 5
        self._set_tried(None)
        self.opened.set_result(None)
        return opened.replica

    def _leave(self) -> None:
        self._known.replica = None

    def _set_tried(self, error: Exception | None) -> None:
        if not self.tried.done():
            self.tried.set_result(error)

    def _tell(self, error: Exception) -> None:
        self._known.unopened = error.code if isinstance(error, Refused) else type(error).__name__
        if isinstance(error, CertLedgerError):
            _log.error("replica of %s is not open: %s: %s", self.origin, self._known.unopened, say_failure(error))
        elif isinstance(error, OSError):
            _log.error("replica of %s is not open: %s: %s", self.origin, self._known.unopened, error.strerror)
        else:
            _log.critical("replica of %s is not open: a bug", self.origin, exc_info=error)

    async def _follow(self, replica: Replica) -> None:  # 4
        try:
            await replica.follow(self._now_ms, _Alarm(self.origin), self._every_s)
        except Exception as error:  # noqa: BLE001  # what it holds stays, and is no longer believed
            _log.critical("replica of %s: stopped by a bug", self.origin, exc_info=error)
            replica.halted = Violation("the follower stopped because of a bug", proven=False)
        await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class _Alarm:
    origin: str

    def __call__(self, error: CertLedgerError) -> None:
        _log.warning("replica of %s: %s: %s", self.origin, type(error).__name__, say_failure(error))

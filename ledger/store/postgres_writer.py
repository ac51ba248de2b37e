"""The one writer of a PostgreSQL store, and how it learns the outcome of a commit whose answer was lost.

    1 lock       its session holds the log's advisory lock: a second writer waits a little, then is refused. That is a
                 courtesy; what decides between two writers is the compare-and-swap on the head row
    2 work       BEGIN (once more on a new session, should the old one have died unnoticed) and everything of the batch.
                 Any failure up to here leaves nothing: COMMIT was never sent
    3 commit     COMMIT is sent once, and never again
    4 answer     "COMMIT" is the only one that means committed (of a failed transaction the server answers "ROLLBACK")
    5 hang up    no answer: the connection is dropped without a word, for a cancel request could let a commit through
                 that no standby has yet
    6 wait       a new session takes the lock of step 1. The server gives it only when the old session is over, and
                 with it the old transaction, one way or the other
    7 look       the head row, locked (should a pooler stand between, the row waits for the old transaction too),
                 tells whether the batch is there

A crash of this process anywhere leaves whole batches; the server rolls back what was not committed when it notices,
after `abandoned` seconds at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from ledger.errors import Refused, Unavailable
from ledger.store import sql
from ledger.store.postgres_link import FAILURES, Deadlines, Place, check_server, connect, end, unavailable
from ledger.store.protocol import StoredHead
from ledger.text import Text

Work = Callable[[Any], Awaitable[None]]
_RETRY_S: Final = 0.1
_NEVER_S: Final = 86_400.0  # the driver's own deadline would send a cancel request
_IN_USE: Final = Text("存储正被另一进程使用", "Another process has the store")


class Writer:
    """One session, one transaction at a time, in the order they were asked for."""

    def __init__(self, place: Place, deadlines: Deadlines) -> None:
        self._place, self._deadlines = place, deadlines
        self._one = asyncio.Lock()
        self._session: Any = None

    async def open(self) -> Any:
        """The session, made anew where it was lost. Raises Refused("STORE_IN_USE"), Unavailable, or as check_server."""
        if self._session is None or self._session.is_closed():
            self._session = None
            session = await connect(self._place, self._deadlines)
            try:
                with unavailable("open"):
                    await check_server(session)
                    await session.execute("SELECT pg_advisory_lock($1)".replace("$1", str(self._place.lock)))  # 1
            except Unavailable as error:
                session.terminate()
                if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                    raise Refused("STORE_IN_USE", str(self._place), _IN_USE) from error
                raise
            except BaseException:
                session.terminate()
                raise
            self._session = session
        return self._session

    async def transact(self, work: Work) -> None:
        """Commit what can be done twice without harm. Raises Unavailable("… unknown …") when the answer is lost."""
        async with self._one:
            session = await self._begin_and(work)
            if not await self._commit(session):
                raise Unavailable("store: the answer to a commit was lost; outcome unknown")

    async def append(self, work: Work, before: StoredHead | None, after: StoredHead) -> None:
        """Commit one batch that takes the head from `before` to `after`. Raises as Store.append."""
        async with self._one:
            session = await self._begin_and(work)
            if await self._commit(session):
                return
            found = await self._settled_head()  # 6, 7
            if found == before:
                raise Unavailable("store: the connection was lost and the batch was not committed")
            if found != after:  # somebody else went on: from our batch, or from the one before
                raise Unavailable("store: the answer to a commit was lost; outcome unknown, the head has moved")

    async def _begin_and(self, work: Work) -> Any:
        session = await self._begin()
        try:
            with unavailable("write"):
                await work(session)  # 2
        except BaseException:
            await self._roll_back(session)
            raise
        return session

    async def _begin(self) -> Any:
        for last in (False, True):
            session = await self.open()
            try:
                with unavailable("begin"):
                    await session.execute("BEGIN")
                return session
            except BaseException as error:
                self._hang_up()
                if last or not isinstance(error, Unavailable):
                    raise
        raise AssertionError("two attempts")

    async def _roll_back(self, session: Any) -> None:
        try:
            await session.execute("ROLLBACK", timeout=self._deadlines.connect)
        except BaseException as error:
            self._hang_up()  # the server rolls back by itself
            if not isinstance(error, FAILURES):
                raise

    async def _commit(self, session: Any) -> bool:
        """Whether the server said that the transaction is committed; False: it said nothing. Raises Unavailable
        when it was rolled back."""
        # A task of its own: when time is up, nothing may be cancelled.
        sent = asyncio.ensure_future(session.execute("COMMIT", timeout=_NEVER_S))  # 3
        try:
            done, _ = await asyncio.wait([sent], timeout=self._deadlines.command)
        except asyncio.CancelledError:
            self._hang_up()
            await asyncio.wait([sent])
            raise
        if not done:
            self._hang_up()  # 5
            await asyncio.wait([sent])
        if sent.cancelled() or (error := sent.exception()) is not None:
            self._hang_up()
            if not sent.cancelled() and not isinstance(error, FAILURES):
                raise error
            return False
        if (status := sent.result()) != "COMMIT":  # 4
            raise Unavailable(f"store: the transaction was not committed ({status})")
        return True

    async def _settled_head(self) -> StoredHead | None:
        """The head after the old transaction is over. Raises Unavailable("… unknown …") when that cannot be learnt."""
        last = ""
        try:
            async with asyncio.timeout(self._deadlines.settle):
                while True:
                    try:
                        session = await self.open()
                        with unavailable("look"):
                            async with session.transaction():
                                row = await session.fetchrow(f"{sql.HEAD} FOR UPDATE")
                        return None if row is None else StoredHead(*row)
                    except (Unavailable, Refused) as error:
                        last = str(error)
                        await asyncio.sleep(_RETRY_S)
        except TimeoutError as error:
            raise Unavailable(f"store: the answer to a commit was lost; outcome unknown ({last})") from error

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.terminate()
            self._session = None

    async def close(self) -> None:
        async with self._one:
            if self._session is not None:
                await end(self._session)
                self._session = None

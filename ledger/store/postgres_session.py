"""A session that writes to a PostgreSQL store: one transaction or statement after the other, and what became of each.

Checkpoints are kept by one as it is. The numbers are those of `postgres_writer`, whose session has a lock and a head to
mind besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from ledger.errors import Refused, Unavailable
from ledger.store.postgres_durable import check_durable, connect_checked
from ledger.store.postgres_link import FAILURES, Deadlines, Place, database_of, end, unavailable
from ledger.text import Text

Work = Callable[[Any], Awaitable[None]]
_NEVER_S: Final = 86_400.0  # the driver's own deadline would send a cancel request


@contextmanager
def warnings(session: Any) -> Iterator[list[str]]:
    """What the server warns of meanwhile, in the end."""
    found: list[str] = []

    def listen(_session: Any, message: Any) -> None:
        if message.severity_en == "WARNING":
            found.append(message.message)

    if not session.is_closed():  # of a lost one the command itself will tell
        session.add_log_listener(listen)
    try:
        yield found
    finally:
        session.remove_log_listener(listen)


@asynccontextmanager
async def undone(session: Any) -> AsyncIterator[None]:
    """A transaction that is rolled back however it ends: what it raises, the same work in earnest would."""
    rehearsal = session.transaction()
    await rehearsal.start()
    try:
        yield
    finally:
        await rehearsal.rollback()


async def who_answers(place: Place, deadlines: Deadlines) -> tuple[str, str]:
    """Which database (`database_of`) is at `place`, and as which role it knows us. Raises as connect_checked."""
    session = await connect_checked(place, deadlines)
    try:
        with unavailable("look"):
            return await database_of(session), await session.fetchval("SELECT current_user")
    finally:
        await end(session)


class Session:
    """One connection, made anew where it was lost; one transaction at a time, in the order they were asked for."""

    def __init__(self, place: Place, deadlines: Deadlines) -> None:
        self._place, self._deadlines = place, deadlines
        self._one = asyncio.Lock()
        self._session: Any = None

    async def open(self) -> Any:
        """The connection. Raises Unavailable, or as check_server."""
        if self._session is None or self._session.is_closed():
            self._session = await connect_checked(self._place, self._deadlines)
        return self._session

    async def transact(self, work: Work) -> None:
        """Commit what can be done twice without harm. Raises Unavailable("… unknown …") when the answer is lost."""
        async with self._one:
            session = await self._begin_and(work)
            if not await self._commit(session):
                raise Unavailable(
                    Text("存储：提交的答复丢失，结果未知", "store: the answer to a commit was lost; outcome unknown")
                )

    async def put(self, text: str, *values: Any) -> str:
        """One statement that is a commit by itself and may be done twice; what the server calls it, durable. A process
        that stands still right here holds nothing: the server has all of it, or none. Raises as `transact`."""
        async with self._one:
            session = await self._first("SELECT 1")
            with unavailable("look"):
                await check_durable(session, self._place)  # 4
            done = await self._send(session, text, *values)
            if done is None:
                raise Unavailable(
                    Text("存储：提交的答复丢失，结果未知", "store: the answer to a commit was lost; outcome unknown")
                )
            return done

    async def _begin_and(self, work: Work) -> Any:
        session = await self._first("BEGIN")
        try:
            with unavailable("write"):
                await work(session)  # 3
                await check_durable(session, self._place)  # 4
        except BaseException:
            await self._roll_back(session)
            raise
        return session

    async def _first(self, words: str) -> Any:
        """The session, which has just answered `words`; a new one, should the old one have died unnoticed."""
        for last in (False, True):
            session = await self.open()
            try:
                with unavailable(words.lower()):
                    await session.execute(words, timeout=self._deadlines.connect)  # nobody there: soon known
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
        """Whether the server said that the transaction is committed, and waited for its standby; False: it said nothing
        of the kind, and the session is over. Raises Unavailable when it was rolled back."""
        status = await self._send(session, "COMMIT")  # 5
        if status not in (None, "COMMIT"):  # 6
            raise Unavailable(
                Text(f"存储：事务没有提交（{status}）", f"store: the transaction was not committed ({status})")
            )
        return status is not None

    async def _send(self, session: Any, text: str, *values: Any) -> str | None:
        """What the server calls a statement that commits, once it has waited for its standby. None: it said nothing of
        the kind, and the session is over."""
        # A task of its own: when time is up, nothing may be cancelled.
        with warnings(session) as warned:
            sent = asyncio.ensure_future(session.execute(text, *values, timeout=_NEVER_S))
            try:
                done, _ = await asyncio.wait([sent], timeout=self._deadlines.command)
            except asyncio.CancelledError:
                session.terminate()
                await asyncio.wait([sent])
                raise
            if not done:
                session.terminate()  # 7
                await asyncio.wait([sent])
        if sent.cancelled() or (error := sent.exception()) is not None:
            session.terminate()
            if not sent.cancelled() and not isinstance(error, FAILURES):
                raise error
            return None
        if warned or not await self._waited(session):
            session.terminate()  # 7
            return None
        status: str = sent.result()
        return status

    async def _waited(self, session: Any) -> bool:
        """Step 4, after the commit: an operator who lets go of the standby lets every waiting commit go too."""
        try:
            with unavailable("look"):
                await check_durable(session, self._place)
        except (Refused, Unavailable):
            return False
        return True

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.terminate()
            self._session = None

    async def close(self) -> None:
        async with self._one:
            if self._session is not None:
                await end(self._session)
                self._session = None

"""The one writer of a PostgreSQL store, and how it learns the outcome of a commit whose answer was lost.

    1 lock       its session holds the log's advisory lock: a second writer waits a little, then is refused. That is a
                 courtesy; what decides between two writers is the compare-and-swap on the head row. A session that
                 takes the place of a lost one also finds the head where this writer left it: else another one has
                 written meanwhile, and this one commits nothing more
    2 confirm    the head row is locked, which is written and waits for the synchronous standby as a commit does: what
                 can be read from here on is there too. After a crash a server shows what it had not sent to its standby
    3 work       BEGIN (once more on a new session, should the old one have died unnoticed) and everything of the batch.
                 Any failure up to here leaves nothing: COMMIT was never sent
    4 durable    what the server keeps is durable, and it waits for a standby where the address demands one: asked
                 before and after the commit (postgres_durable)
    5 commit     COMMIT is sent once, and never again
    6 answer     "COMMIT" without a warning is the only one that means committed. Of a failed transaction the server
                 answers "ROLLBACK"; with a warning, that somebody ended its wait for the standby
    7 hang up    no such answer: the connection is dropped without a word, for a cancel request could let a commit
                 through that no standby has yet
    8 wait       a new session takes the lock of step 1. The server gives it only when the old session is over, and
                 with it the old transaction, one way or the other
    9 look       the head row of step 2 (should a pooler stand between, the row waits for the old transaction too) tells
                 whether the batch is there. While another session has the lock, a head that is neither the old nor the
                 new one is answer enough: that session is another writer's

A crash of this process anywhere leaves whole batches; the server rolls back what was not committed when it notices,
after `abandoned` seconds at the latest. A crash of the server in 5 may leave a batch that only its own disk has: it is
never acknowledged before step 2 of a later session has seen it on the standby. After a failover it may be gone.

A writer that only fell silent (stopped, or cut off) keeps its session and with it the lock. `unseat` is how the one who
waits ends such a session; whoever wants to stay `hold`s on more often.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import asyncpg

from ledger.errors import Refused, Unavailable
from ledger.store import sql
from ledger.store.postgres_durable import check_durable, check_server
from ledger.store.postgres_link import Deadlines, Place, connect, end, unavailable
from ledger.store.postgres_session import Session, Work, warnings
from ledger.store.protocol import HEAD_MOVED, StoredHead
from ledger.text import Text

_RETRY_S: Final = 0.1
_SILENT_S: Final = 5.0  # after the time in which the server itself gives up: its machine stands still
_IN_USE: Final = Text("存储正被另一进程使用", "Another process has the store")
_ERASING: Final = Text(
    "正在从该存储删除个人信息，或先前的删除尚未完成（可能在等待备库）：请待其完成后再次执行",
    "Somebody is being erased from this store, or an earlier erasure has not ended (it may be waiting for the "
    "standby): run this again when that is done",
)
# Who holds the lock, and whether the server has been waiting for them for so long: for a word of theirs, idle, in a
# transaction or in the middle of a COPY, or that they take what it says. No timeout of the server's own would end that
# (of a statement whose answer nobody takes neither). Only the server's clock is asked.
_SILENT: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pg_locks.database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (classid::bigint << 32 | objid::bigint) = $1"
    " AND wait_event IN ('ClientRead', 'ClientWrite') AND clock_timestamp() - state_change > make_interval(secs => $2)"
)


class Writer(Session):
    """The session that batches come by, and all else that only the one who leads may write."""

    def __init__(self, place: Place, deadlines: Deadlines) -> None:
        super().__init__(place, deadlines)
        self._left: tuple[StoredHead | None] | None = None  # the head as this writer left it, once it knows

    async def open(self) -> Any:
        """The session, made anew where it was lost. Raises Refused("STORE_IN_USE"), Refused("HEAD_MOVED") when another
        process has written meanwhile, Unavailable, or as check_server."""
        if self._session is None or self._session.is_closed():
            session = await connect(self._place, self._deadlines)
            try:
                with unavailable("open"):
                    await check_server(session, self._place)
                    lock = f"SELECT pg_advisory_lock({self._place.lock})"
                    await session.execute(lock, timeout=self._deadlines.lock + _SILENT_S)  # 1
                head = await self._head(session)  # 2
                if self._left is not None and self._left != (head,):
                    raise Refused("HEAD_MOVED", "head", HEAD_MOVED)
                self._left = (head,)
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

    async def _head(self, session: Any) -> StoredHead | None:
        """The head that a new session finds, once the synchronous standby has it too. Raises Unavailable."""
        with unavailable("look"), warnings(session) as warned:
            # A row lock is written, so its commit waits. To cancel that wait harms nobody: it is not believed then.
            row = await session.fetchrow(f"{sql.HEAD} FOR UPDATE", timeout=self._deadlines.command)
        if warned:
            raise Unavailable(
                Text(
                    "存储：对备库的等待被中止，此处提交的内容可能别处没有",
                    "store: the wait for a standby was ended; what is committed here may be nowhere else",
                )
            )
        return None if row is None else StoredHead(*row)

    async def hold(self) -> None:
        """Let the server know that this writer is alive. Raises as `open`, when it is no more the writer."""
        async with self._one:
            await self._first("SELECT 1")

    async def check_durable(self) -> None:
        """Raise Refused or Unavailable while step 4 would, or as `open`."""
        async with self._one:
            session = await self._first("SELECT 1")
            with unavailable("look"):
                await check_durable(session, self._place)

    async def keep(self) -> None:
        """From now on, for as long as this session lasts, nobody erases from this log; asked again: still or again so.
        Raises Refused("STORE_IN_USE") while somebody does, or as `open`."""
        async with self._one:
            session = await self._first("SELECT 1")
            with unavailable("keep"):
                alone = await session.fetchval(f"SELECT pg_try_advisory_lock({self._place.erasing})")
            if not alone:
                raise Refused("STORE_IN_USE", str(self._place), _ERASING)

    async def append(self, work: Work, before: StoredHead | None, after: StoredHead) -> None:
        """Commit one batch that takes the head from `before` to `after`. Raises as Store.append."""
        async with self._one:
            session = await self._begin_and(work)
            self._left = None  # until the outcome is known, the head may be either
            if await self._commit(session):
                self._left = (after,)
                return
            found = await self._settled_head(before, after)  # 8, 9
            if found == before:
                raise Unavailable(
                    Text(
                        "存储：连接中断，该批没有提交", "store: the connection was lost and the batch was not committed"
                    )
                )
            if found != after:  # somebody else went on: from our batch, or from the one before
                self._hang_up()
                self._left = (before,)  # whatever this writer still wanted to write, `open` refuses
                raise Unavailable(
                    Text(
                        "存储：提交的答复丢失，结果未知，树头已变化",
                        "store: the answer to a commit was lost; outcome unknown, the head has moved",
                    )
                )

    async def _settled_head(self, before: StoredHead | None, after: StoredHead) -> StoredHead | None:
        """The head after the old transaction is over, or as another writer left it meanwhile. Raises
        Unavailable("… unknown …") when that cannot be learnt."""
        last = Text("没有应答", "no answer")
        try:
            async with asyncio.timeout(self._deadlines.settle):
                while True:
                    try:
                        await self.open()
                        assert self._left is not None
                        return self._left[0]
                    except (Unavailable, Refused) as error:
                        last = error.text if isinstance(error, Refused) else error.what
                        self._hang_up()
                    # The lock is our old session's, or that of one who took our place. Whoever has written in it will
                    # not give it back: a leader that was stopped in the middle of a commit would wait for nothing.
                    with suppress(Unavailable):
                        found = await self._shown_head()
                        if found not in (before, after):
                            return found
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError as error:
            raise Unavailable(
                Text(
                    f"存储：提交的答复丢失，结果未知（{last.zh}）",
                    f"store: the answer to a commit was lost; outcome unknown ({last.en})",
                )
            ) from error

    async def _shown_head(self) -> StoredHead | None:
        """The head as it is committed right now, without the lock: it says who went on, not what became of us."""
        session = await connect(self._place, self._deadlines)
        try:
            with unavailable("look"):
                row = await session.fetchrow(sql.HEAD)
            return None if row is None else StoredHead(*row)
        finally:
            await end(session)


async def unseat(place: Place, deadlines: Deadlines, silence_s: float) -> bool:
    """End the session of a writer of this log that has said nothing for `silence_s`; whether there was one.

    Its process finds out by itself: whatever it still wanted to write, `open` refuses. Raises Unavailable.
    """
    session = await connect(place, deadlines)
    try:
        with unavailable("unseat"):
            return any(row[0] for row in await session.fetch(_SILENT, place.lock, silence_s))
    finally:
        await end(session)

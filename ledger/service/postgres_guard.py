"""The signer guard in a database of its own, for a log with more than one sequencer.

Whichever sequencer leads reaches the same memory, so that one that was stopped and goes on later can sign nothing that
the other has passed. What decides is one conditional UPDATE, committed before the signature:

    size grows                     remembered, and may be signed
    size and root are the same     may be signed again
    anything else                  refused: GUARD_BACKWARDS, GUARD_FORK

The database is never that of the log and never part of its backups: a restored memory would forget what was signed.
The address is like the store's (`postgresql://role@host/database?schema=name`). The role may read and update one row a
log; it can neither add nor remove any.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import asyncpg

from ledger.errors import Refused, Unavailable
from ledger.service.guard import EXISTS, NOTHING, check_follows
from ledger.store.postgres_durable import check_durable, check_server, connect_checked
from ledger.store.postgres_link import (
    OTHER_DATABASE,
    Deadlines,
    Place,
    connect,
    database_of,
    end,
    unavailable,
)
from ledger.store.postgres_rights import exceeding
from ledger.store.postgres_session import Session, undone, warnings, who_answers
from ledger.text import Text
from ledger.tlog.merkle import HASH_BYTES

DEADLINES: Final = Deadlines(connect=5.0, command=5.0, lock=3.0, abandoned=10.0, settle=15.0)
_RETRY_S: Final = 0.1
_TABLE: Final = (
    'CREATE TABLE IF NOT EXISTS guard (origin text COLLATE "C" PRIMARY KEY, size bigint NOT NULL, root bytea NOT NULL)'
)
_CREATE: Final = "INSERT INTO guard (origin, size, root) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_KNOWN: Final = "SELECT size, root FROM guard WHERE origin = $1"
# What is remembered already is written again: only a commit that wrote something waits for the synchronous standby.
_GROW: Final = "UPDATE guard SET size = $2, root = $3 WHERE origin = $1 AND (size < $2 OR size = $2 AND root = $3)"
_NAMED: Final = ("guard.size UPDATE", "guard.root UPDATE")
_LOG_HERE: Final = (
    "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE relname = 'entry' AND nspname = $1)"
)
SAME_PLACE: Final = Text(
    "签名守卫必须放在另一个数据库中，不得与日志同库",
    "The signer guard must be in another database than the log",
)
_ROLE: Final = Text(
    "签名守卫的角色可以增删记录（{zh}）；请收回这些权限，或以受限角色运行，数据库、模式和表由另一角色拥有",
    "The guard's role could add or remove rows ({en}): revoke that, or run as a role that cannot, with database, "
    "schema and table owned by another",
)


async def _check_role(session: Any, place: Place, role: str | None = None) -> None:
    """Raise Refused("GUARD_ROLE") when `role` (None: the session's) may do more than read, and remember."""
    if (more := await exceeding(session.fetch, place.schema, _NAMED, role)) is not None:
        raise Refused("GUARD_ROLE", "guard", _ROLE.format(zh=more.zh, en=more.en))


async def _check_apart(session: Any, store_schema: str) -> None:
    """Raise Refused when the tables of the log are here too, under whatever name of the server: one backup would then
    hold both."""
    if await session.fetchval(_LOG_HERE, store_schema):
        raise Refused("GUARD_PLACE", "guard", SAME_PLACE)


async def check_no_postgres_guard(
    place: Place,
    owner: Place,
    origin: str,
    store_schema: str,
    deadlines: Deadlines = DEADLINES,
    *,
    log_database: str = "",
) -> None:
    """All of create_postgres_guard, and nothing of it stays: raises what it would. `log_database`: where a log's tables
    are going to be, by `who_answers`."""
    database, role = await who_answers(place, deadlines)
    if database == log_database:
        raise Refused("GUARD_PLACE", "guard", SAME_PLACE)
    session = await connect(by := _made_by(place, owner), deadlines)
    try:
        with unavailable("guard"):
            await check_server(session, by)
            async with undone(session):
                await _make(session, place, database, role, origin, store_schema, NOTHING)
    finally:
        await end(session)


async def create_postgres_guard(
    place: Place,
    owner: Place,
    origin: str,
    store_schema: str,
    deadlines: Deadlines = DEADLINES,
    *,
    known: tuple[int, bytes] = NOTHING,
) -> None:
    """A new guard, made as `owner` for the role of `place`, durable on return. It has seen nothing, or what another
    guard of this log has (`known`: size, root). Refuses to replace one, to lie beside the log (`store_schema`), and a
    role that the first `open` would refuse. A crash in here, or a refusal, leaves none."""
    database, role = await who_answers(place, deadlines)

    async def work(session: Any) -> None:
        await _make(session, place, database, role, origin, store_schema, known)

    session = Session(_made_by(place, owner), deadlines)
    try:
        await session.transact(work)
    finally:
        await session.close()


def _made_by(place: Place, owner: Place) -> Place:
    return replace(owner, schema=place.schema, require_standby=place.require_standby or owner.require_standby)


async def _make(
    session: Any, place: Place, database: str, role: str, origin: str, store_schema: str, known: tuple[int, bytes]
) -> None:
    """In a transaction of the owner's: schema, table, row and rights, all asked about as the first `open` would.
    `database`, `role`: who answers at `place`."""
    if await database_of(session) != database:
        raise Refused("GUARD_OWNER", "guard", OTHER_DATABASE)
    await _check_apart(session, store_schema)
    await _check_role(session, place, role)  # who owns the schema may have taken the right to make anything in it
    if await session.fetchval("SELECT to_regnamespace($1)", place.schema) is None:  # who may make none may have one
        await session.execute(f'CREATE SCHEMA "{place.schema}"')
    await session.execute(_TABLE)
    if (await session.execute(_CREATE, origin, *known)).split()[-1] != "1":
        raise Refused("EXISTS", str(place), EXISTS)
    quoted = role.replace('"', '""')
    await session.execute(
        f'GRANT USAGE ON SCHEMA "{place.schema}" TO "{quoted}"; GRANT SELECT ON guard TO "{quoted}";'
        f'GRANT UPDATE (size, root) ON guard TO "{quoted}"'
    )
    await _check_role(session, place, role)


class PostgresGuard:
    """Implements Guard. Several processes may hold it; which of them sequences is decided by the store."""

    def __init__(self, place: Place, origin: str, deadlines: Deadlines = DEADLINES) -> None:
        self._place, self._origin, self._deadlines = place, origin, deadlines
        self._session: Any = None

    async def open(self, store_schema: str) -> None:
        """Raises Unavailable where there is no guard of this log or its row cannot be read, Refused for a server that
        loses commits, a database that the log lies in too, or a role that may do too much."""
        try:
            session = await self._connected()
            with unavailable("guard"):
                await _check_apart(session, store_schema)
                await _check_role(session, self._place)
            await self.known()
        except BaseException:
            self._hang_up()
            raise

    async def check(self, size: int, root: bytes) -> None:
        check_follows(await self.known(), size, root)

    async def remember(self, size: int, root: bytes) -> None:
        # Sent again after a lost answer: whether or not the first one was carried out, the outcome is the same. A crash
        # right here leaves the old memory or the new one, both of which allow this head.
        if await self._ask(lambda session: self._grow(session, size, root)) != "UPDATE 1":
            check_follows(await self.known(), size, root)

    async def _grow(self, session: Any, size: int, root: bytes) -> Any:
        """Raises as check_durable, and Unavailable too where the standby was not waited for: an operator who ends the
        wait, or lets go of the standby, has the server say that it is done all the same."""
        await check_durable(session, self._place)
        with warnings(session) as warned:
            done = await session.execute(_GROW, self._origin, size, root)
        await check_durable(session, self._place)
        if warned:
            raise Unavailable(
                Text(
                    "签名守卫：数据库没有等待备库确认，请检查备库",
                    "guard: the server did not wait for its standby; look at the standby",
                )
            )
        return done

    async def close(self) -> None:
        if self._session is not None:
            await end(self._session)
            self._session = None

    async def known(self) -> tuple[int, bytes]:
        row = await self._ask(lambda session: session.fetchrow(_KNOWN, self._origin))
        if row is None:
            raise Unavailable(
                Text(
                    f"签名守卫 {self._place}：其中没有这个日志；不得手工重建",
                    f"signer guard {self._place}: it knows no such log; it must not be recreated by hand",
                )
            )
        size, root = row["size"], row["root"]
        if size < 0 or len(root) != HASH_BYTES or (size == 0) != (root == NOTHING[1]):
            raise Unavailable(
                Text(
                    f"签名守卫 {self._place}：其记录无法读取；不得手工重建",
                    f"signer guard {self._place}: its row cannot be read; it must not be recreated by hand",
                )
            )
        return size, root

    async def _ask(self, question: Any) -> Any:
        """The answer of a statement that may be carried out twice. Raises Unavailable when there is none in time."""
        last = Text("没有应答", "no answer")
        try:
            async with asyncio.timeout(self._deadlines.settle):
                while True:
                    try:
                        with unavailable("guard"):
                            return await question(await self._connected())
                    except Unavailable as error:
                        last = error.what
                        if isinstance(error.__cause__, asyncpg.PostgresError) and not _lost(error.__cause__):
                            raise
                        self._hang_up()
                        await asyncio.sleep(_RETRY_S)
        except TimeoutError as error:
            self._hang_up()
            what = Text(f"签名守卫 {self._place}：{last.zh}", f"signer guard {self._place}: {last.en}")
            raise Unavailable(what) from error

    async def _connected(self) -> Any:
        if self._session is None or self._session.is_closed():
            self._session = await connect_checked(self._place, self._deadlines)
        return self._session

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.terminate()
            self._session = None


def _lost(error: asyncpg.PostgresError) -> bool:
    """Whether the server went away rather than refusing: classes 08 (connection) and 57 (operator intervention)."""
    return str(error.sqlstate or "")[:2] in ("08", "57")

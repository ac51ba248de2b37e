"""Deleting what the ledger keeps of a person: as its own writer in a file, as the owner of the tables in PostgreSQL.

The role that a ledger runs as deletes nothing. Envelopes and index rows are never read twice within one answer, so in
PostgreSQL this may be done beside a running ledger; a file has one writer, and the ledger is stopped for it.

In PostgreSQL:

    1 read       what there is to delete, from one server
    2 same       and the owner deletes on that very server, with no start of it in between: what was read there is at
                 most as new as what is committed there
    3 alone      nobody copies the log elsewhere meanwhile, and no earlier erasure is still on its way: its commit may
                 be waiting for a standby although its client has gone
    4 delete     in one transaction, which also locks a row. So it writes something even where nothing is left to
                 delete, and its commit waits for the synchronous standby: a server that crashed while it waited shows
                 as gone what its standby still has
    5 commit     as a batch is: never cancelled, and believed only when the standby has it (`postgres_session`)

Without an answer the rows may be gone, from the primary alone or not at all: the same again tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from ledger.errors import Refused, Unavailable
from ledger.store import sql
from ledger.store.copying import check_whole
from ledger.store.opening import is_postgres, open_store
from ledger.store.postgres_link import DATABASE, Deadlines, Place, database_of, parse_place
from ledger.store.postgres_session import Session
from ledger.store.protocol import PrivateStore
from ledger.store.sqlite import open_sqlite
from ledger.text import Text

# Not the head's, which would hold up a running ledger; there always is one.
_LOCK_ROW: Final = "SELECT name FROM migration ORDER BY name LIMIT 1 FOR UPDATE"
# Of a store that has come back from an earlier time.
BACK_AGAIN: Final = Text(
    "该存储回到了较早的状态，此后删除的个人信息又在其中：启用之前，请以保留的申请文件再次执行 cert-ledger erase",
    "The store is one of an earlier time, and whoever was erased since is in it again: before it is served, run "
    "cert-ledger erase with the orders that you kept",
)
_OWNER = Text(
    "删除须以拥有表的角色进行：请给出其地址（--store-owner）",
    "Only the role that owns the tables deletes: give its address (--store-owner)",
)
_OTHER = Text(
    "没有删除：拥有者的地址属于另一个数据库或服务器。若数据库刚刚重启或切换，请再次执行",
    "Nothing was deleted: the owner's address is of another database or server than the store's. Where the database "
    "was just started anew or failed over, run this again",
)
_ALONE = Text(
    "没有删除：存储正被复制到别处，或先前的删除尚未完成（可能在等待备库）。若正在迁移，请待其完成后在新存储上执行；否则请恢复备库后再次执行",
    "Nothing was deleted: the store is being copied elsewhere, or an earlier erasure has not ended (it may be waiting "
    "for the standby). Where the log is moved, erase in the new store when that is done; else see to the standby and "
    "run this again",
)
_UNCONFIRMED = Text(
    "删除未得到确认：可能没有删除，也可能只在主库上删除、故障切换后会恢复。请查看数据库及其备库，并以同一文件再次执行，直至完成（{why}）",
    "The deletion is not confirmed: nothing may be gone, or it is gone from the primary alone and comes back with a "
    "failover. Look at the database and its standby, and run the same again until it is done ({why})",
)


class Rows(Protocol):
    """What there is to delete."""

    @property
    def places(self) -> Sequence[bytes]: ...  # of envelopes
    @property
    def hmacs(self) -> Sequence[bytes]: ...  # keys of index rows


Found = TypeVar("Found", bound=Rows)


async def erase_rows(
    store: str,
    folder: Path,
    owner: str,
    find: Callable[[PrivateStore], Awaitable[Found]],
    deadlines: Deadlines | None = None,
) -> tuple[Found, int]:
    """Delete the envelopes and index rows that `find` names, all or none of them, durably; what it named, and how many
    were there. To do it again harms nobody.

    Raises Refused("STORE_IN_USE") while a ledger has the file, or in PostgreSQL as step 3; Refused("STORE_OWNER")
    without an owner's address, or with that of another database; Refused("UNPROVEN_COPY"); Unavailable, and then it is
    to be done again.
    """
    if not is_postgres(store):
        file = open_sqlite(folder / store, private=True)
        try:
            await check_whole(file)
            found = await find(file)
            return found, await file.erase(found.places, found.hmacs)
        finally:
            await file.close()
    if not owner:
        raise Refused("STORE_OWNER", "store", _OWNER)
    place, by = parse_place(store), parse_place(owner)
    reading = await open_store(store, folder, private=True, read_only=True, deadlines=deadlines)
    try:
        await check_whole(reading)
        ((database,),) = await reading.page(DATABASE)
        found = await find(reading)  # 1
    finally:
        await reading.close()
    demanded = place.require_standby or by.require_standby
    by = replace(by, schema=place.schema, require_standby=demanded)
    return found, await _erase(by, database, found, deadlines or Deadlines())


async def _erase(by: Place, database: str, found: Rows, deadlines: Deadlines) -> int:
    gone = 0

    async def work(session: Any) -> None:
        nonlocal gone
        if await database_of(session) != database:  # 2
            raise Refused("STORE_OWNER", "store", _OTHER)
        if not await session.fetchval(f"SELECT pg_try_advisory_xact_lock({by.erasing})"):  # 3
            raise Refused("STORE_IN_USE", str(by), _ALONE)
        await session.execute(_LOCK_ROW)  # 4
        for text, keys in ((sql.ERASE_ENVELOPE, found.places), (sql.ERASE_INDEX, found.hmacs)):
            for key in keys:
                gone += int((await session.execute(text, key)).split()[-1])

    session = Session(by, deadlines)
    try:
        await session.transact(work)  # 5
    except Unavailable as error:
        said = error.what
        raise Unavailable(Text(_UNCONFIRMED.zh.format(why=said.zh), _UNCONFIRMED.en.format(why=said.en))) from error
    finally:
        await session.close()
    return gone

"""Deleting what the ledger keeps of a person: as its own writer in a file, as the owner of the tables in PostgreSQL.

The role that a ledger runs as deletes nothing. Envelopes and index rows are never read twice within one answer, so in
PostgreSQL this may be done beside a running ledger; a file has one writer, and the ledger is stopped for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ledger.errors import Refused
from ledger.store import sql
from ledger.store.opening import is_postgres
from ledger.store.postgres_link import Deadlines, check_server, connect, end, parse_place, unavailable
from ledger.store.sqlite import open_sqlite
from ledger.text import Text

_OWNER = Text(
    "删除须以拥有表的角色进行：请给出其地址（--store-owner）",
    "Only the role that owns the tables deletes: give its address (--store-owner)",
)


async def erase_rows(store: str, folder: Path, owner: str, places: Sequence[bytes], hmacs: Sequence[bytes]) -> int:
    """Delete the envelopes and index rows, all or none of them, durably; how many were there.

    Raises Refused while a ledger has the file, and without an owner's address; Unavailable.
    """
    if not is_postgres(store):
        file = open_sqlite(folder / store, private=True)
        try:
            return await file.erase(places, hmacs)
        finally:
            await file.close()
    if not owner:
        raise Refused("STORE_OWNER", "store", _OWNER)
    place, by = parse_place(store), parse_place(owner)
    session = await connect(replace(by, schema=place.schema), Deadlines())
    try:
        with unavailable("erase"):
            await check_server(session, by)
            async with session.transaction():
                gone = 0
                for text, keys in ((sql.ERASE_ENVELOPE, places), (sql.ERASE_INDEX, hmacs)):
                    for key in keys:
                        gone += int((await session.execute(text, key)).split()[-1])
                return gone
    finally:
        await end(session)

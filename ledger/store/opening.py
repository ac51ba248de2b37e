"""Which store: a file name is SQLite, `postgresql://…` is PostgreSQL. Nothing else in the product chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeAlias

from ledger.errors import Malformed, Refused
from ledger.store.postgres import PostgresStore, open_postgres
from ledger.store.postgres_link import SCHEME, Deadlines, Place, parse_place
from ledger.store.postgres_schema import EXISTS, check_no_schema, create_schema, upgrade_schema
from ledger.store.postgres_writer import unseat
from ledger.store.sqlite import SqliteStore, create_sqlite, open_sqlite, upgrade_sqlite
from ledger.store.sqlite_schema import is_begun
from ledger.text import Text

_STEPS: Final = Deadlines(command=14_400.0)  # an index over a large log is one statement
Opened: TypeAlias = SqliteStore | PostgresStore
_OWNER = Text(
    "账本的表须由另一角色拥有：请给出拥有者地址（--store-owner）",
    "A ledger's tables belong to another role than the one it runs as: name the owner (--store-owner)",
)


def is_postgres(store: str) -> bool:
    return store.startswith(SCHEME)


def check_place(store: str, what: str = "store") -> None:
    """Raise Refused or Malformed for an address that names no store, or holds a password."""
    if is_postgres(store):
        parse_place(store, what)
    elif not store or "\0" in store or "://" in store:
        raise Malformed(
            Text(
                f"{what}：应为文件名，或 postgresql://角色@主机/数据库?schema=名称",
                f"{what}: a file name, or postgresql://role@host/database?schema=name",
            )
        )


async def open_store(
    store: str,
    folder: Path,
    *,
    private: bool,
    read_only: bool = False,
    deadlines: Deadlines | None = None,
) -> Opened:
    """Open the store that a setting names; a file is relative to `folder`.

    Raises Unavailable when it is missing, Refused on schema drift or a second writer. `read_only` opens a snapshot
    beside a running writer: nothing can be written, and later batches are not seen.
    """
    if is_postgres(store):
        return await open_postgres(parse_place(store), private=private, read_only=read_only, deadlines=deadlines)
    return open_sqlite(folder / store, private=private, read_only=read_only)


async def unseat_writer(store: str, silence_s: float) -> bool:
    """End the session of a writer that has said nothing for so long; whether there was one. Raises Unavailable.

    The writer of a file ends with its process, and there is nobody to unseat.
    """
    return is_postgres(store) and await unseat(parse_place(store), Deadlines(), silence_s)


async def check_no_store(store: str, folder: Path, *, private: bool, owner: str = "") -> None:
    """Raise what `create_store` would, as far as that can be known without making anything."""
    if is_postgres(store):
        place = parse_place(store)
        await check_no_schema(place, _owner(place, owner, private), Deadlines(), private=private)
    elif (folder / store).exists() and not is_begun(folder / store):
        raise Refused("EXISTS", str(folder / store), EXISTS)


async def create_store(
    store: str, folder: Path, *, private: bool, owner: str = "", deadlines: Deadlines | None = None
) -> Opened:
    """Make a new store and open it. Raises Refused when one is there; in a database nothing of a refused one stays.
    `owner` is the address under which PostgreSQL tables are made: for a ledger always another role's."""
    if not is_postgres(store):
        return create_sqlite(folder / store, private=private)
    place = parse_place(store)
    await create_schema(place, _owner(place, owner, private), deadlines or Deadlines(), private=private)
    return await open_postgres(place, private=private, deadlines=deadlines)


async def upgrade_store(
    store: str, folder: Path, *, private: bool, owner: str = "", dry_run: bool = False
) -> list[str]:
    """Bring the schema up to this version, and return the names of the steps that were missing. With `dry_run` nothing
    is changed. Raises Refused on drift, also of single columns and indexes, and when the store is in use."""
    if is_postgres(store):
        place = parse_place(store)
        return await upgrade_schema(place, _owner(place, owner, private), _STEPS, private=private, dry_run=dry_run)
    return upgrade_sqlite(folder / store, private=private, dry_run=dry_run)


def _owner(place: Place, owner: str, private: bool) -> Place:
    found = parse_place(owner) if owner else place
    if private and found.role == place.role:
        raise Refused("STORE_OWNER", "store", _OWNER)
    return found

"""The tables of a log in a PostgreSQL schema: made and changed by their owner, used by a role that may do less.

Steps and grants are one transaction under the writer's advisory lock, so never beside a running log (of one that has
lost it a checkpoint may still come: it finds the table as it was or as it is). A crash in here leaves nothing of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import asyncpg

from ledger.errors import Malformed, Refused, Unavailable
from ledger.store.drift import postgres_drift, refuse_drift
from ledger.store.migrations import OLDER, TABLE_OF_STEPS, Migration, migrations, missing_steps
from ledger.store.postgres_catalogue import Fetch, made_tables
from ledger.store.postgres_durable import check_server
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
from ledger.store.postgres_session import undone, who_answers
from ledger.store.postgres_text import ddl
from ledger.text import Text

_REPLACED: Final = ("head", "tile", "state", "map_chunk", "checkpoint", "private_index")
_SWEPT: Final = "map_change"  # what it says is in rows that were written later
_STEPS: Final = "SELECT name, digest FROM migration"
_RECORD: Final = "INSERT INTO migration (name, digest) VALUES ($1, $2)"
_PRESENT: Final = "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
_UNLOGGED: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p')"
    " AND relpersistence <> 'p' ORDER BY relname"
)
_EMPTIED: Final = Text(
    "表 {table} 不写预写日志（UNLOGGED），服务器崩溃后会被清空",
    "Table {table} is UNLOGGED: a crash of the server empties it, and a standby has none of it",
)
EXISTS: Final = Text("存储已存在", "The store exists already")
_ROLE: Final = Text(
    "数据库角色可以改写日志（{zh}）；请收回这些权限，或以受限角色运行，数据库、模式和表由另一角色拥有",
    "This role could rewrite the log ({en}): revoke that, or run as a role that cannot, with database, schema and "
    "tables owned by another",
)


async def check_schema(fetch: Fetch, place: Place, *, private: bool) -> None:
    """Refuse to run on a store whose schema is not exactly this version's, was changed by hand, or has a table which a
    crash of the server empties. Raises Unavailable when there is none."""
    try:
        done = {row["name"]: row["digest"] for row in await fetch(_STEPS)}
    except Unavailable as error:
        if isinstance(error.__cause__, asyncpg.UndefinedTableError):
            raise Unavailable(
                Text(
                    f"{place} 没有存储：请先运行 init，或授权该角色读取（GRANT）",
                    f"no store at {place}: run init first, or let this role read it (GRANT)",
                )
            ) from error
        raise
    steps = migrations(private=private)
    if missing_steps(steps, done, str(place)):
        raise Refused("SCHEMA", str(place), OLDER)
    await _check_tables(fetch, place, steps)


async def _check_tables(fetch: Fetch, place: Place, done: Sequence[Migration]) -> None:
    for row in await fetch(_UNLOGGED):
        raise Refused("NOT_DURABLE", row["relname"], _EMPTIED.format(table=row["relname"]))
    refuse_drift(await postgres_drift(fetch, done), str(place))


async def check_role(fetch: Fetch, schema: str, role: str | None = None) -> None:
    """Raise Refused("STORE_ROLE") when this role, or one that it could become, may do more than `_grant` gives. `role`:
    another than the one that asks."""
    made = made_tables(tuple(migrations(private=True)))
    named = [f"{table} INSERT" for table in made if table != "migration"]
    named += [f"{table} UPDATE" for table in _REPLACED] + [f"{_SWEPT} DELETE"]
    if (more := await exceeding(fetch, schema, named, role)) is not None:
        raise Refused("STORE_ROLE", "store", _ROLE.format(zh=more.zh, en=more.en))


async def check_no_schema(place: Place, owner: Place, deadlines: Deadlines, *, private: bool) -> None:
    """All of `create_schema`, and nothing of it stays: raises what it would, while nothing else is made yet either."""

    async def rehearse(session: Any, role: str) -> None:
        async with undone(session):
            await _create(session, role, place, private=private)

    await _as_owner(place, owner, deadlines, rehearse)


async def create_schema(place: Place, owner: Place, deadlines: Deadlines, *, private: bool) -> None:
    """Make the tables as `owner` for the role of `place`. Raises Refused when they are there, and for whatever the
    first `open` would refuse: then nothing of it stays."""

    async def work(session: Any, role: str) -> None:
        await _create(session, role, place, private=private)

    await _as_owner(place, owner, deadlines, work)


async def upgrade_schema(
    place: Place, owner: Place, deadlines: Deadlines, *, private: bool, dry_run: bool
) -> list[str]:
    """Apply the missing steps, unless `dry_run`, and return their names. Raises Refused on drift: another step than
    ours, or tables that are not what the steps make."""
    names: list[str] = []

    async def work(session: Any, role: str) -> None:
        if await session.fetchval("SELECT to_regclass('migration')") is None:
            raise Unavailable(Text(f"{place} 没有存储：请先运行 init", f"no store at {place}: run init first"))
        names.extend(step.name for step in await _missing(session, place, private=private))
        done = [step for step in migrations(private=private) if step.name not in names]
        await _check_tables(session.fetch, place, done)
        if not dry_run:
            await _apply(session, place, private=private)
            await _grant(session, role, place)

    await _as_owner(place, owner, deadlines, work)
    return names


async def _create(session: Any, role: str, place: Place, *, private: bool) -> None:
    if await session.fetchval("SELECT to_regclass('migration')") is not None:
        raise Refused("EXISTS", str(place), EXISTS)
    if private:  # who owns the schema may have taken the right to make anything in it
        await check_role(session.fetch, place.schema, role)
    if await session.fetchval("SELECT to_regnamespace($1)", place.schema) is None:
        await session.execute(f'CREATE SCHEMA "{place.schema}"')
    await _apply(session, place, private=private)
    await _grant(session, role, place)
    await _check_tables(session.fetch, place, migrations(private=private))
    if private:
        await check_role(session.fetch, place.schema, role)


async def _as_owner(
    place: Place, owner: Place, deadlines: Deadlines, work: Callable[[Any, str], Awaitable[None]]
) -> None:
    """`work` in a transaction of the owner's, told the role of `place`. Raises Refused where the owner's address is of
    another database: what was made there would be nobody's."""
    ours, role = await who_answers(place, deadlines)
    demanded = place.require_standby or owner.require_standby
    session = await connect(by := replace(owner, schema=place.schema, require_standby=demanded), deadlines)
    try:
        with unavailable("migrate"):
            await check_server(session, by)
            if await database_of(session) != ours:
                raise Refused("STORE_OWNER", "store", OTHER_DATABASE)
            try:
                await session.execute(f"SELECT pg_advisory_lock({place.lock})")
            except asyncpg.LockNotAvailableError as error:
                text = Text("存储正被另一进程使用", "Another process has the store")
                raise Refused("STORE_IN_USE", str(place), text) from error
            async with session.transaction():
                await work(session, role)
    finally:
        await end(session)


async def _missing(session: Any, place: Place, *, private: bool) -> list[Migration]:
    done = {row["name"]: row["digest"] for row in await session.fetch(_STEPS)}
    return missing_steps(migrations(private=private), done, str(place))


async def _apply(session: Any, place: Place, *, private: bool) -> None:
    await session.execute(ddl(TABLE_OF_STEPS))
    for step in await _missing(session, place, private=private):
        if statements := step.statements("postgres"):
            await session.execute(ddl(";\n".join(statements)))
        await session.execute(_RECORD, step.name, step.digest)


async def _grant(session: Any, role: str, place: Place) -> None:
    """What the application's role may do: read and append, replace only what a later batch replaces, and
    delete only what a later batch has written elsewhere."""
    if role == await session.fetchval("SELECT current_user"):
        return
    if '"' in role or "\0" in role:
        raise Malformed(Text("store：不是数据库角色名", "store: not a name of a role"))
    replaced = [row["name"] for row in await session.fetch(_PRESENT, list(_REPLACED))]
    await session.execute(
        f'GRANT USAGE ON SCHEMA "{place.schema}" TO "{role}";'
        f'GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA "{place.schema}" TO "{role}";'
        f'REVOKE INSERT ON migration FROM "{role}";'
        f'GRANT UPDATE ON {", ".join(replaced)} TO "{role}";'
        f'GRANT DELETE ON {_SWEPT} TO "{role}"'
    )

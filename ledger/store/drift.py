"""What a store's tables are, compared with what its own steps make: a column, index or trigger that somebody changed by
hand is named, whatever the store says of its steps.

Nothing is written down twice: the steps are carried out once more beside the store, in memory (SQLite) or in temporary
tables of the same session (PostgreSQL), and both are described in the same words.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ledger.errors import Refused, Unavailable
from ledger.store.migrations import Migration
from ledger.store.postgres_text import ddl
from ledger.text import Text

MIGRATION_TABLE: Final = "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, digest bytea NOT NULL)"
_SQLITE: Final = (
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_TEMPORARY: Final = "pg_temp"
_SHOWN: Final = 10
_CHANGED: Final = Text(
    "存储结构被改动过，与升级步骤所建的不同，未做任何更改：{what}",
    "The schema was changed, and is not what its steps make; nothing was done: {what}",
)
# One row a thing: what it is, and everything that the store rests on, as the server itself writes it. An index that is
# not valid is read by nobody; a trigger or rule may change what is written.
_POSTGRES: Final = """
WITH mine AS (SELECT c.oid, c.relname, c.relkind FROM pg_class c WHERE c.relnamespace = $1::oid)
SELECT 'relation ' || relname AS name, relkind::text AS what FROM mine
UNION ALL SELECT 'column ' || relname || '.' || attname, concat_ws(' ', format_type(atttypid, atttypmod),
    CASE WHEN attnotnull THEN 'not null' END, collname, pg_get_expr(adbin, adrelid), attidentity, attgenerated)
  FROM mine JOIN pg_attribute ON attrelid = mine.oid AND attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v')
  LEFT JOIN pg_collation ON pg_collation.oid = attcollation
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL SELECT 'constraint ' || relname || '.' || conname, pg_get_constraintdef(pg_constraint.oid) || convalidated
  FROM mine JOIN pg_constraint ON conrelid = mine.oid AND contype <> 'n'
UNION ALL SELECT 'index ' || relname, pg_get_indexdef(indexrelid) || indisvalid || indisready
  FROM mine JOIN pg_index ON indexrelid = mine.oid
UNION ALL SELECT 'trigger ' || relname || '.' || tgname, pg_get_triggerdef(pg_trigger.oid) || tgenabled::text
  FROM mine JOIN pg_trigger ON tgrelid = mine.oid AND NOT tgisinternal
UNION ALL SELECT 'rule ' || relname || '.' || rulename, pg_get_ruledef(pg_rewrite.oid)
  FROM mine JOIN pg_rewrite ON ev_class = mine.oid
UNION ALL SELECT 'row security of ' || c.relname, 'on' FROM mine JOIN pg_class c USING (oid)
  WHERE c.relrowsecurity OR c.relforcerowsecurity
"""


def differences(made: dict[str, str], found: dict[str, str]) -> list[str]:
    """What of `found` is not as it was `made`, a line each, in order of the names."""
    words: list[str] = []
    for name in sorted(made.keys() | found.keys()):
        if name not in found:
            words.append(f"{name}: missing")
        elif name not in made:
            words.append(f"{name}: no step made it")
        elif made[name] != found[name]:
            words.append(f"{name}: changed")
    return words


def refuse_drift(found: Sequence[str], where: str) -> None:
    """Raise Refused("SCHEMA_CHANGED") that names what was found."""
    if found:
        what = "; ".join(found[:_SHOWN]) + ("; …" if len(found) > _SHOWN else "")
        raise Refused("SCHEMA_CHANGED", where, _CHANGED.format(what=what))


def sqlite_drift(path: Path, done: Sequence[Migration]) -> list[str]:
    """How the tables of a store in which these steps were `done` differ from what they make. Raises Unavailable."""
    with closing(sqlite3.connect(":memory:")) as made, closing(sqlite3.connect(path)) as store:
        made.execute(MIGRATION_TABLE)
        for step in done:
            for statement in step.statements():
                made.execute(statement)
        try:
            return differences(_described(made), _described(store))
        except sqlite3.Error as error:
            raise Unavailable(f"store: {error}") from error


def _described(store: sqlite3.Connection) -> dict[str, str]:
    return {f"{kind} {name}": " ".join(text.split()) for kind, name, text in store.execute(_SQLITE)}


async def postgres_drift(session: Any, done: Sequence[Migration]) -> list[str]:
    """The same for the schema that is first in the session's path. Takes a role that may make temporary tables, and
    leaves none: what is made here is rolled back."""
    schema = await session.fetchval("SELECT current_schema()")
    found = await _rows(session, schema)
    undo = session.transaction()  # its end takes the tables away and brings the path back
    await undo.start()
    try:
        await session.execute(f"SET LOCAL search_path TO {_TEMPORARY}")
        await session.execute(ddl(MIGRATION_TABLE))
        for step in done:
            await session.execute(ddl(";\n".join(step.statements())))
        temporary = await session.fetchval("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")
        made = await _rows(session, temporary)
    finally:
        await undo.rollback()
    return differences(made, found)


async def _rows(session: Any, schema: str) -> dict[str, str]:
    place = await session.fetchval("SELECT oid FROM pg_namespace WHERE nspname = $1", schema)
    rows = await session.fetch(_POSTGRES, place)
    return {row["name"]: re.sub(rf'(?:"?{schema}"?|pg_temp)\.', "", row["what"]) for row in rows}

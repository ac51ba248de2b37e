"""What PostgreSQL's catalogue says of tables, and what it would say of those that our steps make.

One question of the catalogue, that any role may ask, on a session that only reads, on a standby too. What the answer
should be is not written down: what every store runs of the steps is carried out in memory, by SQLite, and told in
PostgreSQL's words. The steps are of a few kinds (tables with keys, checks of one column, references, plain indexes; for
PostgreSQL alone, a primary key that includes other columns, and an index of another kind in the place of a plain one);
one of another kind makes a store that no test can open. Settings of a table, such as when it is vacuumed, are its
operator's and not compared.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any, Final

from ledger.store.migrations import Migration
from ledger.store.sqlite_text import OUR_TABLES, carried_out

Fetch = Callable[..., Awaitable[Sequence[Any]]]
_INCLUDED: Final = re.compile(
    r"^ALTER TABLE (\w+) DROP CONSTRAINT \w+, ADD CONSTRAINT (\w+) PRIMARY KEY \([\w, ]+\) INCLUDE \(([\w, ]+)\)$"
)
_KIND_OF_INDEX: Final = re.compile(r"^CREATE INDEX (\w+) ON \w+ USING ")  # written as the server writes it
_LONGEST: Final = 63  # bytes of a name; the server shortens a longer one in its own way
# One row a thing: what it is, and everything that the store rests on, as the server itself writes it. An index that is
# not valid is read by nobody; a trigger or rule may change what is written. What REINDEX CONCURRENTLY makes beside an
# index, and may leave there, takes nothing away: a log must start while one is being made again.
_FOUND: Final = r"""
WITH mine AS (SELECT c.oid, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = current_schema() AND NOT (c.relkind = 'i' AND c.relname ~ '_cc(new|old)\d*$')),
told AS (
SELECT 'relation ' || relname AS name, relkind::text AS what FROM mine
UNION ALL SELECT 'column ' || relname || '.' || attname, concat_ws(' ', format_type(atttypid, atttypmod),
    CASE WHEN attnotnull THEN 'not null' END, collname, pg_get_expr(adbin, adrelid), nullif(attidentity, ''),
    nullif(attgenerated, ''))
  FROM mine JOIN pg_attribute ON attrelid = mine.oid AND attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v')
  LEFT JOIN pg_collation ON pg_collation.oid = attcollation
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL SELECT 'constraint ' || relname || '.' || conname, pg_get_constraintdef(pg_constraint.oid)
  FROM mine JOIN pg_constraint ON conrelid = mine.oid AND contype <> 'n'
UNION ALL SELECT 'index ' || relname,
    concat_ws(' ', pg_get_indexdef(indexrelid), CASE WHEN NOT (indisvalid AND indisready) THEN 'not valid' END)
  FROM mine JOIN pg_index ON indexrelid = mine.oid
UNION ALL SELECT 'trigger ' || relname || '.' || tgname, pg_get_triggerdef(pg_trigger.oid) || tgenabled::text
  FROM mine JOIN pg_trigger ON tgrelid = mine.oid AND NOT tgisinternal
UNION ALL SELECT 'rule ' || relname || '.' || rulename, pg_get_ruledef(pg_rewrite.oid)
  FROM mine JOIN pg_rewrite ON ev_class = mine.oid
UNION ALL SELECT 'row security of ' || c.relname, 'on' FROM mine JOIN pg_class c USING (oid)
  WHERE c.relrowsecurity OR c.relforcerowsecurity)
SELECT name, replace(what, quote_ident(current_schema()) || '.', '') AS what FROM told
"""


async def found(fetch: Fetch) -> dict[str, str]:
    """What there is in the schema that is first in the session's path, by name. Raises Unavailable as `fetch`."""
    return {row["name"]: row["what"] for row in await fetch(_FOUND)}


@cache
def made(steps: tuple[Migration, ...]) -> dict[str, str]:
    """What `found` tells of a schema in which these steps were done."""
    with closing(carried_out(steps)) as tables:
        told = dict(_told(tables))
    for step in steps:
        for statement in step.statements("postgres"):
            if (key := _INCLUDED.search(statement)) is not None:
                name, columns = key[2], key[3]
                told[f"constraint {key[1]}.{name}"] += f" INCLUDE ({columns})"
                told[f"index {name}"] += f" INCLUDE ({columns})"
            elif (index := _KIND_OF_INDEX.search(statement)) is not None:
                told[f"index {index[1]}"] = statement
    return told


def made_tables(steps: tuple[Migration, ...]) -> list[str]:
    """The names of the tables among them."""
    relations = (name.split() for name, what in made(steps).items() if what == "r")
    return [name for kind, name in relations if kind == "relation"]


def _told(tables: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for kind, name, text in tables.execute(OUR_TABLES).fetchall():
        if kind == "index":
            ((table,),) = tables.execute("SELECT tbl_name FROM sqlite_master WHERE name = ?", (name,))
            yield from _index(name, table, _parts(tables, name))
        else:
            yield from _table(tables, name, text)


def _table(tables: sqlite3.Connection, table: str, text: str) -> Iterator[tuple[str, str]]:
    yield f"relation {table}", "r"
    key: dict[int, str] = {}
    for _, column, kind, not_null, default, at in tables.execute(f"PRAGMA table_info({table})"):
        assert default is None, f"{table}.{column}: a default is told in no words yet"
        kind = kind.lower()  # of some it is told in capitals, however it was written
        words = [kind, "not null" if not_null or at else "", "C" if kind == "text" else ""]
        yield f"column {table}.{column}", " ".join(word for word in words if word)
        if at:
            key[at] = column
    if key:
        yield from _unique(table, f"{table}_pkey", "PRIMARY KEY", [key[at] for at in sorted(key)])
    for _, index, _, origin, _ in tables.execute(f"PRAGMA index_list({table})").fetchall():
        if origin == "u":
            columns = _parts(tables, index)
            yield from _unique(table, "_".join([table, *columns, "key"]), "UNIQUE", columns)
    for column, condition in re.findall(r"(\w+) [^,()]*\bCHECK \(([^()]*)\)", text):
        yield f"constraint {table}.{table}_{column}_check", f"CHECK (({condition}))"
    for _, _, other, column, to, _, gone, _ in tables.execute(f"PRAGMA foreign_key_list({table})"):
        more = "" if gone == "NO ACTION" else f" ON DELETE {gone}"
        yield f"constraint {table}.{table}_{column}_fkey", f"FOREIGN KEY ({column}) REFERENCES {other}({to}){more}"


def _parts(tables: sqlite3.Connection, index: str) -> list[str]:
    return [column for _, _, column in tables.execute(f"PRAGMA index_info({index})")]


def _unique(table: str, name: str, what: str, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield f"constraint {table}.{name}", f"{what} ({', '.join(columns)})"
    yield from _index(name, table, columns, "UNIQUE ")


def _index(name: str, table: str, columns: Sequence[str], unique: str = "") -> Iterator[tuple[str, str]]:
    assert len(name) <= _LONGEST, f"{name}: too long for a name"
    yield f"relation {name}", "i"
    yield f"index {name}", f"CREATE {unique}INDEX {name} ON {table} USING btree ({', '.join(columns)})"

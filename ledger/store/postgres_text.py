"""The shared SQL (`ledger.store.sql`, `migrations`) as PostgreSQL runs it in bulk.

One row of VALUES becomes UNNEST of one array a column, or the target of a COPY; a question about one range becomes a
question about many; text columns compare by their bytes, as SQLite's do, whatever the database's collation.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from ledger.store.sql import target

# By name: a column has the same type in every table.
_TYPES: Final = {
    "name": "text",
    "filing": "text",
    "idx": "bigint",
    "since": "bigint",
    "chunk": "bigint",
    "seal": "bigint",
    "day": "integer",
    "kind": "smallint",
    "level": "smallint",
    "slot": "smallint",
    "purpose": "smallint",
    "key_version": "smallint",
}  # everything else is bytea


@cache
def many(insert: str) -> str:
    """An INSERT of one row, for arrays: `$1` is the array of the first column, and so on."""
    _, columns = target(insert)
    arrays = ", ".join(f"${at}::{_TYPES.get(name, 'bytea')}[]" for at, name in enumerate(columns, 1))
    return re.sub(r"VALUES \([^)]*\)", f"SELECT * FROM unnest({arrays})", insert, count=1)  # noqa: S608  # our own texts


@cache
def each_range(select: str) -> str:
    """(key, value) of one range `$1`..`$2`, for two arrays of ends: rows (place of the range from 1, key, value)."""
    return _each(select, ("low", "high"), ("map_key", "value"))


@cache
def each_bucket(select: str) -> str:
    """The rows of one range `$1`..`$2` with the body of the key `$3`, for three arrays: (place from 1, *row)."""
    return _each(select, ("low", "high", "wanted"), ("map_key", "value", "since", "body"))


def _each(select: str, asked: tuple[str, ...], found: tuple[str, ...]) -> str:
    arrays = ", ".join(f"${at}::bytea[]" for at in range(1, len(asked) + 1))
    for at, name in enumerate(asked, 1):
        select = select.replace(f"${at}", f"asked.{name}")
    return "\n".join(
        [
            f"SELECT asked.place, {', '.join(f'found.{name}' for name in found)}",
            f"FROM unnest({arrays}) WITH ORDINALITY AS asked ({', '.join(asked)}, place)",
            f"CROSS JOIN LATERAL ({select}) AS found ORDER BY asked.place, found.map_key",
        ]
    )


def ddl(statement: str) -> str:
    """A statement of a migration."""
    return re.sub(r"\btext\b", 'text COLLATE "C"', statement)

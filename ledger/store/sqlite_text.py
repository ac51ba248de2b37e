"""The shared SQL (`ledger.store.sql`) as SQLite runs it: numbered parameters, lists of keys, many rows of VALUES."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from ledger.store.migrations import TABLE_OF_STEPS, Migration

T = TypeVar("T")
_AT_ONCE = (1024, 256, 64, 16, 4, 1)
OUR_TABLES: Final = (  # their indexes, triggers and views too: kind, name, text
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_NUMBERS: Final = frozenset({"idx", "asked.column1"})
_QUERIES: dict[str, str] = {}


def numbered(text: str) -> str:
    found = _QUERIES.get(text)
    if found is None:
        found = _QUERIES[text] = re.sub(r"\$(\d+)", r"?\1", text)
    return found


@cache
def any_of(text: str, count: int) -> str:
    """`= ANY($1)` for SQLite: a list of `count` parameters."""
    return text.replace("= ANY($1)", f"IN ({', '.join('?' * count)})")


@cache
def rows_of(text: str, count: int) -> str:
    """An INSERT of one row, for `count` rows. A row that breaks a constraint rolls the whole transaction back: to undo
    the statement alone, as SQLite would by itself, it copies each page into a temporary file before it changes it."""
    found = re.search(r"VALUES (\([^)]*\))", text)
    assert found is not None and text.startswith("INSERT INTO")
    row = re.sub(r"\$\d+", "?", found[1])
    rows = text[: found.start(1)] + ", ".join([row] * count) + text[found.end(1) :]
    return rows.replace("INSERT", "INSERT OR ROLLBACK", 1)


@cache
def each_range(select: str, count: int) -> str:
    """(key, value) of one range `$1`..`$2`, for `count` ranges that come as place, low, high: rows (place, key, value).
    A CROSS JOIN begins with its left side, so that each range is looked for in the index of the right one."""
    one = re.sub(
        r"^SELECT (.*) FROM (.*) ORDER BY (\w+)$",
        r"SELECT asked.column1, \1 FROM asked CROSS JOIN \2 ORDER BY 1, \3",
        select,
    )
    asked = ", ".join(["(?, ?, ?)"] * count)
    return f"WITH asked AS (VALUES {asked}) " + one.replace("$1", "asked.column2").replace("$2", "asked.column3")


@cache
def in_one_row(select: str) -> tuple[str, tuple[bool, ...]]:
    """A SELECT of blobs and numbers as one of a single row, which has all of its rows as text, in no particular order;
    and which of their columns are numbers. `rows_in` takes that apart.

    With each row that SQLite has found the interpreter lock is waited for anew: for a thousand rows a tenth of a second
    beside an event loop that is busy with something else.
    """
    found = re.search(r"^(WITH .*\) )?SELECT ([\w., ]+?) FROM (.+?)( ORDER BY [\w, ]+)?$", select)
    assert found is not None, select
    columns = found[2].split(", ")
    numbers = tuple(column in _NUMBERS for column in columns)
    # A number that is missing is made one that none can be read from: NULL would leave out the row.
    told = [f"coalesce({c}, '')" if number else f"hex({c})" for c, number in zip(columns, numbers, strict=True)]
    row = " || '.' || ".join(told)
    return f"{found[1] or ''}SELECT group_concat({row}, '.') FROM {found[3]}", numbers  # noqa: S608  # our own texts


def rows_in(text: str | None, numbers: Sequence[bool]) -> list[tuple[Any, ...]]:
    """The rows in the row of `in_one_row`; None where it found none."""
    if text is None:
        return []
    parts, width = text.split("."), len(numbers)
    columns = [map(int if number else bytes.fromhex, parts[at::width]) for at, number in enumerate(numbers)]
    return list(zip(*columns, strict=True))


def pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """`items` in runs of few different lengths, so that few SQL texts are compiled."""
    at = 0
    for length in _AT_ONCE:
        while len(items) - at >= length:
            yield items[at : at + length]
            at += length


def carried_out(steps: Sequence[Migration], store: str = "") -> sqlite3.Connection:
    """A store in memory in which these steps were done, for whoever asks what they make: as `store` runs them, or what
    every store does."""
    tables = sqlite3.connect(":memory:")
    tables.execute(TABLE_OF_STEPS)
    for step in steps:
        for statement in step.statements(store):
            tables.execute(statement)
    return tables

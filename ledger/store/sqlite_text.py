"""The shared SQL (`ledger.store.sql`) as SQLite runs it: numbered parameters, lists of keys, many rows of VALUES."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, TypeAlias, TypeVar

from ledger.store.migrations import TABLE_OF_STEPS, Migration

T = TypeVar("T")
Statement: TypeAlias = tuple[str, Sequence[Any]]  # a text, and a value for each of its parameters
# Keys, ranges or rows that one text has places for. Few, so that few texts are compiled and kept: a batch is one
# statement for each of its tables, since each one waits several times for the interpreter lock, up to 5 ms each time
# beside a busy event loop. With six columns the largest has 24,576 parameters; SQLite takes 32,766.
_PLACES: Final = (1, 4, 16, 64, 256, 1024, 2048, 4096)
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


def any_of(text: str, keys: Sequence[Any]) -> Iterator[Statement]:
    """`= ANY($1)` for SQLite: lists of parameters. Where one is longer than its keys, the last one is asked again."""
    for piece, places in _pieces(keys):
        yield _any_of(text, places), [*piece, *[piece[-1]] * (places - len(piece))]


@cache
def _any_of(text: str, places: int) -> str:
    return text.replace("= ANY($1)", f"IN ({', '.join('?' * places)})")


def rows_of(text: str, rows: Sequence[Sequence[Any]]) -> Iterator[Statement]:
    """An INSERT of one row, for all of these rows. One that breaks a constraint rolls the whole transaction back: to
    undo the statement alone, as SQLite would by itself, it copies each page into a temporary file before it changes it.
    """
    for piece, places in _pieces(rows):
        yield _rows_of(text, places), _filled(piece, places) if places == 1 else [*_filled(piece, places), len(piece)]


@cache
def _rows_of(text: str, places: int) -> str:
    found = re.search(r"VALUES \(([^)]*)\)", text)
    assert found is not None and text.startswith("INSERT INTO")
    width = found[1].count("$")
    assert places * width < 32_766, "SQLite takes no more parameters"
    rows = _values(places, width)
    if places > 1:  # out of a SELECT, a single row that may replace another would have pages copied aside
        columns = ", ".join(f"column{at}" for at in range(1, width + 1))
        # WHERE, lest ON CONFLICT be read as what a join is on.
        rows = f"SELECT {columns} FROM ({rows}) WHERE true LIMIT ?"  # noqa: S608  # our own texts
    return (text[: found.start()] + rows + text[found.end() :]).replace("INSERT", "INSERT OR ROLLBACK", 1)


def each_range(select: str, ranges: Sequence[tuple[int, bytes, bytes]]) -> Iterator[Statement]:
    """(key, value) of one range `$1`..`$2`, for ranges that come as place, low, high: rows (place, key, value). Nothing
    lies in the empty places of a text."""
    for piece, places in _pieces(ranges):
        yield _each_range(select, places), _filled(piece, places)


@cache
def _each_range(select: str, places: int) -> str:
    """A CROSS JOIN begins with its left side, so that each range is looked for in the index of the right one."""
    one = re.sub(
        r"^SELECT (.*) FROM (.*) ORDER BY (\w+)$",
        r"SELECT asked.column1, \1 FROM asked CROSS JOIN \2 ORDER BY 1, \3",
        select,
    )
    one = one.replace("$1", "asked.column2").replace("$2", "asked.column3")
    return f"WITH asked AS ({_values(places, 3)}) {one}"


def _values(places: int, width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"VALUES {', '.join([row] * places)}"


def _filled(rows: Sequence[Sequence[Any]], places: int) -> list[Any]:
    """The values of these rows, and NULL for those that a text of so many `places` has more."""
    return [*chain.from_iterable(rows), *[None] * (len(rows[0]) * (places - len(rows)))]


def _pieces(items: Sequence[T]) -> Iterator[tuple[Sequence[T], int]]:
    """`items` in runs, each with the places of the shortest text that has enough of them."""
    for at in range(0, len(items), _PLACES[-1]):
        piece = items[at : at + _PLACES[-1]]
        yield piece, next(places for places in _PLACES if places >= len(piece))


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


def carried_out(steps: Sequence[Migration], store: str = "") -> sqlite3.Connection:
    """A store in memory in which these steps were done, for whoever asks what they make: as `store` runs them, or what
    every store does."""
    tables = sqlite3.connect(":memory:")
    tables.execute(TABLE_OF_STEPS)
    for step in steps:
        for statement in step.statements(store):
            tables.execute(statement)
    return tables

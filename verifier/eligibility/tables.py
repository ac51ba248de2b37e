"""Decision tables: typed columns, sourced rows, a hit policy; overlaps and gaps are found when they load. Pure.

`unique`: at most one row can match, whatever the values · `first`: the first that matches · `collect`: all that match.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Any, Final

from ledger.records.dates import FIRST_DAY, LAST_DAY, format_day
from verifier.eligibility.cells import Cell, NumberCell, Spans, Test, WordCell, apart, common, minus, parse_cell, shape
from verifier.eligibility.kinds import UNKNOWN, Kind, Value, ValueType, value_type
from verifier.eligibility.reader import bad

AS_OF: Final = "as_of"
AS_OF_TYPE: Final = value_type(Kind.DATE)
MAX_ROWS: Final = 500
_MAX_PIECES: Final = 20_000


class Hit(StrEnum):
    """How many rows may answer."""

    UNIQUE = "unique"
    FIRST = "first"
    COLLECT = "collect"


class Outcome(StrEnum):
    """What a decision comes to."""

    ELIGIBLE = "eligible"
    NOT_ELIGIBLE = "not_eligible"
    NEEDS_INFORMATION = "needs_information"
    REVIEW = "review"  # a person has to decide


PASS, FAIL, OPEN, ANY = "p", "f", "u", "-"  # marks of one condition: passed, failed, value unknown, not asked


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `cells` in the order of the table's columns, None = any."""

    id: str
    cells: tuple[Cell | None, ...]
    outputs: Mapping[str, int | str]
    source: str
    outcome: Outcome
    reason: str  # "" for a row that pays
    sample: bool


@dataclass(frozen=True)
class Table:
    """A table whose rows are checked against each other. The first column is always the day that is asked about."""

    id: str
    hit: Hit
    columns: tuple[str, ...]
    types: tuple[ValueType, ...]
    rows: tuple[Row, ...]
    outputs: Mapping[str, ValueType]
    reason: str  # why there is no answer where no row matches; "" for the table that decides
    complete: bool

    @functools.cached_property
    def _plan(self) -> tuple[list[tuple[int, Callable[[Value], bool]]], list[Callable[[list[str]], tuple[str, ...]]]]:
        """Each different cell once (rows share most of them), and for each row which of those its columns have."""
        cells: dict[tuple[int, Cell], int] = {}
        rows = list[Callable[[list[str]], tuple[str, ...]]]()
        for row in self.rows:
            places = [
                0 if cell is None else cells.setdefault((at, cell), len(cells) + 1) for at, cell in enumerate(row.cells)
            ]
            rows.append(itemgetter(*places))
        return [(at, cell.passes) for at, cell in cells], rows

    def weigh(self, values: tuple[Value, ...]) -> list[str]:
        """Of each row the mark of every column."""
        cells, rows = self._plan
        found = [ANY]
        for at, passes in cells:
            value = values[at]
            found.append(OPEN if value is UNKNOWN else PASS if passes(value) else FAIL)
        return ["".join(places(found)) for places in rows]


def check_rows(table: Table, place: str, valid: tuple[int, int]) -> None:
    """Raises BadPack: OVERLAP of two rows of a unique table, GAP in a complete one (within the days of `valid`)."""
    vocabularies = tuple(_vocabulary(table, at) for at in range(len(table.columns)))
    if table.hit is Hit.UNIQUE:
        for at, row in enumerate(table.rows):
            for other in table.rows[:at]:
                pairs = zip(row.cells, other.cells, table.types, vocabularies, strict=True)
                if not any(apart(a, b, type_, words) for a, b, type_, words in pairs):
                    names = {"a": other.id, "b": row.id}
                    raise bad("OVERLAP", place, "{a} 与 {b} 两行重叠", "rows {a} and {b} overlap", **names)
    if table.complete:
        gap = _gap(table, vocabularies, valid, place)
        if gap is not None:
            raise bad("GAP", place, "没有一行覆盖 {gap}", "no row covers {gap}", gap=_point(table, gap, vocabularies))


def _vocabulary(table: Table, at: int) -> tuple[str, ...]:
    """The words of a column: of an enum all of them, of a text those that some row names."""
    if table.types[at].kind is Kind.ENUM:
        return table.types[at].values
    cells = (row.cells[at] for row in table.rows)
    return tuple(sorted({word for cell in cells if isinstance(cell, WordCell) for word in cell.words}))


def _gap(
    table: Table, vocabularies: tuple[tuple[str, ...], ...], valid: tuple[int, int], place: str
) -> tuple[Spans, ...] | None:
    """A box of values that no row covers: the whole space minus each row's box."""
    if any(type_.kind is Kind.SET for type_ in table.types):
        raise bad("GAP", place, "集合列不能声明完整", "a table with a column of sets cannot be declared complete")
    columns = range(len(table.columns))
    whole = [shape(None, table.types[at], vocabularies[at]) for at in columns]
    whole[0] = common(whole[0], (valid,))
    boxes = [tuple(whole)]
    for row in table.rows:
        covered = [shape(row.cells[at], table.types[at], vocabularies[at]) for at in columns]
        boxes = [piece for box in boxes for piece in _without(box, covered)]
        if len(boxes) > _MAX_PIECES:
            raise bad("TOO_MANY", place, "表过于复杂，无法核对完整性", "too complex to check for gaps")
    return boxes[0] if boxes else None


def _without(box: tuple[Spans, ...], covered: list[Spans]) -> Iterator[tuple[Spans, ...]]:
    if not all(common(a, b) for a, b in zip(box, covered, strict=True)):
        yield box
        return
    for at, spans in enumerate(box):
        rest = minus(spans, covered[at])
        if rest:
            inside = tuple(common(a, b) for a, b in zip(box[:at], covered[:at], strict=True))
            yield (*inside, rest, *box[at + 1 :])


def _point(table: Table, box: tuple[Spans, ...], vocabularies: tuple[tuple[str, ...], ...]) -> str:
    """One point of the box, for people."""
    said = []
    for name, type_, spans, words in zip(table.columns, table.types, box, vocabularies, strict=True):
        at = spans[0][0]
        if type_.kind is Kind.DATE:
            said.append(f"{name} {format_day(at)}")
        elif type_.is_number:
            said.append(f"{name} {at}")
        else:
            said.append(f"{name} {words[at] if at < len(words) else '*'}")
    return ", ".join(said)


def days_cell(first: int | None, last: int | None, place: str) -> Cell | None:
    """The cell of the first column: the days on which a row holds, both inclusive."""
    if first is None and last is None:
        return None
    span = (FIRST_DAY if first is None else first, LAST_DAY if last is None else last)
    if span[0] > span[1]:
        raise bad("EMPTY", place, "结束早于开始", "ends before it begins")
    edges = {Test.FROM: first, Test.TO: last}
    said = tuple((test, (day,)) for test, day in edges.items() if day is not None)
    return NumberCell(said, (span,))


def cell_of(raw: Any, type_: ValueType, place: str) -> Cell | None:
    """A cell as written; the text "any" of a column that is no word column says what a missing cell says."""
    if raw == "any" and type_.kind not in (Kind.ENUM, Kind.TEXT):
        return None
    return parse_cell(raw, type_, place)

"""One cell of a decision table: a test of one value, and its shape for finding overlaps and gaps. Pure.

grade = 4                     = (also true, "text", 2024-01-01)       { not = 4 }
grade = [2, 3]                in                                      { not_in = [2, 3] }
months = { from = 12 }        from..to, both inclusive                { before = 2025-01-01 }  { after = … }
tags = { has = ["x"] }        sets: all of these, and { lacks = ["y"] } none of those
end = { absent = true }       the value is known not to exist         no cell: any value, known or not
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

from verifier.eligibility.kinds import ABSENT, Kind, ValueType, fits
from verifier.eligibility.reader import Node, bad, day_value

Spans: TypeAlias = tuple[tuple[int, int], ...]  # closed intervals, rising, apart from each other
MAX_WORDS: Final = 200


class Test(StrEnum):
    """The words of a cell. One of the first four, or the pair of a range, or those of a set, or `absent`."""

    IS = "is"
    NOT = "not"
    IN = "in"
    NOT_IN = "not_in"
    FROM = "from"
    TO = "to"
    BEFORE = "before"
    AFTER = "after"
    HAS = "has"
    LACKS = "lacks"
    ABSENT = "absent"


class Cell(Protocol):
    """A test. `said` is what its author wrote, for people: words of `Test` with plain values."""

    @property
    def said(self) -> tuple[tuple[Test, tuple[int | str, ...]], ...]: ...
    def passes(self, value: Any) -> bool:
        """Of a value that is not UNKNOWN."""


@dataclass(frozen=True, slots=True)
class NumberCell:
    said: tuple[tuple[Test, tuple[int | str, ...]], ...]
    spans: Spans

    def passes(self, value: Any) -> bool:
        if value is not ABSENT:
            for low, high in self.spans:
                if low <= value <= high:
                    return True
        return False


@dataclass(frozen=True, slots=True)
class WordCell:
    said: tuple[tuple[Test, tuple[int | str, ...]], ...]
    words: frozenset[str]
    negated: bool

    def passes(self, value: Any) -> bool:
        return value is not ABSENT and (value in self.words) is not self.negated


@dataclass(frozen=True, slots=True)
class SetCell:
    said: tuple[tuple[Test, tuple[int | str, ...]], ...]
    has: frozenset[str]
    lacks: frozenset[str]

    def passes(self, value: Any) -> bool:
        return value is not ABSENT and self.has <= value and self.lacks.isdisjoint(value)


@dataclass(frozen=True, slots=True)
class AbsentCell:
    said: tuple[tuple[Test, tuple[int | str, ...]], ...] = ((Test.ABSENT, ()),)

    def passes(self, value: Any) -> bool:
        return value is ABSENT


def parse_cell(raw: Any, type_: ValueType, place: str) -> Cell:
    """The test that is written there. Raises BadPack (CELL, TYPE, RANGE, CHOICE, EMPTY)."""
    if type_.kind is Kind.HISTORY:
        raise bad("CELL", place, "往次申领只能经由计数或排除来用", "history is used through counters and exclusions")
    if type(raw) is dict:
        said = _said(raw, type_, place)
    else:
        given = raw if type(raw) is list else [raw]
        said = {Test.IN if type(raw) is list else Test.IS: _values(given, type_, place)}
    shown = tuple(said.items())
    if Test.ABSENT in said:
        if not type_.optional:
            raise bad("CELL", place, "该值不会缺失", "this value is never absent")
        return AbsentCell()
    if type_.kind is Kind.SET:
        has, lacks = frozenset(map(str, said.get(Test.HAS, ()))), frozenset(map(str, said.get(Test.LACKS, ())))
        if has & lacks:
            raise bad("EMPTY", place, "没有值能通过", "no value can pass")
        return SetCell(shown, has, lacks)
    if type_.is_number:
        return NumberCell(shown, _spans(said, type_, place))
    words = said.get(Test.IS) or said.get(Test.IN) or said.get(Test.NOT) or said.get(Test.NOT_IN) or ()
    cell = WordCell(shown, frozenset(map(str, words)), Test.NOT in said or Test.NOT_IN in said)
    if type_.kind is Kind.ENUM and not any(cell.passes(value) for value in type_.values):
        raise bad("EMPTY", place, "没有值能通过", "no value can pass")
    return cell


def _said(raw: dict[str, Any], type_: ValueType, place: str) -> dict[Test, tuple[int | str, ...]]:
    node = Node(raw, place)
    if node.names == ("absent",) and node.take("absent") is True:
        return {Test.ABSENT: ()}
    if type_.kind is Kind.SET:
        said = {test: node.take(test.value, None) for test in (Test.HAS, Test.LACKS)}
        node.end()
    else:
        ordered = type_.is_number and type_.kind is not Kind.BOOL
        single = {test: node.take(test.value, None) for test in (Test.IS, Test.NOT)}
        several = {test: node.take(test.value, None) for test in (Test.IN, Test.NOT_IN)}
        edges: tuple[Test, ...] = (Test.FROM, Test.TO) if ordered else ()
        edges += (Test.BEFORE, Test.AFTER) if type_.kind is Kind.DATE else ()
        span = {test: node.take(test.value, None) for test in edges}
        node.end()
        given = [test for group in (single, several) for test, value in group.items() if value is not None]
        if len(given) + any(value is not None for value in span.values()) != 1:
            raise bad("CELL", place, "一格只写一种条件", "a cell holds one test")
        said = {test: None if value is None else [value] for test, value in (single | span).items()} | several
    found = {test: _values(value, type_, place) for test, value in said.items() if value is not None}
    if not found or any(not values for values in found.values()):
        raise bad("CELL", place, "一格只写一种条件", "a cell holds one test")
    return found


def _values(raw: Any, type_: ValueType, place: str) -> tuple[int | str, ...]:
    if type(raw) is not list or not 0 < len(raw) <= MAX_WORDS:
        raise bad("CELL", place, "应为 1 到 200 个值的数组", "must be an array of 1 to 200 values")
    values = tuple(plain_value(each, type_, place) for each in raw)
    if len(set(values)) != len(values):
        raise bad("REPEATED", place, "有重复", "says something twice")
    return values


def plain_value(raw: Any, type_: ValueType, place: str) -> int | str:
    """One value of a cell, parameter or output: a day number for a date, an element for a set. Raises BadPack."""
    if type_.kind is Kind.DATE:
        raw = day_value(raw, place)
    element = type_ if type_.kind is not Kind.SET else ValueType(Kind.ENUM, type_.values)
    if element.kind in (Kind.INT, Kind.MONEY, Kind.GRADE) and type(raw) is int and not fits(raw, element):
        span = {"low": element.low, "high": element.high}
        raise bad("RANGE", place, "应在 {low}..{high}", "must be in {low}..{high}", **span)
    if not fits(raw, element):
        kind = type_.kind.value
        raise bad("TYPE", place, "不是 {kind} 类型的值", "not a value of type {kind}", kind=kind)
    return raw  # type: ignore[no-any-return]


def _spans(said: dict[Test, tuple[Any, ...]], type_: ValueType, place: str) -> Spans:
    whole = ((type_.low, type_.high),)
    points = tuple((int(v), int(v)) for v in sorted((*said.get(Test.IS, ()), *said.get(Test.IN, ()))))
    excluded = tuple((int(v), int(v)) for v in sorted((*said.get(Test.NOT, ()), *said.get(Test.NOT_IN, ()))))
    if excluded:
        spans = minus(whole, excluded)
    elif points:
        spans = points
    else:
        low = max([type_.low, *said.get(Test.FROM, ()), *(value + 1 for value in said.get(Test.AFTER, ()))])
        high = min([type_.high, *said.get(Test.TO, ()), *(value - 1 for value in said.get(Test.BEFORE, ()))])
        spans = ((low, high),) if low <= high else ()
    if not spans:
        raise bad("EMPTY", place, "没有值能通过", "no value can pass")
    return spans


def shape(cell: Cell | None, type_: ValueType, vocabulary: Sequence[str]) -> Spans:
    """The values that pass, as intervals: numbers themselves, words by their place in `vocabulary`.

    Of a text, the place after the last stands for every other word. `None` is the whole column. ABSENT is not a value.
    """
    if type_.is_number:
        return cell.spans if isinstance(cell, NumberCell) else ((type_.low, type_.high),) if cell is None else ()
    places = range(len(vocabulary) + (type_.kind is Kind.TEXT))
    if cell is None:
        return ((0, len(places) - 1),)
    if not isinstance(cell, WordCell):
        return ()
    words = [(vocabulary[i] if i < len(vocabulary) else None) for i in places]
    return tuple((i, i) for i in places if (words[i] in cell.words) is not cell.negated)


def minus(spans: Spans, other: Spans) -> Spans:
    """What is in `spans` and not in `other`."""
    left = list(spans)
    for low, high in other:
        parts = []
        for start, end in left:
            if end < low or high < start:
                parts.append((start, end))
                continue
            parts += [(start, low - 1)] if start < low else []
            parts += [(high + 1, end)] if high < end else []
        left = parts
    return tuple(left)


def common(spans: Spans, other: Spans) -> Spans:
    """What is in both."""
    found = ((max(a, c), min(b, d)) for a, b in spans for c, d in other)
    return tuple((low, high) for low, high in found if low <= high)


def apart(one: Cell | None, other: Cell | None, type_: ValueType, vocabulary: Sequence[str]) -> bool:
    """Whether no value passes both tests."""
    if one is None or other is None:
        return False
    if isinstance(one, AbsentCell) or isinstance(other, AbsentCell):
        return type(one) is not type(other)
    if isinstance(one, SetCell) and isinstance(other, SetCell):
        return bool(one.has & other.lacks or one.lacks & other.has)
    return not common(shape(one, type_, vocabulary), shape(other, type_, vocabulary))

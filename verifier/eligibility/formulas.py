"""Windows, ages, comparisons, caps, shares of a month: the derived values that look at no earlier claim. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from ledger.records.dates import date_of
from verifier.eligibility import days
from verifier.eligibility.derived import Derived, Maker, Values, name_of, source_of
from verifier.eligibility.history import counter, exclusion
from verifier.eligibility.kinds import ABSENT, INT_MAX, Kind, ValueType, value_type
from verifier.eligibility.reader import Node, bad

EARLY, INSIDE, LATE = "early", "open", "closed"
_DATES: Final = frozenset({Kind.DATE})
_INTS: Final = frozenset({Kind.INT, Kind.MONEY, Kind.GRADE})
_ORDERED: Final = _INTS | _DATES


class Edge(StrEnum):
    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class Reached(StrEnum):
    ON_DAY = "on_day"
    DAY_AFTER = "day_after"


class Share(StrEnum):
    """How a month counts in which a post begins or ends."""

    PRO_RATA = "pro_rata"  # its days
    WHOLE_MONTH = "whole_month"  # all of it from one day on
    FULL_MONTHS = "full_months"  # nothing unless it is full


class Relation(StrEnum):
    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


_RELATIONS: Final[Mapping[Relation, Callable[[int, int], bool]]] = {
    Relation.EQ: operator.eq,
    Relation.NE: operator.ne,
    Relation.LT: operator.lt,
    Relation.LE: operator.le,
    Relation.GT: operator.gt,
    Relation.GE: operator.ge,
}


class Part(StrEnum):
    YEAR = "year"
    MONTH = "month"
    DAY = "day"


def _count(node: Node) -> tuple[int, days.Unit]:
    units = [unit for unit in days.Unit if node.has(unit.value)]
    if len(units) != 1:
        raise bad("CELL", node.at("days | months | years"), "只写其中一项", "give exactly one of them")
    return node.number(units[0].value, low=1, high=36_525), units[0]


def _window(name: str, node: Node, types: Mapping[str, ValueType], sources: frozenset[str]) -> Derived:
    start = name_of(node, "from", types, _DATES)
    count, unit = _count(node)
    inclusive = node.choice("last_day", Edge) is Edge.INCLUSIVE
    month_end = node.choice("month_end", days.MonthEnd) if unit is not days.Unit.DAYS else days.MonthEnd.CLAMP
    source = source_of(node, sources)
    node.end()

    def span(values: Values) -> tuple[int, int]:
        first = values[start]
        return int(first), days.window_last(first, count, unit, month_end, inclusive=inclusive)

    def compute(values: Values) -> Any:
        if values[start] is ABSENT:
            return ABSENT
        first, last = span(values)
        day = values["as_of"]
        return EARLY if day < first else INSIDE if day <= last else LATE

    type_ = value_type(Kind.ENUM, (EARLY, INSIDE, LATE), optional=types[start].optional)
    return Derived(name, type_, (start,), compute, source, span)


def _elapsed(name: str, node: Node, types: Mapping[str, ValueType], _: frozenset[str]) -> Derived:
    start = name_of(node, "from", types, _DATES)
    until = name_of(node, "to", types, _DATES, "as_of")
    unit = node.choice("unit", days.Unit)
    month_end = node.choice("month_end", days.MonthEnd) if unit is not days.Unit.DAYS else days.MonthEnd.CLAMP
    day_after = node.choice("reached", Reached, "on_day") is Reached.DAY_AFTER
    node.end()

    def compute(values: Values) -> Any:
        first, day = values[start], values[until]
        if first is ABSENT or day is ABSENT:
            return ABSENT
        return days.elapsed(first, day, unit, month_end, day_after=day_after)

    optional = types[start].optional or types[until].optional
    return Derived(name, value_type(Kind.INT, (), -1, 500_000, optional=optional), (start, until), compute)


def _compare(name: str, node: Node, types: Mapping[str, ValueType], _: frozenset[str]) -> Derived:
    left = name_of(node, "left", types, _ORDERED)
    kinds = _DATES if types[left].kind is Kind.DATE else _INTS
    right = name_of(node, "right", types, kinds)
    relation = _RELATIONS[node.choice("is", Relation)]
    node.end()

    def compute(values: Values) -> Any:
        a, b = values[left], values[right]
        return ABSENT if a is ABSENT or b is ABSENT else relation(a, b)

    optional = types[left].optional or types[right].optional
    return Derived(name, value_type(Kind.BOOL, optional=optional), (left, right), compute)


def _capped(name: str, node: Node, types: Mapping[str, ValueType], _: frozenset[str]) -> Derived:
    of = name_of(node, "of", types, _INTS)
    most = name_of(node, "most", types, _INTS)
    node.end()

    def compute(values: Values) -> Any:
        a, b = values[of], values[most]
        return ABSENT if a is ABSENT or b is ABSENT else min(a, b)

    type_ = value_type(
        Kind.INT,
        (),
        min(types[of].low, types[most].low),
        min(types[of].high, types[most].high),
        optional=types[of].optional or types[most].optional,
    )
    return Derived(name, type_, (of, most), compute)


def _difference(name: str, node: Node, types: Mapping[str, ValueType], _: frozenset[str]) -> Derived:
    left, right = name_of(node, "left", types, _INTS), name_of(node, "right", types, _INTS)
    node.end()

    def compute(values: Values) -> Any:
        a, b = values[left], values[right]
        return ABSENT if a is ABSENT or b is ABSENT else max(a - b, 0)

    high = max(types[left].high - types[right].low, 0)
    optional = types[left].optional or types[right].optional
    return Derived(name, value_type(Kind.INT, (), 0, high, optional=optional), (left, right), compute)


def _quotient(name: str, node: Node, types: Mapping[str, ValueType], _: frozenset[str]) -> Derived:
    of = name_of(node, "of", types, _INTS)
    by = node.number("by", low=1, high=INT_MAX)
    node.end()

    def compute(values: Values) -> Any:
        value = values[of]
        return ABSENT if value is ABSENT else value // by

    type_ = value_type(Kind.INT, (), types[of].low // by, types[of].high // by, optional=types[of].optional)
    return Derived(name, type_, (of,), compute)


def _part(name: str, node: Node, types: Mapping[str, ValueType], _: frozenset[str]) -> Derived:
    of, part = name_of(node, "of", types, _DATES), node.choice("part", Part)
    node.end()

    def compute(values: Values) -> Any:
        value = values[of]
        return ABSENT if value is ABSENT else getattr(date_of(value), part.value)

    return Derived(name, value_type(Kind.INT, (), 1, 2999, optional=types[of].optional), (of,), compute)


def _overlap(name: str, node: Node, types: Mapping[str, ValueType], sources: frozenset[str]) -> Derived:
    first, last = name_of(node, "from", types, _DATES), name_of(node, "to", types, _DATES)
    rule = node.choice("rule", Share)
    source = source_of(node, sources)
    node.end()

    def compute(values: Values) -> Any:
        begin, end, day, length = values[first], values[last], values["as_of"], values["as_of.month_days"]
        if begin is ABSENT:
            return ABSENT
        found = days.overlap(begin, None if end is ABSENT else end, day)
        if rule is Share.WHOLE_MONTH and found:
            return length
        return 0 if rule is Share.FULL_MONTHS and found != length else found

    type_ = value_type(Kind.INT, (), 0, 31, optional=types[first].optional)
    return Derived(name, type_, (first, last), compute, source)


GROUPS: Final[Mapping[str, Maker]] = {
    "windows": _window,
    "elapsed": _elapsed,
    "counters": counter,
    "exclusions": exclusion,
    "compare": _compare,
    "capped": _capped,
    "differences": _difference,
    "quotients": _quotient,
    "parts": _part,
    "overlaps": _overlap,
}

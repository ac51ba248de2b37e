"""A cell and its shape are one thing: what passes is what lies in the intervals, for every kind of value."""

from __future__ import annotations

import datetime as dt
from random import Random
from typing import Any

import pytest

from tests.support import eligibility as drawn
from verifier.eligibility.cells import Cell, apart, common, minus, parse_cell, shape
from verifier.eligibility.kinds import ABSENT, Kind, ValueType, value_type
from verifier.eligibility.reader import BadPack

INT = value_type(Kind.INT, (), 0, 30, optional=True)
WORDS = tuple("abcd")
ENUM = value_type(Kind.ENUM, WORDS)
TEXT = value_type(Kind.TEXT)
SET = value_type(Kind.SET, WORDS)


def cells(random: Random, type_: ValueType) -> Any:
    """A cell as an author writes one."""
    values = random.sample(range(31) if type_.is_number else WORDS, random.randint(1, 3))
    forms: list[Any] = [values[0], values, {"not": values[0]}, {"not_in": values}]
    if type_.is_number:
        low, high = sorted(random.sample(range(31), 2))
        forms += [{"from": low}, {"to": high}, {"from": low, "to": high}]
    return random.choice(forms)


@pytest.mark.parametrize("type_", [INT, ENUM, TEXT], ids=["int", "enum", "text"])
def test_the_shape_is_what_passes(type_: ValueType) -> None:
    vocabulary = () if type_.is_number else WORDS
    values: list[Any] = list(range(31)) if type_.is_number else [*WORDS, "other"][: 5 if type_ is TEXT else 4]
    for seed in range(200):
        random = Random(seed)
        one, two = (parse_cell(cells(random, type_), type_, "x") for _ in range(2))
        passing = {at for at, value in enumerate(values) if one.passes(value)}
        other = {at for at, value in enumerate(values) if two.passes(value)}
        spans, others = (shape(cell, type_, vocabulary) for cell in (one, two))
        assert {n for low, high in spans for n in range(low, high + 1)} == passing, seed
        assert {n for low, high in minus(spans, others) for n in range(low, high + 1)} == passing - other
        assert {n for low, high in common(spans, others) for n in range(low, high + 1)} == passing & other
        assert apart(one, two, type_, vocabulary) is not bool(passing & other)


def test_sets() -> None:
    random = Random(1)
    for _ in range(200):
        raw = {"has": random.sample(WORDS, 1), "lacks": random.sample(WORDS, 1)}
        if raw["has"] == raw["lacks"]:
            continue
        cell = parse_cell(raw, SET, "x")
        value = frozenset(drawn.value_of(random, SET))
        assert cell.passes(value) is (raw["has"][0] in value and raw["lacks"][0] not in value)


def test_absent_passes_nothing_but_absent() -> None:
    none = parse_cell({"absent": True}, INT, "x")
    rest: list[Cell] = [parse_cell(raw, INT, "x") for raw in (5, [5], {"not": 5}, {"from": 0})]
    assert none.passes(ABSENT) and not none.passes(5)
    assert not any(cell.passes(ABSENT) for cell in rest)
    assert all(apart(none, cell, INT, ()) for cell in rest) and not apart(none, none, INT, ())
    word = parse_cell({"not": "a"}, value_type(Kind.ENUM, WORDS, optional=True), "x")
    assert not word.passes(ABSENT) and word.passes("b")


def test_dates_and_booleans() -> None:
    day = value_type(Kind.DATE)
    cell = parse_cell({"after": dt.date(2024, 2, 28), "before": dt.date(2024, 3, 1)}, day, "x")
    assert [n for n in range(19_780, 19_790) if cell.passes(n)] == [19_782]  # 2024-02-29 alone
    yes = parse_cell(True, value_type(Kind.BOOL), "x")
    assert yes.passes(True) and not yes.passes(False)
    for raw, type_ in ((1, value_type(Kind.BOOL)), (True, INT), ("x", day), (dt.datetime(2024, 1, 1), day), (0.5, INT)):
        with pytest.raises(BadPack):
            parse_cell(raw, type_, "x")

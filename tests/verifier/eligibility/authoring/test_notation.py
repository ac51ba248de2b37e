"""Cells as people write them: what they mean, and that what is written reads back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ledger.errors import Refused
from ledger.reference_data import load_ladder
from verifier.eligibility.authoring.notation import read_cell, write_cell
from verifier.eligibility.kinds import Kind, value_type
from verifier.eligibility.tables import cell_of

LADDER = load_ladder()
GRADE, INT, DATE = value_type(Kind.GRADE), value_type(Kind.INT, (), 0, 100, optional=True), value_type(Kind.DATE)
MONEY, BOOL = value_type(Kind.MONEY), value_type(Kind.BOOL)
ENUM, SET = value_type(Kind.ENUM, ("a", "b", "c")), value_type(Kind.SET, ("x", "y", "z"))


@pytest.mark.parametrize(
    ("text", "type_", "means"),
    [
        ("", INT, None), ("any", INT, None), ("absent", INT, {"absent": True}), ("12", INT, 12), ("1, 2", INT, [1, 2]),
        (">= 12", INT, {"from": 12}), ("<=12", INT, {"to": 12}), ("3..5", INT, {"from": 3, "to": 5}),
        ("not 4", INT, {"not": 4}), ("not 4、5", INT, {"not_in": [4, 5]}), ("三级", GRADE, 4), ("高级工", GRADE, 4),
        ("四级，三级/高级工", GRADE, [3, 4]), ("首席技师", GRADE, 8), ("yes", BOOL, True), ("否", BOOL, False),
        ("12.5", MONEY, 1250), (">= 1000", MONEY, {"from": 100_000}), ("a; b", ENUM, ["a", "b"]),
        ("< 2025-01-01", DATE, {"before": dt.date(2025, 1, 1)}),
        (">2024-12-31", DATE, {"after": dt.date(2024, 12, 31)}),
        ("+ x, y - z", SET, {"has": ["x", "y"], "lacks": ["z"]}), ("- z", SET, {"lacks": ["z"]}),
    ],
)  # fmt: skip
def test_what_a_cell_means_and_that_it_reads_back(text: str, type_: Any, means: Any) -> None:
    assert read_cell(text, type_, LADDER) == means
    if means is not None:
        cell = cell_of(means, type_, "x")
        again = read_cell(write_cell(cell, type_, LADDER), type_, LADDER)
        written = cell_of(again, type_, "x")
        assert cell is not None and written is not None and written.said == cell.said


@pytest.mark.parametrize(
    ("text", "type_"),
    [("4", GRADE), ("七级", GRADE), ("1.5", INT), ("> 12", INT), ("2025", DATE), ("1.234", MONEY), ("maybe", BOOL),
     ("x", SET)],
)  # fmt: skip
def test_what_means_nothing_is_refused(text: str, type_: Any) -> None:
    with pytest.raises(Refused):
        read_cell(text, type_, LADDER)

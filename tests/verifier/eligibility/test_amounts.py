"""Sums in whole fen: rounding as the line says, signs, ceilings, and operands that are not there."""

from __future__ import annotations

import pytest

from ledger.records.dates import parse_day
from tests.support.packs import small
from verifier.eligibility.decision import Decision
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import read_facts

HEAD = '[amount]\nperiod = "month"\nmost = {most}\nnegative = "{negative}"\n'
LINE = (
    '[[amount.lines]]\nid = "{id}"\nzh = "一"\nen = "a"\nsign = "{sign}"\n'
    'of = {of}\ndivide = {divide}\nround = "{round}"\n'
)
ALL = {"id": "a", "sign": "+", "of": '["n"]', "divide": "[]", "round": "exact"}
TABLE = """
[[tables]]
id = "rate"
hit = "unique"
reason = "N"
outputs.pay = "money"
[tables.columns]
n = true
[[tables.rows]]
id = "r"
source = "s"
when = { n = { from = 20 } }
then = { pay = 7 }
"""
LABEL = '[labels."tables.rate.pay"]\nzh = "一"\nen = "pay"\n'


def paid(
    *lines: dict[str, str], most: int = 10**6, negative: str = "review", n: int | None = 10, **more: str
) -> Decision:
    text = HEAD.format(most=most, negative=negative) + "".join(LINE.format(**ALL | line) for line in lines)
    pack = small(pack=text, **more)
    return rehearse((), read_facts({"n": n}, pack), pack, parse_day("2024-06-01"))


@pytest.mark.parametrize(
    ("n", "divide", "rounding", "fen"),
    [
        (10, "[4]", "down", 2), (10, "[4]", "half_up", 3), (11, "[4]", "half_up", 3), (13, "[4]", "half_up", 3),
        (14, "[4]", "half_up", 4), (12, "[4]", "exact", 3), (10, "[2, 2]", "half_up", 3), (99, "[100]", "down", 0),
        (50, "[100]", "half_up", 1), (49, "[100]", "half_up", 0),
    ],
)  # fmt: skip
def test_rounding(n: int, divide: str, rounding: str, fen: int) -> None:
    assert paid({"divide": divide, "round": rounding}, n=n).amount == fen
    minus = paid({"divide": divide, "round": rounding, "sign": "-"}, n=n)
    assert minus.amount == -fen, "the sign comes after rounding: what is paid and what is owed are the same"
    assert minus.reasons == (("OWED_BACK",) if fen else ())


def test_a_remainder_and_a_sum_over_the_ceiling_are_for_a_person() -> None:
    for decision in (paid({"divide": "[3]"}), paid({}, most=9)):
        assert (decision.result.value, decision.reasons, decision.amount) == ("review", ("AMOUNT",), None)
    assert paid({}, most=10).amount == 10


def test_lines_add_up() -> None:
    decision = paid({"of": '["n", 3]'}, {"id": "b", "of": "[4]", "sign": "-"})
    assert decision.amount == 26 and decision.lines == (("a", 30), ("b", -4))
    assert (decision.period, decision.bound) == ("month", "exact")


def test_operands_that_are_not_there() -> None:
    line = {"of": '["tables.rate.pay", "n"]'}
    assert paid(line, n=20, tables=TABLE, sentences=LABEL).amount == 140
    none = paid(line, n=10, tables=TABLE, sentences=LABEL)  # no rate for 10
    assert (none.result.value, none.reasons, none.amount) == ("not_eligible", ("N",), None)
    other = '[inputs.m]\ntype = "int"\nmin = 0\nmax = 9\nzh = "一"\nen = "m"\n'
    pack = small(pack=other + HEAD.format(most=99, negative="refuse") + LINE.format(**ALL | {"of": '["m"]'}))
    open_ = rehearse((), read_facts({"n": 10}, pack), pack, parse_day("2024-06-01"))
    assert (open_.result.value, open_.missing, open_.amount) == ("needs_information", ("m",), None)

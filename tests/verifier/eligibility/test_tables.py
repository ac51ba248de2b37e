"""Hit policies, and days on which rows hold."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.records.dates import parse_day
from tests.support.packs import TABLES, small
from verifier.eligibility.decision import Decision
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import read_facts
from verifier.eligibility.pack import Pack
from verifier.eligibility.tables import Outcome

BOOL = '[inputs.b]\ntype = "bool"\nzh = "是"\nen = "b"\n'
OTHER = '[reasons.B]\nzh = "一"\nen = "b"\n'


def table(hit: str, *rows: str) -> str:
    text = f'[[tables]]\nid = "answer"\nhit = "{hit}"\n[tables.columns]\nn = "N"\nb = "B"\n'
    for at, row in enumerate(rows):
        text += f'[[tables.rows]]\nid = "r{at}"\nsource = "s"\n{row}\n'
    return text


def answer(pack: Pack, day: str = "2024-06-01", **facts: Any) -> Decision:
    return rehearse((), read_facts(facts, pack), pack, parse_day(day))


def rows_of(decision: Decision) -> list[str]:
    return [rule.rpartition("/")[2] for rule in decision.rules]


def test_first_takes_the_earlier_row_and_waits_for_it() -> None:
    rows = ("when = { n = { from = 10 }, b = true }", 'when = { n = { from = 5 } }\nresult = "review"\nreason = "B"')
    pack = small(no_tables=table("first", *rows), pack=BOOL, sentences=OTHER)
    assert rows_of(answer(pack, n=10, b=True)) == ["r0"]
    assert rows_of(answer(pack, n=10, b=False)) == ["r1"]
    assert answer(pack, n=10, b=False).reasons == ("B",)
    waiting = answer(pack, n=10)  # r1 matches for certain, but r0 might come before it
    assert (waiting.result, waiting.missing, waiting.rules) == (Outcome.NEEDS_INFORMATION, ("b",), ())
    assert rows_of(answer(pack, n=7)) == ["r1"]
    assert answer(pack, b=True).missing == ("n",)


def test_collect_gives_what_matches_and_what_could_more() -> None:
    pack = small(no_tables=table("collect", "when = { n = 1 }", "when = { b = true }"), pack=BOOL, sentences=OTHER)
    assert rows_of(answer(pack, n=1, b=True)) == ["r0", "r1"]
    some = answer(pack, n=1)
    assert (some.result, rows_of(some), some.missing) == (Outcome.ELIGIBLE, ["r0"], ("b",))
    assert answer(pack, b=False).missing == ("n",)
    assert answer(pack, n=2, b=False).result is Outcome.NOT_ELIGIBLE


@pytest.mark.parametrize(("day", "result"), [("2024-02-28", "not_eligible"), ("2024-02-29", "eligible"),
                                             ("2024-05-31", "eligible"), ("2024-06-01", "not_eligible")])  # fmt: skip
def test_a_row_holds_on_its_days(day: str, result: str) -> None:
    pack = small(no_tables=TABLES + "valid_from = 2024-02-29\nvalid_to = 2024-05-31\n")
    decision = answer(pack, day, n=10)
    assert decision.result.value == result
    assert result == "eligible" or decision.reasons == ("NOT_IN_FORCE",)


@pytest.mark.parametrize(("edge", "last"), [("inclusive", "2024-12-31"), ("exclusive", "2024-12-30")])
def test_a_pack_holds_to_its_last_day(edge: str, last: str) -> None:
    text = small().files["pack.toml"].decode().replace('last_day = "inclusive"', f'last_day = "{edge}"')
    pack = small(no_pack=text)
    assert answer(pack, "2023-12-31", n=10).reasons == ("NOT_IN_FORCE",)
    assert answer(pack, "2024-01-01", n=10).result is Outcome.ELIGIBLE
    assert answer(pack, last, n=10).result is Outcome.ELIGIBLE
    after = rehearse((), read_facts({"n": 10}, pack), pack, parse_day(last) + 1)
    assert after.reasons == ("NOT_IN_FORCE",)


def test_the_nearest_row_is_that_with_fewest_failures_then_the_first_columns() -> None:
    rows = ("when = { n = 1, b = true }", "when = { n = 2, b = false }")
    pack = small(no_tables=table("unique", *rows), pack=BOOL, sentences=OTHER)
    decision = answer(pack, n=1, b=False)  # r0 fails in b, r1 in n: the one that agrees in the first column is meant
    assert (decision.nearest, decision.reasons) == ("r0", ("B",))
    assert answer(pack, n=2, b=True).nearest == "r1"
    assert answer(pack, n=3, b=True).nearest == "r0"

"""What holds of every decision, whatever goes in: properties over all shipped packs."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from ledger.errors import Malformed
from ledger.records.dates import LAST_DAY, parse_day
from ledger.reference_data import load_ladder
from tests.support import eligibility as drawn
from tests.support.packs import case_of, changed, decided
from verifier.eligibility.cases import read_cases
from verifier.eligibility.decision import Decision, format_decision, parse_decision
from verifier.eligibility.engine import decide, rehearse
from verifier.eligibility.explain import explain, trace_lines
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.kinds import UNKNOWN
from verifier.eligibility.loader import load_pack
from verifier.eligibility.pack import Pack
from verifier.eligibility.replay import replay
from verifier.eligibility.tables import Hit, Outcome

PACKS = list(shipped_packs().values())
LADDER = load_ladder()
DRAWN = 60  # of each pack and property


def no_floats(value: Any) -> bool:
    if isinstance(value, list | tuple | frozenset):
        return all(map(no_floats, value))
    return not isinstance(value, float)


def summary(decision: Decision) -> tuple[object, ...]:
    return decision.result, decision.reasons, decision.amount, decision.missing, decision.nearest, set(decision.rules)


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.id)
class TestEveryPack:
    def test_total_exact_explained_and_replayed(self, pack: Pack) -> None:
        for seed in range(DRAWN):
            random = Random(seed)
            given = read_facts(drawn.facts(random, pack), pack)
            as_of, left_out = drawn.day(random), drawn.rejected(random)
            decision = rehearse(drawn.records(random), given, pack, as_of, left_out)
            if not pack.in_force(as_of):
                assert (decision.result, decision.reasons) == (Outcome.NOT_ELIGIBLE, ("NOT_IN_FORCE",)), seed
                assert decision.rules == () and decision.tables == () and decision.amount is None
            check_decision(decision, pack)

    def test_a_definite_answer_does_not_turn_on_what_was_not_given(self, pack: Pack) -> None:
        """Never a silent no: what is decided without a fact is decided so whatever that fact is."""
        optional = {name for name, each in pack.inputs.items() if each.type.optional}
        cases = read_cases(pack)
        last = min(pack.last_day or LAST_DAY, pack.first_day + 2000)
        for seed in range(DRAWN):
            random = Random(seed)
            held, as_of = drawn.records(random), random.randint(pack.first_day, last)
            raw = drawn.facts(random, pack, random.choice([0.3, 0.8]))
            if seed % 2:
                case = random.choice(cases)
                held, as_of = list(case.records), case.as_of
                raw = {name: value for name, value in case.facts.items() if random.random() < 0.8}
            before = rehearse(held, read_facts(raw, pack), pack, as_of)
            left_out = [name for name in pack.inputs if name not in raw and name not in optional]
            if before.result is Outcome.NEEDS_INFORMATION:
                known = {*left_out, "cert.holds_higher", "cert.highest", "cert.post_grade"}
                assert before.reasons or set(before.missing) <= known, seed
                continue
            for _ in range(3):
                filled = {name: drawn.value_of(random, pack.inputs[name].type) for name in left_out}
                after = rehearse(held, read_facts(raw | filled, pack), pack, as_of)
                assert after.result is before.result, seed
                if pack.table.hit is not Hit.COLLECT:
                    assert after.amount == before.amount, seed
                else:
                    assert set(before.rules) <= set(after.rules), seed

    def test_the_order_of_rows_and_of_other_certificates_does_not_matter(self, pack: Pack) -> None:
        assert all(table.hit is not Hit.FIRST for table in pack.tables)
        cases = read_cases(pack)
        for seed in range(DRAWN):
            random = Random(seed)
            tables = tuple(replace(t, rows=tuple(random.sample(t.rows, len(t.rows)))) for t in pack.tables)
            shuffled = replace(pack, tables=tables)
            case, others = random.choice(cases), drawn.records(random)
            raw = random.choice([case.facts, drawn.facts(random, pack)])
            first = list(case.records[:1]) or [drawn.record(random)]
            one = rehearse([*first, *others], read_facts(raw, pack), pack, case.as_of)
            other = rehearse([*first, *reversed(others)], read_facts(raw, shuffled), shuffled, case.as_of)
            assert summary(one) == summary(other), seed


def check_decision(decision: Decision, pack: Pack) -> None:
    """Its bytes, words, sums, and each mark of its trace."""
    raw = format_decision(decision)
    assert format_decision(parse_decision(raw)) == raw
    assert format_decision(replay(raw, {pack.digest: pack}.get)) == raw
    assert all(no_floats(getattr(decision, name)) for name in Decision.__slots__)
    for text in (*explain(decision, pack, LADDER), *trace_lines(decision, pack, LADDER)):
        assert text.zh.strip() and text.en.strip()
    assert decision.amount is None or decision.amount == sum(fen for _, fen in decision.lines)
    for trace in decision.tables:
        table = next(each for each in pack.tables if each.id == trace.table)
        assert len(trace.rows) == len(table.rows), "every row is reported"
        for (_, marks), row in zip(trace.rows, table.rows, strict=True):
            for mark, cell, value in zip(marks, row.cells, trace.values, strict=True):
                assert mark == (
                    "-" if cell is None else "u" if value is UNKNOWN else "p" if cell.passes(value) else "f"
                )


def test_missing_facts_are_named_and_only_those_that_matter() -> None:
    pack = shipped_packs()["sc-2023"]
    a1 = case_of(pack, "A1")
    assert decided(pack, a1, dict.fromkeys(a1.facts)).missing == (
        "history", "in_national_query", "insured_as", "months_insured",
    )  # fmt: skip
    late = decided(pack, a1, dict.fromkeys(a1.facts), as_of=a1.as_of + 1)
    assert (late.result, late.reasons, late.missing) == (Outcome.NOT_ELIGIBLE, ("WINDOW",), ())


@pytest.mark.parametrize(
    ("rule", "amount"),
    [("pro_rata", 285_000), ("whole_month", 570_000), ("full_months", None)],
)
def test_w5_by_each_rule(rule: str, amount: int | None) -> None:
    pack = load_pack(changed("wage-sample", "pack.toml", 'rule = "pro_rata"', f'rule = "{rule}"'))
    decision = decided(pack, case_of(pack, "W5"))
    assert decision.amount == amount
    assert amount is not None or decision.reasons == ("NOT_IN_POST",)


def test_a_post_is_paid_only_while_it_lasts() -> None:
    """In pairs: the last day of the month in post, and the first without."""
    pack = shipped_packs()["wage-sample"]
    case = case_of(pack, "W5")
    ends = {"appointed_to": "2024-06-30"}
    assert decided(pack, case, ends, as_of=parse_day("2024-06-30")).amount == 570_000
    assert decided(pack, case, ends, as_of=parse_day("2024-07-01")).reasons == ("NOT_IN_POST",)
    starts = {"appointed_from": "2024-07-01", "appointed_to": None}
    assert decided(pack, case, starts, as_of=parse_day("2024-06-30")).reasons == ("NOT_IN_POST",)
    assert decided(pack, case, starts, as_of=parse_day("2024-07-01")).amount == 570_000


@pytest.mark.parametrize("half", [False, True])
def test_window_edges_of_every_subsidy(half: bool) -> None:
    """The last day and the one after, and with an exclusive last day one earlier."""
    old, new = (
        'last_day = "inclusive"     # [A] A1',
        f'last_day = "{"exclusive" if half else "inclusive"}"     # [A] A1',
    )
    pack = load_pack(changed("sc-2023", "pack.toml", old, new))
    case = case_of(pack, "A1")
    last = parse_day("2024-03-10") - half
    assert decided(pack, case, as_of=last).amount == 200_000
    assert decided(pack, case, as_of=last + 1).reasons == ("WINDOW",)
    assert decided(pack, case, as_of=last).windows == (("windows.apply", parse_day("2023-03-10"), last),)


def test_month_end_by_choice() -> None:
    for month_end, last in (("clamp", "2025-02-28"), ("next", "2025-03-01")):
        pack = load_pack(changed("sc-2023", "pack.toml", 'month_end = "clamp"', f'month_end = "{month_end}"'))
        case = case_of(pack, "A3-last")
        assert decided(pack, case, as_of=parse_day(last)).amount == 150_000
        assert decided(pack, case, as_of=parse_day(last) + 1).reasons == ("WINDOW",)


def test_bugs_of_callers_are_bugs() -> None:
    pack, other = shipped_packs()["sc-2023"], shipped_packs()["n-2024"]
    given_facts = read_facts({}, other)
    with pytest.raises(AssertionError, match="read for one pack"):
        decide((), given_facts, pack, 20_000)
    with pytest.raises(Malformed):
        decide((), read_facts({}, pack), pack, LAST_DAY + 1)

"""Every worked case of every shipped pack, and what keeps a case file honest."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ledger.reference_data import load_ladder
from ledger.text import Text
from tests.support.packs import case_of, changed, decided, small
from verifier.eligibility.cases import Case, read_cases, run_case, run_cases, untouched_rows
from verifier.eligibility.decision import format_decision, parse_decision
from verifier.eligibility.explain import explain, trace_lines
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.loader import load_pack
from verifier.eligibility.pack import Pack
from verifier.eligibility.reader import BadPack
from verifier.eligibility.replay import replay
from verifier.eligibility.tables import Outcome
from verifier.eligibility.wording import RESULTS

PACKS = shipped_packs()
LADDER = load_ladder()
_CJK = re.compile(r"[\u3400-\u9fff]")


def raw_names(text: Text, pack: Pack) -> list[str]:
    """What nobody but a program reads: names of the engine or the pack, and one language in the other. A source is
    quoted in its own."""
    source = text.zh.startswith("依据：")
    found = [] if source else re.findall(r"[A-Za-z_]{2,}[A-Za-z0-9_./-]*", text.zh)
    found += re.findall(r"[A-Za-z]+[_/.]\w+|\w+_\w*", text.en)
    named = {table.id for table in pack.tables} | {row.id for table in pack.tables for row in table.rows}
    named |= pack.types.keys() | {word for each in pack.inputs.values() for word in each.labels}
    odd = {name for name in named if not name.isalpha()}  # others could be words
    found += sorted(odd & set(re.findall(r"[\w./-]+", text.en)))
    return found if source else found + _CJK.findall(text.en)


CASES = [pytest.param(pack, case, id=f"{pack.id}-{case.id}") for pack in PACKS.values() for case in read_cases(pack)]


@pytest.mark.parametrize(("pack", "case"), CASES)
def test_a_worked_case_comes_out_as_stated(pack: Pack, case: Case) -> None:
    result = run_case(pack, case)
    assert result.differences == ()
    decision = result.decision
    raw = format_decision(decision)
    assert format_decision(parse_decision(raw)) == raw
    assert format_decision(replay(raw, {pack.digest: pack}.get)) == raw
    for text in (*explain(decision, pack, LADDER), *trace_lines(decision, pack, LADDER)):
        assert text.zh.strip() and text.en.strip()
        assert "{" not in text.zh + text.en
        assert not raw_names(text, pack), text


def test_a_raw_name_is_noticed() -> None:
    pack = PACKS["gd-skill"]
    good = Text("申领对象：男性", "who may apply: men")
    assert raw_names(good, pack) == []
    for zh, en in (
        ("subsidy/male", good.en), ("证书：certificate", good.en), (good.zh, "subsidy/male"), (good.zh, "base: L3"),
        (good.zh, "standing: civil_servant"), (good.zh, "who: 男性"),
    ):  # fmt: skip
        assert raw_names(Text(zh, en), pack)


@pytest.mark.parametrize("pack", PACKS.values(), ids=list(PACKS))
def test_every_outcome_is_explained_in_both_languages(pack: Pack) -> None:
    """Each result with each reason that the pack or the engine can give, also those that no case comes to."""
    sample = run_case(pack, read_cases(pack)[0]).decision
    none = replace(sample, amount=None, period=None, bound=None, lines=(), fired=(), rules=(), nearest="", missing=())
    plain = len(explain(replace(none, result=Outcome.ELIGIBLE, reasons=()), pack, LADDER))
    for result in Outcome:
        for code in pack.reasons:
            texts = explain(replace(none, result=result, reasons=(code,)), pack, LADDER)
            said = texts[1]
            assert len(texts) == plain + 1 and said.zh.strip() and said.en.strip() and said.zh != said.en
            assert not raw_names(said, pack) and "{" not in said.zh + said.en, said
            assert RESULTS[result].zh in texts[0].zh and RESULTS[result].en in texts[0].en


@pytest.mark.parametrize("pack", PACKS.values(), ids=list(PACKS))
def test_no_row_is_without_a_case(pack: Pack) -> None:
    assert untouched_rows(pack, run_cases(pack)) == ()


def test_a_row_without_a_case_is_listed() -> None:
    pack = small(cases='[[cases]]\nid = "x"\nnote = { zh = "一", en = "x" }\nas_of = 2024-02-01\nfacts = { n = 9 }\n'
                       'expect = { result = "not_eligible", reasons = ["N"] }\n')  # fmt: skip
    assert untouched_rows(pack, run_cases(pack)) == ("answer/r",)


def test_a_wrong_expectation_is_told() -> None:
    pack = load_pack(changed("sc-2023", "cases.toml", "amount = 200000", "amount = 200001"))
    first = run_cases(pack)[0]
    assert first.differences == ("amount: 200001, 200000",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('expect = { result = "not_eligible" }', "MISSING"),
        ('expect = { result = "eligible", amuont = 1 }', "UNKNOWN_KEY"),
        ('expect = { result = "yes" }', "CHOICE"),
        ('expect = { result = "eligible" }\ncertificates = [{ status = "fine" }]', "CHOICE"),
        ('expect = { result = "eligible" }\nfacts = { m = 1 }', "FACT_UNKNOWN"),
        ('expect = { result = "eligible" }\nfacts = { n = 101 }', "FACT_RANGE"),
    ],
)
def test_a_case_that_cannot_be_read_is_refused(text: str, code: str) -> None:
    pack = small(cases=f'[[cases]]\nid = "x"\nnote = {{ zh = "一", en = "x" }}\nas_of = 2024-02-01\n{text}\n')
    with pytest.raises(BadPack) as caught:
        run_cases(pack)
    assert caught.value.code == code and caught.value.field.startswith("cases.toml: cases/x")


def test_a6_and_a7_flip_on_one_condition() -> None:
    """The same certificates and facts, a version later: the trace names the condition that decides."""
    old, new = PACKS["sc-2023"], PACKS["n-2025"]
    a7 = case_of(new, "A7")
    assert decided(new, a7).reasons == ("HOLDS_HIGHER",)
    shared = {name: value for name, value in a7.facts.items() if name in old.inputs}
    flipped = decided(old, a7, {**dict.fromkeys(a7.facts), **shared})
    assert (flipped.result.value, flipped.amount) == ("eligible", 150_000)
    trace = decided(new, a7).tables[-1]
    row = dict(trace.rows)["L4"]
    columns = new.table.columns
    assert [columns[at] for at, mark in enumerate(row) if mark == "f"] == ["cert.holds_higher"]
    assert trace.values[columns.index("cert.holds_higher")] is True
    assert "cert.holds_higher" not in old.table.columns


def test_a16_with_the_key_by_trade() -> None:
    """职业（工种）: whether another trade of the occupation is the same is a choice of the pack."""
    files = changed(
        "sc-2023", "pack.toml", 'match = "occupation"       # [A] A16', 'match = "trade"            # [A] A16'
    )
    pack = load_pack(files)
    case = case_of(pack, "A16")
    assert decided(pack, case).amount == 200_000
    same = [{**claim, "trade": "数控车工"} for claim in case.facts["history"]]
    assert decided(pack, case, {"history": same}).reasons == ("SAME_OCC_GRADE",)

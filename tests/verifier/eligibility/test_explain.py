"""A decision in words: whole texts of a few, both languages, and what they must always say."""

from __future__ import annotations

import pytest

from ledger.errors import Unverified
from ledger.reference_data import load_ladder
from tests.support.packs import case_of, decided, small
from verifier.eligibility.explain import explain, trace_lines, yuan
from verifier.eligibility.folder import shipped_packs

PACKS = shipped_packs()
LADDER = load_ladder()


def said(pack_id: str, case_id: str, lang: str) -> str:
    pack = PACKS[pack_id]
    texts = explain(decided(pack, case_of(pack, case_id)), pack, LADDER)
    return "\n".join(text.of(lang) for text in texts)


def test_why_two_thousand() -> None:
    assert said("sc-2023", "A1", "zh") == (
        "四川省失业保险技能提升补贴（2023 年口径）：符合条件\n"
        "金额：一次性 2,000 元\n"
        "申领期限：2023-03-10 – 2024-03-10\n"
        "依据：四川省失业保险技能提升补贴公开说明（转载，文号未见） 申领条件与补贴标准 (2023-01-01)\n"
        "按假设的证书推算，不是正式判定。"
    )
    assert said("sc-2023", "A1", "en").startswith(
        "Sichuan skill-upgrade subsidy (2023 wording): eligible\n"
        "Amount: 2,000 yuan once\n"
        "time to apply: 10 Mar 2023 – 10 Mar 2024\n"
        "Source: "
    )


def test_why_not_and_what_would_change_it() -> None:
    zh, en = said("sc-2023", "A4", "zh"), said("sc-2023", "A4", "en")
    assert (
        "失业保险累计缴费 11 个月，要求不低于 12 个月\n改变结果需要：累计参加失业保险月数：不低于 12（现为 11）" in zh
    )
    assert "11 months of unemployment insurance; wanted: at least 12\nWhat would change it: " in en
    assert "months of unemployment insurance: at least 12 (now 11)" in en
    assert "已持有该职业更高等级的证书，不再补贴较低等级" in said("n-2025", "A7", "zh")


def test_missing_facts_by_their_names() -> None:
    assert "请补充：累计参加失业保险月数" in said("sc-2023", "missing", "zh")
    assert "Please give: months of unemployment insurance" in said("sc-2023", "missing", "en")
    assert "More may follow with: skill honour" in said("title-sc-2021", "unknown", "en")


def test_samples_ceilings_and_grades_are_said() -> None:
    assert "未经证实的示例数据" in said("wage-sample", "W1", "zh") and "sample data" in said("wage-sample", "W1", "en")
    assert "sample data" not in said("sc-2023", "A1", "en")
    assert "sample data" in said("n-2025", "A13", "en"), "the amounts of 2025 are not confirmed"
    assert "Amount: at most 2,000 yuan once" in said("n-2024", "A1", "en")
    assert "no subsidy for Level II / Technician" in said("sc-2023", "A12", "en")
    assert "可申报：助理级职称" in said("title-sc-2021", "G1", "zh")
    assert "-12,500 yuan" in said("apprenticeship-nt", "owed", "en")


def test_every_condition_is_listed_with_what_was_read() -> None:
    pack = PACKS["sc-2023"]
    decision = decided(pack, case_of(pack, "A4"), {"in_national_query": None})
    lines = [text.en for text in trace_lines(decision, pack, LADDER)]
    assert lines[0] == "subsidy by grade: Level V"
    assert "  x months of unemployment insurance: 11; wanted: at least 12" in lines
    assert "  ? the certificate is in the national query: not known; wanted: yes" in lines
    assert "  + grade of the certificate: Level V / Junior worker; wanted: Level V / Junior worker" in lines
    assert sum(line.startswith("subsidy by grade: ") for line in lines) == 4
    assert len(lines) == 4 + 4 * 10


def test_a_pack_without_names_for_its_rows_still_reads_as_words() -> None:
    pack = small(cases='[[cases]]\nid = "x"\nnote = { zh = "一", en = "x" }\nas_of = 2024-02-01\nfacts = { n = 9 }\n'
                       'expect = { result = "not_eligible", reasons = ["N"] }\n')  # fmt: skip
    (heading, _) = trace_lines(decided(pack, case_of(pack, "x")), pack, LADDER)
    assert (heading.zh, heading.en) == ("表 1：第 1 行", "table 1: row 1")


def test_only_under_its_own_pack() -> None:
    decision = decided(PACKS["sc-2023"], case_of(PACKS["sc-2023"], "A1"))
    for words in (explain, trace_lines):
        with pytest.raises(Unverified):
            words(decision, PACKS["n-2024"], LADDER)


def test_money() -> None:
    assert [yuan(fen) for fen in (0, 5, 100, 123_456_789, -5, -200_000)] == [
        "0", "0.05", "1", "1,234,567.89", "-0.05", "-2,000",
    ]  # fmt: skip

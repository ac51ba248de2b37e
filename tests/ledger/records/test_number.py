from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, Refused
from ledger.records import number as numbers
from ledger.records.dates import parse_day
from ledger.reference_data import load_ladder

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "number.json").read_text(encoding="utf-8"))
GOOD = "Y000051001064253000017"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['input']}-{case.get('issued', '')}")
def test_vectors(case: dict[str, Any]) -> None:
    codes = [problem.code for problem in numbers.diagnose_number(case["input"])]
    if "scheme" not in case:
        assert codes == case["codes"]
        with pytest.raises(Refused) as refusal:
            numbers.parse_number(case["input"])
        assert refusal.value.code == codes[0]
        return
    assert codes == []
    found = numbers.parse_number(case["input"])
    assert (found.scheme, found.raw, list(found.flags)) == (case["scheme"], case["input"], case.get("flags", []))
    assert found.text == case.get("text", case["input"])
    if "issued" in case:
        first, last = map(parse_day, VECTORS["window"])
        problems = numbers.cross_check(
            found,
            filing_number=VECTORS["filing_number"],
            window=(first, last),
            issue_day=parse_day(case["issued"]),
            grade_ordinal=case["grade"],
            ladder=load_ladder(),
        )
        assert [problem.code for problem in problems] == case["codes"]


def test_parts() -> None:
    found = numbers.parse_number(GOOD)
    assert (found.issuer_class, found.body_code, found.province, found.site) == ("Y", "0000", "51", "001064")
    assert (found.year, found.grade_mark, found.sequence) == (2025, "3", 17)
    assert found.filing_number == "Y000051001064"
    assert found.grouped == "Y 0000 51 001064 25 3 000017"


def test_positions_point_at_what_is_wrong() -> None:
    found = {problem.code: problem.positions for problem in numbers.diagnose_number("X000O99001064250000000")}
    assert found == {
        "CLASS": (1,),
        "CHARACTER": (5,),
        "PROVINCE": (6, 7),
        "GRADE": (16,),
        "SEQUENCE": tuple(range(17, 23)),
    }
    hint = numbers.diagnose_number("YO00051001064253000017")[0].text
    assert "数字 0" in hint.zh and "digit 0" in hint.en


@given(
    st.sampled_from(["Y000051001064", "S123423000001", "J000011999999"]),
    st.integers(2000, 2099),
    st.integers(1, 5),
    st.integers(1, 999_999),
)
def test_what_is_built_is_read_back(filing: str, year: int, level: int, sequence: int) -> None:
    text = numbers.build_number(filing, year, level, sequence)
    found = numbers.check_number(text)
    assert (found.filing_number, found.year, found.grade_mark, found.sequence) == (filing, year, str(level), sequence)


@given(st.text(max_size=120))
def test_no_text_breaks_the_doctor(text: str) -> None:
    problems = numbers.diagnose_number(text)
    if not problems:
        found = numbers.parse_number(text)
        assert numbers.check_number(found.text).text == found.text


@given(st.integers(0, 21), st.characters())
def test_every_other_character_is_seen(at: int, character: str) -> None:
    changed = GOOD[:at] + character + GOOD[at + 1 :]
    try:
        assert numbers.check_number(changed).text == changed
    except (Malformed, Refused):
        assert changed != GOOD


def test_signed_text_must_be_normal_already() -> None:
    for other in (GOOD.lower(), f" {GOOD}", f"{GOOD}\n", "Ｙ" + GOOD[1:]):
        with pytest.raises(Malformed):
            numbers.check_number(other)


@pytest.mark.parametrize(
    ("filing", "year", "level", "sequence"),
    [
        ("Y00005100106", 2025, 3, 1),
        ("X000051001064", 2025, 3, 1),
        ("Y000099001064", 2025, 3, 1),
        ("Y000051001064", 25, 3, 1),
        ("Y000051001064", 2025, 0, 1),
        ("Y000051001064", 2025, 6, 1),
        ("Y000051001064", 2025, 3, 0),
        ("Y000051001064", 2025, 3, 1_000_000),
    ],
)
def test_impossible_parts_build_nothing(filing: str, year: int, level: int, sequence: int) -> None:
    with pytest.raises(Malformed):
        numbers.build_number(filing, year, level, sequence)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Y000051001064253000017", "Y 0000 51 001064 25 3 000017"),
        ("y 0000 51 001064 25 3 000017", "Y 0000 51 001064 25 3 000017"),
        ("Y00005100106425T000017", "Y 0000 51 001064 25 T 000017"),
        ("Y000099001064253000017", "Y000099001064253000017"),  # no such province
        ("Y000051001064253000000", "Y000051001064253000000"),  # no such sequence
        ("１２３４５６78901", "12345678901"),
        ("<b>", "<b>"),
        ("", ""),
    ],
)
def test_any_text_is_grouped_or_stays_as_it_is(text: str, said: str) -> None:
    assert numbers.grouped(text) == said

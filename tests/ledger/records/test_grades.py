from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, Refused
from ledger.records.grades import Ladder, format_ladder, parse_grade, parse_ladder
from ledger.reference_data import ladder_bytes, load_ladder

LADDER = load_ladder()


def test_ordinal_rises_while_the_national_level_falls() -> None:
    certificates = [grade for grade in LADDER.grades if grade.issuable]
    assert [(g.ordinal, g.national_level) for g in certificates] == [(2, 5), (3, 4), (4, 3), (5, 2), (6, 1)]
    assert [g.zh for g in LADDER.grades if not g.issuable] == ["学徒工", "特级技师", "首席技师"]
    for level in range(1, 6):
        assert LADDER.by_level(level).national_level == level
    for ordinal in range(1, 9):
        assert LADDER.by_ordinal(ordinal).ordinal == ordinal


@pytest.mark.parametrize(
    ("text", "ordinal"),
    [
        ("3", 4),
        ("3级", 4),
        ("三级", 4),
        ("三级/高级工", 4),
        ("高级工", 4),
        ("３", 4),
        ("３级", 4),
        (" 三 级 ", 4),
        ("高级工(三级)", 4),
        ("三级（高级工）", 4),
        ("高级工/三级", 4),
        ("三级高级工", 4),
        ("职业技能等级三级", 4),
        ("5", 2),
        ("1", 6),
        ("一级/高级技师", 6),
        ("技师", 5),
        ("二级、技师", 5),
        ("特级技师", 7),
        ("首席技师", 8),
        ("学徒工", 1),
    ],
)
def test_spellings_seen_in_rosters(text: str, ordinal: int) -> None:
    assert parse_grade(text, LADDER).ordinal == ordinal


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "GRADE_MISSING"),
        ("　", "GRADE_MISSING"),
        ("6", "GRADE_UNKNOWN"),
        ("8", "GRADE_UNKNOWN"),
        ("0", "GRADE_UNKNOWN"),
        ("35", "GRADE_UNKNOWN"),
        ("3.0", "GRADE_UNKNOWN"),
        ("八级", "GRADE_UNKNOWN"),
        ("٣", "GRADE_UNKNOWN"),
        ("三级/技师", "GRADE_CONFLICT"),
        ("4/三级", "GRADE_CONFLICT"),
        ("三级/高工", "GRADE_UNKNOWN"),
        ("x" * 10_000, "GRADE_UNKNOWN"),
        ("某市首席技师", "GRADE_UNKNOWN"),
    ],
)
def test_everything_else_is_refused_with_a_code(text: str, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_grade(text, LADDER)
    assert refusal.value.code == code


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    try:
        parse_grade(text, LADDER)
    except Refused as refusal:
        assert refusal.field == "grade"


def test_the_file_is_canonical_and_its_digest_is_that_of_its_bytes() -> None:
    raw = ladder_bytes()
    assert format_ladder(parse_ladder(raw)) == raw
    assert LADDER.digest == hashlib.sha256(raw).digest()
    for other in (
        raw + b"\n",
        raw.replace(b'":', b'": '),
        raw[:-1],
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 50_000,
        b" " * 70_000,
    ):
        with pytest.raises(Malformed):
            parse_ladder(other)


def test_a_ladder_with_mixed_up_numbers_cannot_exist() -> None:
    senior = LADDER.by_ordinal(4)
    for wrong in ({"national_level": 4}, {"number_mark": "4"}, {"nature": "post"}, {"ordinal": 9}, {"zh": ""}):
        with pytest.raises(Malformed):
            dataclasses.replace(senior, **wrong)
    with pytest.raises(Malformed):
        Ladder("x", LADDER.grades[:7])
    with pytest.raises(Malformed):
        LADDER.by_level(0)
    with pytest.raises(Malformed):
        LADDER.by_ordinal(True)

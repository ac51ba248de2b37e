"""The number doctor: every part explained, and a correction only where one reading is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.records.dates import parse_day
from ledger.records.number import parse_number
from ledger.reference_data import load_ladder
from verifier.numbers.doctor import Diagnosis, examine

GOOD = "Y000051001064253000017"
TODAY = parse_day("2026-11-26")


def look(typed: str, level: int | None = None) -> Diagnosis:
    return examine(typed, today=TODAY, ladder=load_ladder(), level=level)


def codes(said: Diagnosis) -> list[str]:
    return [one.code for one in said.problems]


@pytest.mark.parametrize(
    "typed", [GOOD, GOOD.lower(), " Y 0000 51 001064 25 3 000017\n", "Ｙ００００５１００１０６４２５３００００１７"]
)
def test_a_good_number_in_any_dress_is_looked_up_as_it_is(typed: str) -> None:
    said = look(typed, 3)
    assert said.problems == () and said.number == GOOD and said.suggestion is None
    assert [part.shown for part in said.parts] == ["Y", "0000", "51", "001064", "25", "3", "000017"]
    assert all(part.fits for part in said.parts) and said.parts[2].meaning.zh == "四川"


def test_the_example_of_the_brief() -> None:
    """Province 51 is right, year 72 in the future, and digit 16 says 四级 where 三级 was chosen."""
    said = look("Y000051001064724000017", 3)
    assert codes(said) == ["YEAR", "GRADE_CHOSEN"]
    assert (
        "2072" in said.problems[0].text.zh and "四级" in said.problems[1].text.zh and "三级" in said.problems[1].text.zh
    )
    assert [part.fits for part in said.parts] == [True, True, True, True, False, False, True]
    assert said.suggestion is None


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "EMPTY"),
        ("Y00005100106425300017", "LENGTH"),
        ("X000051001064253000017", "CLASS"),
        ("Y000099001064253000017", "PROVINCE"),
        ("Y000051001064250000017", "GRADE"),
        ("Y000051001064253000000", "SEQUENCE"),
        ("Y0000510O1064253000017", "CHARACTER"),
        ("Y000051001064273000017", "YEAR"),
        (GOOD[1:], "FIRST_LETTER"),
        ("Y" * 65, "LENGTH"),
    ],
)
def test_what_is_wrong_has_a_code_and_words(typed: str, code: str) -> None:
    said = look(typed)
    assert code in codes(said)
    assert all(one.text.zh and one.text.en and one.text.zh != one.text.en for one in said.problems)


@pytest.mark.parametrize(
    "typed",
    [
        "Y000051OO1O64253OOOO17",  # letters for noughts
        "YOOOO5100l0642530000l7",  # and for ones
        "Y-0000-51-001064-25-3-000017",
        "Y0000/51/001064/25/3/000017",
        "Y00005100106425B000017".replace("B", "3").replace("0017", "OOI7"),
    ],
)
def test_one_reading_is_offered(typed: str) -> None:
    assert look(typed).suggestion == "Y 0000 51 001064 25 3 000017"


def test_a_letter_for_the_grade_that_was_chosen() -> None:
    assert codes(look("Y000051001064251000017".replace("251", "25I"), 1)) == ["GRADE_CHOSEN"]
    assert look("Y00005100106425I000017", 1).suggestion == "Y 0000 51 001064 25 1 000017"
    assert look("Y00005100106425T000017").problems == (), "a post"


def test_a_five_for_the_letter_s_and_a_doubled_character() -> None:
    assert look("5000051001064253000017").suggestion == "S 0000 51 001064 25 3 000017"
    assert look("YY000051001064253000017").suggestion == "Y 0000 51 001064 25 3 000017"


def test_no_guess_where_several_are_left() -> None:
    for typed in (GOOD[1:], "Y00005100106425300017", "Y000051001064253000000", "Y000051001064273000017"):
        assert look(typed).suggestion is None


def test_old_schemes_are_left_alone() -> None:
    for typed in ("1023001234567890", "0000012345678"):
        said = look(typed)
        assert said.problems == () and said.parts == () and said.number == typed


@given(st.text(max_size=80), st.sampled_from([None, 1, 2, 3, 4, 5]))
def test_it_never_raises_and_what_it_offers_is_good(typed: str, level: int | None) -> None:
    said = look(typed, level)
    if said.suggestion is not None:
        again = look(said.suggestion, level)
        assert again.problems == () and again.number != said.number
        assert parse_number(said.suggestion).grouped == said.suggestion


@given(st.integers(0, 21), st.sampled_from("0123456789OIlZSBX年 ９"))
def test_one_wrong_character_is_found_or_another_number(at: int, character: str) -> None:
    typed = GOOD[:at] + character + GOOD[at + 1 :]
    said = look(typed)
    assert said.problems or said.number != GOOD or typed.upper() == GOOD

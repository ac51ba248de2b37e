from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, Refused
from ledger.records import documents as docs
from ledger.records.dates import parse_day

TODAY = parse_day("2025-11-20")


def resident(region: str, birth: str, sequence: int) -> str:
    first17 = f"{region}{birth}{sequence:03d}"
    return first17 + docs.check_digit(first17)


def read(kind: str, number: str) -> docs.IdDocument:
    return docs.parse_document(kind, number, today_day=TODAY)


def code_of(kind: str, number: str) -> str:
    with pytest.raises(Refused) as refusal:
        read(kind, number)
    return refusal.value.code


def test_the_check_digit_of_a_published_example() -> None:
    # GB 11643-1999, annex: 11010519491231002X and 440524188001010014.
    assert docs.check_digit("11010519491231002") == "X"
    assert docs.check_digit("44052418800101001") == "4"


def test_all_ten_wrong_check_digits_of_many_numbers_are_seen() -> None:
    draw = random.Random(1)
    for _ in range(1_000):
        birth = f"{draw.randrange(1950, 2005)}{draw.randrange(1, 13):02d}{draw.randrange(1, 29):02d}"
        good = resident("000000", birth, draw.randrange(1_000))
        assert read("111", good).number == good
        for wrong in set("0123456789X") - {good[17]}:
            assert code_of("111", good[:17] + wrong) == "DOCUMENT_CHECK_DIGIT"


def test_no_false_refusals_of_other_valid_documents() -> None:
    draw = random.Random(2)
    for _ in range(1_000):
        birth = f"{draw.randrange(1950, 2005)}{draw.randrange(1, 13):02d}{draw.randrange(1, 29):02d}"
        region = draw.choice(["810000", "820000", "830000"])
        permit = read("港澳台居民居住证", resident(region, birth, draw.randrange(1_000)))
        assert permit.type_code == docs.RESIDENCE_PERMIT
        assert permit.country == {"81": "HKG", "82": "MAC", "83": "TWN"}[region[:2]]
        card = resident(f"9{draw.randrange(100_000):05d}", birth, draw.randrange(1_000))
        assert read("外国人永久居留身份证", card).type_code == docs.PERMANENT_RESIDENT
        assert read("护照", f"E{draw.randrange(10**8):08d}").type_code == docs.PASSPORT
        old = f"USA1100{birth[2:]}{draw.randrange(100):02d}"
        assert read("外国人永久居留证", old) == docs.IdDocument(docs.PERMANENT_RESIDENT, "USA", old)


@pytest.mark.parametrize(
    ("kind", "number", "type_code", "country"),
    [
        ("516", "H12345678", "516", "HKG"),
        ("港澳居民来往内地通行证", "M1234567801", "516", "MAC"),
        ("台胞证", "12345678", "511", "TWN"),
        ("台湾居民来往大陆通行证", "1234567890(A)", "511", "TWN"),
        ("其他证件", "军字123456", "", ""),
        ("其他", "AB-1234/5", "other", "XXX"),
    ],
)
def test_travel_permits_and_others(kind: str, number: str, type_code: str, country: str) -> None:
    if not type_code:
        assert code_of(kind, number) == "DOCUMENT_FORM"
        return
    found = read(kind, number)
    assert (found.type_code, found.country) == (type_code, country)


def test_the_type_follows_from_the_number_so_one_person_is_one() -> None:
    number = resident("810000", "19900101", 1)
    assert read("身份证", number).identity == read("居住证", number).identity
    citizen = resident("000000", "19900101", 1)
    assert code_of("居住证", citizen) == "DOCUMENT_TYPE_MISMATCH"
    assert code_of("外国人永久居留身份证", citizen) == "DOCUMENT_TYPE_MISMATCH"
    old = citizen[:6] + citizen[8:17]
    assert read("111", old).identity == read("111", citizen).identity
    assert read("516", "H1234567801").identity == read("516", "H12345678").identity


def test_spelling_of_numbers_does_not_matter() -> None:
    number = next(n for n in (resident("000000", "19900101", s) for s in range(100)) if n[17] == "X")
    spread = f" {number[:6]} {number[6:14]}　{number[14:].lower()}"
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    assert read("身份证", spread) == read("居民身份证", wide) == read("111", number)
    assert code_of("111", number[:17] + "٣") == "DOCUMENT_CHARACTER"


@pytest.mark.parametrize(
    ("kind", "number", "code"),
    [
        ("身份证", "", "DOCUMENT_MISSING"),
        ("身份证", "00000019900101001", "DOCUMENT_LENGTH"),
        ("身份证", "9" * 70, "DOCUMENT_LENGTH"),
        ("身份证", resident("000000", "19900230", 1), "DOCUMENT_BIRTH_DATE"),
        ("身份证", resident("000000", "20251121", 1), "DOCUMENT_BIRTH_DATE"),
        ("身份证", resident("000000", "00000101", 1), "DOCUMENT_BIRTH_DATE"),
        ("身份证", "00000019900101A018", "DOCUMENT_CHARACTER"),
        ("会员卡", "123", "DOCUMENT_TYPE"),
        ("", "E12345678", "DOCUMENT_TYPE"),
        ("201", "E12345678", "DOCUMENT_TYPE"),
        ("护照", "ABCDEFGH", "DOCUMENT_FORM"),
        ("516", "X12345678", "DOCUMENT_FORM"),
        ("511", "1234567", "DOCUMENT_FORM"),
    ],
)
def test_refusals(kind: str, number: str, code: str) -> None:
    assert code_of(kind, number) == code


def test_what_is_odd_is_said_but_not_refused() -> None:
    def notices(kind: str, number: str) -> dict[str, str]:
        found = docs.review_document(kind, read(kind, number), today_day=TODAY)
        return {notice.code: notice.severity for notice in found}

    adult = resident("000000", "19900101", 1)
    assert notices("111", adult) == {}
    assert notices("201", adult) == {"DOCUMENT_TYPE_UNCONFIRMED": "note"}
    assert notices("", adult) == {"DOCUMENT_TYPE_ASSUMED": "warning"}
    assert notices("身份证", resident("830000", "19900101", 1)) == {"DOCUMENT_TYPE_ASSUMED": "note"}
    assert notices("111", resident("000000", "20091121", 1)) == {"DOCUMENT_AGE": "warning"}
    assert notices("111", resident("000000", "20091120", 1)) == {}
    assert notices("111", resident("000000", "19441120", 1)) == {"DOCUMENT_AGE": "warning"}
    assert notices("111", adult[:6] + adult[8:17]) == {"DOCUMENT_OLD_FORM": "warning"}


@given(st.sampled_from([*docs.TYPES, "", "201", "身份证"]), st.text(max_size=70))
def test_no_text_breaks_it(kind: str, number: str) -> None:
    try:
        found = read(kind, number)
    except Refused as refusal:
        assert refusal.field == "document"
    else:
        assert read(found.type_code, found.number) == found


def test_a_document_is_normal_or_not_at_all() -> None:
    for parts in (
        ("112", "CHN", "123"),
        ("111", "chn", "123"),
        ("414", "XXX", "e12345678"),
        ("414", "XXX", "E 123"),
        ("414", "XXX", ""),
    ):
        with pytest.raises(Malformed):
            docs.IdDocument(*parts)

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.authority import (
    RECORD_KEY_CAP,
    FiledKey,
    Filing,
    FilingRow,
    Genesis,
    Published,
    parse_filing,
    parse_genesis,
    parse_published,
)
from ledger.records.kinds import Audience, IssuerKind, Kind
from tests.support.builders import DAY, OCCUPATION, TRADE, WINDOW, key, make_authority, make_body, octets
from tests.support.claims import make_payer

GENESIS = make_authority().genesis
FILING = make_body().filing
ROW = FILING.rows[0]
CATALOGUE = Published(Kind.CATALOGUE, "2022", octets("catalogue"), DAY)
FULL = replace(FILING, grants=(7, 8), latin_name="Sample Works")
DAYS = st.integers(0, 40_000)
CODES = st.just(OCCUPATION)
GRADES = st.sets(st.integers(2, 6), min_size=1).map(lambda grades: tuple(sorted(grades)))
FILINGS = st.builds(
    lambda first, length, keys, **values: Filing(
        number="Y000051000001",
        first_day=first,
        last_day=first + length,
        record_keys=tuple(FiledKey(octets(f"r{at}"), first, first + at) for at in range(keys)),
        request_keys=(FiledKey(octets("q"), first),),
        **values,
    ),
    first=DAYS,
    length=st.integers(0, 2000),
    keys=st.integers(1, 4),
    name=st.text("示例有限公司", min_size=1, max_size=100),
    kind=st.sampled_from([kind for kind in IssuerKind if kind is not IssuerKind.PAYER]),
    rows=st.lists(
        st.builds(
            FilingRow, st.just(OCCUPATION), st.sampled_from(["", TRADE]), GRADES, st.sampled_from(Audience), DAYS
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    cap=st.integers(1, RECORD_KEY_CAP),
    grants=st.sampled_from([(), (7,), (8,), (7, 8)]),
    latin_name=st.text("Sample Works", max_size=200).map(lambda name: " ".join(name.split())),
)


@settings(max_examples=100)
@given(FILINGS)
def test_filings_round_trip(filing: Filing) -> None:
    decoded = canonical.decode(canonical.encode(filing.as_map()))
    assert parse_filing(decoded) == filing
    assert parse_filing(decoded).as_map() == decoded


PAYER, EMPLOYER = make_payer().filing, make_body().filing


@pytest.mark.parametrize("change", [False, True])
def test_a_payers_filing_round_trips(change: bool) -> None:
    payer = replace(PAYER, schemes=("A", "B-2.1"), change=change)
    assert parse_filing(canonical.decode(canonical.encode(payer.as_map()))) == payer


@pytest.mark.parametrize(
    "changes",
    [
        {"schemes": ()},
        {"schemes": ("B", "A")},
        {"schemes": ("A", "A")},
        {"schemes": ("",)},
        {"schemes": ("A B",)},
        {"schemes": tuple(f"S{at:03}" for at in range(101))},
        {"rows": EMPLOYER.rows},
        {"grants": (7,)},
        {"number": EMPLOYER.number},
        {"kind": IssuerKind.EMPLOYER},
    ],
)
def test_a_payer_is_no_assessment_body(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(PAYER, **changes)


@pytest.mark.parametrize("changes", [{"schemes": ("A",)}, {"number": PAYER.number}, {"kind": IssuerKind.PAYER}])
def test_an_assessment_body_is_no_payer(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(EMPLOYER, **changes)


@pytest.mark.parametrize("at", [7, 11, 13])
def test_an_empty_list_of_a_filing_is_left_out(at: int) -> None:
    with pytest.raises(Malformed, match="left out"):
        parse_filing({**PAYER.as_map(), at: []})


@given(st.integers(1, 16), st.data())
def test_genesis_round_trips(people: int, data: st.DataObject) -> None:
    genesis = make_authority(people=people, threshold=data.draw(st.integers(1, people))).genesis
    decoded = canonical.decode(canonical.encode(genesis.as_map()))
    assert parse_genesis(decoded) == genesis


@pytest.mark.parametrize("kind", [Kind.CATALOGUE, Kind.LADDER])
def test_published_digests_round_trip(kind: Kind) -> None:
    published = replace(CATALOGUE, kind=kind)
    assert parse_published(kind, canonical.decode(canonical.encode(published.as_map()))) == published


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": ()},
        {"keys": tuple(reversed(GENESIS.keys))},
        {"keys": (GENESIS.keys[0], GENESIS.keys[0], GENESIS.keys[1])},
        {"keys": (GENESIS.keys[0], GENESIS.keys[1][:31])},
        {"keys": tuple(sorted(octets(str(at)) for at in range(17)))},
        {"threshold": 0},
        {"threshold": 4},
        {"threshold": -1},
        {"origin": ""},
        {"origin": "x" * 256},
        {"origin": "日志.example"},
        {"origin": "log example"},
        {"origin": "log.example\n5"},
        {"origin": "log+example"},
        {"origin": "log\x00example"},
        {"day": -30_000},
        {"day": 2**62},
    ],
)
def test_a_half_valid_genesis_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(GENESIS, **changes)


KEY = FILING.record_keys[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"number": "Y00005100000"},
        {"number": "X000051000001"},
        {"number": "Y0000510000011"},
        {"number": "Y00005100000１"},
        {"number": "Y000051000001\n"},
        {"name": ""},
        {"name": "例" * 101},
        {"latin_name": "x" * 201},
        {"first_day": WINDOW[1] + 1},
        {"last_day": WINDOW[0] - 1},
        {"last_day": 2**40},
        {"cap": 0},
        {"cap": RECORD_KEY_CAP + 1},
        {"rows": ()},
        {"rows": (ROW,) * 101},
        {"record_keys": ()},
        {"request_keys": ()},
        {"record_keys": tuple(FiledKey(octets(str(at)), DAY) for at in range(17))},
        {"request_keys": tuple(FiledKey(octets(str(at)), DAY) for at in range(17))},
        {"record_keys": (KEY, KEY)},
        {"record_keys": (KEY, replace(KEY, last_day=DAY))},
        {"request_keys": (KEY,)},
        {"grants": (6,)},
        {"grants": (8, 7)},
        {"grants": (7, 7)},
    ],
)
def test_a_half_valid_filing_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(FILING, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"grades": ()},
        {"grades": (3, 2)},
        {"grades": (2, 2)},
        {"grades": (1, 2)},
        {"grades": (6, 7)},
        {"first_day": 2**40},
    ],
)
def test_a_half_valid_row_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(ROW, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"public": bytes(31)},
        {"public": bytes(33)},
        {"algorithm": -7},
        {"algorithm": -48},
        {"first_day": DAY, "last_day": DAY - 1},
        {"last_day": 2**40},
    ],
)
def test_a_half_valid_key_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(KEY, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"kind": Kind.PACK}, {"kind": Kind.ISSUE}, {"digest": bytes(31)}, {"version": ""}, {"version": "1" * 65}],
)
def test_a_half_valid_published_digest_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(CATALOGUE, **changes)


def parse(body: Genesis | Filing | Published, fields: Any) -> Genesis | Filing | Published:
    if isinstance(body, Genesis):
        return parse_genesis(fields)
    return parse_filing(fields) if isinstance(body, Filing) else parse_published(body.kind, fields)


@pytest.mark.parametrize("body", [GENESIS, FULL, CATALOGUE], ids=["genesis", "filing", "catalogue"])
def test_missing_unknown_and_mistyped_fields_are_malformed(body: Genesis | Filing | Published) -> None:
    fields = dict(body.as_map())
    assert parse(body, fields) == body
    for place in fields:
        without = {at: value for at, value in fields.items() if at != place}
        if place in (11, 12):  # the two optional fields of a filing
            assert parse(body, without) != body
        elif place != 1:  # the kind is the caller's business: it chose this parser by it
            with pytest.raises(Malformed):
                parse(body, without)
        for wrong in (-(2**63), "", b"", [], [[]], {}, {1: 1}):
            if place != 1 and (type(wrong) is not type(fields[place]) or not wrong):
                with pytest.raises(Malformed):
                    parse(body, {**fields, place: wrong})
    for extra in (0, 13, 99):
        with pytest.raises(Malformed):
            parse(body, {**fields, extra: 1})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (5, 2),
        (5, 0),
        (3, [b"short"]),
        (3, ["text"] * 3),
    ],
)
def test_genesis_of_another_version_or_with_other_keys_is_malformed(place: int, value: Any) -> None:
    with pytest.raises(Malformed):
        parse_genesis({**GENESIS.as_map(), place: value})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (4, 0),
        (4, 4),
        (7, [["6-18-01-01", "", [3], 1]]),
        (7, [["6-18-01-01", "", [3], 1, DAY, 0]]),
        (7, [["6-18-01-01", "", [3], 0, DAY]]),
        (7, [["6-18-01-01", "", [3], 4, DAY]]),
        (7, [["6-18-01-01", "", ["3"], 1, DAY]]),
        (7, [["6-18-01-01", "", [[3]], 1, DAY]]),
        (7, [["6-18-01-01", "", 3, 1, DAY]]),
        (7, [[b"6-18-01-01", "", [3], 1, DAY]]),
        (7, ["row"]),
        (8, [[-8, octets("k"), DAY]]),
        (8, [[-8, octets("k"), DAY, 0, 0]]),
        (8, [["-8", octets("k"), DAY, 0]]),
        (8, [[-8, "k" * 32, DAY, 0]]),
        (8, [[-7, octets("k"), DAY, 0]]),
        (9, ["key"]),
        (11, ["7"]),
        (11, [[7]]),
        (11, []),
        (12, ""),
    ],
)
def test_parts_of_a_filing_in_another_shape_are_malformed(place: int, value: Any) -> None:
    with pytest.raises(Malformed):
        parse_filing({**FULL.as_map(), place: value})


def test_what_a_row_covers() -> None:
    row = FilingRow(OCCUPATION, TRADE, (3, 5), Audience.PUBLIC, DAY)
    filing = replace(FILING, rows=(row,), first_day=DAY - 10, last_day=DAY + 10)
    good = (OCCUPATION, TRADE, 3, Audience.PUBLIC, DAY)
    assert filing.covers(*good)
    for at, value in [
        (0, "6-18-01-02"),
        (1, ""),
        (1, "其他工种"),
        (2, 4),
        (2, 2),
        (3, Audience.OWN_STAFF),
        (4, DAY - 1),  # before the row begins
        (4, DAY - 11),
        (4, DAY + 11),
    ]:
        assert not filing.covers(*good[:at], value, *good[at + 1 :]), (at, value)  # type: ignore[arg-type]
    assert filing.covers(OCCUPATION, TRADE, 5, Audience.PUBLIC, DAY + 10)
    every_trade = replace(filing, rows=(replace(row, trade=""),))
    assert every_trade.covers(OCCUPATION, "其他工种", 3, Audience.PUBLIC, DAY)
    two_rows = replace(filing, rows=(row, replace(row, grades=(4,), trade="")))
    assert two_rows.covers(OCCUPATION, "其他工种", 4, Audience.PUBLIC, DAY)
    assert not two_rows.covers(OCCUPATION, "其他工种", 3, Audience.PUBLIC, DAY)  # no mixing of rows


@pytest.mark.parametrize(
    ("first", "last", "day", "covered"),
    [
        (DAY, 0, DAY - 1, False),
        (DAY, 0, DAY, True),
        (DAY, 0, DAY + 100_000, True),
        (DAY, DAY, DAY, True),
        (DAY, DAY + 1, DAY + 1, True),
        (DAY, DAY + 1, DAY + 2, False),
    ],
)
def test_a_keys_window_includes_both_ends(first: int, last: int, day: int, *, covered: bool) -> None:
    assert FiledKey(octets("k"), first, last).covers(day) is covered


def test_record_keys_are_found_by_kid_and_request_keys_are_not() -> None:
    second = FiledKey(key("second").public, DAY)
    filing = replace(FILING, record_keys=(KEY, second))
    assert filing.record_key(second.kid) == second
    assert filing.record_key(KEY.kid) == KEY
    assert filing.record_key(FILING.request_keys[0].kid) is None
    assert filing.record_key(bytes(8)) is None

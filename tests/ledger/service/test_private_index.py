"""The private index: nothing readable without its keys, nothing linkable across purposes, openings that prove."""

from __future__ import annotations

import itertools
from hashlib import sha256

import pytest

from ledger.errors import Unverified
from ledger.service.private_index import KEY_VERSION, Found, PrivateIndex
from ledger.store.protocol import Purpose
from tests.support.fault_store import flip

FOUND = Found(b"c" * 32, b"s" * 16, b"l" * 32)
NUMBER, NAME = "Y000051000001264000001", "例小明"
PERSON = ("111", "CHN", "009900198001010016", "6-18-01-01")


def make(key: bytes = b"k" * 32) -> PrivateIndex:
    counter = itertools.count()
    return PrivateIndex(key, lambda count: sha256(b"%d" % next(counter)).digest()[:count])


def test_rows_name_their_purpose_and_key_version() -> None:
    index = make()
    rows = {
        Purpose.NUMBER: index.number_row(NUMBER, 258),
        Purpose.PERSON: index.track_row(*PERSON),
        Purpose.MATCH: index.match_row(b"c" * 32, "0016"),
        Purpose.LOOKUP: index.lookup_row(NUMBER, NAME, FOUND),
    }
    assert all(row.purpose is purpose and row.key_version == KEY_VERSION for purpose, row in rows.items())
    assert all(len(row.hmac) == 32 for row in rows.values())
    assert len({row.hmac for row in rows.values()}) == 4
    assert int.from_bytes(rows[Purpose.NUMBER].body, "big") == 258
    assert len(rows[Purpose.PERSON].body) == 16
    assert rows[Purpose.MATCH].body == b""


def test_the_same_value_gives_the_same_row_key_and_another_key_another() -> None:
    one, two, other = make(), make(), make(b"o" * 32)
    assert one.number_hmac(NUMBER) == two.number_hmac(NUMBER) != other.number_hmac(NUMBER)
    assert one.person_hmac(*PERSON) == two.track_row(*PERSON).hmac != other.person_hmac(*PERSON)
    assert one.track_row(*PERSON).body != one.track_row(*PERSON).body, "a fresh track each time: the first claim stays"


@pytest.mark.parametrize("place", range(4))
def test_every_part_of_a_person_counts(place: int) -> None:
    other = list(PERSON)
    other[place] += "x"
    assert make().person_hmac(*PERSON) != make().person_hmac(*other)


def test_parts_cannot_be_shifted_into_each_other() -> None:
    index = make()
    assert index.person_hmac("111", "CHN", "12", "3") != index.person_hmac("111", "CHN", "1", "23")
    assert index.lookup_row("A1", "b", FOUND).hmac != index.lookup_row("A", "1b", FOUND).hmac


def test_one_value_under_two_purposes_cannot_be_linked() -> None:
    index = make()
    assert index.hmac(Purpose.NUMBER, [NUMBER]) != index.hmac(Purpose.LOOKUP, [NUMBER])


def test_a_lookup_opens_for_its_number_and_name_only() -> None:
    index = make()
    row = index.lookup_row(NUMBER, NAME, FOUND)
    assert index.open_lookup(NUMBER, NAME, row.body) == FOUND
    for number, name in ((NUMBER, "例小红"), (NUMBER[:-1] + "2", NAME), (NAME, NUMBER)):
        with pytest.raises(Unverified):
            index.open_lookup(number, name, row.body)
    with pytest.raises(Unverified):
        make(b"o" * 32).open_lookup(NUMBER, NAME, row.body)
    for bit in range(0, 8 * len(row.body), 17):
        with pytest.raises(Unverified):
            index.open_lookup(NUMBER, NAME, flip(row.body, bit))


def test_nothing_readable_is_stored() -> None:
    index = make()
    rows = [
        index.number_row(NUMBER, 1),
        index.track_row(*PERSON),
        index.match_row(b"c" * 32, "0016"),
        index.lookup_row(NUMBER, NAME, FOUND),
    ]
    stored = b"".join(row.hmac + row.body for row in rows)
    for text in (NUMBER, NAME, PERSON[2], "0016", "c" * 32, "s" * 16, "l" * 32):
        assert text.encode() not in stored
        assert text.encode("utf-16-le") not in stored

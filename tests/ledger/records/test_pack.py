"""Packs on the log: their one spelling, and terms of claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.pack import MAX_NULLIFIERS, ClaimTerms, Pack, pack_name, parse_pack
from tests.support.builders import DAY, NUMBER, octets
from tests.support.claims import TERMS, make_pack

CODES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", fullmatch=True)
TERMS_OF_CLAIMS = st.builds(
    ClaimTerms,
    CODES,
    st.sets(CODES, max_size=4).map(lambda groups: tuple(sorted(groups))),
    st.booleans(),
    st.booleans(),
    st.integers(0, 16),
)


@given(CODES, CODES, st.none() | TERMS_OF_CLAIMS, st.sampled_from([0, DAY, DAY + 365]))
def test_packs_round_trip(pack_id: str, version: str, terms: ClaimTerms | None, last_day: int) -> None:
    pack = Pack(pack_id, version, octets("pack"), DAY, last_day, terms)
    assert parse_pack("", canonical.decode(canonical.encode(pack.as_map()))) == pack
    own = replace(pack, terms=None, issuer=NUMBER)
    assert parse_pack(NUMBER, canonical.decode(canonical.encode(own.as_map()))) == own


@given(TERMS_OF_CLAIMS)
def test_no_claim_takes_more_than_twelve_nullifiers(terms: ClaimTerms) -> None:
    assert 1 <= terms.width <= MAX_NULLIFIERS
    most = replace(terms, groups=("A", "B", "C", "D"), lower_grades=True, slots=1)
    assert most.width == MAX_NULLIFIERS


@pytest.mark.parametrize(
    "changes",
    [
        {"pack_id": ""},
        {"pack_id": "a/b"},
        {"version": "1 2"},
        {"version": "-1"},
        {"version": "v" * 65},
        {"digest": bytes(31)},
        {"first_day": 10**7},
        {"last_day": DAY - 4000},
        {"issuer": NUMBER},  # with terms
        {"issuer": "Y1", "terms": None},
    ],
)
def test_what_a_pack_may_not_say(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(make_pack(), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": ""},
        {"groups": ("B", "A")},
        {"groups": ("A", "A")},
        {"groups": ("A", "B", "C", "D", "E")},
        {"slots": 17},
        {"slots": -1},
    ],
)
def test_what_terms_may_not_say(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(TERMS, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {2: 1},
        {3: "x"},
        {4: "x"},
        {5: 0},
        {5: "x"},
        {6: b""},
        {7: []},
        {7: ["SC", ["G"], 2, 0, 0]},
        {7: ["SC", [1], 0, 0, 0]},
        {7: ["SC", ["G"], 0, 0, 0, 0]},
        {8: 0},
    ],
)
def test_other_payloads_are_refused(changes: dict[int, Any]) -> None:
    with pytest.raises(Malformed):
        parse_pack("", {**make_pack().as_map(), **changes})


def test_names() -> None:
    pack = make_pack()
    assert pack.names == (pack.digest.hex(), "/sc-skill/1")
    own = replace(pack, terms=None, issuer=NUMBER)
    assert own.names == (f"{pack.digest.hex()} {NUMBER}", f"{NUMBER}/sc-skill/1")
    assert pack_name(pack.digest) != pack_name(pack.digest, NUMBER)

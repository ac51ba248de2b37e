from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.dates import FIRST_DAY, LAST_DAY
from ledger.records.kinds import FilingStatus, KeyStatus, Reason
from ledger.records.statements import parse_statement
from ledger.records.supervision import FilingStanding, KeyStanding, parse_filing_standing, parse_key_standing
from tests.support.builders import NUMBER, filing_standing, key_standing, make_authority, make_body, octets
from tests.support.parsing import check_prefixes, check_statement, check_strict, sign_alone, sign_as_authority

AUTHORITY, BODY = make_authority(), make_body()
KEYS = st.binary(min_size=32, max_size=32)
DAYS = st.integers(FIRST_DAY, LAST_DAY)
STANDINGS = st.builds(FilingStanding, st.just(NUMBER), st.sampled_from(FilingStatus), st.sampled_from(Reason), DAYS)
RETIRED = st.builds(KeyStanding, st.just(NUMBER), KEYS, st.just(KeyStatus.RETIRED), DAYS)
COMPROMISED = st.builds(
    KeyStanding, st.just(NUMBER), KEYS, st.just(KeyStatus.COMPROMISED), DAYS, st.none() | st.integers(0, 2**63 - 1)
)
STANDING = filing_standing(FilingStatus.SUSPENDED)
RETIRE = key_standing(octets("key"), KeyStatus.RETIRED)
COMPROMISE = key_standing(octets("key"), void_from=7)


@given(STANDINGS)
def test_filing_standings_round_trip(body: FilingStanding) -> None:
    assert parse_filing_standing(dict(body.as_map())) == body
    check_statement(AUTHORITY.sign(body), body)


@given(RETIRED | COMPROMISED)
def test_key_standings_round_trip(body: KeyStanding) -> None:
    assert parse_key_standing(dict(body.as_map())) == body
    assert (5 in body.as_map()) == (body.void_from is not None)
    check_statement(AUTHORITY.sign(body), body)
    if body.void_from is None:
        check_statement(BODY.sign(body), body)


@pytest.mark.parametrize(
    ("parse", "body", "optional"),
    [
        (parse_filing_standing, STANDING, set()),
        (parse_key_standing, RETIRE, set()),
        (parse_key_standing, COMPROMISE, {5}),
    ],
    ids=["filing", "retired", "compromised"],
)
def test_both_are_read_strictly(parse: Any, body: Any, optional: set[int]) -> None:
    check_strict(parse, body.as_map(), optional)
    check_prefixes(AUTHORITY.sign(body).entry)


@pytest.mark.parametrize("status", [0, 4])
def test_an_unknown_status_or_reason(status: int) -> None:
    for fields in ({**STANDING.as_map(), 3: status}, {**STANDING.as_map(), 4: 14}):
        with pytest.raises(Malformed):
            parse_filing_standing(fields)
    with pytest.raises(Malformed):
        parse_key_standing({**RETIRE.as_map(), 4: status})


@pytest.mark.parametrize(
    "changes",
    [
        {"status": KeyStatus.LIVE},
        {"public": bytes(31)},
        {"number": "7"},
        {"void_from": 3},  # of a retired key
        {"status": KeyStatus.COMPROMISED, "void_from": -1},
        {"status": KeyStatus.COMPROMISED, "void_from": 2**63},  # more than a store can look for
        {"day": LAST_DAY + 1},
    ],
    ids=str,
)
def test_what_no_key_standing_is(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(RETIRE, **changes)


def test_a_body_speaks_of_its_own_keys_and_never_of_the_past() -> None:
    with pytest.raises(Malformed):
        parse_statement(sign_alone(COMPROMISE.as_map(), NUMBER, NUMBER))
    with pytest.raises(Malformed):
        parse_statement(sign_alone(RETIRE.as_map(), "S000151000999", NUMBER))
    parse_statement(sign_alone(replace(COMPROMISE, void_from=None).as_map(), NUMBER, NUMBER))


def test_only_the_authority_speaks_of_a_filing_and_the_subject_is_its_number() -> None:
    with pytest.raises(Malformed):
        parse_statement(sign_alone(STANDING.as_map(), NUMBER, NUMBER))
    for body in (STANDING, RETIRE, COMPROMISE):
        for subject in ("S000151000999", "filing-status", ""):
            with pytest.raises(Malformed):
                parse_statement(sign_as_authority(body.as_map(), AUTHORITY, subject))

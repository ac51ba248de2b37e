from __future__ import annotations

import pytest

from ledger.errors import Unverified
from ledger.records.kinds import FilingStatus, KeyStatus, Kind
from ledger.records.statements import Statement
from ledger.records.view import Moment, Signed, authenticate_authority, authenticate_record, signed_row
from tests.support.builders import (
    DAY,
    NUMBER,
    TIME,
    correct,
    end,
    filing_standing,
    key,
    key_standing,
    make_authority,
    make_body,
    ruling,
)

AUTHORITY, BODY = make_authority(), make_body()
MADE = BODY.certificate("a", day=DAY - 3)
POST = BODY.post("t", day=DAY - 2)


def test_the_day_of_a_moment_is_that_of_shanghai() -> None:
    midnight = DAY * 86_400_000 - 8 * 3_600_000
    assert [Moment(0, time).day for time in (midnight - 1, midnight, TIME)] == [DAY - 1, DAY, DAY]


@pytest.mark.parametrize(
    ("statement", "kind", "day"),
    [
        (MADE.statement, Kind.ISSUE, DAY - 3),
        (BODY.reissue("b", MADE).statement, Kind.REISSUE, DAY - 3),
        (POST.statement, Kind.APPOINT, DAY - 2),
        (BODY.sign(correct(MADE, day=DAY - 1)), Kind.CORRECT, DAY - 1),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_a_record_key_issued_or_corrected_is_found_by_its_filing(
    statement: Statement, kind: Kind, day: int
) -> None:
    body = statement.body
    expected = Signed(7, kind, body.cert_key, BODY.filing.record_keys[0].kid, day)  # type: ignore[union-attr]
    assert signed_row(statement, 7) == (NUMBER, expected)


@pytest.mark.parametrize(
    "statement",
    [
        AUTHORITY.sign(correct(MADE)),  # no key of the filing signed it
        BODY.sign(ruling(Kind.REVOKE, MADE)),
        BODY.sign(end(POST)),
        BODY.sign(key_standing(BODY.record.public, KeyStatus.RETIRED)),
        AUTHORITY.sign(BODY.filing),
        AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED)),
    ],
    ids=lambda statement: statement.kind.name,
)
def test_everything_else_is_not(statement: Statement) -> None:
    assert signed_row(statement, 7) is None


def test_both_kinds_of_statement_are_authentic_under_their_keys_only() -> None:
    authentic = authenticate_record(MADE.statement, BODY.record.public)
    assert (authentic.statement, authentic.publics, authentic.threshold) == (MADE.statement, (BODY.record.public,), 1)
    with pytest.raises(Unverified):
        authenticate_record(MADE.statement, key("other").public)
    ruled = AUTHORITY.sign(ruling(Kind.REVOKE, MADE))
    together = authenticate_authority(ruled, AUTHORITY.genesis)
    assert (together.publics, together.threshold) == (AUTHORITY.genesis.keys, 2)
    with pytest.raises(Unverified):
        authenticate_authority(AUTHORITY.sign(ruling(Kind.REVOKE, MADE), by=(1,)), AUTHORITY.genesis)

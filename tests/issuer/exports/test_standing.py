from __future__ import annotations

import re

import pytest
from msgspec.structs import replace as renewed

from issuer.exports import standing
from issuer.exports.standing import INVALID, SUPERSEDED, SUSPENDED, VALID, Standing, standing_of
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.state import CertificateState, Highest, TrackSummary

KEY, OTHER = b"k" * 32, b"o" * 32
LISTS = ("revocation", "suspension", "refresh", "standing")


def state(status: CertificateStatus = CertificateStatus.IN_FORCE, highest: Highest | None = None) -> CertificateState:
    return CertificateState(
        status, Kind.ISSUE, 3, "Y000051990001", b"r" * 32, b"f" * 32, 5, b"i" * 32, 1, b"c" * 32, 5, b"e" * 32, 1, 1,
        b"", b"", b"t" * 16, TrackSummary(highest),
    )  # fmt: skip


def bits(said: Standing) -> tuple[int, ...]:
    return (*(int(said.bit(name)) for name in LISTS), said.token)


def test_the_table_of_the_module_is_what_it_does() -> None:
    higher = Highest(4, "", OTHER, 9)
    made = {
        "in force": standing_of(KEY, state(), newest=True),
        "in force, a higher grade was earned since": standing_of(KEY, state(highest=higher), newest=True),
        "corrected since: exports of before the correction": standing_of(KEY, state(), newest=False),
        "suspended": standing_of(KEY, state(CertificateStatus.SUSPENDED), newest=True),
        "revoked, void, a post that was ended": standing_of(KEY, state(CertificateStatus.REVOKED), newest=True),
        "replaced by a reissue": standing_of(KEY, state(CertificateStatus.REPLACED), newest=True),
    }
    rows = re.findall(r"^    (\S.*?)  +([01])  +([01])  +([01])  +([01])  +([0-3]) \w+$", standing.__doc__ or "", re.M)
    assert {what: tuple(map(int, said)) for what, *said in rows} == {what: bits(said) for what, said in made.items()}


@pytest.mark.parametrize("status", [CertificateStatus.VOID, CertificateStatus.ENDED])
def test_whatever_is_over_is_revoked(status: CertificateStatus) -> None:
    said = standing_of(KEY, state(status), newest=True)
    assert said.revoked and said.token == INVALID and not said.superseded


def test_what_counts_as_a_higher_grade() -> None:
    for highest in (Highest(3, "", OTHER, 9), Highest(2, "", OTHER, 9), Highest(4, "", KEY, 9)):
        assert not standing_of(KEY, state(highest=highest), newest=True).superseded, "equal, lower, or this one"
    post = renewed(state(highest=Highest(6, "", OTHER, 9)), kind=Kind.APPOINT, grade=7)
    assert not standing_of(KEY, post, newest=True).superseded


def test_the_worse_counts_in_a_token() -> None:
    worse = ((False, False, False), (False, False, True), (False, True, True), (True, True, True))
    assert [Standing(*said).token for said in worse] == [VALID, SUPERSEDED, SUSPENDED, INVALID]

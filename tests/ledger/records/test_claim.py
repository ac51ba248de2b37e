"""Claims and what becomes of them: their one spelling, and their commitments."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.claim import ClaimAct, DecisionOpening, HolderOpening, parse_claim, parse_claim_act
from ledger.records.kinds import CLAIM_ACTS, Kind, Reason
from ledger.records.secret import subject_of
from tests.support.builders import DAY, octets
from tests.support.claims import PAYER_NUMBER, claim, make_payer

MADE = claim(make_payer(), octets("cert"), (octets("n"),))
CLAIM: Any = MADE.statement.body
BYTES = st.binary(min_size=32, max_size=32)


@given(st.sets(BYTES, min_size=1, max_size=12), st.integers(1970, 2999), BYTES, BYTES)
def test_claims_round_trip(nullifiers: set[bytes], year: int, holder: bytes, decision: bytes) -> None:
    made = replace(CLAIM, nullifiers=tuple(sorted(nullifiers)), year=year, holder=holder, decision=decision)
    fields = canonical.decode(canonical.encode(made.as_map()))
    assert parse_claim(PAYER_NUMBER, subject_of(holder), fields) == made


@pytest.mark.parametrize("kind", sorted(CLAIM_ACTS))
@pytest.mark.parametrize("reason", Reason)
def test_acts_round_trip(kind: Kind, reason: Reason) -> None:
    made = ClaimAct(kind, octets("claim"), DAY, PAYER_NUMBER, None if kind is Kind.PAY else reason)
    fields = canonical.decode(canonical.encode(made.as_map()))
    assert parse_claim_act(PAYER_NUMBER, subject_of(made.claim), fields) == made


def test_the_commitments_are_salted_digests_under_their_own_labels() -> None:
    holder = HolderOpening(octets("salt", 16), octets("cert"))
    label = b"certledger/claim-holder/v1\n"
    assert holder.digest() == sha256(label + cbor2.dumps([holder.salt, holder.cert_key])).digest()
    decision = DecisionOpening(octets("salt", 16), 200_000, octets("decision"))
    label = b"certledger/claim-decision/v1\n"
    assert decision.digest() == sha256(label + cbor2.dumps([decision.salt, 200_000, decision.decision])).digest()
    assert replace(decision, amount=200_001).digest() != decision.digest()
    assert (CLAIM.holder, CLAIM.decision) == (MADE.holder.digest(), MADE.decision.digest())


def test_nothing_about_the_person_is_in_the_entry() -> None:
    entry = MADE.statement.entry
    for hidden in (MADE.holder.cert_key, MADE.holder.salt, MADE.decision.salt, MADE.decision.decision):
        assert hidden not in entry
    assert cbor2.dumps(MADE.decision.amount) not in entry


@pytest.mark.parametrize(
    "changes",
    [
        {"nullifiers": ()},
        {"nullifiers": (octets("a"),) * 2},
        {"nullifiers": tuple(sorted((octets("a"), octets("b")), reverse=True))},
        {"nullifiers": tuple(sorted(octets(str(at)) for at in range(13)))},
        {"nullifiers": (bytes(31),)},
        {"holder": bytes(16)},
        {"pack": b""},
        {"decision": bytes(33)},
        {"year": 1969},
        {"year": 3000},
        {"last_day": 10**7},
        {"issuer": "X"},
    ],
)
def test_what_a_claim_may_not_say(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(CLAIM, **changes)


@pytest.mark.parametrize(
    ("kind", "reason", "claimed"),
    [
        (Kind.PAY, Reason.FRAUD, octets("c")),
        (Kind.RELEASE, None, octets("c")),
        (Kind.CLAW_BACK, None, octets("c")),
        (Kind.CLAIM, Reason.FRAUD, octets("c")),
        (Kind.PAY, None, b""),
    ],
)
def test_what_an_act_may_not_say(kind: Kind, reason: Reason | None, claimed: bytes) -> None:
    with pytest.raises(Malformed):
        ClaimAct(kind, claimed, DAY, PAYER_NUMBER, reason)


@pytest.mark.parametrize(
    "fields",
    [
        {**CLAIM.as_map(), 7: 0},
        {**CLAIM.as_map(), 4: [1]},
        {**CLAIM.as_map(), 3: "2026"},
        {at: value for at, value in CLAIM.as_map().items() if at != 5},
    ],
)
def test_other_payloads_of_a_claim_are_refused(fields: dict[int, Any]) -> None:
    with pytest.raises(Malformed):
        parse_claim(PAYER_NUMBER, subject_of(CLAIM.holder), fields)


@pytest.mark.parametrize(
    "fields",
    [
        {1: 23, 4: 3, 5: DAY},
        {1: 21, 5: DAY},
        {1: 22, 4: 98, 5: DAY},
        {1: 22, 4: 3, 5: DAY, 6: 0},
        {1: 23},
        {1: 20, 5: 1},
    ],
)
def test_other_payloads_of_an_act_are_refused(fields: dict[int, Any]) -> None:
    with pytest.raises(Malformed):
        parse_claim_act(PAYER_NUMBER, subject_of(octets("c")), fields)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HolderOpening(bytes(15), bytes(32)),
        lambda: HolderOpening(bytes(16), bytes(31)),
        lambda: DecisionOpening(bytes(15), 1, bytes(32)),
        lambda: DecisionOpening(bytes(16), -1, bytes(32)),
        lambda: DecisionOpening(bytes(16), 10**12 + 1, bytes(32)),
        lambda: DecisionOpening(bytes(16), 1, bytes(31)),
    ],
)
def test_openings_have_their_form(make: Any) -> None:
    with pytest.raises(Malformed):
        make()

"""Claims and nullifiers in the state map: one spelling, and when a nullifier is taken."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest

from ledger.errors import Malformed
from ledger.records.claim_state import (
    ClaimState,
    claim_map_key,
    encode_nullifier,
    nullifier_map_key,
    nullifier_value,
    parse_claim_state,
    parse_nullifier,
)
from ledger.records.kinds import ClaimStatus
from tests.support.builders import DAY, octets
from tests.support.claims import PAYER_NUMBER

STATE = ClaimState(
    ClaimStatus.RESERVED, PAYER_NUMBER, octets("p"), octets("h"), DAY, 7, octets("c"), 9, octets("e"), DAY - 1
)


@pytest.mark.parametrize("status", ClaimStatus)
def test_states_round_trip_and_their_value_is_labelled(status: ClaimStatus) -> None:
    state = replace(STATE, status=status)
    assert parse_claim_state(state.encode()) == state
    assert state.value() == sha256(b"certledger/claim-state/v1\n" + state.encode()).digest()
    raw = encode_nullifier(octets("c"))
    assert parse_nullifier(raw) == octets("c")
    assert nullifier_value(raw) == sha256(b"certledger/nullifier-state/v1\n" + raw).digest()


def test_keys_are_labelled_so_that_nobody_chooses_neighbours() -> None:
    assert claim_map_key(bytes(32)) == sha256(b"certledger/map/claim/v1\n" + bytes(32)).digest()
    assert nullifier_map_key(bytes(32)) == sha256(b"certledger/map/nullifier/v1\n" + bytes(32)).digest()


@pytest.mark.parametrize("status", ClaimStatus)
def test_what_takes_its_nullifiers(status: ClaimStatus) -> None:
    state = replace(STATE, status=status)
    on_last, after = state.takes(DAY), state.takes(DAY + 1)
    expected = {
        ClaimStatus.RESERVED: (True, False),
        ClaimStatus.PAID: (True, True),
        ClaimStatus.RELEASED: (False, False),
        ClaimStatus.CLAWED_BACK: (False, False),
        ClaimStatus.FORFEITED: (True, True),
    }
    assert (on_last, after) == expected[status]
    assert (state.expired(DAY), state.expired(DAY + 1)) == (False, status is ClaimStatus.RESERVED)


@pytest.mark.parametrize("changes", [{"payer": "x"}, {"pack": b""}, {"event_index": 6}, {"claim_index": -1}])
def test_impossible_states(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(STATE, **changes)


@pytest.mark.parametrize("raw", [[1, 6], [2, octets("c")], [1, b""], [1, octets("c"), 0], 1])
def test_other_arrays(raw: Any) -> None:
    with pytest.raises(Malformed):
        parse_nullifier(cbor2.dumps(raw))
    with pytest.raises(Malformed):
        parse_claim_state(cbor2.dumps(raw))
    whole = cbor2.loads(STATE.encode())
    for wrong in ([*whole, 0], [2, *whole[1:]], [1, 6, *whole[2:]], [1, 1, b"", *whole[3:]]):
        with pytest.raises(Malformed):
            parse_claim_state(cbor2.dumps(wrong))

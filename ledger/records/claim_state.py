"""Claims and nullifiers in the state map (docs/states.md, Claims).

    claim       key   SHA-256("certledger/map/claim/v1\\n" ‖ leaf hash of the claim)
                value SHA-256("certledger/claim-state/v1\\n" ‖ CBOR array of ClaimState)
    nullifier   key   SHA-256("certledger/map/nullifier/v1\\n" ‖ nullifier)
                value SHA-256("certledger/nullifier-state/v1\\n" ‖ CBOR [version, claim])
                the claim is the leaf hash of the one that took it last

Whether a nullifier is taken is what its claim says: so a release changes one entry, and an expiry none.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.authority import check_filing_number
from ledger.records.kinds import ClaimStatus

VERSION: Final = 1
_STATUSES: Final = {int(status): status for status in ClaimStatus}
_TAKEN: Final = frozenset({ClaimStatus.PAID, ClaimStatus.FORFEITED})


def claim_map_key(leaf: bytes) -> bytes:
    return sha256(b"certledger/map/claim/v1\n" + leaf).digest()


def nullifier_map_key(nullifier: bytes) -> bytes:
    return sha256(b"certledger/map/nullifier/v1\n" + nullifier).digest()


@dataclass(frozen=True, slots=True)
class ClaimState:
    """One claim at one index of the log."""

    status: ClaimStatus
    payer: str  # filing number
    pack: bytes  # digest
    holder: bytes  # commitment
    last_day: int  # of the reservation, inclusive
    claim_index: int
    claim_leaf: bytes
    event_index: int  # of the claim, or of what became of it
    event_leaf: bytes
    event_day: int  # as that statement gives it; of the claim the day of its batch

    def __post_init__(self) -> None:
        check_filing_number(self.payer)
        if any(len(digest) != 32 for digest in (self.pack, self.holder, self.claim_leaf, self.event_leaf)):
            raise Malformed("claim state: digests have 32 bytes")
        if not 0 <= self.claim_index <= self.event_index:
            raise Malformed("claim state: what becomes of a claim comes after it")

    def expired(self, day: int) -> bool:
        """Whether the reservation is over on a day of the log, whether or not anybody has said so."""
        return self.status is ClaimStatus.RESERVED and day > self.last_day

    def takes(self, day: int) -> bool:
        """Whether its nullifiers are taken on that day."""
        return self.status in _TAKEN or (self.status is ClaimStatus.RESERVED and day <= self.last_day)

    def encode(self) -> bytes:
        return canonical.encode(
            [
                VERSION,
                int(self.status),
                self.payer,
                self.pack,
                self.holder,
                self.last_day,
                self.claim_index,
                self.claim_leaf,
                self.event_index,
                self.event_leaf,
                self.event_day,
            ]
        )

    def value(self) -> bytes:
        """What the map binds, 32 bytes."""
        return sha256(b"certledger/claim-state/v1\n" + self.encode()).digest()


def encode_nullifier(claim_leaf: bytes) -> bytes:
    """The state of a nullifier that this claim took last."""
    return canonical.encode([VERSION, claim_leaf])


def nullifier_value(encoded: bytes) -> bytes:
    """The map value of an encoded nullifier state."""
    return sha256(b"certledger/nullifier-state/v1\n" + encoded).digest()


def parse_claim_state(raw: bytes) -> ClaimState:
    """Read the CBOR array. Raises Malformed unless it is exactly what `encode` writes."""
    match canonical.decode(raw):
        case [1, int(status), str(payer), bytes(pack), bytes(holder), int(last_day), int(index), bytes(leaf),
              int(event_index), bytes(event_leaf), int(event_day)] if status in _STATUSES:  # fmt: skip
            return ClaimState(
                _STATUSES[status], payer, pack, holder, last_day, index, leaf, event_index, event_leaf, event_day
            )
    raise Malformed("claim state: not the array of this version")


def parse_nullifier(raw: bytes) -> bytes:
    """The leaf hash of the claim that took a nullifier last. Raises Malformed."""
    match canonical.decode(raw):
        case [1, bytes(leaf)] if len(leaf) == 32:
            return leaf
    raise Malformed("nullifier state: not the array of this version")

"""The leaf that ends every batch: it commits to the state map and the hash chain of everything before it.

    ["certledger/seal/v1", covered size (= its own index), batch time ms, map root, map key count,
     chain head = chain_{covered size - 1}, index of the previous seal (absent: -1)]

    chain_i = SHA-256("certledger/chain/v1\\n" ‖ chain_{i-1} ‖ leaf hash_i),   chain_{-1} = 32 zero bytes

Rule R1: the log signs only sizes N > 0 whose leaf N-1 is a seal covering N-1, so that each checkpoint commits to
the state of everything before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records import canonical

CHAIN_START: Final = bytes(32)
_LABEL: Final = "certledger/seal/v1"
_CHAIN: Final = b"certledger/chain/v1\n"
_FIRST_BYTE: Final = 0x87  # a CBOR array of seven; statements begin with a tag


@dataclass(frozen=True, slots=True)
class Seal:
    """One batch's end. Sizes are leaves, times ms since 1970, digests 32 bytes."""

    covered: int
    time: int
    map_root: bytes
    map_count: int
    chain: bytes
    previous: int  # index of the seal before, or -1

    def __post_init__(self) -> None:
        if not -1 <= self.previous < self.covered or self.time < 0 or self.map_count < 0:
            raise Malformed("seal: previous seal, time or key count out of range")
        if len(self.map_root) != 32 or len(self.chain) != 32:
            raise Malformed("seal: digests have 32 bytes")

    def encode(self) -> bytes:
        return canonical.encode(
            [_LABEL, self.covered, self.time, self.map_root, self.map_count, self.chain, self.previous]
        )


def is_seal(entry: bytes) -> bool:
    """Whether an entry claims to be a seal; `parse_seal` decides."""
    return entry[:1] == bytes([_FIRST_BYTE])


def parse_seal(entry: bytes) -> Seal:
    """Read a seal leaf. Raises Malformed unless it is the one encoding."""
    match canonical.decode(entry):
        case [
            str(label),
            int(covered),
            int(time),
            bytes(map_root),
            int(map_count),
            bytes(chain),
            int(previous),
        ]:
            if label == _LABEL:
                return Seal(covered, time, map_root, map_count, chain, previous)
    raise Malformed("seal: not the array of this version")


def verify_seal_of(entry: bytes, size: int) -> Seal:
    """Rule R1: the last leaf of a checkpoint of `size` is a seal that covers all before it. Raises Unverified."""
    seal = parse_seal(entry)
    if seal.covered != size - 1:
        raise Unverified("the last leaf of the checkpoint is not its seal")
    return seal


def extend_chain(chain: bytes, leaf_hashes: Iterable[bytes]) -> list[bytes]:
    """The chain value of each further leaf, given the value before the first of them."""
    values = []
    for leaf in leaf_hashes:
        chain = sha256(_CHAIN + chain + leaf).digest()
        values.append(chain)
    return values

"""Where a key of a large state map lies in memory, and proofs made of what is there.

The upper part of the map is a dense heap over buckets: slot 1 is the top, 2 i and 2 i + 1 are the sides of i, and the
buckets, which hold the leaves that share the top `depth` bits of their keys, come last. A slot is the 32-byte hash of
the node over its buckets, all zero where there are no leaves (`map_tree` keeps them).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from ledger.errors import Malformed
from ledger.tlog.map_proof import KEY_BYTES, Leaf, MapProof, prove_rooted
from ledger.tlog.merkle import EMPTY_ROOT, HASH_BYTES

NO_LEAVES: Final = bytes(HASH_BYTES)  # in a slot


def bucket_of(key: bytes, depth: int) -> int:
    """The number of the bucket that holds `key`: its top `depth` bits."""
    if len(key) != KEY_BYTES:
        raise Malformed("a map key is 32 bytes")
    return int.from_bytes(key[:4], "big") >> (32 - depth)


def buckets_of(keys: Sequence[bytes], depth: int) -> list[int]:
    """`bucket_of` each."""
    if not set(map(len, keys)) <= {KEY_BYTES}:
        raise Malformed("a map key is 32 bytes")
    shift = 32 - depth
    return [int.from_bytes(key[:4], "big") >> shift for key in keys]


class SlottedMap(ABC):
    """A map of `count` keys whose slots can be asked for: what proofs are made of."""

    __slots__ = ("count", "depth")
    depth: int
    count: int

    @abstractmethod
    def _slots(self, slots: Sequence[int]) -> Sequence[bytes]:
        """The hashes in these slots of the heap."""

    @property
    def root(self) -> bytes:
        """The root of the map."""
        return self._slots((1,))[0] if self.count else EMPTY_ROOT

    def landing_bucket(self, key: bytes) -> int | None:
        """The bucket whose leaves `prove` needs for `key`; None in the empty map.

        It is the key's own bucket unless that is empty: then the search ends in another one.
        """
        slot = self._landing(key)
        return slot - (1 << self.depth) if slot else None

    def prove(self, key: bytes, bucket_leaves: Sequence[Leaf]) -> MapProof:
        """The presence or absence proof of `key`. `bucket_leaves`: those of `landing_bucket(key)`; Malformed for
        others."""
        slot = self._landing(key)
        if not slot:
            if bucket_leaves:
                raise Malformed("map leaves for a bucket that is empty")
            return MapProof((), None)
        below, root = prove_rooted(key, bucket_leaves)
        bits = range(self.depth - 1, -1, -1)
        own, *beside = self._slots((slot, *(slot >> up ^ 1 for up in range(self.depth))))
        if not bucket_leaves or root != own:
            raise Malformed("other map leaves than the map has there")
        siblings = [(bit, sibling) for bit, sibling in zip(bits, beside, strict=True) if sibling != NO_LEAVES]
        return MapProof((*below.siblings, *siblings), below.other)

    def _landing(self, key: bytes) -> int:
        """The heap slot of the bucket where the search for `key` ends; 0 in the empty map."""
        bucket = bucket_of(key, self.depth)
        if not self.count:
            return 0
        own = (1 << self.depth) + bucket
        if self._slots((own,))[0] != NO_LEAVES:  # as nearly always: so is every slot above it
            return own
        slot = 1
        for shift in range(self.depth - 1, -1, -1):
            slot = slot << 1 | bucket >> shift & 1
            if self._slots((slot,))[0] == NO_LEAVES:
                slot ^= 1
        return slot

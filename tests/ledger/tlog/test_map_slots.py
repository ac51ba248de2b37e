"""Buckets by the top bits of keys, and proofs of a map whose slots are told one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.tlog.map import Leaf, map_root, prove, subtree
from ledger.tlog.map_slots import NO_LEAVES, SlottedMap, bucket_of, buckets_of

words = st.binary(min_size=32, max_size=32)
crowded = st.builds(lambda a, b: bytes([a]) + bytes(30) + bytes([b]), st.integers(0, 255), st.integers(0, 7))


class Told(SlottedMap):
    """Every slot made of the leaves below it, each time."""

    def __init__(self, depth: int, leaves: Sequence[Leaf]) -> None:
        self.depth, self.count, self.leaves = depth, len(leaves), leaves

    def below(self, slot: int) -> list[Leaf]:
        level = slot.bit_length() - 1
        return [leaf for leaf in self.leaves if bucket_of(leaf[0], level) == slot - (1 << level)]

    def _slots(self, slots: Sequence[int]) -> Sequence[bytes]:
        return [subtree(below) if (below := self.below(slot)) else NO_LEAVES for slot in slots]


@given(st.integers(0, 8), st.dictionaries(words | crowded, words, max_size=12), words | crowded)
@settings(max_examples=100, deadline=None)
def test_proofs_are_those_of_the_whole_map(depth: int, held: dict[bytes, bytes], asked: bytes) -> None:
    leaves = sorted(held.items())
    told = Told(depth, leaves)
    assert told.root == map_root(leaves)
    for key in (*held, asked):
        bucket = told.landing_bucket(key)
        assert (bucket is None) == (not held)
        beside = [] if bucket is None else told.below((1 << depth) + bucket)
        assert told.prove(key, beside) == prove(key, leaves)
        for other in ([*beside, (bytes([255]) * 32, bytes(32))], beside[1:] if held else [(key, key)]):
            with pytest.raises(Malformed):
                told.prove(key, other)


def test_buckets_are_the_top_bits() -> None:
    key = b"\xa5\xc3" + bytes(30)
    assert [bucket_of(key, d) for d in (0, 1, 4, 8, 16)] == [0, 1, 0xA, 0xA5, 0xA5C3]
    with pytest.raises(Malformed):
        bucket_of(b"short", 4)
    keys = [bytes([at]) + key[1:] for at in range(0, 256, 17)]
    for depth in (0, 1, 4, 8, 16, 24):
        assert buckets_of(keys, depth) == [bucket_of(one, depth) for one in keys]
    with pytest.raises(Malformed):
        buckets_of([key, key[:31]], 4)

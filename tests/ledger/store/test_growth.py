"""Rows of a growing tree: tile rows at the edges of levels, bucket ranges, and a second way to the root."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Damaged
from ledger.store.growth import bucket_range, check_leaves, grow_tiles, merge_leaves, root_again
from ledger.tlog.map_slots import bucket_of
from ledger.tlog.map_tree import MapTree
from ledger.tlog.merkle import Frontier
from tests.support import slow_tree


@pytest.mark.parametrize("old", [65_533, 65_535, 65_536])
def test_tile_rows_where_the_third_level_begins(old: int) -> None:
    leaves = [sha256(b"%d" % at).digest() for at in range(65_539)]
    frontier, completed = Frontier.empty().append(leaves[:old])
    rows, edge = grow_tiles({}, completed)
    stored = {(level, index): body for level, index, body in rows}
    for size in range(old + 1, len(leaves) + 1):
        frontier, completed = frontier.append(leaves[size - 1 : size])
        rows, edge = grow_tiles(edge, completed)
        stored.update({(level, index): body for level, index, body in rows})
    for level, index in ((0, 0), (0, 255), (0, 256), (1, 0), (1, 1), (2, 0)):
        assert stored.get((level, index), b"") == slow_tree.tile(level, index, leaves), (level, index)
    assert edge == {0: (256, stored[0, 256]), 2: (0, stored[2, 0])}


@given(st.integers(0, 70), st.integers(1, 40))
def test_the_second_root_is_the_root(before: int, more: int) -> None:
    leaves = [slow_tree.leaf(b"%d" % at) for at in range(before + more)]
    frontier = Frontier.empty().append(leaves[:before])[0]
    assert root_again(frontier, leaves[before:]) == slow_tree.root(leaves)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 24))
def test_a_key_lies_in_the_range_of_its_bucket_and_no_other(key: bytes, depth: int) -> None:
    bucket = bucket_of(key, depth)
    low, high = bucket_range(bucket, depth)
    assert low <= key <= high
    if bucket:
        assert bucket_range(bucket - 1, depth)[1] < low


def test_new_leaves_join_those_of_their_bucket_and_take_the_place_of_older_ones() -> None:
    a, b, c, v, w = (bytes([number]) * 32 for number in range(5))
    found = [[(b, v)], []]
    assert merge_leaves([7, 9], found, {7: {a: w, b: w}, 9: {c: v}}) == ({7: [(a, w), (b, w)], 9: [(c, v)]}, 2)


def test_a_key_that_is_there_twice_is_damage_and_not_one_of_the_two() -> None:
    a, v, w = (bytes([number]) * 32 for number in range(3))
    for new in (a, w):
        with pytest.raises(Damaged, match="run fsck"):
            merge_leaves([7], [[(a, v), (a, w)]], {7: {new: v}})


def test_leaves_of_a_bucket_are_those_of_the_map() -> None:
    leaf = (bytes(32), b"v" * 32)
    tree = MapTree.build(4, [leaf])
    check_leaves(tree, [0, 1], [[leaf], []])
    other = (bytes(32), b"w" * 32)  # the same key once more
    for found in ([[], []], [[other], []], [[leaf], [(b"\x10" + bytes(31), b"v" * 32)]], [[leaf, other], []]):
        with pytest.raises(Damaged, match="run fsck"):
            check_leaves(tree, [0, 1], found)

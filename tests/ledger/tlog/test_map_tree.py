from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.tlog import map_tree
from ledger.tlog.map import (
    Leaf,
    MapChange,
    MapTree,
    bucket_of,
    map_root,
    prove,
    verify_absence,
    verify_presence,
)
from ledger.tlog.map_tree import MapView
from ledger.tlog.merkle import EMPTY_ROOT

words = st.binary(min_size=32, max_size=32)
crowded = st.builds(lambda a, b: bytes([a]) + bytes(30) + bytes([b]), st.integers(0, 7), st.integers(0, 7))
keys = crowded | words


class Buckets:
    """The leaves beside a tree, as a store would hold them."""

    def __init__(self, depth: int, leaves: Iterable[Leaf]) -> None:
        self.all = dict(leaves)
        self.tree = MapTree.build(depth, sorted(self.all.items()))

    def leaves(self, bucket: int | None) -> list[Leaf]:
        return sorted((k, v) for k, v in self.all.items() if bucket_of(k, self.tree.depth) == bucket)

    def update(self, batch: dict[bytes, bytes]) -> None:
        gained = len(batch.keys() - self.all.keys())
        before = (self.tree.root, self.tree.count)
        self.all |= batch
        changed = {b: self.leaves(b) for b in {bucket_of(k, self.tree.depth) for k in batch}}
        change = self.tree.prepare(changed, gained)
        assert (self.tree.root, self.tree.count) == before
        self.tree.accept(change)
        assert (self.tree.root, self.tree.count) == (change.root, change.count)

    def check(self, key: bytes) -> None:
        proof = self.tree.prove(key, self.leaves(self.tree.landing_bucket(key)))
        assert proof == prove(key, sorted(self.all.items()))
        if key in self.all:
            verify_presence(self.tree.root, key, self.all[key], proof)
        else:
            verify_absence(self.tree.root, key, proof)


@given(
    st.integers(0, 9),
    st.dictionaries(keys, words, max_size=20),
    st.lists(st.dictionaries(keys, words, max_size=8), max_size=3),
    st.lists(keys, max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_root_and_proofs_are_those_of_the_whole_map(
    depth: int, start: dict[bytes, bytes], batches: list[dict[bytes, bytes]], strangers: list[bytes]
) -> None:
    held = Buckets(depth, start.items())
    for batch in ({}, *batches):
        held.update(batch)
        leaves = sorted(held.all.items())
        assert held.tree.root == map_root(leaves)
        assert held.tree.count == len(leaves)
    for key in {*held.all, *strangers}:
        held.check(key)


@pytest.mark.parametrize("depth", range(17))
def test_every_depth_gives_the_same_map(depth: int) -> None:
    source = random.Random(depth)
    leaves = [(source.randbytes(32), source.randbytes(32)) for _ in range(300)]
    held = Buckets(depth, leaves[:200])
    held.update(dict(leaves[200:]))
    held.update({leaves[i][0]: source.randbytes(32) for i in range(50)})
    assert held.tree.root == map_root(sorted(held.all.items()))
    for key in (leaves[3][0], leaves[250][0], *(source.randbytes(32) for _ in range(10))):
        held.check(key)


def test_a_key_in_an_empty_bucket_lands_in_another_one() -> None:
    held = Buckets(4, [(b"\x10" + bytes(31), bytes(32)), (b"\x30" + bytes(31), bytes(32))])
    assert held.tree.landing_bucket(b"\x10" * 32) == 1
    assert held.tree.landing_bucket(b"\xf0" * 32) == 3
    for key in (b"\xf0" * 32, b"\x00" * 32, b"\x20" * 32):
        held.check(key)


def test_the_empty_tree() -> None:
    tree = MapTree.build(3, [])
    assert (tree.root, tree.count, tree.landing_bucket(bytes(32))) == (EMPTY_ROOT, 0, None)
    verify_absence(tree.root, bytes(32), tree.prove(bytes(32), []))
    with pytest.raises(Malformed):
        tree.prove(bytes(32), [(bytes(32), bytes(32))])


def test_a_tree_can_become_empty_again() -> None:
    key = b"\x10" + bytes(31)
    tree = MapTree.build(4, [(key, bytes(32))])
    tree.accept(tree.prepare({1: []}, -1))
    assert (tree.root, tree.count) == (EMPTY_ROOT, 0)


def test_a_prepared_change_is_accepted_only_on_the_state_it_was_made_for() -> None:
    tree = MapTree(2)
    first = tree.prepare({0: [(bytes(32), bytes(32))]}, 1)
    second = tree.prepare({3: [(b"\xff" * 32, bytes(32))]}, 1)
    tree.accept(first)
    with pytest.raises(AssertionError):
        tree.accept(second)
    assert tree.root == first.root


@given(
    st.integers(0, 9),
    st.dictionaries(keys, words, max_size=20),
    st.dictionaries(keys, words, max_size=8),
    st.dictionaries(keys, words, max_size=8),
)
@settings(max_examples=80, deadline=None)
def test_a_change_upon_one_that_is_not_accepted_yet_is_that_of_the_map_after_it(
    depth: int, start: dict[bytes, bytes], first: dict[bytes, bytes], second: dict[bytes, bytes]
) -> None:
    held = Buckets(depth, start.items())

    def put(batch: dict[bytes, bytes]) -> tuple[dict[int, list[Leaf]], int]:
        gained = len(batch.keys() - held.all.keys())
        held.all |= batch
        return {b: held.leaves(b) for b in {bucket_of(k, depth) for k in batch}}, gained

    tree = held.tree
    before = tree.prepare(*put(first))
    ahead = tree.ahead(before)
    roots = {b: ahead.bucket_root(b) for b in range(1 << depth)}
    leaves, gained = put(second)
    early = ahead.prepare(leaves, gained)
    tree.accept(before)
    assert roots == {b: tree.bucket_root(b) for b in range(1 << depth)} and ahead.count == tree.count
    assert early == tree.prepare(leaves, gained) == ahead.prepare(leaves, gained)
    tree.accept(early)
    assert tree.root == map_root(sorted(held.all.items())) == early.root


def test_a_change_is_ahead_of_the_map_it_was_made_for_only() -> None:
    tree = MapTree(2)
    stale = tree.prepare({0: [(bytes(32), bytes(32))]}, 1)
    tree.accept(tree.prepare({3: [(b"\xff" * 32, bytes(32))]}, 1))
    with pytest.raises(AssertionError):
        tree.ahead(stale)


def test_a_change_that_skips_the_one_before_it_is_not_accepted() -> None:
    tree = MapTree(2)
    first = tree.prepare({0: [(bytes(32), bytes(32))]}, 1)
    second = tree.ahead(first).prepare({3: [(b"\xff" * 32, bytes(32))]}, 1)
    with pytest.raises(AssertionError):
        tree.accept(second)
    tree.accept(first)
    tree.accept(second)
    assert tree.count == 2


def test_bucket_leaves_that_the_map_does_not_have_are_refused() -> None:
    leaves = [(b"\x10" + bytes(31), bytes(32)), (b"\x11" + bytes(31), bytes(32))]
    tree = MapTree.build(4, leaves)
    for wrong in ([], leaves[:1], [leaves[0], (leaves[1][0], b"\x01" * 32)]):
        with pytest.raises(Malformed):
            tree.prove(leaves[0][0], wrong)


@pytest.mark.parametrize(
    ("changed", "delta"),
    [
        ({2: [(b"\x10" + bytes(31), bytes(32))]}, 1),  # the leaf belongs to bucket 1
        ({16: [(b"\x10" + bytes(31), bytes(32))]}, 1),
        ({-1: []}, 0),
        ({1: [(b"\x11" + bytes(31), bytes(32)), (b"\x10" + bytes(31), bytes(32))]}, 2),
        ({1: [(b"\x10" + bytes(31), bytes(32))]}, 0),
        ({1: []}, 1),
        ({1: [(b"\x10" + bytes(31), bytes(32))]}, -1),
        ({1: [(b"\x10", bytes(32))]}, 1),
    ],
)
def test_changes_that_do_not_fit_are_refused(changed: dict[int, list[Leaf]], delta: int) -> None:
    with pytest.raises(Malformed):
        MapTree(4).prepare(changed, delta)


@pytest.mark.parametrize("roots", [b"", bytes(32 * 16 - 1), bytes(32 * 17)])
def test_kept_roots_that_are_none_are_refused(roots: bytes) -> None:
    with pytest.raises(Malformed):
        MapTree.restore(4, roots, 1)


@pytest.mark.parametrize("slots", [1, 3, 8, 1 << 14])
@pytest.mark.parametrize("held", [0, 1, 40, 400])
def test_kept_roots_make_the_same_tree_in_pieces_of_any_size(
    held: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth, source = 7, random.Random(held)
    leaves = sorted((source.randbytes(32), source.randbytes(32)) for _ in range(held))
    tree = MapTree.build(depth, leaves)
    roots = b"".join(tree.bucket_root(bucket) or bytes(32) for bucket in range(1 << depth))
    monkeypatch.setattr(map_tree, "_PIECE", 32 * slots)
    again = MapTree.restore(depth, roots, held)
    assert again.root == tree.root and bytes(again._heap[32:]) == bytes(tree._heap[32:])


@pytest.mark.parametrize("large", [1, 1 << 30])
def test_memory_of_either_kind_holds_the_same_map(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_tree, "_LARGE", large)
    source = random.Random(large)
    leaves = [(source.randbytes(32), source.randbytes(32)) for _ in range(60)]
    held = Buckets(5, leaves[:30])
    twin = held.tree.copy()
    assert twin.root == held.tree.root
    before = twin.root
    held.update(dict(leaves[30:]))
    assert held.tree.root == map_root(sorted(leaves)) and twin.root == before, "a copy goes its own way"
    for key, _ in leaves:
        held.check(key)


def test_build_wants_ascending_leaves() -> None:
    leaves = [(bytes([i]) * 32, bytes(32)) for i in range(3)]
    for wrong in (leaves[::-1], [leaves[0], leaves[0]]):
        for depth in (0, 8):
            with pytest.raises(Malformed):
                MapTree.build(depth, wrong)


@pytest.mark.parametrize("depth", [-1, 25])
def test_depths_out_of_range(depth: int) -> None:
    with pytest.raises(Malformed):
        MapTree(depth)


@given(
    st.integers(0, 6),
    st.dictionaries(keys, words, max_size=12),
    st.dictionaries(keys, words, max_size=12),
    st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_a_map_is_rebuilt_in_pieces_in_a_copy(
    depth: int, start: dict[bytes, bytes], wanted: dict[bytes, bytes], piece: int
) -> None:
    """Overwriting every bucket in which two maps differ makes one of the other, and leaves the original alone."""
    tree, target = Buckets(depth, start.items()), Buckets(depth, wanted.items())
    before = tree.tree.root
    twin = tree.tree.copy()
    numbers = sorted({bucket_of(key, depth) for key in start.keys() | wanted.keys()})
    for at in range(0, len(numbers), piece):
        twin.overwrite({number: target.leaves(number) for number in numbers[at : at + piece]}, len(wanted))
    if numbers:
        assert (twin.root, twin.count) == (target.tree.root, len(wanted))
    assert (tree.tree.root, tree.tree.count) == (before, len(start))


def test_a_copy_goes_its_own_way_and_takes_the_same_changes() -> None:
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    twin = held.tree.copy()
    before = twin.root
    changes = []
    for at in range(3):
        key = bytes([0x40 + at]) * 32
        held.all[key] = bytes([at]) * 32
        change = held.tree.prepare({bucket_of(key, 3): held.leaves(bucket_of(key, 3))}, 1)
        held.tree.accept(change)
        changes.append((change, held.tree.root))
    assert twin.root == before
    with pytest.raises(AssertionError):
        twin.accept(changes[1][0])
    for change, root in changes:
        twin.accept(change)
        assert twin.root == root


_AT = bytes([0x44]) * 32


@pytest.mark.parametrize(
    "look",
    [
        lambda held: held.tree.copy(),
        lambda held: held.tree.prepare({2: held.leaves(2)}, 0),
        lambda held: held.tree.overwrite({2: held.leaves(2)}, held.tree.count),
    ],
)
def test_what_was_accepted_is_written_when_the_whole_tree_is_looked_at(look: Callable[[Buckets], object]) -> None:
    """Not while it is accepted; and nobody can tell."""
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    tree, heap = held.tree, bytes(held.tree._heap)
    held.update({_AT: bytes(32)})
    wanted = Buckets(3, held.all.items()).tree
    assert bytes(tree._heap) == heap != bytes(wanted._heap)
    assert (tree.root, tree.bucket_root(2)) == (wanted.root, wanted.bucket_root(2))
    held.check(_AT)
    look(held)
    assert bytes(tree._heap) == bytes(wanted._heap)


def test_two_changes_accepted_one_after_the_other_are_both_there() -> None:
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    tree = held.tree
    held.all |= {_AT: bytes(32), bytes([0xC4]) * 32: bytes(32)}
    first = tree.prepare({2: held.leaves(2)}, 1)
    second = tree.ahead(first).prepare({6: held.leaves(6)}, 1)
    tree.accept(first)
    tree.accept(second)
    wanted = Buckets(3, held.all.items()).tree
    assert tree.root == wanted.root and bytes(tree.copy()._heap) == bytes(wanted._heap)


@given(
    st.integers(0, 6),
    st.dictionaries(keys, words, max_size=12),
    st.lists(st.tuples(st.dictionaries(keys, words, max_size=6), st.integers(0, 3)), max_size=8),
    st.lists(keys, max_size=4),
    st.sampled_from([0, 2, 99]),
)
@settings(max_examples=80, deadline=None)
def test_a_view_is_the_map_of_before_until_it_goes_on(
    depth: int, start: dict[bytes, bytes], batches: list[tuple[dict[bytes, bytes], int]], asked: list[bytes], few: int
) -> None:
    """Views that lie behind by different numbers of changes, one of them made half-way; copies of them, and twins that
    stay; however many changes are looked through one by one."""
    with patch.object(map_tree, "_FEW", few):
        _views_are_right(depth, start, batches, asked)


def _views_are_right(
    depth: int, start: dict[bytes, bytes], batches: list[tuple[dict[bytes, bytes], int]], asked: list[bytes]
) -> None:
    held = Buckets(depth, start.items())
    maps = [dict(start)]
    changes: list[MapChange] = []
    views = [(held.tree.view(), 0), (held.tree.view(), 0)]
    stays: list[tuple[MapView, int]] = []
    for at, (batch, steps) in enumerate(batches):
        if at == len(batches) // 2:
            views.append((held.tree.view(), len(changes)))
        held.all |= batch
        changed = {b: held.leaves(b) for b in {bucket_of(key, depth) for key in batch}}
        change = held.tree.prepare(changed, len(held.all) - held.tree.count)
        held.tree.accept(change)
        changes.append(change)
        maps.append(dict(held.all))
        for which, (view, behind) in enumerate(views[1:], 1):
            for one in changes[behind : behind + steps]:
                view.advance(one.count, len(one.nodes))
            views[which] = view, min(len(changes), behind + steps)
        for view, number in views:
            wanted = Buckets(depth, maps[number].items())
            twin = view.copy() if at % 3 == 1 else None
            stays.append((view.twin(), number))
            for tree in (view, twin) if twin else (view,):
                assert (tree.root, tree.count) == (wanted.tree.root, wanted.tree.count)
                for key in [*asked, *maps[number], *batch]:
                    bucket = tree.landing_bucket(key)
                    assert bucket == wanted.tree.landing_bucket(key)
                    proof = tree.prove(key, wanted.leaves(bucket))
                    assert proof == prove(key, sorted(maps[number].items()))
            if twin is not None and number < len(changes):
                twin.accept(changes[number])
                assert twin.root == Buckets(depth, maps[number + 1].items()).tree.root
    for view, number in stays:
        wanted = Buckets(depth, maps[number].items())
        assert (view.root, view.count) == (wanted.tree.root, wanted.tree.count)
        for key in asked:
            assert view.prove(key, wanted.leaves(view.landing_bucket(key))) == prove(key, sorted(maps[number].items()))
    held.check(_AT)


def test_a_view_that_nobody_has_costs_nothing_more() -> None:
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    view = held.tree.view()
    for at in range(3):
        held.update({bytes([at, 1]) * 16: bytes(32)})
    assert len(view._before) == 2, "all but the last change, which the heap does not have yet"
    del view
    assert not held.tree._views
    held.tree.overwrite({}, held.tree.count)


def test_a_tree_that_is_looked_at_is_not_overwritten() -> None:
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    view = held.tree.view()
    with pytest.raises(AssertionError):
        held.tree.overwrite({2: held.leaves(2)}, held.tree.count)
    assert view.root == held.tree.root


def test_a_view_goes_on_by_one_change_after_the_other() -> None:
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    view = held.tree.view()
    changes = []
    for at in range(2):
        held.all[bytes([at, 1]) * 16] = bytes(32)
        changes.append(held.tree.prepare({0: held.leaves(0)}, 1))
        held.tree.accept(changes[-1])
    view.advance(changes[0].count, len(changes[0].nodes))
    twin = view.twin()
    for one in (view, twin):
        one.advance(changes[1].count, len(changes[1].nodes))
        assert one.root == held.tree.root
        with pytest.raises(AssertionError):
            one.advance(changes[1].count, len(changes[1].nodes))


def test_of_a_change_that_every_view_has_nothing_is_kept() -> None:
    """A view that went on before the change was written says it from there, and after it was written from the heap."""
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    view, late, heap = held.tree.view(), held.tree.view(), bytes(held.tree._heap)
    held.all[_AT] = bytes(32)
    change = held.tree.prepare({2: held.leaves(2)}, 1)
    held.tree.accept(change)
    view.advance(change.count, len(change.nodes))
    made = held.tree.view()
    assert bytes(held.tree._heap) == heap, "not written yet"
    assert view.root == made.root == held.tree.root != late.root
    proof = held.tree.prove(_AT, held.leaves(2))
    assert view.prove(_AT, held.leaves(2)) == proof
    held.tree.prepare({2: held.leaves(2)}, 0)
    assert bytes(held.tree._heap) != heap and (len(view._before), len(late._before)) == (0, 1)
    assert view.root == made.root == held.tree.root != late.root
    late.advance(change.count, len(change.nodes))
    held.update({bytes([0xC4]) * 32: bytes(32)})
    del held.all[bytes([0xC4]) * 32]
    for one in (view, made, late):
        assert one.prove(_AT, held.leaves(2)) == proof and one.root == map_root(sorted(held.all.items()))


def test_many_changes_are_looked_through_at_once() -> None:
    """In one table, that every twin of a view has: a question costs the same however long a backlog is."""
    held = Buckets(3, {bytes([at]) * 32: bytes(32) for at in range(9)}.items())
    view, before = held.tree.view(), held.tree.root
    for at in range(12):
        held.update({bytes([at, 1]) * 16: bytes(32)})
    assert view._merged is None
    twin = view.twin()
    assert twin.root == view.root == before
    assert twin._merged is view._merged is not None

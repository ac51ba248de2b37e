"""The upper part of a large state map, in memory: the heap over its buckets (`map_slots`), whose leaves lie elsewhere.

The depth is a storage choice: it never changes a root or a proof (`map_proof`). Because of path compression the slot of
a node with one non-empty side *is* that side, so only a slot with two non-empty sides is hashed here, and its bit is
its distance from the top.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from struct import Struct
from types import MappingProxyType
from weakref import WeakSet

from ledger.errors import Malformed
from ledger.tlog.map_proof import Leaf, subtree
from ledger.tlog.map_slots import NO_LEAVES, SlottedMap, bucket_of
from ledger.tlog.merkle import EMPTY_ROOT, HASH_BYTES

MAX_DEPTH = 24
_LARGE = 4 * 1024 * 1024  # bytes
_PIECE = HASH_BYTES << 14  # of a row that is made anew: a whole one as objects would take two thirds of the tree more
_FEW = 4  # changes that a view looks through one by one
_SIDES, _PAIR = Struct(f"{2 * HASH_BYTES}s"), Struct(f"{HASH_BYTES}s{HASH_BYTES}s")  # two neighbours, as one and apart
_NOTHING: Mapping[int, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class MapChange:
    """The map after some buckets changed, not yet accepted. `nodes`: heap slot -> hash."""

    root: bytes
    count: int  # keys
    nodes: Mapping[int, bytes]
    generation: int  # of the tree it was prepared from


class MapTree(SlottedMap):
    """A map of `count` keys with this `root`, able to say what a change would make of it before it is
    accepted.

    An accepted change is written into the heap when that is next looked at as a whole: in a large tree each of its
    places is one that no cache has, and whoever accepts it may have better to do at that moment.

    Memory: 64 bytes << depth. Not safe for threads.
    """

    __slots__ = ("_fresh", "_generation", "_heap", "_views")

    def __init__(self, depth: int) -> None:
        if not 0 <= depth <= MAX_DEPTH:
            raise Malformed("a map depth lies in 0 .. 24")
        self.depth = depth
        self.count = 0
        self._heap = _memory(HASH_BYTES << (depth + 1))  # slot 1: the top; 2 i and 2 i + 1: sides of i
        self._fresh: Mapping[int, bytes] = _NOTHING  # accepted, and not in the heap yet
        self._generation = 0
        self._views: WeakSet[MapView] = WeakSet()

    @classmethod
    def build(cls, depth: int, leaves: Iterable[Leaf]) -> MapTree:
        """The tree over all leaves, strictly ascending by key, read once. Malformed when they are not."""
        tree = cls(depth)
        base = 1 << depth
        nodes: dict[int, bytes] = {}
        last = -1
        for bucket, group in groupby(leaves, lambda leaf: bucket_of(leaf[0], depth)):
            if bucket <= last:
                raise Malformed("map leaves ascend strictly")
            last = bucket
            members = list(group)
            nodes[base + bucket] = subtree(members)
            tree.count += len(members)
        tree._write(tree._rise(nodes))
        return tree

    @classmethod
    def restore(cls, depth: int, roots: bytes | bytearray, count: int) -> MapTree:
        """The tree over bucket roots that were kept (32 bytes each, zero: empty), with the key count that was kept
        beside them.

        Raises Malformed when they are not as many as the tree has buckets.
        """
        if len(roots) != HASH_BYTES << depth:
            raise Malformed("the roots of a map are 32 bytes for each of its buckets")
        tree = cls(depth)
        tree.count = count
        with memoryview(tree._heap) as heap:
            heap[len(roots) :] = roots
            for bit in range(depth - 1, -1, -1):
                row = HASH_BYTES << bit  # bytes of the row, which also begins there
                for at in range(row, 2 * row, _PIECE):  # many at a time: slot by slot costs twice the time
                    end = min(at + _PIECE, 2 * row)
                    heap[at:end] = _row_above(bytes(heap[2 * at : 2 * end]), bit)
        return tree

    def bucket_root(self, bucket: int) -> bytes | None:
        """The root of one bucket of the accepted map; None when it is empty."""
        root = self._slot((1 << self.depth) + bucket)
        return None if root == NO_LEAVES else root

    def roots_after(self, change: MapChange, first: int, count: int) -> bytes:
        """The roots of `count` buckets from `first` on, 32 bytes each (zero: empty), once `change` is accepted."""
        slots, nodes = range((1 << self.depth) + first, (1 << self.depth) + first + count), change.nodes
        return b"".join(nodes[slot] if slot in nodes else self._slot(slot) for slot in slots)

    def prepare(self, changed: Mapping[int, Sequence[Leaf]], count_delta: int) -> MapChange:
        """What the map becomes when each bucket of `changed` gets these leaves (all of them, old ones
        included).

        `count_delta`: keys gained. The tree itself stays as it is. Malformed when leaves are out of order
        or lie in another bucket.
        """
        return self._prepare(changed, self.count + count_delta, {}, self._generation)

    def ahead(self, change: MapChange) -> MapAhead:
        """The map as it will be with `change`, which was prepared from it as it is now and is not accepted yet."""
        assert change.generation == self._generation, "a map change prepared from another state"
        return MapAhead(self, change)

    def _prepare(
        self, changed: Mapping[int, Sequence[Leaf]], count: int, before: Mapping[int, bytes], generation: int
    ) -> MapChange:
        """`before`: nodes of a change that comes first."""
        nodes: dict[int, bytes] = {}
        base, shift = 1 << self.depth, 32 - self.depth
        number = int.from_bytes
        for bucket, leaves in changed.items():
            if not 0 <= bucket < base:
                raise Malformed("no such map bucket")
            if not leaves:
                nodes[base + bucket] = NO_LEAVES
                continue
            nodes[base + bucket] = subtree(leaves)  # which looks at lengths and order: the outermost tell the bucket
            if not number(leaves[0][0][:4], "big") >> shift == bucket == number(leaves[-1][0][:4], "big") >> shift:
                raise Malformed("a map leaf in the wrong bucket")
        nodes = self._rise(nodes, before)
        root = nodes.get(1) or before.get(1) or self._slot(1)
        if (root == NO_LEAVES) != (count == 0) or count < 0:
            raise Malformed("the key count does not fit the map")
        return MapChange(EMPTY_ROOT if root == NO_LEAVES else root, count, nodes, generation)

    def accept(self, change: MapChange) -> None:
        """Make `change` the map. It must have been prepared from the map as it is now."""
        assert change.generation == self._generation, "a map change prepared from another state"
        self._settle()
        self._fresh = change.nodes
        self.count = change.count
        self._generation += 1

    def view(self) -> MapView:
        """The map as it is now, while this tree goes on to others."""
        return MapView(self)

    def copy(self) -> MapTree:
        """The same map, to go its own way. Changes prepared from one can be accepted by both, each in its turn."""
        self._settle()
        twin = MapTree(self.depth)
        twin.count, twin._generation = self.count, self._generation
        twin._heap[:] = self._heap
        return twin

    def overwrite(self, changed: Mapping[int, Sequence[Leaf]], count: int) -> None:
        """Put these leaves (all of them) into each bucket of `changed`, in a map that then has `count` keys.

        For rebuilding another version in pieces: only after the last one is the root that of a map.
        """
        assert not self._views, "a map that others look at goes on by accepted changes"
        base = 1 << self.depth
        nodes = {base + bucket: subtree(leaves) if leaves else NO_LEAVES for bucket, leaves in changed.items()}
        self._write(self._rise(nodes))
        self.count = count
        self._generation += 1

    def _rise(self, nodes: dict[int, bytes], before: Mapping[int, bytes] = _NOTHING) -> dict[int, bytes]:
        """`nodes` (bucket slots) and every slot above them, recomputed. `before` counts where it is not of the heap."""
        self._settle()
        heap, earlier = self._heap, before.get
        dirty = dict(nodes)
        row = nodes
        for bit in range(self.depth - 1, -1, -1):
            suffix = bytes([bit])
            above: dict[int, bytes] = {}
            beside = row.get
            for slot, node in row.items():
                other: bytes | bytearray | None = beside(slot ^ 1)
                if slot & 1:
                    if other is not None:
                        continue  # its sibling sees to both
                    other = earlier(slot - 1)
                    if other is None:
                        at = (slot - 1) * HASH_BYTES
                        other = heap[at : at + HASH_BYTES]
                    if other != NO_LEAVES and node != NO_LEAVES:
                        above[slot >> 1] = sha256(other + node + suffix).digest()
                        continue
                else:
                    if other is None:
                        other = earlier(slot + 1)
                    if other is None:
                        at = (slot + 1) * HASH_BYTES
                        other = heap[at : at + HASH_BYTES]
                    if other != NO_LEAVES and node != NO_LEAVES:
                        above[slot >> 1] = sha256(node + other + suffix).digest()
                        continue
                above[slot >> 1] = node if other == NO_LEAVES else bytes(other)
            dirty.update(above)
            row = above
        return dirty

    def _slots(self, slots: Sequence[int]) -> Sequence[bytes]:
        return [self._slot(slot) for slot in slots]

    def _slot(self, slot: int) -> bytes:
        return self._fresh.get(slot) or bytes(self._heap[slot * HASH_BYTES : (slot + 1) * HASH_BYTES])

    def _settle(self) -> None:
        """Have the heap say all that was accepted, and the views what it said before."""
        if self._fresh:
            behind = [view for view in self._views if view._generation < self._generation]
            if behind:
                heap = self._heap
                before = {slot: bytes(heap[slot * HASH_BYTES : (slot + 1) * HASH_BYTES]) for slot in self._fresh}
                for view in behind:
                    view._keep(before)
            self._write(self._fresh)
            self._fresh = _NOTHING

    def _write(self, nodes: Mapping[int, bytes]) -> None:
        with memoryview(self._heap) as heap:  # which takes a slice in two thirds of the time
            for slot, node in nodes.items():
                at = slot * HASH_BYTES
                heap[at : at + HASH_BYTES] = node


def _row_above(below: bytes, bit: int) -> bytes:
    """The nodes over pairs of neighbours."""
    suffix = bytes([bit])
    if NO_LEAVES not in below:  # nearly all rows of a map that is well filled
        return b"".join([sha256(sides + suffix).digest() for (sides,) in _SIDES.iter_unpack(below)])
    return b"".join(
        [
            sha256(one + other + suffix).digest() if one != NO_LEAVES != other else max(one, other)
            for one, other in _PAIR.iter_unpack(below)
        ]
    )


def _memory(size: int) -> bytearray | mmap.mmap:
    """Zeroed bytes; what is large in large pages, where the system has them. A path touches a place of its own at each
    level, and with pages of 4 KiB nearly each of those costs a walk through the page tables before it is read."""
    if size < _LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return bytearray(size)
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class MapAhead:
    """A tree with a change that it has not accepted yet: what is needed to prepare the change after that one.

    It goes on being right while and after the tree accepts that change, until it accepts another one.
    """

    __slots__ = ("_change", "_tree", "count")

    def __init__(self, tree: MapTree, change: MapChange) -> None:
        self._tree, self._change, self.count = tree, change, change.count

    def bucket_root(self, bucket: int) -> bytes | None:
        """As MapTree.bucket_root."""
        root = self._change.nodes.get((1 << self._tree.depth) + bucket)
        return self._tree.bucket_root(bucket) if root is None else None if root == NO_LEAVES else root

    def prepare(self, changed: Mapping[int, Sequence[Leaf]], count_delta: int) -> MapChange:
        """As MapTree.prepare; to be accepted after the change that came first."""
        first = self._change
        return self._tree._prepare(changed, first.count + count_delta, first.nodes, first.generation + 1)


class MapView(SlottedMap):
    """The map that a tree had, while the tree accepts changes: what was in the places that they are written into is
    kept, a change at a time, until the view goes on to the map after it. Proofs are made of it as of a tree.

    Memory: the slots of the changes that lie between, nothing for the map itself. Not safe for threads.
    """

    __slots__ = ("__weakref__", "_before", "_generation", "_merged", "_tree")

    def __init__(self, tree: MapTree) -> None:
        self.depth, self.count = tree.depth, tree.count
        self._tree, self._generation = tree, tree._generation
        self._before: deque[Mapping[int, bytes]] = deque()  # of each later change of slots that the heap has, in order
        self._merged: dict[int, bytes] | None = None  # of all of them, where they are many
        tree._views.add(self)

    def advance(self, count: int, slots: int) -> None:
        """Go on to the map of the next change that the tree accepted: it made `count` keys and changed so many slots
        (`MapChange`)."""
        behind = self._tree._generation - self._generation
        assert behind > 0, "the tree has accepted no later change"
        if slots and (self._before or behind > 1):  # the last one is kept when the heap gets it, from views behind it
            self._before.popleft()
            self._merged = None
        self.count = count
        self._generation += 1

    def twin(self) -> MapView:
        """The same map once more, to stay there while this view goes on."""
        twin = MapView(self._tree)
        twin.count, twin._generation = self.count, self._generation
        twin._before = self._before.copy()
        twin._merged = self._all() if len(self._before) > _FEW else None
        return twin

    def copy(self) -> MapTree:
        """A tree of its own with this map."""
        twin = self._tree.copy()
        for before in reversed(self._before):
            twin._write(before)
        twin.count, twin._generation = self.count, self._generation
        return twin

    def _slots(self, slots: Sequence[int]) -> Sequence[bytes]:
        if self._generation == self._tree._generation:
            return self._tree._slots(slots)
        heap = self._tree._heap
        changes = self._before if len(self._before) <= _FEW else (self._all(),)
        found = [bytes(heap[slot * HASH_BYTES : (slot + 1) * HASH_BYTES]) for slot in slots]
        for before in reversed(changes):  # the earliest one counts: it has what this map had
            for at, slot in enumerate(slots):
                if (held := before.get(slot)) is not None:
                    found[at] = held
        return found

    def _keep(self, before: Mapping[int, bytes]) -> None:
        self._before.append(before)
        if self._merged is not None:
            for slot, node in before.items():
                self._merged.setdefault(slot, node)

    def _all(self) -> dict[int, bytes]:
        if self._merged is None:
            self._merged = {}
            for before in reversed(self._before):
                self._merged.update(before)
        return self._merged

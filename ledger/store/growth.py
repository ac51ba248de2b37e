"""How a growing tree lies in rows: tile rows that fill up, the leaves of buckets, and the root found a second way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ledger.errors import Damaged, Malformed
from ledger.store.protocol import Store
from ledger.text import Text
from ledger.tlog.map_proof import Leaf, subtree
from ledger.tlog.map_slots import buckets_of
from ledger.tlog.map_tree import MapAhead, MapTree
from ledger.tlog.merkle import Frontier, Subtree, node_hash

OTHERS: Final = Text(
    "存储：所存状态与封印的状态表不符，请运行 fsck", "store: stored states do not hash to the sealed map; run fsck"
)
_LOWEST, _HIGHEST = bytes(28), b"\xff" * 28  # what a key has behind the bytes that tell its bucket


def root_again(frontier: Frontier, leaf_hashes: Sequence[bytes]) -> bytes:
    """The root after appending, by pushing leaves one at a time: shares no code with Frontier.append."""
    stack = list(frontier.hashes)
    size = frontier.size
    for leaf in leaf_hashes:
        node, bits = leaf, size
        while bits & 1:
            node = node_hash(stack.pop(), node)
            bits >>= 1
        stack.append(node)
        size += 1
    root = stack.pop()
    while stack:
        root = node_hash(stack.pop(), root)
    return root


def grow_tiles(
    edge: Mapping[int, tuple[int, bytes]], completed: Mapping[Subtree, bytes]
) -> tuple[list[tuple[int, int, bytes]], dict[int, tuple[int, bytes]]]:
    """The tile rows that a batch writes, and the rows that go on growing after it."""
    slots: dict[int, list[tuple[int, bytes]]] = {}
    for (level, index), node in completed.items():
        if level % 8 == 0:
            slots.setdefault(level // 8, []).append((index, node))
    rows, growing = [], dict(edge)
    for level, nodes in slots.items():
        nodes.sort()
        current, body = growing.pop(level, (nodes[0][0] // 256, b""))
        parts = [body]
        for index, node in nodes:
            if index // 256 != current:
                rows.append((level, current, b"".join(parts)))
                current, parts = index // 256, []
            parts.append(node)
        body = b"".join(parts)
        rows.append((level, current, body))
        if len(body) < 8192:
            growing[level] = (current, body)
    return rows, growing


def bucket_range(bucket: int, depth: int) -> tuple[bytes, bytes]:
    shift = 32 - depth  # a bucket is told by four bytes
    low = bucket << shift
    return low.to_bytes(4, "big") + _LOWEST, (low | (1 << shift) - 1).to_bytes(4, "big") + _HIGHEST


class StoredLeaves:
    """The leaves that a store has in the buckets of some map keys, each bucket read once: which of the keys there are,
    and what a change of them goes with. Nobody has checked them yet (`check_leaves`).

    A bucket that is empty in the sealed map (`tree`) is not read. Whatever lay there all the same would stop the batch
    that has its key, and every one that comes to the bucket later.
    """

    def __init__(self, store: Store, tree: MapTree | MapAhead, depth: int) -> None:
        self._store, self._tree, self._depth = store, tree, depth
        self._buckets: dict[int, list[Leaf]] = {}
        self._keys: set[bytes] = set()

    async def read(self, map_keys: Sequence[bytes]) -> None:
        """Everything beside these keys, unless it was read before."""
        await self.of(buckets_of(map_keys, self._depth))

    async def of(self, numbers: Iterable[int]) -> list[list[Leaf]]:
        """The leaves of each of these buckets, rising."""
        numbers = list(numbers)
        missing = []
        for number in dict.fromkeys(numbers):
            if number in self._buckets:
                continue
            if self._tree.bucket_root(number) is None:
                self._buckets[number] = []
            else:
                missing.append(number)
        if missing:
            found = await self._store.leaves([bucket_range(number, self._depth) for number in missing])
            for number, leaves in zip(missing, found, strict=True):
                self._buckets[number] = leaves
                self._keys.update([key for key, _ in leaves])
        return [self._buckets[number] for number in numbers]

    def present(self, map_keys: Iterable[bytes]) -> list[bytes]:
        """Those of the keys, whose buckets were read, that the store has."""
        return [key for key in map_keys if key in self._keys]


def check_leaves(tree: MapTree | MapAhead, numbers: Sequence[int], found: Sequence[Sequence[Leaf]]) -> None:
    """Return when stored leaves of these buckets are those of the sealed map. Raises Damaged."""
    try:
        for number, leaves in zip(numbers, found, strict=True):
            if tree.bucket_root(number) != (subtree(leaves) if leaves else None):
                raise Damaged(OTHERS)
    except Malformed as error:  # a key that is there twice, or of another length
        raise Damaged(OTHERS) from error


def by_key(leaves: Sequence[Leaf]) -> dict[bytes, bytes]:
    """Stored leaves of one bucket. Raises Damaged when a key is there twice: one of the two would count, whichever."""
    found = dict(leaves)
    if len(found) != len(leaves):
        raise Damaged(OTHERS)
    return found


def merge_leaves(
    numbers: Sequence[int], found: Sequence[Sequence[Leaf]], fresh: Mapping[int, Mapping[bytes, bytes]]
) -> tuple[dict[int, list[Leaf]], int]:
    """Each bucket with its new leaves among those found in it, rising by key; and how many keys are new. Raises Damaged
    as `by_key`."""
    changed, gained = {}, 0
    for number, old in zip(numbers, found, strict=True):
        new = fresh[number]
        merged = sorted({**by_key(old), **new}.items())
        gained += len(merged) - len(old)
        changed[number] = merged
    return changed, gained

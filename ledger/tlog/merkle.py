"""The append-only tree: hashes, proofs and their verification (RFC 6962 2.1, RFC 9162 2.1).

A *complete subtree* is named (level, index) and covers the leaves [index * 2**level, (index + 1) *
2**level). Every root and proof hash of every size folds from complete subtrees, which never change once
they exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import repeat

from ledger.errors import Malformed, Unverified

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
MAX_SIZE = 2**63 - 1

Subtree = tuple[int, int]  # (level, index)
HashReader = Callable[[Sequence[Subtree]], Sequence[bytes]]
"""Returns the hashes of the complete subtrees asked for, in the order asked."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry)."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\1" + left + right).digest()


def fold_right(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees given left to right, largest first; at least one."""
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def cover(start: int, stop: int) -> tuple[Subtree, ...]:
    """The fewest complete subtrees that cover the leaves [start, stop), left to right.

    `start` must be a multiple of the largest power of two <= stop - start, as it is for every node of a tree.
    """
    subtrees = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        subtrees.append((level, start >> level))
        start += 1 << level
    return tuple(subtrees)


def root_at(size: int, read: HashReader) -> bytes:
    """The root of the tree's first `size` leaves, from complete subtrees."""
    _check_size(size)
    return fold_right(read(cover(0, size))) if size else EMPTY_ROOT


def inclusion_nodes(index: int, size: int) -> tuple[tuple[Subtree, ...], ...]:
    """For each hash of the inclusion proof, leaf's sibling first, the complete subtrees it folds from."""
    edge = inclusion_edge(index, size)
    return (*(((level, index >> level ^ 1),) for level in range(inclusion_height(index, size))), *edge)


def inclusion_height(index: int, size: int) -> int:
    """How many hashes of the inclusion proof are those of complete siblings: at level n, (n, index >> n ^ 1).

    Malformed unless index < size.
    """
    _check_size(size)
    if not 0 <= index < size:
        raise Malformed("the index is not in the tree")
    return max((index ^ (size - 1)).bit_length() - 1, 0)


def inclusion_edge(index: int, size: int) -> tuple[tuple[Subtree, ...], ...]:
    """The rest of `inclusion_nodes`, above the complete siblings: the same for every index of that height which is
    not the last leaf. Malformed unless index < size.
    """
    height = inclusion_height(index, size)
    nodes = []
    level = 0
    if index != size - 1:  # here the leaf's path leaves that of the last leaf, to the left
        nodes.append(cover((index >> height) + 1 << height, size))
        level = height + 1
    while index >> level:
        if index >> level & 1:
            nodes.append(((level, (index >> level) - 1),))
        level += 1
    return tuple(nodes)


def consistency_nodes(old: int, new: int) -> tuple[tuple[Subtree, ...], ...]:
    """For each hash of the consistency proof, the complete subtrees it folds from. 0 < old <= new."""
    _check_size(new)
    if not 0 < old <= new:
        raise Malformed("a consistency proof needs 0 < old size <= new size")
    nodes = []
    start, stop, whole = 0, new, True
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            nodes.append(cover(middle, stop))
            stop = middle
        else:
            nodes.append(cover(start, middle))
            start, whole = middle, False
    if not whole:
        nodes.append(cover(start, stop))
    return tuple(reversed(nodes))


def prove_inclusion(index: int, size: int, read: HashReader) -> tuple[bytes, ...]:
    """The inclusion proof of leaf `index` in the tree of `size` (RFC 6962 2.1.1). Malformed unless index <
    size.
    """
    return _read_folded(inclusion_nodes(index, size), read)


def prove_consistency(old: int, new: int, read: HashReader) -> tuple[bytes, ...]:
    """The proof that the tree of `new` extends the tree of `old` (RFC 6962 2.1.2). Malformed unless 0 <
    old <= new.
    """
    return _read_folded(consistency_nodes(old, new), read)


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that `proof` leads to from the leaf hash `leaf` (RFC 9162 2.1.3.2).

    Unverified when the index is not in the tree or the proof is not exactly as long as the path; Malformed
    for hashes that are not 32 bytes. Callers compare the root.
    """
    _check_hashes((leaf, *proof))
    if not 0 <= index < size <= MAX_SIZE:
        raise Unverified("the index is not in the tree")
    # Below `inner` the leaf's path and the right edge differ: one hash per level. Above, the right edge
    # has hashes only where it is a right child.
    inner = (index ^ (size - 1)).bit_length()
    if len(proof) != inner + (index >> inner).bit_count():
        raise Unverified("the inclusion proof has the wrong length")
    root = leaf
    for level, sibling in enumerate(proof[:inner]):
        root = node_hash(sibling, root) if index >> level & 1 else node_hash(root, sibling)
    for sibling in proof[inner:]:
        root = node_hash(sibling, root)
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return when `proof` shows the leaf hash `leaf` at `index` of the tree (size, root); otherwise
    Unverified.
    """
    _check_hashes((root,))
    if root_from_inclusion(leaf, index, size, proof) != root:
        raise Unverified("the inclusion proof leads to another root")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when `proof` shows that the new tree extends the old one (RFC 9162 2.1.4.2); otherwise
    Unverified.

    Old size 0 is refused: every tree extends the empty one, so such a proof says nothing and the caller
    decides.
    """
    if not 0 < old_size <= new_size <= MAX_SIZE:
        raise Unverified("a consistency proof needs 0 < old size <= new size")
    if old_size == new_size:  # nothing is hashed, so only equality counts
        if proof or old_root != new_root:
            raise Unverified("one size, two roots or a needless proof")
        return
    _check_hashes((old_root, new_root, *proof))
    level = (old_size & -old_size).bit_length() - 1  # height of the old tree's last complete subtree
    index, last = (old_size - 1) >> level, (new_size - 1) >> level
    inner = (index ^ last).bit_length()
    seeded = 0 if old_size == 1 << level else 1  # a power of two starts from the old root itself
    if len(proof) != seeded + inner + (index >> inner).bit_count():
        raise Unverified("the consistency proof has the wrong length")
    old = new = proof[0] if seeded else old_root
    for height, sibling in enumerate(proof[seeded : seeded + inner]):
        if index >> height & 1:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    for sibling in proof[seeded + inner :]:
        old, new = node_hash(sibling, old), node_hash(sibling, new)
    if old != old_root or new != new_root:
        raise Unverified("the consistency proof leads to other roots")


class Frontier:
    """The right edge of a tree: its size and the complete subtrees that cover it. Immutable.

    Enough to append without reading anything back, and to know the root. `hashes` run left to right,
    largest subtree first, one for each bit set in `size`; Malformed otherwise.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int, hashes: Sequence[bytes]) -> None:
        _check_size(size)
        if len(hashes) != size.bit_count():
            raise Malformed("a frontier has one hash for each bit of its size")
        _check_hashes(hashes)
        self.size = size
        self.hashes = tuple(hashes)

    @classmethod
    def empty(cls) -> Frontier:
        """The frontier of the tree without leaves."""
        return cls(0, ())

    @classmethod
    def read(cls, size: int, read: HashReader) -> Frontier:
        """The frontier of the tree of `size` from its complete subtrees."""
        return cls(size, tuple(read(cover(0, size))) if size else ())

    def root(self) -> bytes:
        """The tree's root."""
        return fold_right(self.hashes) if self.hashes else EMPTY_ROOT

    def append(self, leaf_hashes: Sequence[bytes]) -> tuple[Frontier, dict[Subtree, bytes]]:
        """The frontier after these leaf hashes, and every subtree hash they complete, the leaves
        themselves included.
        """
        _check_hashes(leaf_hashes)
        pending = {level: h for (level, _), h in zip(cover(0, self.size), self.hashes, strict=True)}
        completed: dict[Subtree, bytes] = {}
        row, first, level = list(leaf_hashes), self.size, 0
        while row:
            completed.update(zip(zip(repeat(level), range(first, first + len(row))), row))  # noqa: B905 (endless repeat)
            if first & 1:
                row.insert(0, pending.pop(level))
            if len(row) & 1:
                pending[level] = row.pop()
            pairs = iter(row)
            row = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            first >>= 1
            level += 1
        hashes = [pending[level] for level in sorted(pending, reverse=True)]
        return Frontier(self.size + len(leaf_hashes), hashes), completed


def _split(width: int) -> int:
    """The largest power of two smaller than `width` (at least 2)."""
    return 1 << ((width - 1).bit_length() - 1)


def _read_folded(nodes: Sequence[Sequence[Subtree]], read: HashReader) -> tuple[bytes, ...]:
    hashes = iter(read([subtree for node in nodes for subtree in node]))
    return tuple(fold_right([next(hashes) for _ in node]) for node in nodes)


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise Malformed("a tree size lies in 0 .. 2**63 - 1")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if not set(map(len, hashes)) <= {HASH_BYTES}:
        raise Malformed("a tree hash is 32 bytes")

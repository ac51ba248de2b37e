"""The state map: a Merkle Patricia tree over 32-byte keys and values, its proofs, and their verification.

Hashing (that of Russ Cox's mpt): empty map SHA-256(""), leaf SHA-256(key || value), inner node SHA-256(left
|| right || bit) with `bit` (0 = top bit of byte 0) the first bit in which its two sides differ. A node
with one side does not exist. The input lengths 0, 64 and 65 keep the kinds apart, and the bits commit the
search path: under one root a key leads to at most one leaf, even in a tree built by an enemy.

A *leaf* here is the pair (key, value). Sequences of leaves are strictly ascending by key.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import Malformed, Unverified
from ledger.tlog.merkle import EMPTY_ROOT, HASH_BYTES

KEY_BYTES = 32
KEY_BITS = 256
_SIBLING_BYTES = 1 + HASH_BYTES
_LEAF_BYTES = 64
_BITS = tuple(bytes([bit]) for bit in range(KEY_BITS))
PROOF_CEILING = _LEAF_BYTES + KEY_BITS * _SIBLING_BYTES  # bytes

Leaf = tuple[bytes, bytes]  # (32-byte key, 32-byte value)


@dataclass(frozen=True, slots=True)
class MapProof:
    """What leads from a leaf to the root: the sibling at each inner node, leaf first, with that node's bit.

    A presence proof has no `other`. An absence proof names the `other` leaf that the search for the key
    ends at; in the empty map it ends at none. Malformed unless the bits fall strictly within 255..0.
    """

    siblings: tuple[tuple[int, bytes], ...]
    other: Leaf | None

    def __post_init__(self) -> None:
        above = KEY_BITS
        for bit, sibling in self.siblings:
            if not 0 <= bit < above or len(sibling) != HASH_BYTES:
                raise Malformed("the siblings of a map proof are 32 bytes each, with falling bits")
            above = bit
        if self.other is not None:
            _check_leaf(*self.other)


def map_root(leaves: Sequence[Leaf]) -> bytes:
    """The root of the map with these leaves."""
    return subtree(leaves) if leaves else EMPTY_ROOT


def subtree(leaves: Sequence[Leaf]) -> bytes:
    """The node over at least one leaf. Malformed unless they ascend strictly and are 32 + 32 bytes each."""
    stack: list[tuple[int, bytes]] = []  # (bit of an inner node to come, its finished left side), bits rising
    before = -1
    right = b""
    from_bytes = int.from_bytes
    for key, value in leaves:
        number = from_bytes(key, "big")
        if number <= before or len(key) != KEY_BYTES or len(value) != HASH_BYTES:
            raise Malformed("map leaves ascend strictly and are 32 + 32 bytes")
        if right:
            bit = KEY_BITS - (number ^ before).bit_length()
            while stack and stack[-1][0] > bit:
                inner, left = stack.pop()
                right = sha256(left + right + _BITS[inner]).digest()
            stack.append((bit, right))
        right = sha256(key + value).digest()
        before = number
    for inner, left in reversed(stack):
        right = sha256(left + right + _BITS[inner]).digest()
    assert right, "a subtree has at least one leaf"
    return right


def prove(key: bytes, leaves: Sequence[Leaf]) -> MapProof:
    """The proof that `key` has its value in the map of `leaves`, or that it has none. O(leaves)."""
    return prove_rooted(key, leaves)[0]


def prove_rooted(key: bytes, leaves: Sequence[Leaf]) -> tuple[MapProof, bytes]:
    """The same with the root that it leads to, which is that of `leaves`: their own hash costs less on the way.

    Malformed when leaves on the way do not ascend.
    """
    _check_key(key)
    siblings: list[tuple[int, bytes]] = []
    start, stop = 0, len(leaves)
    while stop - start > 1:
        bit = first_difference(leaves[start][0], leaves[stop - 1][0])
        if bit == KEY_BITS:
            raise Malformed("map leaves ascend strictly and are 32 + 32 bytes")
        middle = _first_with_bit(leaves, start, stop, bit)
        if has_bit(key, bit):
            siblings.append((bit, subtree(leaves[start:middle])))
            start = middle
        else:
            siblings.append((bit, subtree(leaves[middle:stop])))
            stop = middle
    siblings.reverse()
    if start == stop:
        return MapProof((), None), EMPTY_ROOT
    found = leaves[start]
    _check_leaf(*found)
    node = sha256(found[0] + found[1]).digest()
    for bit, sibling in siblings:
        node = inner_hash(sibling, node, bit) if has_bit(found[0], bit) else inner_hash(node, sibling, bit)
    return MapProof(tuple(siblings), None if found[0] == key else found), node


def verify_presence(root: bytes, key: bytes, value: bytes, proof: MapProof) -> None:
    """Return when `proof` shows that the map with `root` holds (key, value); otherwise Unverified."""
    if proof.other is not None:
        raise Unverified("an absence proof does not show presence")
    _check_leaf(key, value)
    _verify_path(root, key, (key, value), proof)


def verify_absence(root: bytes, key: bytes, proof: MapProof) -> None:
    """Return when `proof` shows that the map with `root` has no value for `key`; otherwise Unverified.

    The other key must agree with `key` at every listed bit: then the search for `key` ends at the other leaf.
    """
    _check_key(key)
    if proof.other is None:
        if proof.siblings or root != EMPTY_ROOT:
            raise Unverified("a presence proof does not show absence")
        return
    if proof.other[0] == key:
        raise Unverified("the absence proof shows the key itself")
    _verify_path(root, key, proof.other, proof)


def format_map_proof(proof: MapProof) -> bytes:
    """The siblings, leaf first, as u8 bit || 32 bytes; an absence proof puts other key || other value
    before them.
    """
    other = b"".join(proof.other) if proof.other is not None else b""
    return other + b"".join([_BITS[bit] + sibling for bit, sibling in proof.siblings])


def parse_map_proof(data: bytes) -> MapProof:
    """Inverse of `format_map_proof`; Malformed otherwise. The length tells presence from absence (33 n, 64
    + 33 n).

    Zero bytes are a presence proof in a map of one leaf and an absence proof in the empty map: the two
    `verify_` functions take it for what they ask.
    """
    if len(data) > PROOF_CEILING:
        raise Malformed("a map proof has more than 256 siblings")
    head, rest = (b"", data) if len(data) % _SIBLING_BYTES == 0 else (data[:_LEAF_BYTES], data[_LEAF_BYTES:])
    if len(rest) % _SIBLING_BYTES or len(head) not in (0, _LEAF_BYTES):
        raise Malformed("a map proof has the wrong length")
    siblings = tuple(
        (rest[at], bytes(rest[at + 1 : at + _SIBLING_BYTES])) for at in range(0, len(rest), _SIBLING_BYTES)
    )
    return MapProof(siblings, (bytes(head[:KEY_BYTES]), bytes(head[KEY_BYTES:])) if head else None)


def inner_hash(left: bytes, right: bytes, bit: int) -> bytes:
    """SHA-256(left || right || bit)."""
    return sha256(left + right + _BITS[bit]).digest()


def has_bit(key: bytes, bit: int) -> bool:
    """Whether `key` goes right at a node with this bit (0 = top bit of byte 0)."""
    return bool(key[bit >> 3] & (0x80 >> (bit & 7)))


def first_difference(a: bytes, b: bytes) -> int:
    """The first bit in which two keys differ; of equal ones the one behind their last."""
    return KEY_BITS - (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_length()


def _first_with_bit(leaves: Sequence[Leaf], start: int, stop: int, bit: int) -> int:
    """Where the right side begins, when all of leaves[start:stop] agree before `bit`."""
    last = int.from_bytes(leaves[stop - 1][0], "big")
    low = KEY_BITS - 1 - bit
    return bisect_left(leaves, ((last >> low << low).to_bytes(KEY_BYTES, "big"), b""), start, stop)


def _verify_path(root: bytes, key: bytes, leaf: Leaf, proof: MapProof) -> None:
    node = sha256(leaf[0] + leaf[1]).digest()
    for bit, sibling in proof.siblings:
        right = has_bit(key, bit)
        if right != has_bit(leaf[0], bit):
            raise Unverified("the other key lies off the search path")
        node = inner_hash(sibling, node, bit) if right else inner_hash(node, sibling, bit)
    if node != root:
        raise Unverified("the map proof leads to another root")


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise Malformed("a map key is 32 bytes")


def _check_leaf(key: bytes, value: bytes) -> None:
    if len(key) != KEY_BYTES or len(value) != HASH_BYTES:
        raise Malformed("a map leaf is a 32-byte key and a 32-byte value")

"""Slow twins of ledger/tlog, written straight from the definitions: recursive, over whole lists, no shared code."""

from __future__ import annotations

from hashlib import sha256


def leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def _split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 2.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 2.1.1."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion(index, leaves[:k]), root(leaves[k:])]
    return [*inclusion(index - k, leaves[k:]), root(leaves[:k])]


def consistency(old: int, leaves: list[bytes]) -> list[bytes]:
    """PROOF of RFC 6962 2.1.2."""
    return _subproof(old, leaves, whole=True)


def _subproof(old: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    k = _split(len(leaves))
    if old <= k:
        return [*_subproof(old, leaves[:k], whole=whole), root(leaves[k:])]
    return [*_subproof(old - k, leaves[k:], whole=False), root(leaves[:k])]


def tile(level: int, index: int, leaves: list[bytes]) -> bytes:
    """The tile's longest content (C2SP tlog-tiles): MTH of each whole group of 256**level leaves."""
    span = 256**level
    groups = range(index * 256, min((index + 1) * 256, len(leaves) // span))
    return b"".join(root(leaves[g * span : (g + 1) * span]) for g in groups)


def map_root(leaves: dict[bytes, bytes], bit: int = 0) -> bytes:
    """The state map over key -> value, bit by bit from the top."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        ((key, value),) = leaves.items()
        return sha256(key + value).digest()
    left = {k: v for k, v in leaves.items() if not _bit(k, bit)}
    right = {k: v for k, v in leaves.items() if _bit(k, bit)}
    if not left or not right:
        return map_root(left or right, bit + 1)
    return sha256(map_root(left, bit + 1) + map_root(right, bit + 1) + bytes([bit])).digest()


def _bit(key: bytes, bit: int) -> int:
    return key[bit // 8] >> 7 - bit % 8 & 1


def climbs(leaf_: bytes, index: int, size: int, path: list[bytes], root_: bytes) -> bool:
    """Whether PATH of RFC 6962 2.1.1 leads from a leaf to the root, read from its end: the top of the tree first."""

    def up(index: int, size: int, path: list[bytes]) -> bytes | None:
        if size == 1:
            return leaf_ if not path else None
        if not path:
            return None
        k = _split(size)
        inner = up(index, k, path[:-1]) if index < k else up(index - k, size - k, path[:-1])
        if inner is None:
            return None
        pair = inner + path[-1] if index < k else path[-1] + inner
        return sha256(b"\x01" + pair).digest()

    return 0 <= index < size and up(index, size, path) == root_

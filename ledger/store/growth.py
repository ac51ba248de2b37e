"""How a growing tree lies in rows: tile rows that fill up, key ranges of buckets, and the root found a second way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledger.tlog.merkle import Frontier, Subtree, node_hash


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
    shift = 256 - depth
    low = bucket << shift
    return low.to_bytes(32, "big"), (low | ((1 << shift) - 1)).to_bytes(32, "big")

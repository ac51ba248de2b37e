"""The roots of the state map's buckets as rows: a change row for each batch, and chunks that are written anew in turn.

    map_chunk    256 consecutive buckets, 32 bytes each (zero: empty), as after the seal `since`; below depth 8 one
                 shorter chunk has all of them
    map_change   what one batch changed: bucket (4 bytes, big-endian) and root (32), rising; under a negative seal
                 -1 - bucket one root from a store of before, older than all

A start reads the chunks and writes all changes over them, in order: every change since the oldest chunk is there, so
that the newest of a bucket counts, which is in its chunk or comes last. For as many buckets as a chunk has,
a batch writes one chunk anew, the oldest one; changes that are no newer than any chunk are deleted with it. So a start
reads about twice the map's lowest level at most, until the first round after an upgrade once more what was there.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import lt
from typing import Final

from ledger.errors import Damaged, Malformed
from ledger.store.protocol import Store
from ledger.text import Text
from ledger.tlog.map_tree import MapChange, MapTree
from ledger.tlog.merkle import HASH_BYTES

CHUNK_BITS: Final = 8  # of a bucket's number, that lie in one chunk
FIRST_CHANGE: Final = -(1 << 63)  # what `Store.map_changes` goes on from at first
_PAGE: Final = 2048  # change rows a read
_NONE: Final = -1  # `since` of a chunk that has no row
_CHANGE: Final = struct.Struct(f">I{HASH_BYTES}s")
_UNREADABLE: Final = Text(
    "存储：状态表各桶的行无法读取，请运行 fsck", "store: the rows of the map's buckets cannot be read; run fsck"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the rows of a store say."""

    roots: bytearray  # 32 bytes for each bucket of the map
    since: Mapping[int, int]  # chunk -> seal, of those that have a row
    left: int  # buckets changed after the newest chunk was written


def pack_change(buckets: Iterable[tuple[int, bytes]]) -> bytes:
    """The body of a change row, of (bucket, root)."""
    return b"".join(_CHANGE.pack(bucket, root) for bucket, root in sorted(buckets))


def pack_chunks(roots: Mapping[int, bytes], depth: int, since: int) -> list[tuple[int, int, bytes]]:
    """The chunk rows of a map whose buckets have these roots. Raises Malformed for a root that is none, or of a bucket
    that there is not."""
    if not all(len(root) == HASH_BYTES and 0 <= bucket < 1 << depth for bucket, root in roots.items()):
        raise Malformed("the root of a map bucket has 32 bytes, and its bucket a place in the tree")
    packed = bytearray(HASH_BYTES << depth)
    for bucket, root in roots.items():
        packed[bucket * HASH_BYTES : (bucket + 1) * HASH_BYTES] = root
    size = HASH_BYTES << min(depth, CHUNK_BITS)
    return [(at // size, since, bytes(packed[at : at + size])) for at in range(0, len(packed), size)]


async def read_roots(store: Store, depth: int, seal: int) -> Kept:
    """The roots that a start reads, of a map of this depth whose last seal is `seal`. Raises Damaged for a row that is
    none; one that is missing or says something else makes another map."""
    bits = min(depth, CHUNK_BITS)
    size = HASH_BYTES << bits
    roots = bytearray(HASH_BYTES << depth)
    since: dict[int, int] = {}
    for chunk, at, body in await store.map_chunks():
        if not (0 <= chunk < 1 << depth - bits and 0 <= at <= seal and len(body) == size):
            raise Damaged(_UNREADABLE)
        roots[chunk * size : (chunk + 1) * size] = body
        since[chunk] = at
    newest = max(since.values(), default=_NONE)
    left, after = 0, FIRST_CHANGE
    with memoryview(roots) as place:
        while rows := await store.map_changes(after, _PAGE):
            for after, body in rows:
                changed = _open_change(after, body)
                numbers = [bucket for bucket, _ in changed]
                if after > seal or not all(map(lt, numbers, numbers[1:])) or numbers[-1:] >= [1 << depth]:
                    raise Damaged(_UNREADABLE)
                for bucket, root in changed:
                    place[bucket * HASH_BYTES : (bucket + 1) * HASH_BYTES] = root
                if after > newest:
                    left += len(changed)
                await asyncio.sleep(0)
    return Kept(roots, since, left)


def _open_change(seal: int, body: bytes) -> list[tuple[int, bytes]]:
    if seal < 0:
        if len(body) != HASH_BYTES:
            raise Damaged(_UNREADABLE)
        return [(-1 - seal, body)]
    if len(body) % _CHANGE.size:
        raise Damaged(_UNREADABLE)
    return list(_CHANGE.iter_unpack(body))


class Sweep:
    """Which chunks the next batch writes anew. After an error of its commit it is of no use any more."""

    def __init__(self, depth: int, since: Mapping[int, int], left: int) -> None:
        self._bits = min(depth, CHUNK_BITS)
        self._left = left  # buckets changed for which no chunk was written yet
        self._order = deque(sorted((since.get(chunk, _NONE), chunk) for chunk in range(1 << depth - self._bits)))

    def take(self, tree: MapTree, change: MapChange, changed: int, seal: int) -> list[tuple[int, int, bytes]]:
        """The chunk rows that go with a batch that changed so many buckets of `tree`: their content after `change`."""
        due, self._left = divmod(self._left + changed, 1 << self._bits)
        chunks = sorted(self._order.popleft()[1] for _ in range(min(due, len(self._order))))
        self._order.extend((seal, chunk) for chunk in chunks)
        return [(chunk, seal, tree.roots_after(change, chunk << self._bits, 1 << self._bits)) for chunk in chunks]

    @property
    def floor(self) -> int:
        """The seal since which no chunk is older: changes up to it are in all of them. -1 when a chunk has no row."""
        return self._order[0][0]

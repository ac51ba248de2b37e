"""Tree hashes out of stored tiles: proofs for any size that was ever committed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeVar

from ledger.errors import Unavailable
from ledger.store.protocol import Store
from ledger.text import Text
from ledger.tlog.merkle import (
    HASH_BYTES,
    HashReader,
    Subtree,
    cover,
    fold_right,
    inclusion_edge,
    inclusion_height,
    prove_consistency,
)
from ledger.tlog.merkle import consistency_nodes as consistency_subtrees
from ledger.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, hashes_from_tiles, tile_of

K = TypeVar("K")
V = TypeVar("V")
MEMO_LIMIT: Final = 60_000  # hashes; about 15 MiB
CROWNS_LIMIT: Final = 4608  # about 19 MiB: for as many lowest tiles as are kept, and those above them
MIDDLES_LIMIT: Final = 65_536  # the same of sixteen million leaves, 0.7 KiB a tile
ROWS_LIMIT: Final = 4096  # whole tiles, 33 MiB: the lowest ones of a million leaves
ABOVE_LIMIT: Final = 8192  # tiles whose path to the root of one size is kept; about 8 MiB in a log of a million leaves
_ROW_BYTES: Final = TILE_WIDTH * HASH_BYTES
_CROWN_LEVEL: Final = 2  # below it one hash costs less than remembering all of them
_MIDDLE_LEVEL: Final = TILE_HEIGHT // 2
# Where each level of a crown begins: 64 hashes, 32, 16, 8, 4 and 2.
_CROWN_AT: Final = {
    2: 0,
    3: 64 * HASH_BYTES,
    4: 96 * HASH_BYTES,
    5: 112 * HASH_BYTES,
    6: 120 * HASH_BYTES,
    7: 124 * HASH_BYTES,
}
_CROWN_STEPS: Final = tuple(_CROWN_AT.items())
_MIDDLE: Final = slice(_CROWN_AT[_MIDDLE_LEVEL], _CROWN_AT[_MIDDLE_LEVEL + 1])


class Hashes:
    """Reads subtree hashes through tiles and remembers them. Complete subtrees never change, so neither does this."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memo: dict[Subtree, bytes] = {}
        self._crowns: OrderedDict[tuple[int, int], bytes] = OrderedDict()  # of whole tiles: their upper hashes
        self._middles: OrderedDict[int, bytes] = OrderedDict()  # of lowest ones: the sixteen hashes half way up
        self._rows: OrderedDict[tuple[int, int], bytes] = OrderedDict()  # whole tiles
        self._above: tuple[int, OrderedDict[int, tuple[bytes, ...]]] = 0, OrderedDict()  # of one size: by lowest tile
        self._edge: tuple[int, dict[int, tuple[bytes, ...]]] = 0, {}  # of one size: ends of its proofs, by height

    def learn(self, completed: Mapping[Subtree, bytes]) -> None:
        """Take over the hashes of a committed batch, which its receipts are about to ask for."""
        if len(self._memo) + len(completed) > MEMO_LIMIT:
            self._memo.clear()
        self._memo.update(completed)

    async def cover(self, size: int) -> tuple[bytes, ...]:
        """The complete subtrees that make up a tree of `size`, left to right."""
        wanted = cover(0, size)
        known = await self._load(wanted)
        return tuple(known[subtree] for subtree in wanted)

    async def root(self, size: int) -> bytes:
        """The root of the first `size` leaves, 0 < size."""
        return fold_right(await self.cover(size))

    async def inclusion(self, indexes: Sequence[int], size: int) -> list[tuple[bytes, ...]]:
        """An inclusion proof for each index in the tree of `size`."""
        rows: dict[tuple[int, int], bytes] = {}  # neighbours share theirs
        if self._above[0] != size:
            self._above = size, OrderedDict()
        above = self._above[1]
        proofs = []
        for index in indexes:
            height = inclusion_height(index, size)
            if height < TILE_HEIGHT:
                siblings = await self._siblings(index, 0, height, rows)
                proofs.append((*siblings, *await self._ends(index, size)))
                continue
            tile = index >> TILE_HEIGHT  # a whole one, whose leaves have the same hashes above it
            rest = above.get(tile)
            if rest is None:
                siblings = await self._siblings(index, 1, height, rows)
                rest = (*siblings, *await self._ends(index, size))
                _keep(above, tile, rest, ABOVE_LIMIT)
            proofs.append((*await self._within(index, rows), *rest))
        return proofs

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that the tree of `old` leaves is a prefix of that of `new`."""
        known = await self._load(s for node in consistency_subtrees(old, new) for s in node)
        return prove_consistency(old, new, _reader(known))

    async def _within(self, index: int, rows: dict[tuple[int, int], bytes]) -> Sequence[bytes]:
        """The siblings of a leaf's path in its lowest tile, a whole one: with its crown one hash; where that was
        given up, with the hashes half way up 22; else all 255, which are then remembered."""
        place = 0, index >> TILE_HEIGHT
        row = self._rows.get(place)
        if row is None:
            memo = self._memo
            known = [memo.get((level, index >> level ^ 1)) for level in range(TILE_HEIGHT)]
            if None not in known:  # of a batch just committed
                return [hash_ for hash_ in known if hash_ is not None]
            row = await self._shared_row(place, rows)
        else:
            self._rows.move_to_end(place)
        slot, middle = index & TILE_WIDTH - 1, self._middles.get(place[1])
        if middle is not None and place not in self._crowns and len(row) == _ROW_BYTES:
            upper = slot >> _MIDDLE_LEVEL
            return [
                _fold(hashes, (at >> level ^ 1) << level, 1 << level)
                for hashes, at in ((row, slot), (middle, upper))
                for level in range(_MIDDLE_LEVEL)
            ]
        crown = self._crown(place, row)
        if crown:
            if middle is None:
                _keep(self._middles, place[1], crown[_MIDDLE], MIDDLES_LIMIT)
            return _branch(row, crown, slot)
        return [_node(row, crown, level, slot >> level ^ 1) for level in range(TILE_HEIGHT)]  # damaged: too short

    async def _siblings(self, index: int, lowest: int, height: int, rows: dict[tuple[int, int], bytes]) -> list[bytes]:
        """The complete siblings of a leaf's path below the level `height`, from tiles of level `lowest` on."""
        memo, start = self._memo, lowest * TILE_HEIGHT
        found = [memo.get((level, index >> level ^ 1)) for level in range(start, height)]
        for tile_level in range(lowest, (height + TILE_HEIGHT - 1) // TILE_HEIGHT):
            bottom = tile_level * TILE_HEIGHT
            top = min(bottom + TILE_HEIGHT, height)
            if None not in found[bottom - start : top - start]:
                continue
            place = tile_level, index >> bottom + TILE_HEIGHT
            row = await self._shared_row(place, rows)
            crown = self._crown(place, row) if top - bottom > _CROWN_LEVEL else b""
            slot = index >> bottom & TILE_WIDTH - 1
            for inside in range(top - bottom):
                at = bottom - start + inside
                if found[at] is None:
                    found[at] = hash_ = _node(row, crown, inside, slot >> inside ^ 1)
                    if tile_level and not crown:  # of a tile that grows, over many leaves
                        self.learn({(bottom + inside, index >> bottom + inside ^ 1): hash_})
        return [hash_ for hash_ in found if hash_ is not None]

    async def _shared_row(self, place: tuple[int, int], rows: dict[tuple[int, int], bytes]) -> bytes:
        row = rows.get(place)
        if row is None:
            row = rows[place] = await self._row(place)
        return row

    async def _ends(self, index: int, size: int) -> tuple[bytes, ...]:
        """What a proof ends with: the path's neighbours along the right edge."""
        height = -1 if index == size - 1 else inclusion_height(index, size)
        if self._edge[0] != size:
            self._edge = size, {}
        ends = self._edge[1]
        found = ends.get(height)
        if found is None:
            nodes = inclusion_edge(index, size)
            known = await self._load(subtree for node in nodes for subtree in node)
            found = ends[height] = tuple(fold_right([known[subtree] for subtree in node]) for node in nodes)
        return found

    async def _row(self, place: tuple[int, int]) -> bytes:
        """A tile's bytes, full or the longest partial."""
        row = self._rows.get(place)
        if row is None:
            row = await self._store.tile(*place)
            if row is None:
                raise Unavailable(
                    Text(f"存储：缺少树块 {place}，请运行 fsck", f"store: tile {place} is missing; run fsck")
                )
            if len(row) == _ROW_BYTES:
                _keep(self._rows, place, row, ROWS_LIMIT)
        return row

    def _crown(self, place: tuple[int, int], row: bytes) -> bytes:
        """The hashes over 4 and more slots of a whole tile; of one that still grows, none."""
        if len(row) != _ROW_BYTES:
            return b""
        crown = self._crowns.get(place)
        if crown is None:
            width = 1 << _CROWN_LEVEL
            level = [_fold(row, at, width) for at in range(0, TILE_WIDTH, width)]
            levels = [*level]
            while len(level) > 2:
                pairs = iter(level)
                level = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
                levels += level
            crown = b"".join(levels)
            _keep(self._crowns, place, crown, CROWNS_LIMIT)
        return crown

    async def _load(self, subtrees: Iterable[Subtree]) -> dict[Subtree, bytes]:
        """The hashes asked for. A dict of their own: the memo may be emptied at any time."""
        asked = set(subtrees)
        known = {subtree: self._memo[subtree] for subtree in asked if subtree in self._memo}
        missing = asked - known.keys()
        if not missing:
            return known
        tiles = {place: await self._row(place) for place in {tile_of(*subtree)[:2] for subtree in missing}}
        read = hashes_from_tiles(lambda level, index: tiles[level, index])
        wanted = list(missing)
        found = dict(zip(wanted, read(wanted), strict=True))
        self.learn({subtree: hash_ for subtree, hash_ in found.items() if subtree[0] > _CROWN_LEVEL})
        return known | found


def _node(row: bytes, crown: bytes, inside: int, at: int) -> bytes:
    """The hash number `at` of those over 2**inside slots of a tile."""
    if crown and inside >= _CROWN_LEVEL:
        start = _CROWN_AT[inside] + at * HASH_BYTES
        return crown[start : start + HASH_BYTES]
    if (at + 1 << inside) * HASH_BYTES > len(row):
        raise Unavailable(
            Text("存储：一个树块短于日志，请运行 fsck", "store: a tile is shorter than the log; run fsck")
        )
    return _fold(row, at << inside, 1 << inside)


def _branch(row: bytes, crown: bytes, slot: int) -> list[bytes]:
    """The siblings of a slot's path in a whole tile: `_node` at each of its levels, in a third of the time."""
    leaf, pair = (slot ^ 1) * HASH_BYTES, (slot >> 1 ^ 1) * 2 * HASH_BYTES
    found = [row[leaf : leaf + HASH_BYTES], sha256(b"\1" + row[pair : pair + 2 * HASH_BYTES]).digest()]
    for level, base in _CROWN_STEPS:
        at = base + (slot >> level ^ 1) * HASH_BYTES
        found.append(crown[at : at + HASH_BYTES])
    return found


def _fold(row: bytes, slot: int, count: int) -> bytes:
    """The hash over `count` slots, a power of two, from `slot` on."""
    level = row[slot * HASH_BYTES : (slot + count) * HASH_BYTES]
    while len(level) > HASH_BYTES:
        level = b"".join(
            [sha256(b"\1" + level[at : at + 2 * HASH_BYTES]).digest() for at in range(0, len(level), 2 * HASH_BYTES)]
        )
    return level


def _keep(kept: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    kept[key] = value
    if len(kept) > limit:
        kept.popitem(last=False)


def _reader(known: Mapping[Subtree, bytes]) -> HashReader:
    return lambda subtrees: [known[subtree] for subtree in subtrees]

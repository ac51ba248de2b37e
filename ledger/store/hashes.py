"""Tree hashes out of stored tiles: proofs for any size that was ever committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ledger.errors import Unavailable
from ledger.store.protocol import Store
from ledger.tlog.merkle import Subtree, cover, inclusion_nodes, prove_consistency, prove_inclusion
from ledger.tlog.merkle import consistency_nodes as consistency_subtrees
from ledger.tlog.tiles import hashes_from_tiles, tile_of

MEMO_LIMIT = 60_000  # hashes; about 15 MiB


class Hashes:
    """Reads subtree hashes through tiles and remembers them. Complete subtrees never change, so neither does this."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memo: dict[Subtree, bytes] = {}

    def learn(self, completed: Mapping[Subtree, bytes]) -> None:
        """Take over the hashes of a committed batch, which its receipts are about to ask for."""
        if len(self._memo) + len(completed) > MEMO_LIMIT:
            self._memo.clear()
        self._memo.update(completed)

    async def cover(self, size: int) -> tuple[bytes, ...]:
        """The complete subtrees that make up a tree of `size`, left to right."""
        wanted = cover(0, size)
        await self._load(wanted)
        return tuple(self._memo[subtree] for subtree in wanted)

    async def inclusion(self, indexes: Sequence[int], size: int) -> list[tuple[bytes, ...]]:
        """An inclusion proof for each index in the tree of `size`."""
        await self._load(s for index in indexes for node in inclusion_nodes(index, size) for s in node)
        return [prove_inclusion(index, size, self._read) for index in indexes]

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that the tree of `old` leaves is a prefix of that of `new`."""
        await self._load(s for node in consistency_subtrees(old, new) for s in node)
        return prove_consistency(old, new, self._read)

    def _read(self, subtrees: Sequence[Subtree]) -> list[bytes]:
        return [self._memo[subtree] for subtree in subtrees]

    async def _load(self, subtrees: Iterable[Subtree]) -> None:
        missing = {subtree for subtree in subtrees if subtree not in self._memo}
        if not missing:
            return
        tiles: dict[tuple[int, int], bytes] = {}
        for level, index in missing:
            place = tile_of(level, index)[:2]
            if place not in tiles:
                body = await self._store.tile(*place)
                if body is None:
                    raise Unavailable(f"store: tile {place} is missing; run fsck")
                tiles[place] = body
        read = hashes_from_tiles(lambda level, index: tiles[level, index])
        wanted = list(missing)
        self.learn(dict(zip(wanted, read(wanted), strict=True)))

"""Tree hashes out of stored tiles: proofs for any size that was ever committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ledger.errors import Unavailable
from ledger.store.protocol import Store
from ledger.tlog.merkle import HashReader, Subtree, cover, fold_right, inclusion_nodes, prove_consistency
from ledger.tlog.merkle import consistency_nodes as consistency_subtrees
from ledger.tlog.tiles import hashes_from_tiles, tile_of

MEMO_LIMIT = 60_000  # hashes; about 15 MiB
_KEPT_LEVEL = 4  # of what tiles give: below it a few hashes cost less than remembering every leaf of a large log


class Hashes:
    """Reads subtree hashes through tiles and remembers them. Complete subtrees never change, so neither does this."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memo: dict[Subtree, bytes] = {}
        self._edge: tuple[int, dict[tuple[Subtree, ...], bytes]] = 0, {}  # of one size: nodes that are no subtree

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
        proofs = [inclusion_nodes(index, size) for index in indexes]
        edge = self._edge[1] if self._edge[0] == size else {}
        nodes = {node for proof in proofs for node in proof if node not in edge}  # neighbours share most of theirs
        known = await self._load(subtree for node in nodes for subtree in node)
        folded = {node: fold_right([known[subtree] for subtree in node]) for node in nodes}
        if any(len(node) > 1 for node in folded):
            edge = edge | {node: hash_ for node, hash_ in folded.items() if len(node) > 1}
            self._edge = size, edge
        return [tuple(folded[node] if node in folded else edge[node] for node in proof) for proof in proofs]

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that the tree of `old` leaves is a prefix of that of `new`."""
        known = await self._load(s for node in consistency_subtrees(old, new) for s in node)
        return prove_consistency(old, new, _reader(known))

    async def _load(self, subtrees: Iterable[Subtree]) -> dict[Subtree, bytes]:
        """The hashes asked for. A dict of their own: the memo may be emptied at any time."""
        asked = set(subtrees)
        known = {subtree: self._memo[subtree] for subtree in asked if subtree in self._memo}
        missing = asked - known.keys()
        if not missing:
            return known
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
        found = dict(zip(wanted, read(wanted), strict=True))
        self.learn({subtree: hash_ for subtree, hash_ in found.items() if subtree[0] >= _KEPT_LEVEL})
        return known | found


def _reader(known: Mapping[Subtree, bytes]) -> HashReader:
    return lambda subtrees: [known[subtree] for subtree in subtrees]

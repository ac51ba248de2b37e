"""Proofs out of stored tiles, against the slow tree, with a memo that is emptied all the time."""

from __future__ import annotations

import asyncio

import pytest

from ledger.errors import Unavailable
from ledger.store import hashes as module
from ledger.store.hashes import Hashes
from ledger.tlog.merkle import Frontier
from ledger.tlog.tiles import tiles_for_size
from tests.support import slow_tree

SIZE = 700
LEAVES = [slow_tree.leaf(b"%d" % at) for at in range(SIZE)]


class Tiles:
    """The one method of a store that Hashes uses; gives way to others on every read."""

    def __init__(self) -> None:
        self.rows = {(t.level, t.index): slow_tree.tile(t.level, t.index, LEAVES) for t in tiles_for_size(SIZE)}

    async def tile(self, level: int, index: int) -> bytes | None:
        await asyncio.sleep(0)
        return self.rows.get((level, index))


@pytest.mark.parametrize("limit", [1, 7, 100_000])
async def test_proofs_of_every_kind_whatever_the_memo_forgets(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMO_LIMIT", limit)
    hashes = Hashes(Tiles())  # type: ignore[arg-type]

    async def some(start: int) -> None:
        for size in range(start, SIZE, 97):
            indexes = [0, size // 2, size - 1]
            wanted = [tuple(slow_tree.inclusion(index, LEAVES[:size])) for index in indexes]
            assert await hashes.inclusion(indexes, size) == wanted
            old = size // 3 + 1
            assert list(await hashes.consistency(old, size)) == slow_tree.consistency(old, LEAVES[:size])
            frontier = Frontier(size, await hashes.cover(size))
            assert frontier.root() == slow_tree.root(LEAVES[:size]) == await hashes.root(size)

    await asyncio.gather(*(some(start) for start in (1, 2, 255, 256, 257)))


async def test_learnt_hashes_are_used_and_forgotten_safely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMO_LIMIT", 40)
    hashes = Hashes(Tiles())  # type: ignore[arg-type]
    frontier = Frontier.empty()
    for at in range(0, SIZE, 7):
        frontier, completed = frontier.append(LEAVES[at : at + 7])
        hashes.learn(completed)
        size = min(at + 7, SIZE)
        assert await hashes.inclusion([0, size - 1], size) == [
            tuple(slow_tree.inclusion(index, LEAVES[:size])) for index in (0, size - 1)
        ]
        assert len(hashes._memo) <= 60, "bounded"
        assert len(hashes._edge[1]) <= SIZE.bit_length(), "of this size alone"


async def test_a_missing_tile_is_unavailable() -> None:
    tiles = Tiles()
    del tiles.rows[0, 1]
    with pytest.raises(Unavailable, match="fsck"):
        await Hashes(tiles).inclusion([300], SIZE)  # type: ignore[arg-type]

"""Proofs out of stored tiles, against the slow tree, with a memo that is emptied all the time."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from ledger.errors import Unavailable
from ledger.store import hashes as module
from ledger.store.hashes import Hashes
from ledger.tlog.merkle import Frontier, verify_inclusion
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


class GrownTiles:
    """Those of a tree with whole tiles on the second level, made from what its growth completed."""

    def __init__(self, size: int) -> None:
        self.frontier, self.completed = Frontier.empty().append([octets(at) for at in range(size)])
        self.reads: list[tuple[int, int]] = []

    async def tile(self, level: int, index: int) -> bytes | None:
        self.reads.append((level, index))
        slots = range(index * 256, index * 256 + 256)
        return b"".join(self.completed.get((level * 8, slot), b"") for slot in slots) or None


def octets(number: int) -> bytes:
    return sha256(b"%d" % number).digest()


async def test_proofs_through_whole_upper_tiles_which_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 65_536 + 300
    tiles = GrownTiles(size)
    hashes = Hashes(tiles)  # type: ignore[arg-type]
    indexes = [0, 15, 16, 255, 256, 40_000, 65_279, 65_280, 65_535, 65_536, 65_791, 65_792, size - 1]
    for _ in range(2):
        proofs = [(await hashes.inclusion([index], size))[0] for index in indexes]
        for index, proof in zip(indexes, proofs, strict=True):
            verify_inclusion(octets(index), index, size, proof, tiles.frontier.root())
    assert await hashes.inclusion(indexes, size) == proofs
    assert tiles.reads.count((1, 0)) == 1, "whole tiles above the lowest are kept"
    monkeypatch.setattr(module, "CROWNS_LIMIT", 3)
    monkeypatch.setattr(module, "ROWS_LIMIT", 0)
    few = Hashes(tiles)  # type: ignore[arg-type]
    assert [(await few.inclusion([index], size))[0] for index in indexes] == proofs
    assert len(few._crowns) <= 3 and not few._rows


async def test_whole_tiles_of_leaves_are_read_once_and_the_longest_unasked_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROWS_LIMIT", 2)
    monkeypatch.setattr(module, "ABOVE_LIMIT", 2)
    size = 256 * 4 + 9
    tiles = GrownTiles(size)
    hashes = Hashes(tiles)  # type: ignore[arg-type]
    for index in (0, 300, 17, 600, 255, 300):  # tile 1 is the one to go
        (proof,) = await hashes.inclusion([index], size)
        verify_inclusion(octets(index), index, size, proof, tiles.frontier.root())
        assert len(hashes._rows) <= 2 and len(hashes._above[1]) <= 2
    lowest = [place for place in tiles.reads if place[0] == 0 and place[1] < 4]
    assert lowest == [(0, 0), (0, 1), (0, 2), (0, 1)]


async def test_a_tile_whose_crown_was_given_up_is_not_hashed_as_a_whole_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of ten million has 39,000 lowest tiles, and memory for the crowns of a tenth of them."""
    hashed: list[bytes] = []

    def counted(said: bytes) -> object:
        hashed.append(said)
        return sha256(said)

    monkeypatch.setattr(module, "CROWNS_LIMIT", 1)
    monkeypatch.setattr(module, "ROWS_LIMIT", 0)
    monkeypatch.setattr(module, "MIDDLES_LIMIT", 3)
    size = 256 * 5 + 9
    tiles = GrownTiles(size)
    hashes = Hashes(tiles)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "sha256", counted)
    needed = []
    for index in (
        5,
        256,
        600,
        *range(0, 768, 7),
        256 * 4 - 1,
        3,
    ):  # tile 3 is a fourth, for which the first goes
        hashed.clear()
        (proof,) = await hashes.inclusion([index], size)
        verify_inclusion(octets(index), index, size, proof, tiles.frontier.root())
        needed.append(len(hashed))
        assert len(hashes._crowns) <= 1 and len(hashes._middles) <= 3
    assert all(count >= 254 for count in needed[:3]), "each tile once as a whole"
    assert {1, 22} >= set(needed[4:-2]), "with its crown, or with what is half way up"
    assert needed[-2] >= 254


async def test_proofs_of_one_size_after_another_share_nothing_that_differs() -> None:
    tiles = GrownTiles(256 * 5)
    hashes = Hashes(tiles)  # type: ignore[arg-type]
    leaves = [octets(at) for at in range(256 * 5)]
    for size in (256 * 3, 256 * 5, 256 * 3, 256 * 3 + 1, 256 * 5):
        root = Frontier.empty().append(leaves[:size])[0].root()
        for index in (0, 255, 256, 700):
            (proof,) = await hashes.inclusion([index], size)
            verify_inclusion(leaves[index], index, size, proof, root)


async def test_a_tile_shorter_than_the_log_is_unavailable() -> None:
    tiles = Tiles()
    tiles.rows[0, 1] = tiles.rows[0, 1][: 40 * 32]
    with pytest.raises(Unavailable, match="fsck"):
        await Hashes(tiles).inclusion([256 + 39], SIZE)  # type: ignore[arg-type]


async def test_a_missing_tile_is_unavailable() -> None:
    tiles = Tiles()
    del tiles.rows[0, 1]
    with pytest.raises(Unavailable, match="fsck"):
        await Hashes(tiles).inclusion([300], SIZE)  # type: ignore[arg-type]

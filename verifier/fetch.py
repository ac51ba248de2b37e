"""Reading stretches of a log through its tiles. Nothing that comes back is trusted: callers compare roots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from ledger.errors import Malformed
from ledger.tlog.merkle import (
    consistency_nodes,
    cover,
    inclusion_nodes,
    prove_consistency,
    prove_inclusion,
    root_at,
)
from ledger.tlog.tiles import EntriesTile, Tile, format_tile_path, hashes_from_tiles, parse_entries, tile_of

WIDTH: Final = 256  # entries of a bundle, hashes of a tile
_KEPT_TILES: Final = 512  # 4 MiB


class LogSource(Protocol):
    """Where a log is fetched from: `ledger.client.LedgerClient`, or a test's own log. Raises Unavailable."""

    async def checkpoint(self) -> bytes: ...
    async def tile(self, path: str) -> bytes: ...


class RemoteTree:
    """The log as it is served for one checkpoint's `size`. Raises Malformed for answers of the wrong form."""

    def __init__(self, source: LogSource, size: int) -> None:
        self._source = source
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._read = hashes_from_tiles(lambda level, index: self._tiles[level, index])

    async def entries(self, start: int, end: int) -> list[bytes]:
        """The entries start <= index < end <= size, whole bundles at a time."""
        numbers = range(start // WIDTH, (end - 1) // WIDTH + 1)
        bundles = await asyncio.gather(*(self._bundle(number) for number in numbers))
        first = numbers.start * WIDTH
        return [entry for bundle in bundles for entry in bundle][start - first : end - first]

    async def leaf_hashes(self, start: int, end: int) -> list[bytes]:
        """What the hash tiles say about the same entries."""
        numbers = range(start // WIDTH, (end - 1) // WIDTH + 1)
        await self._load([(0, number) for number in numbers])
        row = b"".join(self._tiles[0, number] for number in numbers)
        first = numbers.start * WIDTH
        return [row[(at - first) * 32 : (at - first + 1) * 32] for at in range(start, end)]

    async def consistency(self, old: int) -> tuple[bytes, ...]:
        """The proof from the tree of `old` leaves to that of `size`, 0 < old < size."""
        nodes = [subtree for node in consistency_nodes(old, self._size) for subtree in node]
        await self._load([tile_of(*subtree)[:2] for subtree in nodes])
        return prove_consistency(old, self._size, self._read)

    async def inclusion(self, index: int) -> tuple[bytes, ...]:
        """The inclusion proof of leaf `index` in the tree of `size`."""
        nodes = [subtree for node in inclusion_nodes(index, self._size) for subtree in node]
        await self._load([tile_of(*subtree)[:2] for subtree in nodes])
        return prove_inclusion(index, self._size, self._read)

    async def root_at(self, size: int) -> bytes:
        """The root of the first `size` leaves, 0 < size, as the tiles have it."""
        await self._load([tile_of(*subtree)[:2] for subtree in cover(0, size)])
        return root_at(size, self._read)

    async def _bundle(self, number: int) -> list[bytes]:
        tile = EntriesTile(number, min(WIDTH, self._size - number * WIDTH))
        return parse_entries(await self._source.tile(format_tile_path(tile)), tile.width)

    async def _load(self, places: Sequence[tuple[int, int]]) -> None:
        if len(self._tiles) > _KEPT_TILES:
            self._tiles.clear()
        missing = [place for place in dict.fromkeys(places) if place not in self._tiles]
        for place, body in zip(missing, await asyncio.gather(*map(self._tile, missing)), strict=True):
            self._tiles[place] = body

    async def _tile(self, place: tuple[int, int]) -> bytes:
        level, index = place
        tile = Tile(level, index, min(WIDTH, (self._size >> 8 * level) - index * WIDTH))
        body = await self._source.tile(format_tile_path(tile))
        if len(body) != 32 * tile.width:
            raise Malformed("a tile of the wrong length")
        return body

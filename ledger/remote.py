"""Reading stretches of a log through its tiles. Nothing that comes back is trusted: callers compare roots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from ledger.errors import Malformed, Refused
from ledger.tlog.merkle import (
    Frontier,
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
AnyTile = TypeVar("AnyTile", Tile, EntriesTile)


class LogSource(Protocol):
    """Where a log is fetched from: a ledger, a static server or a folder. Raises Unavailable, and Refused for what is
    not there."""

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

    async def tile(self, level: int, index: int) -> bytes:
        """One hash tile, as wide as it is at this size; b"" where the tree has nothing."""
        if self._size >> 8 * level <= index * WIDTH:
            return b""
        await self._load([(level, index)])
        return self._tiles[level, index]

    async def frontier(self) -> Frontier:
        """The right edge, as the tiles have it."""
        await self._load([tile_of(*subtree)[:2] for subtree in cover(0, self._size)] if self._size else [])
        return Frontier.read(self._size, self._read)

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
        tile, body = await self._fetch(EntriesTile(number, min(WIDTH, self._size - number * WIDTH)))
        return parse_entries(body, tile.width)

    async def _load(self, places: Sequence[tuple[int, int]]) -> None:
        if len(self._tiles) > _KEPT_TILES:
            self._tiles.clear()
        missing = [place for place in dict.fromkeys(places) if place not in self._tiles]
        for place, body in zip(missing, await asyncio.gather(*map(self._tile, missing)), strict=True):
            self._tiles[place] = body

    async def _tile(self, place: tuple[int, int]) -> bytes:
        level, index = place
        wanted = Tile(level, index, min(WIDTH, (self._size >> 8 * level) - index * WIDTH))
        tile, body = await self._fetch(wanted)
        if len(body) != 32 * tile.width:
            raise Malformed("a tile of the wrong length")
        return body[: 32 * wanted.width]

    async def _fetch(self, tile: AnyTile) -> tuple[AnyTile, bytes]:
        """A tile, or the full one that begins with it: C2SP tlog-tiles lets a partial tile vanish once that is there.
        (A bucket that may not be listed answers 403 for what it does not have.)"""
        try:
            return tile, await self._source.tile(format_tile_path(tile))
        except Refused:
            if tile.width == WIDTH:
                raise
        full = replace(tile, width=WIDTH)
        return full, await self._source.tile(format_tile_path(full))

"""Tiles and entry bundles out of a store, as C2SP tlog-tiles has them: addressed by path alone, and cached for ever."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from aiohttp import web

from ledger.edge import Rejected
from ledger.edge_ready import Header
from ledger.errors import Malformed, Unavailable
from ledger.store.protocol import Store
from ledger.text import Text
from ledger.tlog.tiles import TILE_WIDTH, EntriesTile, format_entries, parse_tile_path

CORS: Final = {"Access-Control-Allow-Origin": "*"}
KEPT: Final = 1024  # whole tiles of hashes, 8 MiB
IMMUTABLE: Final = "public, max-age=604800, immutable"
_HEADER: Final = Header("application/octet-stream", {**CORS, "Cache-Control": IMMUTABLE})


class Tiles:
    """What is under /tile/ of one log. Whole tiles of hashes are kept in memory: they never change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, tuple[int, bytes]] = OrderedDict()  # by path: the size that it needs, and the tile

    async def answer(self, request: web.Request, size: int) -> web.StreamResponse:
        """The tile that `path` (behind /tile/) names in the tree of the first `size` leaves. A partial one is a prefix
        of what is stored. Raises Rejected(404) where that tree has none."""
        path = request.match_info["path"]
        body = self._whole(path, size)
        return _HEADER.answer(request, await self._read(path, size) if body is None else body)

    def ready(self, path: str, size: int, hsts: bool) -> bytes | None:
        """All bytes of that answer, where it is kept in memory (`ledger.edge_direct`)."""
        body = self._whole(path, size)
        return None if body is None else _HEADER.whole(body, hsts)

    def _whole(self, path: str, size: int) -> bytes | None:
        kept = self._kept.get(path)
        if kept is None or kept[0] > size:
            return None
        self._kept.move_to_end(path)
        return kept[1]

    async def _read(self, path: str, size: int) -> bytes:
        try:
            tile = parse_tile_path("tile/" + path)
        except Malformed:
            raise Rejected(404) from None
        if isinstance(tile, EntriesTile):
            start = tile.index * TILE_WIDTH
            if start + tile.width > size:
                raise Rejected(404)
            entries = await self._store.entries(start, start + tile.width)
            if len(entries) != tile.width:
                raise Unavailable(Text("缺少一个条目，请运行 fsck", "an entry is missing; run fsck"))
            return format_entries(entries)
        needed = tile.index * TILE_WIDTH + tile.width << 8 * tile.level
        if needed > size:
            raise Rejected(404)
        row = await self._store.tile(tile.level, tile.index)
        if row is None:
            raise Unavailable(Text("缺少一个树块，请运行 fsck", "a tile is missing; run fsck"))
        body = row[: 32 * tile.width]
        if tile.width == TILE_WIDTH:
            self._kept[path] = needed, body
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return body

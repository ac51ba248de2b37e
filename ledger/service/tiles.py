"""Tiles and entry bundles out of a store, as C2SP tlog-tiles has them: addressed by path alone, and cached for ever."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ledger.edge import Rejected
from ledger.errors import Malformed, Unavailable
from ledger.store.protocol import Store
from ledger.tlog.tiles import EntriesTile, format_entries, parse_tile_path

CORS: Final = {"Access-Control-Allow-Origin": "*"}
IMMUTABLE: Final = "public, max-age=604800, immutable"


async def tile_answer(store: Store, path: str, size: int) -> web.Response:
    """The tile that `path` (behind /tile/) names in the tree of the first `size` leaves. A partial one is a prefix of
    what is stored. Raises Rejected(404) where that tree has none."""
    try:
        tile = parse_tile_path("tile/" + path)
    except Malformed:
        raise Rejected(404) from None
    if isinstance(tile, EntriesTile):
        start = tile.index * 256
        if start + tile.width > size:
            raise Rejected(404)
        entries = await store.entries(start, start + tile.width)
        if len(entries) != tile.width:
            raise Unavailable("an entry is missing; run fsck")
        body = format_entries(entries)
    else:
        if tile.index * 256 + tile.width > size >> (8 * tile.level):
            raise Rejected(404)
        row = await store.tile(tile.level, tile.index)
        if row is None:
            raise Unavailable("a tile is missing; run fsck")
        body = row[: 32 * tile.width]
    headers = {**CORS, "Cache-Control": IMMUTABLE}
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)

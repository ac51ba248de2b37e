"""A log that signs whatever it is told to: the statements, seals and times of a dishonest operator."""

from __future__ import annotations

from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Frontier, leaf_hash
from ledger.tlog.tiles import EntriesTile, format_entries, parse_tile_path
from tests.support.build_log import TIME, LogBuilder


class RawLog:
    """Serves `entries` under the keys of `log`."""

    def __init__(self, log: LogBuilder, entries: list[bytes], time_ms: int = TIME) -> None:
        self.log, self.entries, self.time_ms = log, entries, time_ms
        self.tiles: dict[tuple[int, int], bytes] = {}
        frontier, completed = Frontier.empty().append([leaf_hash(entry) for entry in entries])
        self.root = frontier.root()
        for (level, index), node in sorted(completed.items()):
            if level % 8 == 0:
                place = level // 8, index // 256
                self.tiles[place] = self.tiles.get(place, b"") + node

    async def checkpoint(self) -> bytes:
        checkpoint = Checkpoint(self.log.origin, len(self.entries), self.root)
        return self.log.signer.sign(checkpoint, self.time_ms // 1000)

    async def tile(self, path: str) -> bytes:
        tile = parse_tile_path(path)
        if isinstance(tile, EntriesTile):
            return format_entries(self.entries[tile.index * 256 : tile.index * 256 + tile.width])
        return self.tiles[tile.level, tile.index][: 32 * tile.width]

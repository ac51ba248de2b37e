"""Where a log's hashes and entries lie as files (C2SP tlog-tiles, height 8).

A hash tile (L, N) holds the hashes of the complete subtrees (8 L, 256 N + i), i = 0..255, 32 bytes each.
An entry bundle N holds the entries 256 N + i. Only the right edge is partial, and a partial tile is a
prefix of the later full one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.tlog.merkle import HASH_BYTES, MAX_SIZE, HashReader, Subtree, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63
ENTRY_CEILING = 65_535  # bytes, by the length prefix; the log's own limit is lower
_PATH_CEILING = 64
_PATH = re.compile(r"tile/(0|[1-9][0-9]?|entries)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of `width` subtree hashes; full at 256."""

    level: int  # 0..63, in steps of 8 tree levels
    index: int
    width: int  # 1..256

    def __post_init__(self) -> None:
        if not 0 <= self.level <= MAX_LEVEL:
            raise Malformed("a tile level lies in 0 .. 63")
        _check_place(self.index, self.width)


@dataclass(frozen=True, slots=True)
class EntriesTile:
    """An entry bundle of `width` entries; full at 256."""

    index: int
    width: int  # 1..256

    def __post_init__(self) -> None:
        _check_place(self.index, self.width)


def format_tile_path(tile: Tile | EntriesTile) -> str:
    """The path below the log's prefix, such as `tile/0/x001/234` or `tile/entries/000.p/17`."""
    rest, last = divmod(tile.index, 1000)
    number = f"{last:03d}"
    while rest:
        rest, group = divmod(rest, 1000)
        number = f"x{group:03d}/{number}"
    kind = str(tile.level) if isinstance(tile, Tile) else "entries"
    partial = "" if tile.width == TILE_WIDTH else f".p/{tile.width}"
    return f"tile/{kind}/{number}{partial}"


def parse_tile_path(path: str) -> Tile | EntriesTile:
    """Inverse of `format_tile_path`; Malformed for any other spelling."""
    match = _PATH.fullmatch(path) if len(path) <= _PATH_CEILING else None
    if match is None:
        raise Malformed("not a tile path")
    kind, number, partial = match.groups()
    index = int(number.replace("x", "").replace("/", ""))
    width = int(partial) if partial else TILE_WIDTH
    tile = EntriesTile(index, width) if kind == "entries" else Tile(int(kind), index, width)
    if format_tile_path(tile) != path:
        raise Malformed("a tile path in another spelling")
    return tile


def tiles_for_size(size: int) -> Iterator[Tile]:
    """Every hash tile of a tree of `size`, lowest level first, the partial tiles of the right edge
    included.
    """
    return new_tiles(0, size)


def new_tiles(old_size: int, new_size: int) -> Iterator[Tile]:
    """The hash tiles of the tree of `new_size` that hold a hash the tree of `old_size` did not have."""
    _check_growth(old_size, new_size)
    for level in range(MAX_LEVEL + 1):
        old, new = old_size >> TILE_HEIGHT * level, new_size >> TILE_HEIGHT * level
        if not new:
            return
        for index, width in _changed(old, new):
            yield Tile(level, index, width)


def new_entries_tiles(old_size: int, new_size: int) -> Iterator[EntriesTile]:
    """The entry bundles of the log of `new_size` that hold an entry the log of `old_size` did not have."""
    _check_growth(old_size, new_size)
    for index, width in _changed(old_size, new_size):
        yield EntriesTile(index, width)


def tile_of(level: int, index: int) -> tuple[int, int, range]:
    """Where the complete subtree (level, index) is found: (tile level, tile index, its slots).

    A subtree of level 8 t + r is hashed from 2**r neighbouring slots of a tile of level t.
    """
    tile_level, inside = divmod(level, TILE_HEIGHT)
    first = index << inside
    slot = first % TILE_WIDTH
    return tile_level, first >> TILE_HEIGHT, range(slot, slot + (1 << inside))


def hashes_from_tiles(get_tile: Callable[[int, int], bytes]) -> HashReader:
    """A reader of subtree hashes over `get_tile(level, index)`, which returns a tile's bytes, full or the
    longest partial.

    Each tile is asked for once per read. Malformed when a tile is not whole hashes or too short. What it
    returns is only as good as the tiles: compare a root.
    """

    def read(subtrees: Sequence[Subtree]) -> list[bytes]:
        tiles: dict[tuple[int, int], bytes] = {}
        hashes = []
        for level, index in subtrees:
            tile_level, tile_index, slots = tile_of(level, index)
            data = tiles.get((tile_level, tile_index))
            if data is None:
                data = tiles[tile_level, tile_index] = bytes(get_tile(tile_level, tile_index))
            hashes.append(_hash_slots(data, slots))
        return hashes

    return read


def format_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: for each of 1-256 entries a big-endian u16 length and the entry."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise Malformed("an entry bundle holds 1 to 256 entries")
    lengths = list(map(len, entries))
    if max(lengths) > ENTRY_CEILING:
        raise Malformed("an entry is longer than 65535 bytes")
    heads = [length.to_bytes(2, "big") for length in lengths]
    return b"".join([part for pair in zip(heads, entries, strict=True) for part in pair])


def parse_entries(data: bytes, width: int) -> list[bytes]:
    """The `width` entries of a bundle; Malformed when it ends early or late."""
    _check_place(0, width)
    entries = []
    at = 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            raise Malformed("an entry bundle ends early")
        entries.append(bytes(data[start:at]))
    if at != len(data):
        raise Malformed("an entry bundle has trailing bytes")
    return entries


def _hash_slots(data: bytes, slots: range) -> bytes:
    if len(data) % HASH_BYTES or not slots.stop * HASH_BYTES <= len(data) <= TILE_WIDTH * HASH_BYTES:
        raise Malformed("a tile is too short, too long or not whole hashes")
    row = [data[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in slots]
    while len(row) > 1:
        pairs = iter(row)
        row = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=True)]
    return row[0]


def _changed(old: int, new: int) -> Iterator[tuple[int, int]]:
    """(index, width) of the tiles of a row that grew from `old` to `new` slots."""
    if old == new:
        return
    for index in range(old // TILE_WIDTH, new // TILE_WIDTH):
        yield index, TILE_WIDTH
    if new % TILE_WIDTH:
        yield new // TILE_WIDTH, new % TILE_WIDTH


def _check_growth(old_size: int, new_size: int) -> None:
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise Malformed("tiles need 0 <= old size <= new size < 2**63")


def _check_place(index: int, width: int) -> None:
    if not 0 <= index <= MAX_SIZE >> TILE_HEIGHT or not 1 <= width <= TILE_WIDTH:
        raise Malformed("a tile index or width out of range")

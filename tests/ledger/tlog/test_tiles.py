from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.tlog.checkpoint import parse_checkpoint
from ledger.tlog.merkle import (
    Frontier,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from ledger.tlog.note import parse_note
from ledger.tlog.tiles import (
    EntriesTile,
    Tile,
    format_entries,
    format_tile_path,
    hashes_from_tiles,
    new_entries_tiles,
    new_tiles,
    parse_entries,
    parse_tile_path,
    tile_of,
    tiles_for_size,
)
from tests.support import slow_tree

EDGES = (1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000)
LEAVES = [leaf_hash(b"%d" % i) for i in range(70_000)]
_, SUBTREES = Frontier.empty().append(LEAVES)

paths = st.one_of(
    st.builds(Tile, st.integers(0, 63), st.integers(0, 2**55 - 1), st.integers(1, 256)),
    st.builds(EntriesTile, st.integers(0, 2**55 - 1), st.integers(1, 256)),
)


def tiles_of_tree(size: int) -> dict[tuple[int, int], bytes]:
    return {
        (t.level, t.index): b"".join(SUBTREES[8 * t.level, 256 * t.index + i] for i in range(t.width))
        for t in tiles_for_size(size)
    }


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 1234067, 256), "tile/0/x001/x234/067"),
        (Tile(63, 999, 1), "tile/63/999.p/1"),
        (Tile(1, 1000, 255), "tile/1/x001/000.p/255"),
        (EntriesTile(0, 17), "tile/entries/000.p/17"),
        (EntriesTile(123456789, 256), "tile/entries/x123/x456/789"),
    ],
)
def test_published_paths(tile: Tile | EntriesTile, path: str) -> None:
    assert format_tile_path(tile) == path
    assert parse_tile_path(path) == tile


@given(paths)
def test_paths_round_trip(tile: Tile | EntriesTile) -> None:
    assert parse_tile_path(format_tile_path(tile)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/100/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/X001/001",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/999",
        "tile/0/000.p/1000",
        "tile/0/000.p/1/",
        "tile/0/000/",
        "/tile/0/000",
        "tile//000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/0/../000",
        "tile/8/0/000",
        "tile/entries/0",
        "tile/Entries/000",
        "tile/0/x036/x028/x797/x018/x963/968",  # index 2**55
        "tile/0/" + "x001/" * 40 + "000",
        "tile/0/" + "x001/" * 2000 + "000",
        "tile/0/000" + "0" * 10_000,
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(Malformed):
        parse_tile_path(path)


@given(st.text(alphabet="tile/enrsx.p0129", max_size=24))
def test_any_path_is_refused_or_the_only_spelling(path: str) -> None:
    try:
        tile = parse_tile_path(path)
    except Malformed:
        return
    assert format_tile_path(tile) == path


@pytest.mark.parametrize(
    ("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 0), (0, 0, 257)]
)
def test_no_half_valid_tile(level: int, index: int, width: int) -> None:
    with pytest.raises(Malformed):
        Tile(level, index, width)
    if 0 <= level < 64:
        with pytest.raises(Malformed):
            EntriesTile(index, width)


def test_the_tiles_of_70_000() -> None:
    tiles = list(tiles_for_size(70_000))
    assert [t for t in tiles if t.level == 0] == [*(Tile(0, i, 256) for i in range(273)), Tile(0, 273, 112)]
    assert [t for t in tiles if t.level == 1] == [Tile(1, 0, 256), Tile(1, 1, 17)]
    assert [t for t in tiles if t.level > 1] == [Tile(2, 0, 1)]
    bundles = list(new_entries_tiles(0, 70_000))
    assert bundles == [*(EntriesTile(i, 256) for i in range(273)), EntriesTile(273, 112)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, []),
        (1, ["tile/0/000.p/1"]),
        (255, ["tile/0/000.p/255"]),
        (256, ["tile/0/000", "tile/1/000.p/1"]),
        (257, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]),
    ],
)
def test_the_tiles_of_edge_sizes(size: int, expected: list[str]) -> None:
    assert [format_tile_path(t) for t in tiles_for_size(size)] == expected


def test_level_edges_at_65_536() -> None:
    def upper(size: int) -> list[str]:
        return [format_tile_path(t) for t in tiles_for_size(size) if t.level]

    assert upper(65_535) == ["tile/1/000.p/255"]
    assert upper(65_536) == upper(65_537) == ["tile/1/000", "tile/2/000.p/1"]
    assert list(tiles_for_size(65_537))[256] == Tile(0, 256, 1)


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=5).map(sorted))
def test_new_tiles_step_by_step_end_in_all_tiles(sizes: list[int]) -> None:
    at, held, bundles = 0, {}, {}
    for size in sizes:
        for tile in new_tiles(at, size):
            assert held.get((tile.level, tile.index), 0) < tile.width
            held[tile.level, tile.index] = tile.width
        for bundle in new_entries_tiles(at, size):
            assert bundles.get(bundle.index, 0) < bundle.width
            bundles[bundle.index] = bundle.width
        at = size
    assert held == {(t.level, t.index): t.width for t in tiles_for_size(at)}
    assert bundles == {t.index: t.width for t in new_entries_tiles(0, at)}


def test_tiles_of_a_shrinking_log_do_not_exist() -> None:
    for old, new in ((2, 1), (-1, 5), (0, 2**63)):
        with pytest.raises(Malformed):
            list(new_tiles(old, new))
        with pytest.raises(Malformed):
            list(new_entries_tiles(old, new))


@pytest.mark.parametrize(
    ("level", "index", "expected"),
    [
        (0, 0, (0, 0, range(1))),
        (0, 257, (0, 1, range(1, 2))),
        (7, 3, (0, 1, range(128, 256))),
        (8, 5, (1, 0, range(5, 6))),
        (9, 130, (1, 1, range(4, 6))),
        (16, 0, (2, 0, range(1))),
    ],
)
def test_where_a_subtree_is_found(level: int, index: int, expected: tuple[int, int, range]) -> None:
    assert tile_of(level, index) == expected


@pytest.mark.parametrize("size", EDGES)
def test_a_tree_is_read_and_proven_from_its_tiles_alone(size: int) -> None:
    tiles = tiles_of_tree(size)
    read = hashes_from_tiles(lambda level, index: tiles[level, index])
    root = root_at(size, read)
    assert root == slow_tree.root(LEAVES[:size])
    for index in {0, size // 3, size // 2, max(0, size - 2), size - 1}:
        verify_inclusion(LEAVES[index], index, size, prove_inclusion(index, size, read), root)
    for old in {1, max(1, size // 3), max(1, size - 1), size, *(e for e in EDGES if e < size)}:
        proof = prove_consistency(old, size, read)
        verify_consistency(old, slow_tree.root(LEAVES[:old]), size, root, proof)


def test_the_tiles_are_those_of_the_slow_tree() -> None:
    for size in (1, 255, 256, 257, 1000):
        for (level, index), data in tiles_of_tree(size).items():
            assert data == slow_tree.tile(level, index, LEAVES[:size])


def test_a_wider_tile_answers_for_a_smaller_size() -> None:
    tiles = tiles_of_tree(70_000)
    read = hashes_from_tiles(lambda level, index: tiles[level, index])
    for size in EDGES:
        assert root_at(size, read) == slow_tree.root(LEAVES[:size])


def test_each_tile_is_asked_for_once() -> None:
    tiles = tiles_of_tree(70_000)
    asked: list[tuple[int, int]] = []

    def get(level: int, index: int) -> bytes:
        asked.append((level, index))
        return tiles[level, index]

    prove_inclusion(12_345, 70_000, hashes_from_tiles(get))
    assert len(asked) == len(set(asked)) <= 6


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32), bytes(33), bytes(63), bytes(65), bytes(257 * 32)])
def test_tiles_of_a_wrong_length_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        hashes_from_tiles(lambda level, index: data)([(0, 1)])


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bundles_round_trip(entries: list[bytes]) -> None:
    data = format_entries(entries)
    assert parse_entries(data, len(entries)) == entries
    for wrong in (data + b"\0", data + b"\0\0", data[:-1]):
        with pytest.raises(Malformed):
            parse_entries(wrong, len(entries))


def test_every_prefix_of_a_bundle_is_refused() -> None:
    data = format_entries([b"one", b"", b"three"])
    for end in range(len(data)):
        with pytest.raises(Malformed):
            parse_entries(data[:end], 3)
    for width in (1, 2, 4, 256):
        with pytest.raises(Malformed):
            parse_entries(data, width)


def test_the_limits_of_a_bundle() -> None:
    largest = bytes(65_535)
    assert parse_entries(format_entries([largest]), 1) == [largest]
    assert parse_entries(format_entries([b""] * 256), 256) == [b""] * 256
    for entries in ([], [b""] * 257, [bytes(65_536)]):
        with pytest.raises(Malformed):
            format_entries(entries)
    for width in (0, -1, 257):
        with pytest.raises(Malformed):
            parse_entries(b"", width)


def test_the_sample_log(vectors: Path) -> None:
    folder = vectors / "tlog-tiles-sample-log"
    for size in range(1, 16):
        if not (folder / f"tile/entries/000.p/{size}").exists():
            continue
        entries = parse_entries((folder / f"tile/entries/000.p/{size}").read_bytes(), size)
        assert format_entries(entries) == (folder / f"tile/entries/000.p/{size}").read_bytes()
        (tile,) = tiles_for_size(size)
        data = (folder / format_tile_path(tile)).read_bytes()
        assert data == b"".join(map(leaf_hash, entries))
        checkpoint = parse_checkpoint(parse_note((folder / f"checkpoint.{size}").read_bytes()).text)
        assert root_at(size, hashes_from_tiles(lambda level, index, data=data: data)) == checkpoint.root

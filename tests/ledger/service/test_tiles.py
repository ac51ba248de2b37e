"""Tiles from memory, against a store that counts what is read."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ledger.edge import Rejected
from ledger.service import tiles as module
from ledger.service.tiles import Tiles
from ledger.tlog.tiles import Tile, format_entries, format_tile_path


class Rows:
    """A store with every tile and entry, each of its own bytes."""

    def __init__(self) -> None:
        self.reads: list[tuple[int, int]] = []

    async def tile(self, level: int, index: int) -> bytes:
        self.reads.append((level, index))
        return sha256(b"%d %d" % (level, index)).digest() * 256

    async def entries(self, start: int, end: int) -> list[bytes]:
        self.reads.append((-1, start))
        return [b"entry %d" % index for index in range(start, end)]


async def ask(tiles: Tiles, path: str, size: int) -> bytes:
    request = make_mocked_request("HEAD", f"/tile/{path}", match_info={"path": path})  # ordinary: it has its body
    answer = await tiles.answer(request, size)
    assert isinstance(answer, web.Response) and isinstance(answer.body, bytes)
    return answer.body


async def refused(tiles: Tiles, paths: Sequence[str], size: int) -> None:
    for path in paths:
        with pytest.raises(Rejected):
            await ask(tiles, path, size)


async def test_a_whole_tile_is_read_once_and_is_the_right_one() -> None:
    rows = Rows()
    tiles = Tiles(rows)  # type: ignore[arg-type]
    for _ in range(3):
        for level, index in ((0, 0), (0, 1), (1, 0), (0, 1001)):
            path = format_tile_path(Tile(level, index, 256)).removeprefix("tile/")
            assert await ask(tiles, path, 1 << 20) == sha256(b"%d %d" % (level, index)).digest() * 256
    assert sorted(rows.reads) == [(0, 0), (0, 1), (0, 1001), (1, 0)]


async def test_a_kept_tile_is_still_none_of_a_smaller_tree() -> None:
    tiles = Tiles(Rows())  # type: ignore[arg-type]
    for path, needed in (("0/001", 512), ("1/000", 65_536)):
        await refused(tiles, [path], needed - 1)
        whole = await ask(tiles, path, needed)
        await refused(tiles, [path], needed - 1)
        assert await ask(tiles, path, needed) == whole


async def test_what_grows_and_bundles_are_not_kept() -> None:
    rows = Rows()
    tiles = Tiles(rows)  # type: ignore[arg-type]
    whole = await ask(tiles, "0/000", 256)
    for width in (1, 200, 255):
        assert await ask(tiles, f"0/000.p/{width}", width) == whole[: 32 * width]
    assert await ask(tiles, "entries/001", 512) == format_entries([b"entry %d" % at for at in range(256, 512)])
    await refused(tiles, ["entries/001"], 511)
    await refused(tiles, ["0/0", "0/000.p/256", "8/x", "entries/1", "", "64/000"], 1 << 20)
    assert len(tiles._kept) == 1


async def test_what_is_kept_lies_ready_for_trees_that_have_it() -> None:
    rows = Rows()
    tiles = Tiles(rows)  # type: ignore[arg-type]
    assert tiles.ready("0/001", 512, False) is None, "not before somebody asked"
    whole = await ask(tiles, "0/001", 512)
    for size, hsts in ((512, False), (1 << 20, True)):
        answer = tiles.ready("0/001", size, hsts)
        assert answer is not None and answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n" + whole)
        assert (b"\r\nStrict-Transport-Security: " in answer) == hsts
    assert tiles.ready("0/001", 511, False) is None
    for path in ("0/001.p/5", "0/1", "0/001/", "", "entries/001", "0/000"):
        assert tiles.ready(path, 1 << 20, False) is None
    assert rows.reads == [(0, 1)]


async def test_being_asked_directly_keeps_a_tile_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    tiles = Tiles(Rows())  # type: ignore[arg-type]
    await ask(tiles, "0/000", 1 << 20)
    await ask(tiles, "0/001", 1 << 20)
    assert tiles.ready("0/000", 1 << 20, False)
    await ask(tiles, "0/002", 1 << 20)
    assert tiles.ready("0/000", 1 << 20, False) and tiles.ready("0/001", 1 << 20, False) is None


async def test_the_longest_unasked_tile_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    rows = Rows()
    tiles = Tiles(rows)  # type: ignore[arg-type]
    for path in ("0/000", "0/001", "0/000", "0/002", "0/000", "0/001"):
        await ask(tiles, path, 1 << 20)
        assert len(tiles._kept) <= 2
    assert rows.reads == [(0, 0), (0, 1), (0, 2), (0, 1)]

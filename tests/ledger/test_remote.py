"""Reading through tiles: the specification's bytes, and a partial tile that gave way to its full one."""

from __future__ import annotations

import pytest

from ledger.errors import Malformed, Refused
from ledger.remote import RemoteTree
from ledger.text import Text
from tests.support import slow_tree
from tests.support.tile_log import TileLog


class Some(TileLog):
    """A server without some of its files."""

    gone: frozenset[str] = frozenset()

    async def tile(self, path: str) -> bytes:
        if path in self.gone:
            raise Refused("not_found", "path", Text("没有", "not there"))
        return await super().tile(path)


@pytest.fixture(scope="module")
def log() -> Some:
    made = Some()
    made.grow(900)
    return made


async def test_what_is_read_is_the_log(log: Some) -> None:
    leaves = [slow_tree.leaf(entry) for entry in log.entries]
    for size in (1, 255, 256, 257, 700, 900):
        tree = RemoteTree(log, size)
        assert await tree.entries(0, size) == log.entries[:size]
        assert (await tree.frontier()).root() == await tree.root_at(size) == slow_tree.root(leaves[:size])
        assert await tree.inclusion(size // 2) == tuple(slow_tree.inclusion(size // 2, leaves[:size]))
        if size > 1:
            assert await tree.consistency(size // 2) == tuple(slow_tree.consistency(size // 2, leaves[:size]))
        assert await tree.tile(0, size // 256) == slow_tree.tile(0, size // 256, leaves[:size])
        assert await tree.tile(2, 0) == b""
    assert (await RemoteTree(log, 0).frontier()).size == 0


async def test_a_partial_tile_may_give_way_to_the_full_one(log: Some) -> None:
    """And the other way round: where the full one is not there yet, the partial one is what the size needs."""
    size, wanted = 300, log.entries[:300]
    partial = frozenset({"tile/entries/001.p/44", "tile/0/001.p/44"})
    full = frozenset({"tile/entries/001", "tile/0/001"})
    root = (await RemoteTree(log, size).frontier()).root()
    for gone in (partial, full):
        log.gone = gone
        tree = RemoteTree(log, size)
        assert await tree.entries(0, size) == wanted and await tree.entries(290, 300) == wanted[290:]
        assert (await tree.frontier()).root() == root
        assert await tree.tile(0, 1) == b"".join(map(slow_tree.leaf, wanted[256:]))
    log.gone = partial | full
    with pytest.raises(Refused):
        await RemoteTree(log, size).entries(0, size)
    with pytest.raises(Refused):
        await RemoteTree(log, size).frontier()
    log.gone = frozenset({"tile/entries/000"})
    with pytest.raises(Refused):  # what is full has nothing in its place
        await RemoteTree(log, size).entries(0, size)
    log.gone = frozenset()


@pytest.mark.parametrize("spoil", [lambda body: body[:-1], lambda body: body + b"\0", lambda body: b""])
async def test_a_full_one_of_the_wrong_form(spoil, log: Some) -> None:  # type: ignore[no-untyped-def]
    log.gone = frozenset({"tile/entries/001.p/44", "tile/0/001.p/44"})
    log.altered = {path: spoil(log.content(path)) for path in ("tile/entries/001", "tile/0/001")}
    with pytest.raises(Malformed):
        await RemoteTree(log, 300).entries(0, 300)
    with pytest.raises(Malformed):
        await RemoteTree(log, 300).frontier()
    log.gone, log.altered = frozenset(), {}

"""Stretches in order, proven, and nothing left on its way when nobody wants it any more. What servers and logs may get
wrong on the way is in test_replica.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from pathlib import Path

import pytest

from ledger.store.reading import Read
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Frontier, leaf_hash
from ledger.tlog.tiles import EntriesTile, parse_tile_path
from tests.support.build_log import FakeLedger, LogBuilder
from verifier.download import AHEAD, Download
from verifier.violation import Violation

WIDTH = 256


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    for at in range(6):
        await builder.issue(*(builder.certificate(f"{at} {number}") for number in range(99)))
    yield builder
    await builder.store.close()


def begin(log: LogBuilder, source: FakeLedger, held: Frontier, asked: list[int]) -> Download:
    head = log.integrator.head
    assert head is not None

    def read(entries: list[bytes], start: int) -> Awaitable[list[Read]]:
        asked.append(start)
        return asyncio.sleep(0, [])

    return Download(source, Checkpoint(log.origin, head.size, head.root), held, read, WIDTH)


async def test_what_comes_is_the_log_from_where_it_was_held(log: LogBuilder) -> None:
    entries = await log.store.entries(0, log.integrator.size)
    for size in (0, 1, 255, 256, 300, len(entries)):
        held, _ = Frontier(0, ()).append([leaf_hash(entry) for entry in entries[:size]])
        asked: list[int] = []
        download, got = begin(log, FakeLedger(log), held, asked), list[bytes]()
        await download.prove_held()
        async for stretch, reading in download.stretches():
            assert len(stretch) <= WIDTH and await reading == []
            got += stretch
        assert got == entries[size:]
        assert asked == [size, *range(size - size % WIDTH + WIDTH, len(entries), WIDTH)][: len(asked)]


async def test_what_is_on_its_way_is_given_up_when_nobody_wants_it(log: LogBuilder) -> None:
    waiting: list[int] = []

    class Slow(FakeLedger):
        async def tile(self, path: str) -> bytes:
            tile = parse_tile_path(path)
            if isinstance(tile, EntriesTile) and tile.index:
                waiting.append(tile.index)
                await asyncio.Event().wait()
            return await super().tile(path)

    before = asyncio.all_tasks()
    download = begin(log, Slow(log), Frontier(0, ()), [])
    async with asyncio.timeout(60) as limit, aclosing(download.stretches()) as stretches:
        entries, reading = await anext(stretches)
        assert len(entries) == WIDTH and await reading == []
        while not waiting:
            await asyncio.sleep(0)
        assert 0 < len(asyncio.all_tasks() - before) <= AHEAD
    assert asyncio.all_tasks() == before and not limit.expired()


async def test_what_is_held_and_is_no_prefix_is_the_logs_doing_or_that_of_whoever_stands_between(
    log: LogBuilder,
) -> None:
    hashes = [leaf_hash(entry) for entry in await log.store.entries(0, 300)]
    held, _ = Frontier(0, ()).append(hashes)
    forked, _ = Frontier(0, ()).append([*hashes[:-1], bytes(32)])

    class Liar(FakeLedger):
        async def tile(self, path: str) -> bytes:
            raw = await super().tile(path)
            return raw[:-1] + bytes([raw[-1] ^ 1])

    for source, tree, proven in ((FakeLedger(log), forked, True), (Liar(log), held, False), (Liar(log), forked, False)):
        with pytest.raises(Violation, match="does not extend our 300 entries") as caught:
            await begin(log, source, tree, []).prove_held()
        assert caught.value.proven is proven

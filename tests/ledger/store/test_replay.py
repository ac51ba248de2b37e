"""Reading a log again from its bytes: what a replica accepts is exactly what the log committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Unverified
from ledger.records.seal import parse_seal
from ledger.store.integrate import Integrator
from ledger.store.replay import replay_stretch, split_sealed
from ledger.store.sqlite import SqliteStore, create_sqlite
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import MAP_DEPTH, LogBuilder, octets
from tests.support.fault_store import flip


@pytest.fixture(scope="module")
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db")
    await made.issue(made.certificate("a"), made.certificate("b", track="a", grade=3))
    await made.issue(made.certificate("c", track="a", grade=5))
    yield made
    await made.store.close()


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = create_sqlite(tmp_path / "again.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    yield store
    await store.close()


async def entries_of(log: LogBuilder) -> list[bytes]:
    return await log.store.entries(0, log.integrator.size)


async def replay(store: SqliteStore, entries: list[bytes], workers: ThreadPoolExecutor) -> Integrator:
    integrator = await Integrator.open(store)
    stretches, rest = split_sealed(entries)
    assert not rest
    for stretch in stretches:
        await integrator.commit(await replay_stretch(integrator, stretch, workers))
    return integrator


async def test_a_replay_reaches_the_same_head_and_rows(
    log: LogBuilder, empty: SqliteStore, workers: ThreadPoolExecutor
) -> None:
    entries = await entries_of(log)
    again = await replay(empty, entries, workers)
    assert again.head == log.integrator.head
    assert await empty.rows(0, 99) == await log.store.rows(0, 99)
    everything = [(bytes(32), b"\xff" * 32)]
    assert await empty.leaves(everything) == await log.store.leaves(everything)


async def test_any_flipped_bit_is_found_and_named(
    log: LogBuilder, empty: SqliteStore, workers: ThreadPoolExecutor
) -> None:
    entries = await entries_of(log)
    stretches, _ = split_sealed(entries)
    integrator = await Integrator.open(empty)
    await integrator.commit(await replay_stretch(integrator, stretches[0], workers))
    stretch, start = list(stretches[1]), integrator.size
    head = integrator.head
    for at, entry in enumerate(stretch):
        for bit in range(0, 8 * len(entry), 61):
            broken = [*stretch[:at], flip(entry, bit), *stretch[at + 1 :]]
            with pytest.raises(Unverified) as failure:
                await replay_stretch(integrator, broken, workers)
            assert str(failure.value).startswith("entry ")
            named = int(str(failure.value).split()[1].rstrip(":"))
            assert start <= named <= start + at or named == start + len(stretch) - 1
    assert integrator.head == head
    await integrator.commit(await replay_stretch(integrator, stretch, workers))


async def test_stretches_that_are_not_what_the_log_sealed(
    log: LogBuilder, empty: SqliteStore, workers: ThreadPoolExecutor
) -> None:
    stretches, _ = split_sealed(await entries_of(log))
    integrator = await Integrator.open(empty)
    await integrator.commit(await replay_stretch(integrator, stretches[0], workers))
    good = list(stretches[1])
    seal = parse_seal(good[-1])
    wrong_seals = [
        replace(seal, covered=seal.covered + 1),
        replace(seal, time=seal.time + 1),  # the state holds the time
        replace(seal, time=log.time - 10_000_000),
        replace(seal, map_root=bytes(32)),
        replace(seal, map_count=seal.map_count + 1),
        replace(seal, chain=bytes(32)),
        replace(seal, previous=-1),
    ]
    bad = [
        good[:-1],
        good[1:],
        [good[1], good[0], good[2]],
        [good[0], good[0], good[2]],
        good[-1:],
        [stretches[0][0], *good],
        list(stretches[2]),
        *([*good[:-1], each.encode()] for each in wrong_seals),
    ]
    for stretch in bad:
        with pytest.raises(Unverified):
            await replay_stretch(integrator, stretch, workers)
    await integrator.commit(await replay_stretch(integrator, good, workers))


async def test_a_log_cannot_admit_what_the_fold_refuses(
    log: LogBuilder, empty: SqliteStore, workers: ThreadPoolExecutor
) -> None:
    """A dishonest log seals a statement signed by a stranger, or a second certificate of one grade."""
    stretches, _ = split_sealed(await entries_of(log))
    integrator = await Integrator.open(empty)
    await integrator.commit(await replay_stretch(integrator, stretches[0], workers))
    seal = stretches[1][-1]
    first = log.certificate("x")
    stranger = log.certificate("y", signer=Ed25519Signer(octets("stranger")))
    twin = log.certificate("z", track="x")
    for entries in ([stranger], [first, twin]):
        stretch = [c.statement.entry for c in entries]
        number = integrator.size + len(stretch)
        with pytest.raises(Unverified, match=rf"entry {number - 1}:"):
            await replay_stretch(integrator, [*stretch, replace(parse_seal(seal), covered=number).encode()], workers)


async def test_a_log_without_a_genesis_is_none(
    empty: SqliteStore, log: LogBuilder, workers: ThreadPoolExecutor
) -> None:
    integrator = await Integrator.open(empty)
    stretch = split_sealed(await entries_of(log))[0][0]
    with pytest.raises(Unverified):
        await replay_stretch(integrator, [stretch[1], replace(parse_seal(stretch[-1]), covered=1).encode()], workers)


def test_splitting_keeps_what_is_behind_the_last_seal(log: LogBuilder) -> None:
    seal = b"\x87 a seal by its first byte"
    assert split_sealed([]) == ([], [])
    assert split_sealed([b"a", seal, b"b", b"c"]) == ([[b"a", seal]], [b"b", b"c"])
    assert split_sealed([b"a", seal, b"b", seal]) == ([[b"a", seal], [b"b", seal]], [])

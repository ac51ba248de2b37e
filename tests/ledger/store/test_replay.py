"""Reading a log again from its bytes: what a replica accepts is exactly what the log committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Unverified
from ledger.records.authority import FiledKey, Published
from ledger.records.kinds import FilingStatus, Kind
from ledger.records.rotation import AuthorityChange
from ledger.records.seal import parse_seal
from ledger.records.statements import Statement
from ledger.store.integrate import Integrator
from ledger.store.replay import BadEntry, replay_stretch, split_sealed
from ledger.store.sqlite import SqliteStore, create_sqlite
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import MAP_DEPTH, LogBuilder, octets
from tests.support.builders import (
    DAY,
    WINDOW,
    filing_standing,
    key,
    make_authority,
    make_body,
    ruling,
    sign_together,
)
from tests.support.fault_store import flip
from tests.support.stored_log import StoredLog

AUTHORITY, BODY = make_authority(), make_body()


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


async def test_the_first_bad_entry_is_named_whatever_is_wrong_with_a_later_one(
    log: LogBuilder, empty: SqliteStore, workers: ThreadPoolExecutor
) -> None:
    stretches, _ = split_sealed(await entries_of(log))
    integrator = await Integrator.open(empty)
    await integrator.commit(await replay_stretch(integrator, stretches[0], workers))
    start = integrator.size
    good = [log.certificate(f"g{n}").statement.entry for n in range(3)]
    inadmissible = log.certificate("scope", grade=6).statement.entry
    unsigned = log.certificate("y", signer=Ed25519Signer(octets("stranger"))).statement.entry
    malformed, seal = b"\xd2\x80", stretches[1][-1]
    bad = [inadmissible, unsigned, malformed, seal]
    for first in bad:
        for second in bad:
            stretch = [*good, first, good[0], second]
            last = replace(parse_seal(seal), covered=start + len(stretch)).encode()
            with pytest.raises(BadEntry) as failure:
                await replay_stretch(integrator, [*stretch, last], workers)
            assert failure.value.index == start + 3, (first, second)


async def resealed(
    integrator: Integrator, statements: list[Statement], seal: bytes, workers: ThreadPoolExecutor
) -> str:
    """What a replay says to a stretch of these statements under a seal of its size."""
    covered = integrator.size + len(statements)
    entries = [statement.entry for statement in statements]
    time = parse_seal(seal).time + 1
    with pytest.raises(Unverified) as failure:
        await replay_stretch(
            integrator, [*entries, replace(parse_seal(seal), covered=covered, time=time).encode()], workers
        )
    return str(failure.value)


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[StoredLog]:
    made = await StoredLog.create(tmp_path / "life.db", BODY)
    yield made
    await made.store.close()


async def test_an_old_statement_cannot_be_played_again(life: StoredLog, workers: ThreadPoolExecutor) -> None:
    """A restore that stands on the log would otherwise undo a later revocation."""
    made = BODY.certificate("a")
    restored = AUTHORITY.sign(ruling(Kind.RESTORE, made))
    await life.add(made.statement)
    await life.add(AUTHORITY.sign(ruling(Kind.REVOKE, made, day=DAY - 1)))
    await life.add(restored)
    await life.add(AUTHORITY.sign(ruling(Kind.REVOKE, made)))
    seal = (await life.entries())[-1]
    size = life.integrator.size
    again = AUTHORITY.sign(ruling(Kind.RESTORE, made), by=(1, 2))  # other people, the same statement
    fresh = BODY.certificate("b").statement
    for old in (restored, again):
        said = await resealed(life.integrator, [fresh, old], seal, workers)
        assert said == f"entry {size + 1}: it is on the log already"
    twice = AUTHORITY.sign(Published(Kind.LADDER, "2026", bytes(32), DAY))
    said = await resealed(life.integrator, [twice, fresh, twice], seal, workers)
    assert said == f"entry {size + 2}: it is on the log already"


async def test_the_first_bad_entry_is_named_whatever_is_wrong_behind_it(
    life: StoredLog, workers: ThreadPoolExecutor
) -> None:
    made = BODY.certificate("a")
    await life.add(made.statement)
    seal = (await life.entries())[-1]
    size = life.integrator.size
    good = BODY.certificate("good").statement
    inadmissible = BODY.certificate("twin", track=made.issue.track_id).statement
    unsigned = BODY.certificate("b", signer=key("stranger")).statement
    malformed = renewed(good, entry=good.entry[:-1])
    for first, second in permutations((inadmissible, unsigned, malformed, made.statement), 2):
        said = await resealed(life.integrator, [good, first, second], seal, workers)
        assert said.startswith(f"entry {size + 1}:"), said


async def test_a_filing_that_is_there_does_not_lend_its_number_to_other_keys(
    life: StoredLog, workers: ThreadPoolExecutor
) -> None:
    seal, size = (await life.entries())[-1], life.integrator.size
    double = make_body("other")  # the same number, signed by the authority by mistake
    said = await resealed(
        life.integrator, [AUTHORITY.sign(double.filing), BODY.certificate("a").statement], seal, workers
    )
    assert said == f"entry {size}: not admissible: FILING_EXISTS"


@pytest.mark.parametrize("first", [True, False])
async def test_what_stands_alone_is_not_sealed_with_anything_else(
    life: StoredLog, workers: ThreadPoolExecutor, *, first: bool
) -> None:
    seal, size = (await life.entries())[-1], life.integrator.size
    alone = AUTHORITY.sign(filing_standing(FilingStatus.SUSPENDED))
    other = AUTHORITY.sign(Published(Kind.LADDER, "2026", bytes(32), DAY))
    said = await resealed(life.integrator, [alone, other] if first else [other, alone], seal, workers)
    assert said == f"entry {size + 1}: not admissible: STANDS_ALONE"


async def test_rotations_are_followed_and_the_old_keys_are_refused(
    life: StoredLog, workers: ThreadPoolExecutor
) -> None:
    joins, third = key("joins"), key("third")
    people = tuple(sorted((AUTHORITY.people[0].public, joins.public)))
    await life.add(sign_together(AuthorityChange(people, 2, DAY), [*AUTHORITY.people[:2], joins]))
    keys = (*BODY.filing.record_keys, FiledKey(third.public, WINDOW[0]))
    terms = replace(BODY.filing, record_keys=keys, change=True)
    await life.add(sign_together(terms, [AUTHORITY.people[0], joins]))
    await life.add(BODY.certificate("a", signer=third).statement)
    store = create_sqlite(Path(life.store._path).parent / "twin.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    twin = await replay(store, await life.entries(), workers)
    assert twin.head == life.integrator.head and twin.authority == life.integrator.authority
    seal, size = (await life.entries())[-1], twin.size
    said = await resealed(twin, [AUTHORITY.sign(ruling(Kind.REVOKE, BODY.certificate("a")))], seal, workers)
    assert said.startswith(f"entry {size}: signed by a key that is not the authority's")
    await store.close()


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


async def test_stored_leaves_that_are_damaged_are_not_the_logs_fault(
    log: LogBuilder, empty: SqliteStore, workers: ThreadPoolExecutor
) -> None:
    """A replay hashes the leaves that it read again when the map root differs from the sealed one, before it blames."""
    for number in range(2):  # enough that what is new lies beside what was there
        await log.issue(*(log.certificate(f"{number}-{at}") for at in range(60)))
    stretches, _ = split_sealed(await entries_of(log))
    integrator = await Integrator.open(empty)
    for stretch in stretches[:-1]:
        await integrator.commit(await replay_stretch(integrator, stretch, workers))
    leaves = empty.leaves

    async def damaged(ranges: list[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        return [[(key, flip(value, 9)) for key, value in bucket] for bucket in await leaves(ranges)]

    empty.leaves = damaged  # type: ignore[method-assign, assignment]
    with pytest.raises(Unverified, match="run fsck") as caught:
        await replay_stretch(integrator, stretches[-1], workers)
    assert not isinstance(caught.value, BadEntry)
    empty.leaves = leaves  # type: ignore[method-assign]
    await integrator.commit(await replay_stretch(integrator, stretches[-1], workers))
    assert integrator.head == log.integrator.head

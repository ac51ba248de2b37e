"""Batches: map root, chain, seal and tiles against slow twins; what opening a store checks; the second root."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as renewed

from ledger.errors import CertLedgerError, Refused, Unavailable, Unverified
from ledger.records.kinds import FilingStatus, Kind
from ledger.records.life import Range
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.seal import parse_seal
from ledger.records.state import certificate_map_key, certificate_value
from ledger.records.status import authenticate_record
from ledger.store.integrate import Integrator
from ledger.store.protocol import StateRow
from ledger.store.sqlite import create_sqlite, open_sqlite
from ledger.tlog.map_tree import MapTree
from ledger.tlog.tiles import tiles_for_size
from tests.support import slow_tree
from tests.support.build_log import LogBuilder, octets
from tests.support.builders import (
    DAY,
    SECOND,
    correct,
    filing_standing,
    key,
    key_standing,
    make_authority,
    ruling,
    sign_together,
    two_keys,
)
from tests.support.fault_store import FaultStore, flip
from tests.support.stored_log import StoredLog

EVERYTHING = [(bytes(32), b"\xff" * 32)]
CHAIN = b"certledger/chain/v1\n"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db")
    yield made
    await made.store.close()


async def test_opening_a_deep_map_leaves_the_loop_to_others(log: LogBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leads has to say so meanwhile, or another sequencer takes its place."""
    real, alive = MapTree.restore, threading.Event()

    def long(*arguments: Any) -> MapTree:
        assert alive.wait(60), "nobody else was heard of"
        return real(*arguments)

    monkeypatch.setattr(MapTree, "restore", long)
    opening = asyncio.create_task(Integrator.open(log.store))
    await asyncio.sleep(0.05)
    alive.set()
    assert (await opening).head == log.integrator.head


async def check_against_slow_twins(log: LogBuilder) -> None:
    """Everything that the head and the stored rows claim, recomputed from the entries by other code."""
    head = log.integrator.head
    assert head is not None
    entries = await log.store.entries(0, head.size)
    leaves = [slow_tree.leaf(entry) for entry in entries]
    assert head.root == slow_tree.root(leaves)
    (stored,) = await log.store.leaves(EVERYTHING)
    assert head.map_root == slow_tree.map_root(dict(stored))
    assert head.map_count == len(stored)
    chain, chains = bytes(32), []
    for leaf in leaves:
        chain = sha256(CHAIN + chain + leaf).digest()
        chains.append(chain)
    rows = await log.store.rows(0, head.size)
    assert [row.chain for row in rows] == chains
    assert head.chain == chains[-1]
    seal = parse_seal(entries[-1])
    assert (seal.covered, seal.time) == (head.size - 1, head.time)
    assert (seal.map_root, seal.map_count) == (head.map_root, head.map_count)
    assert seal.chain == chains[-2]
    assert seal.previous == -1 or parse_seal(entries[seal.previous]).covered == seal.previous
    for tile in tiles_for_size(head.size):
        assert await log.store.tile(tile.level, tile.index) == slow_tree.tile(tile.level, tile.index, leaves)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(batches=st.lists(st.integers(1, 40), min_size=1, max_size=8), seed=st.integers(0, 2**32))
async def test_random_batches_agree_with_slow_twins(
    batches: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = await LogBuilder.create(tmp_path_factory.mktemp("log") / "log.db")
    draw, number = random.Random(seed), 0
    people: list[tuple[str, int]] = []
    for count in batches:
        certificates = []
        for _ in range(count):
            number += 1
            track, grade = str(number), draw.choice((2, 3, 4, 5))
            if people and draw.random() < 0.4:  # another grade of somebody who is there: the track is rewritten
                other, had = draw.choice(people)
                if had < 5:
                    track, grade = other, had + 1
                    people.remove((other, had))
            people.append((track, grade))
            certificates.append(log.certificate(f"{seed}-{number}", track=track, grade=grade))
        await log.issue(*certificates)
        await check_against_slow_twins(log)
    again = await Integrator.open(log.store)
    assert again.head == log.integrator.head
    assert again.frontier.root() == log.integrator.frontier.root()
    assert (again.map.root, again.map.count) == (log.integrator.map.root, log.integrator.map.count)
    assert again.edge == log.integrator.edge
    assert again.authority == log.integrator.authority
    await log.store.close()


@pytest.mark.parametrize("size", [255, 256, 257, 511, 512, 513])
async def test_sizes_at_a_tile_edge_and_the_batch_after(log: LogBuilder, size: int) -> None:
    count = size - log.integrator.size - 1
    await log.issue(*(log.certificate(f"edge {at}") for at in range(count)))
    assert log.integrator.size == size
    await check_against_slow_twins(log)
    reopened = await Integrator.open(log.store)
    assert reopened.head == log.integrator.head and reopened.edge == log.integrator.edge
    log.integrator = reopened  # the next batch grows what was read back
    await log.issue(log.certificate("after"))
    await check_against_slow_twins(log)


@pytest.mark.parametrize("bit", range(0, 4000, 397))
async def test_a_bit_that_flips_in_a_stored_row_stops_the_commit(log: LogBuilder, bit: int) -> None:
    before = log.integrator.head

    def spoil(entries: Any) -> list[bytes]:
        changed = list(entries)
        changed[bit % len(changed)] = flip(changed[bit % len(changed)], bit)
        return changed

    log.integrator.store = FaultStore(log.store, alter=spoil)  # type: ignore[assignment]
    with pytest.raises(AssertionError, match="do not hash to the root"):
        await log.issue(log.certificate("a"), log.certificate("b"))
    assert await log.store.head() == before
    assert await log.store.entries(before.size, before.size + 9) == []
    assert log.integrator.head == before, "what is believed is what is stored"
    log.integrator.store = log.store
    await log.issue(log.certificate("a"), log.certificate("b"))
    await check_against_slow_twins(log)


@pytest.mark.parametrize("spoil", [lambda e: e[:-1], lambda e: [*e, b"more"], lambda e: [e[1], e[0], *e[2:]]])
async def test_a_missing_added_or_exchanged_row_stops_the_commit(log: LogBuilder, spoil: Any) -> None:
    before = log.integrator.head
    log.integrator.store = FaultStore(log.store, alter=spoil)  # type: ignore[assignment]
    with pytest.raises(AssertionError, match="do not hash to the root"):
        await log.issue(log.certificate("a"), log.certificate("b"))
    assert await log.store.head() == before


@pytest.mark.parametrize("fail", ["before", "after"])
async def test_an_unknown_outcome_is_decided_by_opening_anew(log: LogBuilder, fail: str) -> None:
    before = log.integrator.head
    log.integrator.store = FaultStore(log.store, fail=fail)  # type: ignore[assignment]
    with pytest.raises(Unavailable, match="unknown"):
        await log.issue(log.certificate("a"))
    log.integrator = await Integrator.open(log.store)
    assert (log.integrator.head == before) == (fail == "before")
    if fail == "before":
        await log.issue(log.certificate("a"))
    await log.issue(log.certificate("b"))
    await check_against_slow_twins(log)
    assert log.integrator.size == before.size + 4


async def test_a_refused_statement_changes_nothing(log: LogBuilder) -> None:
    good, bad, last = log.certificate("a"), log.certificate("b", track="a"), log.certificate("c")
    batch = await log.integrator.begin([c.statement for c in (good, bad, last)], log.time + 1000)
    public = log.record_key.public
    assert batch.add(authenticate_record(good.statement, public)) == log.integrator.size
    with pytest.raises(Refused, match="DUPLICATE_GRADE"):
        batch.add(authenticate_record(bad.statement, public))
    batch.add(authenticate_record(last.statement, public))
    await log.integrator.commit(await batch.finish())
    await check_against_slow_twins(log)
    assert await log.integrator.certificate(bad.issue.cert_key) is None
    filing = await log.integrator.filing(bad.issue.filing_number)
    assert filing is not None and filing.record_keys[0].used == 2


async def test_an_abandoned_batch_leaves_no_trace(log: LogBuilder) -> None:
    one = log.certificate("a")
    batch = await log.integrator.begin([one.statement], log.time + 1000)
    batch.add(authenticate_record(one.statement, log.record_key.public))
    await batch.finish()
    fresh = await Integrator.open(log.store)
    assert fresh.head == log.integrator.head and fresh.map.root == log.integrator.map.root
    await log.issue(one)
    await check_against_slow_twins(log)


async def test_log_time_only_rises(log: LogBuilder) -> None:
    for time in (log.time, log.time - 1, 0):
        with pytest.raises(Refused) as refused:
            await log.integrator.begin([], time)
        assert refused.value.code == "CLOCK"
    await log.integrator.begin([], log.time + 1)


async def test_a_stale_integrator_loses_and_nothing_is_written(log: LogBuilder, tmp_path: Path) -> None:
    stale = await Integrator.open(log.store)
    await log.issue(log.certificate("a"))
    after = log.integrator.head
    other = log.certificate("b")
    with pytest.raises(CertLedgerError):  # at the latest by compare-and-swap; here the rows are newer than its map
        batch = await stale.begin([other.statement], log.time + 5000)
        batch.add(authenticate_record(other.statement, log.record_key.public))
        await stale.commit(await batch.finish())
    assert await log.store.head() == after
    assert await Integrator.open(log.store)
    await check_against_slow_twins(log)


async def test_history_keeps_every_value_that_a_key_had(log: LogBuilder, tmp_path: Path) -> None:
    first, second = log.certificate("a", track="t", grade=4), log.certificate("b", track="t", grade=5)
    await log.issue(first)
    before = await log.integrator.certificate(first.issue.cert_key)
    await log.issue(second)
    after = await log.integrator.certificate(first.issue.cert_key)
    assert before is not None and after is not None
    assert after.previous == before.value()
    await log.store.close()
    with sqlite3.connect(tmp_path / "log.db") as raw:
        values = {value for (value,) in raw.execute("SELECT value FROM state_history")}
    raw.close()
    assert before.value() in values
    log.store = open_sqlite(tmp_path / "log.db", private=False)


# What opening must notice, one stored value at a time.
DAMAGE = {
    "edge tile, bit": "UPDATE tile SET body = :flipped WHERE level = 0 AND idx = 1",
    "edge tile, short": "UPDATE tile SET body = substr(body, 33) WHERE level = 0 AND idx = 1",
    "edge tile, gone": "DELETE FROM tile WHERE level = 0 AND idx = 1",
    "second level, bit": "UPDATE tile SET body = :flipped WHERE level = 1",
    "second level, gone": "DELETE FROM tile WHERE level = 1",
    "chunk, bit": "UPDATE map_chunk SET body = :flipped",
    "chunk, short": "UPDATE map_chunk SET body = substr(body, 33)",
    "chunk, gone": "DELETE FROM map_chunk",
    "chunk, moved": "UPDATE map_chunk SET chunk = 1",
    "chunk, before all": "UPDATE map_chunk SET chunk = -1",
    "chunk, as of a later seal": "UPDATE map_chunk SET since = since + 9",
    "change, bit": "UPDATE map_change SET body = :flipped",
    "change, short": "UPDATE map_change SET body = substr(body, 1, length(body) - 1)",
    "change, gone": "DELETE FROM map_change",
    "change, of a later seal": "UPDATE map_change SET seal = seal + 9",
    "change, as of before": "UPDATE map_change SET seal = -1 - seal",
    "change, bucket beyond": "UPDATE map_change SET body = x'000000ff' || substr(body, 5)",
    "head size": "UPDATE head SET size = size - 1",
    "head root": "UPDATE head SET root = :flipped",
    "head chain": "UPDATE head SET chain = :flipped",
    "head seal": "UPDATE head SET seal = seal - 1",
    "head time": "UPDATE head SET time = time + 1",
    "head map root": "UPDATE head SET map_root = :flipped",
    "head map count": "UPDATE head SET map_count = map_count + 1",
    "the seal, bit": "UPDATE entry SET body = :flipped WHERE idx = (SELECT max(idx) FROM entry)",
    "the seal, gone": "DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)",
    "genesis, bit": "UPDATE entry SET body = :flipped WHERE idx = 0",
    "genesis, gone": "DELETE FROM entry WHERE idx = 0",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 300 leaves to copy and damage."""
    import asyncio

    async def make(path: Path) -> None:
        log = await LogBuilder.create(path)
        await log.issue(*(log.certificate(f"{at}") for at in range(200)))
        await log.issue(*(log.certificate(f"second {at}") for at in range(95)))
        await log.issue(log.certificate("and one"))  # which no chunk has yet
        assert log.integrator.size == 302
        await log.store.close()

    path = tmp_path_factory.mktemp("sound") / "log.db"
    asyncio.run(make(path))
    return path


@pytest.mark.parametrize("what", DAMAGE)
async def test_opening_notices_damage(sound: Path, what: str, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(sound.read_bytes())
    raw = sqlite3.connect(path)
    change = DAMAGE[what]
    if ":flipped" in change:
        table, _, rest = change.removeprefix("UPDATE ").partition(" SET ")
        column, _, where = rest.partition(" = :flipped")
        (value,) = raw.execute(f"SELECT {column} FROM {table} {where}").fetchone()
        raw.execute(change, {"flipped": flip(value, 8 * len(value) - 3)})
    else:
        raw.execute(change)
    raw.commit()
    raw.close()
    store = open_sqlite(path, private=False)
    with pytest.raises(CertLedgerError) as failure:
        await Integrator.open(store)
    assert not isinstance(failure.value, Refused)
    await store.close()


async def test_opening_a_sound_store_twice_gives_the_same(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(sound.read_bytes())
    store = open_sqlite(path, private=False)
    one, two = await Integrator.open(store), await Integrator.open(store)
    assert one.head == two.head and one.head is not None and one.head.size == 302
    await store.close()


async def test_an_empty_store_opens_empty(tmp_path: Path) -> None:
    store = create_sqlite(tmp_path / "log.db", private=False)
    integrator = await Integrator.open(store)
    assert (integrator.head, integrator.size, integrator.map.count) == (None, 0, 0)
    assert await integrator.filing("Y000051000001") is None
    assert await integrator.certificate(octets("none")) is None
    await store.close()


async def test_the_second_fold_of_one_number_uses_the_first_ones_state(log: LogBuilder) -> None:
    """Use counts of a key add up inside a batch and across batches."""
    filing = replace(log.filing(number="Y000051000002"), cap=3)
    await log.batch([log.by_authority(filing)])
    made = [log.certificate(f"n{at}", filing_number="Y000051000002") for at in range(4)]
    await log.issue(*made[:2])
    await log.issue(made[2])
    with pytest.raises(Refused, match="CAP_REACHED"):
        await log.issue(made[3])


def database(log: LogBuilder) -> Path:
    return Path(log.store._path)  # type: ignore[attr-defined]


async def edit(log: LogBuilder, text: str, *values: object) -> None:
    """Change the store behind everybody's back, as an insider with the database could."""
    with sqlite3.connect(database(log)) as connection:
        connection.execute(text, values)
    connection.close()


async def test_a_state_is_believed_only_as_the_sealed_map_proves_it(log: LogBuilder) -> None:
    one, other = log.certificate("proven"), log.certificate("other", grade=3)
    await log.issue(one, other)
    key, another = (certificate_map_key(each.issue.cert_key) for each in (one, other))
    honest = await log.integrator.certificate(one.issue.cert_key)
    assert honest is not None
    assert await log.integrator.certificate(bytes(32)) is None, "absence is proven too"
    body = renewed(honest, grade=6).encode()
    edits: list[tuple[str, tuple[object, ...]]] = [
        ("UPDATE state SET body = ? WHERE map_key = ?", (body, key)),
        ("UPDATE state SET body = ?, value = ? WHERE map_key = ?", (body, certificate_value(body), key)),
        ("UPDATE state SET value = ? WHERE map_key = ?", (bytes(32), key)),
        ("UPDATE state SET map_key = ? WHERE map_key = ?", (sha256(key).digest(), key)),
        ("DELETE FROM state WHERE map_key = ?", (key,)),
    ]
    row = (await log.store.states([key]))[key]
    for text, values in edits:
        await edit(log, text, *values)
        with pytest.raises(Unverified):
            await log.integrator.certificate(one.issue.cert_key)
        await edit(log, "DELETE FROM state WHERE subject = ?", row.subject)
        await edit(
            log,
            "INSERT INTO state (map_key, value, since, subject, track, body) VALUES (?, ?, 0, ?, ?, ?)",
            row.map_key, row.value, row.subject, row.track, row.body,
        )  # fmt: skip
        assert await log.integrator.certificate(one.issue.cert_key) == honest
    assert await log.integrator.certificate(other.issue.cert_key) is not None and another != key


async def test_nothing_is_sealed_over_an_edited_state(log: LogBuilder) -> None:
    one = log.certificate("first")
    await log.issue(one)
    await edit(log, "UPDATE state SET value = ? WHERE subject = ?", bytes(32), one.issue.cert_key)
    before = log.integrator.head
    with pytest.raises(Unverified):
        await log.issue(log.certificate("same track", track="first", grade=3))
    await edit(log, "UPDATE state SET value = ? WHERE length(track) = 0", bytes(32))  # the filing
    with pytest.raises(Unverified):
        await log.issue(log.certificate("any"))
    assert log.integrator.head == before == await log.store.head()


LIFE = two_keys(grants=(7, 8))
RULER = make_authority()
ALONE = {
    "authority-change": lambda: RULER.sign(AuthorityChange(RULER.genesis.keys, 1, DAY)),
    "log-key": lambda: RULER.sign(LogKey(DAY, octets("ed"), bytes(1312))),
    "filing-change": lambda: RULER.sign(replace(LIFE.filing, cap=7, change=True)),
    "filing-status": lambda: RULER.sign(filing_standing(FilingStatus.SUSPENDED)),
    "key-status": lambda: RULER.sign(key_standing(LIFE.record.public)),
    "a body's own key": lambda: LIFE.sign(key_standing(LIFE.record.public), signer=SECOND),
    "a range": lambda: RULER.sign(ruling(Kind.SUSPEND, Range(LIFE.filing.number, 0, 99))),
}


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[StoredLog]:
    made = await StoredLog.create(tmp_path / "life.db", LIFE)
    await made.add(LIFE.certificate("there").statement)
    yield made
    await made.store.close()


@pytest.mark.parametrize("what", ALONE)
async def test_what_changes_who_may_sign_or_sweeps_stands_alone(life: StoredLog, what: str) -> None:
    alone, other = ALONE[what](), LIFE.certificate("a", signer=SECOND).statement
    batch = await life.begin(other, alone)
    batch.add(await life.authenticate(other))
    with pytest.raises(Refused, match="STANDS_ALONE"):
        batch.add(await life.authenticate(alone))
    await life.integrator.commit(await batch.finish())
    more = LIFE.certificate("b", signer=SECOND).statement
    batch = await life.begin(alone, more)
    batch.add(await life.authenticate(alone))
    with pytest.raises(Refused, match="STANDS_ALONE"):
        batch.add(await life.authenticate(more))
    await life.integrator.commit(await batch.finish())
    assert life.integrator.size == 3 + 2 + 2 + 2, "each batch has its statement and its seal"


async def test_one_that_is_refused_does_not_close_the_batch(life: StoredLog) -> None:
    nothing = RULER.sign(ruling(Kind.SUSPEND, Range("S000151000999", 0, 99)))
    other = LIFE.certificate("a").statement
    batch = await life.begin(nothing, other)
    with pytest.raises(Refused, match="NOTHING_CHANGES"):
        batch.add(await life.authenticate(nothing))
    batch.add(await life.authenticate(other))
    await life.integrator.commit(await batch.finish())


async def test_events_and_signed_rows_are_what_later_statements_look_for(life: StoredLog) -> None:
    made, base = LIFE.certificate("a", person="p"), LIFE.certificate("b", grade=6, person="p")
    first, second = await life.add(made.statement, base.statement)
    (suspended,) = await life.add(LIFE.sign(ruling(Kind.SUSPEND, made)))
    (corrected,) = await life.add(LIFE.sign(correct(made), signer=SECOND))
    (ruled,) = await life.add(RULER.sign(correct(made, "ruled")))
    new = LIFE.reissue("n", base)
    (reissued,) = await life.add(new.statement)
    assert await life.store.events(made.issue.cert_key) == [suspended, corrected, ruled]
    assert await life.store.events(base.issue.cert_key) == [reissued]
    assert await life.store.events(new.issue.cert_key) == []
    rows = await life.store.signed(LIFE.filing.number, first, 99)
    assert [(row.index, row.kind) for row in rows] == [
        (first, Kind.ISSUE),
        (second, Kind.ISSUE),
        (corrected, Kind.CORRECT),
        (reissued, Kind.REISSUE),
    ]
    assert {row.kid for row in rows} == {key.kid for key in LIFE.filing.record_keys}


async def test_certificates_and_seals_are_known_as_their_place_and_the_rest_by_identity(life: StoredLog) -> None:
    """So that nothing of a certificate lies at a random place for being found: that is what its cert key is for."""
    made, other = LIFE.certificate("a"), LIFE.certificate("b", person="q")
    await life.add(made.statement, other.statement)
    ruled = LIFE.sign(ruling(Kind.SUSPEND, made))
    (suspended,) = await life.add(ruled)
    await life.add(LIFE.reissue("n", other).statement)
    for row in await life.store.rows(0, life.integrator.size):
        in_order = row.kind in {0, Kind.ISSUE, Kind.REISSUE}
        assert (row.known_as == row.index.to_bytes(8, "big")) == in_order
        assert len(row.known_as) == (8 if in_order else 32)
    assert await life.store.find([ruled.identity, made.statement.identity]) == {ruled.identity: suspended}


async def test_the_authority_in_force_is_read_back(life: StoredLog) -> None:
    assert life.integrator.authority is not None and not life.integrator.authority.in_map
    joins = key("joins")
    keys = tuple(sorted((RULER.people[0].public, joins.public)))
    await life.add(sign_together(AuthorityChange(keys, 2, DAY), [*RULER.people[:2], joins]))
    again = await Integrator.open(life.store)
    assert again.authority == life.integrator.authority and again.authority is not None
    assert (again.authority.keys, again.authority.threshold, again.authority.in_map) == (keys, 2, True)
    with pytest.raises(Unverified):
        await life.authenticate(RULER.sign(ruling(Kind.REVOKE, LIFE.certificate("there"))))
    await life.add(sign_together(ruling(Kind.REVOKE, LIFE.certificate("there")), [RULER.people[0], joins]))
    with sqlite3.connect(life.store._path) as raw:
        raw.execute(
            "UPDATE state SET body = ? WHERE subject = ?",
            (again.authority.encode()[:-1] + b"a", b"log.test.example/2026"),
        )
    raw.close()
    with pytest.raises(CertLedgerError):
        await Integrator.open(life.store)


async def test_a_proof_is_made_although_batches_come_between_its_reads(
    log: LogBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row and its bucket are two reads, which on a database server may lie on both sides of any batch."""
    one = log.certificate("one", grade=3)
    await log.issue(one)
    states, batches = log.store.states, []

    async def slow(map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        rows = await states(map_keys)
        if len(batches) < 2:
            better = log.certificate(f"better {len(batches)}", grade=4 + len(batches), track="one")
            monkeypatch.setattr(log.store, "states", states)  # the batch itself reads too
            batches.append(asyncio.create_task(log.issue(better)))
            # The second proof holds commits off: what is waited for then cannot come.
            await asyncio.wait(batches, timeout=None if len(batches) == 1 else 0.3)
            monkeypatch.setattr(log.store, "states", slow)
        return rows

    monkeypatch.setattr(log.store, "states", slow)
    state = await log.integrator.certificate(one.issue.cert_key)
    monkeypatch.setattr(log.store, "states", states)
    await asyncio.gather(*batches)
    assert state is not None and len(batches) == 2

"""What a batch reads while the one before it is being committed is what it would read afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Damaged, Refused
from ledger.records.permit import prove_permitted
from ledger.records.statements import parse_statement
from ledger.records.status import authenticate_record
from ledger.store.ahead import plain
from ledger.store.batch import Prepared
from ledger.store.growth import bucket_range
from ledger.store.integrate import Integrator
from ledger.store.protocol import EnvelopeRow, IndexRow, PrivateRows, Purpose, Slot
from ledger.store.track_places import TRACK_PLACES, new_places
from ledger.tlog.map_slots import bucket_of
from tests.support.build_log import Certificate, LogBuilder, octets
from tests.support.stores import KINDS

_INDEX = [IndexRow(octets(name), Purpose.NUMBER, 1, name.encode()) for name in ("one", "two")]
_ENVELOPE = EnvelopeRow(octets("place"), Slot.FACE, b"sealed")


async def _prepared(log: LogBuilder, certificates: list[Certificate], *, ahead: Any = None) -> Prepared:
    batch = await log.integrator.begin(
        [one.statement for one in certificates], (ahead or log.integrator).head.time + 1000, ahead=ahead
    )
    for one in certificates:
        batch.add(authenticate_record(one.statement, log.record_key.public))
    return await batch.finish(PrivateRows(_INDEX, (), [_ENVELOPE]) if ahead is None else None)


@pytest.fixture(params=sorted(KINDS))
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogBuilder]:
    path = tmp_path / "log.db"
    store = await KINDS[request.param]().create(path, private=True)
    await store.put_meta({TRACK_PLACES: new_places(bytes)})
    made = await LogBuilder.create(path, store=store)
    yield made
    await made.store.close()


async def test_every_read_is_that_of_the_log_afterwards(log: LogBuilder) -> None:
    old = [log.certificate(f"old {at}") for at in range(5)]
    await log.issue(*old)
    again = log.certificate("again", track="old 1", grade=3)
    new = [log.certificate(f"new {at}") for at in range(5)]
    start = log.integrator.size
    prepared = await _prepared(log, [*new, again])
    ahead = log.integrator.ahead(prepared)
    everything = [*old, *new, again]
    keys = [row.map_key for row in prepared.stored.states]
    depth = log.integrator.depth
    ranges = [bucket_range(number, depth) for number in sorted({bucket_of(key, depth) for key in keys} | {0, 1, 2})]
    tracks = log.integrator.places.of([one.issue.track_id for one in everything])
    hmacs = [row.hmac for row in _INDEX] + [octets("nobody")]
    questions: list[Callable[[Any], Awaitable[Any]]] = [
        lambda store: store.states(keys),
        lambda store: store.leaves(ranges),
        lambda store: store.find([]),
        lambda store: store.index(hmacs),
        lambda store: store.entries(start - 2, start + 3),
        lambda store: store.entries(start + 1, start + 100),
        lambda store: store.entries(0, 2),
        lambda store: _sorted(store.tracks(tracks)),
        lambda store: _sorted(store.tracks(tracks[:1])),
    ]
    early = [await ask(ahead.store) for ask in questions]
    number = old[0].statement.envelope.issuer
    filing = await ahead.filing(number)
    assert len(early[0]) == len(keys) and len(early[3]) == 2
    await log.integrator.commit(prepared)
    for at, ask in enumerate(questions):
        assert early[at] == await ask(log.store), at
        assert early[at] == await ask(ahead.store), (at, "read after the commit")
    assert filing == await log.integrator.filing(number) == await ahead.filing(number)
    assert (ahead.head, ahead.edge, ahead.authority) == (
        log.integrator.head, log.integrator.edge, log.integrator.authority,
    )  # fmt: skip
    assert ahead.frontier.root() == log.integrator.frontier.root()


async def _sorted(rows: Awaitable[Any]) -> Any:
    return sorted(await rows, key=lambda row: row.map_key)


@pytest.mark.parametrize("when", ["before the commit", "in the middle", "after it"])
async def test_a_batch_folded_ahead_is_the_one_that_would_be_folded_afterwards(log: LogBuilder, when: str) -> None:
    first = [log.certificate(f"first {at}") for at in range(6)]
    second = [
        *(log.certificate(f"second {at}") for at in range(6)),
        log.certificate("up", track="first 0", grade=3),
    ]
    before = await _prepared(log, first)
    ahead = log.integrator.ahead(before)
    if when == "after it":
        await log.integrator.commit(before)
    batch = await log.integrator.begin([one.statement for one in second], before.head.time + 1000, ahead=ahead)
    if when == "in the middle":
        await log.integrator.commit(before)
    for one in second:
        batch.add(authenticate_record(one.statement, log.record_key.public))
    early = await batch.finish()
    if when == "before the commit":
        await log.integrator.commit(before)
    late = await _prepared_at(log, second, before.head.time + 1000)
    assert (early.seal, early.stored, early.frontier.root(), early.completed, early.change, early.edge) == (
        late.seal, late.stored, late.frontier.root(), late.completed, late.change, late.edge,
    )  # fmt: skip
    await log.integrator.commit(early)
    opened = await Integrator.open(log.store)
    assert opened.head == log.integrator.head and opened.map.root == log.integrator.map.root


async def _prepared_at(log: LogBuilder, certificates: list[Certificate], time: int) -> Prepared:
    batch = await log.integrator.begin([one.statement for one in certificates], time)
    for one in certificates:
        batch.add(authenticate_record(one.statement, log.record_key.public))
    return await batch.finish()


async def test_a_key_that_the_store_has_twice_is_not_made_one(log: LogBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the batch before changes is put over what is read: of two rows under one key none would be missed."""
    await log.issue(log.certificate("old"))
    prepared = await _prepared(log, [log.certificate("new")])
    key = prepared.stored.states[0].map_key
    asked = [bucket_range(bucket_of(key, log.integrator.depth), log.integrator.depth)]

    async def twice(ranges: Sequence[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        return [[(low, bytes(32)), (low, bytes([1]) * 32)] for low, _ in ranges]

    monkeypatch.setattr(log.store, "leaves", twice)
    with pytest.raises(Damaged, match="run fsck"):
        await log.integrator.ahead(prepared).store.leaves(asked)


async def test_a_batch_ahead_of_one_that_was_not_committed_is_refused_by_the_store(log: LogBuilder) -> None:
    before = await _prepared(log, [log.certificate("a")])
    behind = await _prepared(log, [log.certificate("b")], ahead=log.integrator.ahead(before))
    head = await log.store.head()
    with pytest.raises(Refused, match="HEAD_MOVED"):
        await log.integrator.commit(behind)
    assert await log.store.head() == head


async def test_only_certificates_that_ask_nothing_of_the_past_are_plain(log: LogBuilder) -> None:
    a, b = log.certificate("a"), log.certificate("b")
    assert plain([]) and plain([a.statement, b.statement])
    reissued = log.certificate("a2", replaces=a.issue.cert_key)
    assert not plain([a.statement, reissued.statement])
    permitted = log.certificate("late", permit=prove_permitted([octets("one"), octets("two")], 0, octets("permit")))
    assert not plain([permitted.statement])
    assert not plain([parse_statement(log.genesis_entry())])

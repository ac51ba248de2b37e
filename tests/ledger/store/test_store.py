"""The Store protocol's promises, kept by every implementation of tests/support/stores."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Damaged, Refused, Unavailable
from ledger.store.map_rows import FIRST_CHANGE
from ledger.store.protocol import (
    EnvelopeRow,
    IndexRow,
    PrivateRows,
    Purpose,
    Slot,
    StateRow,
    entry_at,
)
from tests.support.batches import accept, batch, contents, h
from tests.support.live_ledger import ROOT
from tests.support.stores import KINDS, StoreKind

LOG = "log.db"


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> StoreKind:
    return KINDS[request.param]()


@pytest.fixture
async def store(kind: StoreKind, tmp_path: Path) -> AsyncIterator[Any]:
    made = await kind.create(tmp_path / LOG, private=True)
    yield made
    await made.close()


async def test_an_empty_store_has_nothing(store: Any) -> None:
    assert await contents(store) == [None, [], None, [[]], [], [], {}, None, [], [], [], [], {}, None, None]
    assert await store.meta("origin") is None
    assert await store.checkpoint() is None
    assert await store.find([h("id 0")]) == {}
    assert await store.entries(0, 10) == []


async def test_the_one_writer_stays_it(store: Any) -> None:
    await store.hold()
    await store.append(batch(None), accept)
    await store.hold()


async def test_append_is_visible_in_every_read(store: Any) -> None:
    first = batch(None)
    seen: list[Sequence[bytes]] = []
    await store.append(first, seen.append)
    assert seen == [[b"entry 0", b"entry 1"]], "the check gets the rows as read back"
    assert await store.head() == first.head
    assert await store.entries(0, 2) == [b"entry 0", b"entry 1"]
    assert await store.entries(1, 9) == [b"entry 1"]
    assert await store.rows(0, 2) == list(first.entries)
    assert await store.find([h("id 1"), h("id 9")]) == {h("id 1"): 1}
    assert await store.find([h("id 1"), h("id 9")]) == {h("id 1"): 1}
    assert await store.tile(0, 0) == h("tile") * 2
    state = first.states[0]
    assert await store.states([state.map_key, h("none")]) == {state.map_key: state}
    assert await store.tracks([b"track", b"other"]) == [state] == [await store.some_member()]
    everything, nothing = (bytes(32), b"\xff" * 32), (bytes(32), bytes(32))
    assert await store.leaves([everything, nothing]) == [[(state.map_key, state.value)], []]
    assert await store.map_changes(FIRST_CHANGE, 9) == [(1, bytes(4) + h("bucket 2"))]
    assert await store.map_chunks() == []
    assert await store.named(4) == {"name 0": 0}
    assert await store.named(9) == {}
    assert await store.find_named(4, "name 0") == 0
    assert await store.find_named(4, "name 1") is None
    signed = [row for _, row in first.signed]
    assert await store.signed("Y000051000001", 0, 0) == signed
    assert await store.signed("Y000051000001", 1, 9) == await store.signed("Y000051000002", 0, 9) == []
    assert await store.events(h("cert 0")) == [1]
    assert await store.events(h("cert 1")) == []
    assert await store.index([h("renewed")]) == {h("renewed"): b"row 0"}
    assert await store.index([h("hmac 0")]) == {h("hmac 0"): b"row"}
    assert await store.envelope(h("place 0"), Slot.FACE) == b"sealed"
    assert await store.envelope(h("place 0"), Slot.REST) is None


async def test_a_later_batch_replaces_what_grows_and_keeps_the_rest(store: Any) -> None:
    first = batch(None)
    await store.append(first, accept)
    second = replace(
        batch(first.head), states=[renewed(first.states[0], value=h("new"), body=b"new")], buckets=[(0, h("new"))],
        chunks=[(3, 3, b"three"), (1, 3, b"one")], floor=-1,
    )  # fmt: skip
    await store.append(second, accept)
    assert await store.entries(0, 4) == [f"entry {at}".encode() for at in range(4)]
    assert await store.tile(0, 0) == h("tile") * 4
    assert (await store.states([h("key 0")]))[h("key 0")].body == b"new"
    assert await store.map_changes(FIRST_CHANGE, 9) == [(1, bytes(4) + h("bucket 2")), (3, bytes(4) + h("new"))]
    assert await store.map_changes(FIRST_CHANGE, 1) == [(1, bytes(4) + h("bucket 2"))]
    assert await store.map_changes(1, 9) == [(3, bytes(4) + h("new"))]
    assert await store.map_chunks() == [(1, 3, b"one"), (3, 3, b"three")]
    third = replace(batch(second.head), chunks=[(1, 5, b"anew")], floor=3)
    await store.append(third, accept)
    assert [seal for seal, _ in await store.map_changes(FIRST_CHANGE, 9)] == [5]
    assert await store.map_chunks() == [(1, 5, b"anew"), (3, 3, b"three")]


async def test_a_later_batch_keeps_what_is_found_again(store: Any) -> None:
    first = batch(None)
    await store.append(first, accept)
    second = batch(first.head)
    await store.append(second, accept)
    assert await store.named(4) == {"name 0": 0, "name 2": 2}
    assert [row.index for row in await store.signed("Y000051000001", 0, 9)] == [0, 2]
    assert await store.events(h("cert 0")) == [1, 3]
    rows = [*first.signed, *second.signed]
    assert await store.signed_after("", -1, 9) == rows
    assert await store.signed_after("", -1, 1) == rows[:1]
    assert await store.signed_after("Y000051000001", 0, 9) == rows[1:]
    assert await store.signed_after("Y000051000001", 2, 9) == []
    assert await store.events_after(b"", -1, 9) == [(h("cert 0"), 1), (h("cert 0"), 3)]
    assert await store.events_after(h("cert 0"), 1, 9) == [(h("cert 0"), 3)]
    assert await store.index([h("renewed")]) == {h("renewed"): b"row 2"}


async def test_what_many_ask_at_once_is_what_each_would_hear_alone(store: Any) -> None:
    head = None
    for _ in range(4):
        made = batch(head)
        await store.append(replace(made, tiles=[*made.tiles, (1, 0, b"upper"), (0, 1, b"second")]), accept)
        head = made.head
    everything, low = (bytes(32), b"\xff" * 32), (bytes(32), h("key 2"))
    questions = [
        *((store.entries, (at, at + 1)) for at in (0, 3, 7, 8, 3)),
        *((store.entries, ends) for ends in ((0, 3), (5, 5))),
        *((store.bucket_as_of, (*ends, h(key), 9)) for ends in (everything, low) for key in ("key 2", "key 4", "none")),
        (store.bucket_as_of, (h("key 0"), h("key 0"), h("key 0"), 9)),
        (store.bucket_as_of, (h("none"), h("none"), h("none"), 9)),
        *((store.tile, place) for place in ((0, 0), (0, 0), (1, 0), (0, 1), (0, 9), (9, 0))),
    ]
    alone = [await ask(*words) for ask, words in questions]
    together = await asyncio.gather(*(ask(*words) for ask, words in questions * 3))
    assert together == alone * 3
    assert alone[0] == [b"entry 0"] and alone[3] == [] and len(alone[7][0]) == 4 and alone[7][1] is not None
    assert alone[-5:] == [alone[-6], b"upper", b"second", None, None]


async def test_an_entry_that_is_missing_is_no_index_error(store: Any) -> None:
    await store.append(batch(None), accept)
    assert await entry_at(store, 1) == b"entry 1"
    with pytest.raises(Unavailable, match="entry 2 is missing; run fsck"):
        await entry_at(store, 2)


async def test_leaves_rise_by_key_and_ranges_are_inclusive(store: Any) -> None:
    keys = sorted(h(at) for at in range(20))
    rows = [StateRow(key, key, b"s", b"", b"b") for key in reversed(keys)]
    await store.append(replace(batch(None), states=rows), accept)
    (found,) = await store.leaves([(keys[3], keys[7])])
    assert [key for key, _ in found] == keys[3:8]


async def test_the_second_writer_loses(store: Any) -> None:
    first = batch(None)
    await store.append(first, accept)
    ours, theirs = batch(first.head), batch(first.head, 3, "x")
    await store.append(ours, accept)
    before = await contents(store)
    stale = [theirs, batch(None), batch(replace(ours.head, root=h("other"))), batch(replace(ours.head, size=5))]
    for late in stale:
        with pytest.raises(Refused) as refused:
            await store.append(late, accept)
        assert (refused.value.code, refused.value.field) == ("HEAD_MOVED", "head")
    assert await contents(store) == before


async def test_two_appends_at_once_one_wins(store: Any) -> None:
    first = batch(None)
    await store.append(first, accept)
    both = [store.append(batch(first.head, 2, f" {at}"), accept) for at in range(5)]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(isinstance(outcome, Refused) for outcome in outcomes if outcome is not None)
    assert (await store.head()).size == 4


async def test_a_check_that_raises_aborts_everything(store: Any) -> None:
    await store.append(first := batch(None), accept)
    before = await contents(store)

    def refuse(entries: Sequence[bytes]) -> None:
        assert list(entries) == [b"entry 2", b"entry 3"]
        raise AssertionError("not these")

    with pytest.raises(AssertionError, match="not these"):
        await store.append(batch(first.head), refuse)
    assert await contents(store) == before
    await store.append(batch(first.head), accept)  # and the store goes on
    assert (await store.head()).size == 4


async def test_readers_see_only_what_is_committed(store: Any) -> None:
    await store.append(first := batch(None), accept)
    before = await contents(store)
    inside, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(entries: Sequence[bytes]) -> None:
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)

    writing = asyncio.create_task(store.append(batch(first.head), wait))
    await inside.wait()
    assert await contents(store) == before
    go_on.set()
    await writing
    assert (await store.head()).size == 4


@pytest.mark.parametrize("what", ["index", "known_as", "name", "number", "state"])
async def test_duplicates_break_a_constraint_and_leave_nothing(store: Any, kind: StoreKind, what: str) -> None:
    await store.append(first := batch(None), accept)
    before = await contents(store)
    second = batch(first.head)
    broken = {
        "index": replace(second, entries=[renewed(second.entries[0], index=1), second.entries[1]]),
        "known_as": replace(second, entries=[renewed(second.entries[0], known_as=h("id 0")), second.entries[1]]),
        "name": replace(second, named=[(4, "name 0", 2)]),
        "number": replace(second, private=replace(second.private, index=first.private.index)),
        "state": replace(second, states=first.states, held=frozenset()),
    }[what]
    with pytest.raises(Damaged, match="run fsck") as raised:
        await store.append(broken, accept)
    assert isinstance(raised.value.__cause__, kind.duplicate)
    assert await contents(store) == before


async def test_what_the_map_held_is_kept_and_what_it_did_not_is_new(store: Any) -> None:
    """The batch says which; one that does not say has every older version kept too."""
    await store.append(first := batch(None), accept)
    (old,) = first.states
    for at, known in enumerate((frozenset({old.map_key}), None), 2):
        made = batch(await store.head())
        again, other = renewed(old, value=h(f"later {at}")), made.states[0]
        await store.append(replace(made, states=[other, again], held=known), accept)
        assert (await store.states([old.map_key]))[old.map_key].value == again.value
        assert (await store.states([other.map_key])).keys() == {other.map_key}
    kept = [version.value for _, version in await store.history_after(b"", -1, 9)]
    assert kept == [old.value, h("later 2")]


async def test_meta_is_fixed_once_written(store: Any) -> None:
    await store.put_meta({"origin": b"a", "map_depth": b"\x04"})
    await store.put_meta({"origin": b"a"})
    with pytest.raises(Refused) as refused:
        await store.put_meta({"origin": b"b"})
    assert (refused.value.code, refused.value.field) == ("META_FIXED", "origin")
    assert await store.meta("origin") == b"a"


async def test_the_checkpoint_is_replaced_by_none_that_is_older_and_is_never_ahead_of_the_head(store: Any) -> None:
    await store.append(first := batch(None), accept)
    await store.append(second := batch(first.head), accept)
    old, new = first.head.size, second.head.size
    for note, size in ((b"one", old), (b"one again", old), (b"two", new), (b"two again", new)):
        await store.put_checkpoint(note, size)
        assert await store.checkpoint() == note
    for size in (old, new - 1, new + 1):
        with pytest.raises(Refused, match="HEAD_MOVED"):
            await store.put_checkpoint(b"another", size)
        assert await store.checkpoint() == b"two again"


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_a_checkpoint_of_before_its_step_gives_way_to_any(tmp_path: Path, name: str) -> None:
    kind, path = KINDS[name](), tmp_path / "log.db"
    store = await kind.create(path, private=True)
    await store.append(first := batch(None), accept)
    await store.append(batch(first.head), accept)
    await store.put_checkpoint(b"two", first.head.size + 1)
    assert await store.checkpoint_size() == first.head.size + 1
    await store.close()
    kind.change(path, "UPDATE checkpoint SET size = NULL")
    store = await kind.open(path, private=True)
    assert await store.checkpoint_size() is None
    await store.put_checkpoint(b"one", first.head.size)
    assert (await store.checkpoint(), await store.checkpoint_size()) == (b"one", first.head.size)
    await store.close()


async def test_a_claim_returns_the_first_row_also_in_a_race(store: Any) -> None:
    rows = [[IndexRow(h(at), Purpose.PERSON, 1, f"{who} {at}".encode()) for at in range(20)] for who in range(8)]
    answers = await asyncio.gather(*(store.claim(each) for each in rows))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].keys() == {h(at) for at in range(20)}
    assert {body.split()[0] for body in answers[0].values()} == {b"0"}, "the first in line stays"
    again = await store.claim([IndexRow(h(3), Purpose.PERSON, 1, b"late"), IndexRow(h("new"), Purpose.PERSON, 1, b"n")])
    assert again == {h(3): answers[0][h(3)], h("new"): b"n"}
    twice = IndexRow(h("twice"), Purpose.PERSON, 1, b"a")
    assert await store.claim([twice, renewed(twice, body=b"b")]) == {h("twice"): b"a"}


async def test_a_renewed_row_takes_no_place_of_another_purpose(store: Any) -> None:
    """Who hands a row in (a front) could otherwise name a person's HMAC as that of a look-up."""
    row = IndexRow(h("renewed"), Purpose.PERSON, 1, b"track")
    await store.claim([row])
    await store.append(batch(None), accept)
    assert await store.index([row.hmac]) == {row.hmac: b"track"}


async def test_an_envelope_is_kept_as_first_written(store: Any) -> None:
    await store.append(first := batch(None), accept)
    again = EnvelopeRow(h("place 0"), Slot.FACE, b"other")
    await store.append(replace(batch(first.head), private=PrivateRows(envelopes=(again,))), accept)
    assert await store.envelope(h("place 0"), Slot.FACE) == b"sealed"


async def test_everything_is_there_after_reopening(kind: StoreKind, tmp_path: Path) -> None:
    store = await kind.create(tmp_path / LOG, private=True)
    await store.put_meta({"origin": b"a"})
    await store.append(batch(None), accept)
    before = await contents(store)
    await store.close()
    store = await kind.open(tmp_path / LOG, private=True)
    assert await contents(store) == before
    assert await store.meta("origin") == b"a"
    await store.close()


OTHER_PROCESS = """
import asyncio, sys, time
from pathlib import Path
from ledger.errors import Refused
from ledger.store.opening import open_store
from ledger.store.postgres_link import Deadlines

async def other():
    try:
        store = await open_store(sys.argv[1], Path(), private=True, deadlines=Deadlines(lock=float(sys.argv[2])))
    except Refused as refused:
        print(refused.code)
    else:
        print("open", flush=True)
        time.sleep(600)
        await store.close()

asyncio.run(other())
"""


async def test_a_second_writer_in_this_or_another_process_is_refused(
    kind: StoreKind, store: Any, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        await kind.open(tmp_path / LOG, private=True, hasty=True)
    assert refused.value.code == "STORE_IN_USE"
    program = [sys.executable, "-c", OTHER_PROCESS, kind.place(tmp_path / LOG), "0.3"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "STORE_IN_USE\n"


async def test_a_writer_that_was_killed_leaves_no_lock(kind: StoreKind, tmp_path: Path) -> None:
    await (await kind.create(tmp_path / LOG, private=True)).close()
    program = [sys.executable, "-c", OTHER_PROCESS, kind.place(tmp_path / LOG), "60"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        try:
            with pytest.raises(Refused, match="STORE_IN_USE"):
                await kind.open(tmp_path / LOG, private=True, hasty=True)
        finally:
            os.kill(other.pid, signal.SIGKILL)
            other.wait()
    await (await kind.open(tmp_path / LOG, private=True)).close()


async def test_read_only_is_a_snapshot_beside_the_writer_and_cannot_write(
    kind: StoreKind, store: Any, tmp_path: Path
) -> None:
    await store.append(first := batch(None), accept)
    reader = await kind.open(tmp_path / LOG, private=True, read_only=True)
    before = await contents(reader)
    assert before[0] == first.head
    await store.append(second := batch(first.head), accept)
    assert await contents(reader) == before
    with pytest.raises(Unavailable):
        await reader.append(batch(second.head), accept)
    with pytest.raises(Unavailable):
        await reader.put_meta({"origin": b"x"})
    await reader.close()
    assert await store.head() == second.head


async def test_creation_is_explicit(kind: StoreKind, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="run init"):
        await kind.open(tmp_path / LOG, private=True)
    await (await kind.create(tmp_path / LOG, private=True)).close()
    with pytest.raises(Refused) as refused:
        await kind.create(tmp_path / LOG, private=True)
    assert refused.value.code == "EXISTS"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE migration SET digest = x'00' WHERE name LIKE '%1%'",
        "DELETE FROM migration",
        "INSERT INTO migration (name, digest) VALUES ('9999_later', x'00')",
    ],
)
async def test_schema_drift_is_refused_and_the_lock_is_given_back(kind: StoreKind, tmp_path: Path, change: str) -> None:
    path = tmp_path / LOG
    await (await kind.create(path, private=True)).close()
    rows = kind.change(path, "SELECT name, digest FROM migration")
    kind.change(path, change + " RETURNING 1")
    for _ in range(2):  # a refused opening holds nothing
        with pytest.raises(Refused) as refused:
            await kind.open(path, private=True)
        assert refused.value.code == "SCHEMA"
    kind.change(path, "DELETE FROM migration")
    for name, digest in rows:
        kind.change(path, f"INSERT INTO migration (name, digest) VALUES ('{name}', x'{digest.hex()}')")
    await (await kind.open(path, private=True)).close()


async def test_a_replica_has_no_private_tables_and_is_no_ledger(kind: StoreKind, tmp_path: Path) -> None:
    path = tmp_path / LOG
    await (await kind.create(path, private=False)).close()
    for table in ("envelope", "private_index"):
        with pytest.raises((sqlite3.OperationalError, asyncpg.UndefinedTableError)):
            kind.change(path, f"SELECT * FROM {table}")
    assert kind.change(path, "SELECT * FROM entry") == []
    with pytest.raises(Refused) as refused:
        await kind.open(path, private=True)
    assert refused.value.code == "SCHEMA"


async def test_states_and_leaves_as_of_a_seal(store: Any) -> None:
    """Every version of a state stays readable as of each seal, also beside keys that came or changed later."""
    head = None
    seals: list[int] = []
    truth: list[dict[bytes, tuple[int, bytes]]] = [{}]  # by batch: key -> (since, value)
    for at, keys in enumerate(((1, 2), (2, 3), (1,), (4, 2))):
        made = batch(head, label=str(at))
        states = [
            StateRow(h(f"k{key}"), h(f"v{key} {at}"), b"subject %d" % key, b"", b"body %d %d" % (key, at))
            for key in keys
        ]
        made = replace(made, states=states)
        await store.append(made, lambda _: None)
        head = made.head
        seals.append(head.seal)
        truth.append(truth[-1] | {row.map_key: (head.seal, row.value) for row in states})
    everything = (bytes(32), b"\xff" * 32)
    for at, seal in enumerate(seals, 1):
        wanted = sorted((key, value) for key, (_, value) in truth[at].items())
        for as_of in (seal, seal + 1):
            assert await store.leaves_as_of([everything], as_of) == [wanted]
            one = wanted[0][0]
            assert await store.leaves_as_of([(one, one), everything], as_of) == [wanted[:1], wanted]
        for key in (h(f"k{number}") for number in range(1, 6)):
            version = await store.state_as_of(key, seal)
            assert (version and (version.since, version.value)) == truth[at].get(key)
            assert await store.bucket_as_of(*everything, key, seal) == (wanted, version)
            assert await store.bucket_as_of(key, key, key, seal) == (
                [pair for pair in wanted if pair[0] == key],
                version,
            )
    assert await store.leaves_as_of([everything], seals[0] - 1) == [[]]
    assert await store.leaves_as_of([everything], seals[-1]) == await store.leaves([everything])
    version = await store.state_as_of(h("k2"), seals[1])
    assert version is not None and version.body == b"body 2 1"


async def test_what_changed_since_a_seal(store: Any) -> None:
    head = None
    for at, keys in enumerate(((1, 2, 3), (2, 4), (5,))):
        states = [StateRow(h(f"k{key}"), h(f"v{key} {at}"), b"s", b"", b"body") for key in keys]
        made = replace(batch(head, label=str(at)), states=states)
        await store.append(made, lambda _: None)
        head = made.head
    newest = {h("k1"): 1, h("k3"): 1, h("k2"): 3, h("k4"): 3, h("k5"): 5}  # key -> seal of its newest version
    for seal in range(-1, 7):
        wanted = sorted((since, key) for key, since in newest.items() if since > seal)
        for limit in (1, 2, 100):
            found: list[tuple[int, bytes]] = []
            last = seal, b"\xff" * 32
            while piece := await store.changed_since(*last, limit):
                assert len(piece) <= limit
                found += [tuple(row) for row in piece]
                last = found[-1]
            assert found == wanted


async def test_the_next_seal(store: Any) -> None:
    first = batch(None, 3)
    entries = [renewed(row, kind=0 if row.index == 2 else 4) for row in first.entries]
    await store.append(replace(first, entries=entries), lambda _: None)
    second = batch(first.head, 2)
    await store.append(
        replace(second, entries=[renewed(row, kind=0 if row.index == 4 else 4) for row in second.entries]),
        lambda _: None,
    )
    assert [await store.seal_from(at) for at in range(6)] == [2, 2, 2, 4, 4, None]

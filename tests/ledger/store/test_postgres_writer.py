"""A commit whose answer is lost is looked up, never sent again, whatever became of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Refused, Unavailable
from ledger.store import postgres_session
from ledger.store.opening import create_store, open_store
from ledger.store.protocol import IndexRow, Purpose, StoredHead
from tests.support.batches import accept, batch, contents, h
from tests.support.commit_proxy import CommitProxy, commit_proxy
from tests.support.postgres import DATABASE, HASTY, PATIENT, SUPERUSER, Server, postgres_server
from tests.support.standby import ONE, Pair, apart, crash, make_pair, until, wait_for

ASKED = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"  # for a lock that another one has
LEFT = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"  # a commit that waits for its standby


@pytest.fixture
def server() -> Server:
    return postgres_server()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[CommitProxy]:
    async with commit_proxy(server.port) as made:
        yield made


@pytest.fixture
async def store(server: Server, proxy: CommitProxy) -> AsyncIterator[Any]:
    place = server.place("proxied", port=proxy.port)
    made = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    yield made
    await made.close()


async def test_a_commit_that_arrived_is_found(store: Any, proxy: CommitProxy) -> None:
    await store.append(first := batch(None), accept)
    sent = proxy.commits
    proxy.cut = "after"
    await store.append(second := batch(first.head), accept)
    assert await store.head() == second.head
    assert proxy.commits == sent + 1, "it was sent once"
    await store.append(batch(second.head), accept)
    assert await store.entries(0, 9) == [f"entry {at}".encode() for at in range(6)], "nothing lost, nothing twice"


async def test_a_commit_that_never_arrived_is_not_there(store: Any, proxy: CommitProxy) -> None:
    await store.append(first := batch(None), accept)
    before = await contents(store)
    proxy.cut = "before"
    with pytest.raises(Unavailable, match="not committed"):
        await store.append(batch(first.head), accept)
    assert await contents(store) == before
    await store.append(batch(first.head), accept)
    assert await store.entries(0, 9) == [f"entry {at}".encode() for at in range(4)]


@pytest.mark.parametrize("empty", [False, True])
async def test_a_commit_that_is_still_on_its_way_is_waited_for(store: Any, proxy: CommitProxy, empty: bool) -> None:
    """A look at the head right now would show the old one, and the batch would come afterwards."""
    head = None
    if not empty:
        await store.append(first := batch(None), accept)
        head = first.head
    proxy.cut = "late"
    writing = asyncio.create_task(store.append(second := batch(head), accept))
    await asyncio.sleep(0.5)
    assert not writing.done() and await store.head() == head
    proxy.deliver.set()
    await writing
    assert await store.head() == second.head


async def test_an_outcome_that_cannot_be_learnt_in_time_is_unknown(server: Server, proxy: CommitProxy) -> None:
    place = server.place("unknown", port=proxy.port)
    hasty = replace(PATIENT, settle=0.5)
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=hasty)
    await store.append(first := batch(None), accept)
    proxy.cut = "late"
    with pytest.raises(Unavailable, match="unknown"):
        await store.append(second := batch(first.head), accept)
    proxy.deliver.set()
    await store.close()
    again = await open_store(place, Path(), private=True, deadlines=PATIENT)
    assert await again.head() == second.head
    await again.close()


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_one_whose_place_was_taken_meanwhile_does_not_wait_for_it(
    server: Server, store: Any, proxy: CommitProxy, cut: str
) -> None:
    """Nobody will give the lock back, so the search for the outcome would only end with its time."""
    await store.append(first := batch(None), accept)
    place = str(store._place.dsn).replace(str(proxy.port), str(server.port)) + f"?schema={store._place.schema}"
    taking = asyncio.create_task(open_store(place, Path(), private=True, deadlines=PATIENT))
    await apart(until, lambda: server.sql(None, ASKED))
    proxy.cut, store._writer._deadlines = cut, HASTY
    writing = asyncio.create_task(store.append(second := batch(first.head), accept))
    taken = await taking
    assert await taken.head() == (second.head if cut == "after" else first.head)
    await taken.append(batch(await taken.head(), 3), accept)
    with pytest.raises(Unavailable, match="moved"):
        await writing
    await taken.put_checkpoint(b"newer", (await taken.head()).size)
    await taken.close()
    with pytest.raises(Refused, match="HEAD_MOVED"):
        await store.put_checkpoint(b"older", first.head.size)
    reading = await open_store(place, Path(), private=True, deadlines=PATIENT)
    assert await reading.checkpoint() == b"newer"
    await reading.close()


async def test_one_that_waited_for_a_migration_looks_at_the_schema_again(server: Server) -> None:
    place = server.place("migrated meanwhile")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    waiting = asyncio.create_task(open_store(place, Path(), private=True, deadlines=PATIENT))
    await apart(until, lambda: server.sql(None, ASKED))
    server.sql(place, "INSERT INTO migration (name, digest) VALUES ('9999_later', '')")
    await store.close()
    with pytest.raises(Refused, match="SCHEMA"):
        await waiting


async def test_the_first_batch_of_all_is_looked_up_too(store: Any, proxy: CommitProxy) -> None:
    proxy.cut = "before"
    with pytest.raises(Unavailable, match="not committed"):
        await store.append(batch(None), accept)
    proxy.cut = "after"
    await store.append(first := batch(None), accept)
    assert await store.head() == first.head


async def test_what_may_be_done_twice_says_that_its_outcome_is_unknown(store: Any, proxy: CommitProxy) -> None:
    row = IndexRow(h("person"), Purpose.PERSON, 1, b"track")
    for cut in ("before", "after"):
        proxy.cut = cut
        with pytest.raises(Unavailable, match="unknown"):
            await store.claim([row])
    assert await store.claim([renewed(row, body=b"other")]) == {row.hmac: b"track"}
    kept = None
    for cut in ("before", "after"):
        proxy.cut, note = cut, f"{cut}\n\n\u2014 ".encode()
        with pytest.raises(Unavailable, match="unknown"):
            await store.put_checkpoint(note, 1)
        kept = note if cut == "after" else kept
        assert await store.checkpoint() == kept
    sent = proxy.commits
    await store.put_checkpoint("kept\n\n\u2014 ".encode(), 1)
    assert proxy.commits == sent + 1, "no transaction that could stand open"


async def test_a_checkpoint_waits_for_no_batch_and_outlives_its_session(server: Server, store: Any) -> None:
    await store.append(first := batch(None), accept)
    async with store._writer._one, asyncio.timeout(60):  # as a batch does while it is written
        for note in (b"one", b"two"):
            await store.put_checkpoint(note, first.head.size)
            assert await store.checkpoint() == note
            (ended,) = server.sql(
                None, "SELECT pg_terminate_backend($1, 10000)", store._notes._session.get_server_pid()
            )
            assert ended == (True,)
    await store.append(batch(first.head), accept)


async def test_a_checkpoint_is_one_statement_so_that_one_who_stands_still_holds_no_row(server: Server) -> None:
    """Nobody unseats this session: it has no lock of the log's."""
    place = server.place("one statement")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    await store.append(first := batch(None), accept)
    await store.put_checkpoint(b"one", first.head.size)
    pid = store._notes._session.get_server_pid()
    other = await asyncpg.connect(host="127.0.0.1", port=server.port, user=SUPERUSER, database=DATABASE)
    for lost in (False, True):
        async with other.transaction():
            await other.execute(f"SELECT 1 FROM {store._place.schema}.checkpoint FOR UPDATE")
            if lost:
                store._notes._deadlines = replace(PATIENT, command=0.3)
            keeping = asyncio.create_task(store.put_checkpoint(b"two", first.head.size))
            seen = "SELECT wait_event_type, state FROM pg_stat_activity WHERE pid = $1"
            async with asyncio.timeout(60):
                while (found := server.sql(None, seen, pid))[0][0] != "Lock":
                    await asyncio.sleep(0.01)
            assert found == [("Lock", "active")]
            if lost:
                with pytest.raises(Unavailable, match="unknown"):
                    await keeping
        if not lost:
            await keeping
            assert await store.checkpoint() == b"two"
    store._notes._deadlines = PATIENT
    await store.put_checkpoint(b"three", first.head.size)
    assert await store.checkpoint() == b"three"
    await other.close()
    await store.close()


async def test_what_is_read_back_wrong_is_never_committed(server: Server) -> None:
    """It is checked beside the other rows, and waited for before COMMIT; also when those fail too."""
    place = server.place("read back")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    await store.append(first := batch(None), accept)
    before, write = await contents(store), store._append_beside

    def refuse(entries: object) -> None:
        time.sleep(0.2)  # all else is written by then
        raise AssertionError("not what was sent")

    with pytest.raises(AssertionError, match="not what was sent"):
        await store.append(batch(first.head), refuse)

    async def fail(session: Any, rows: Any) -> None:
        await write(session, rows)
        await session.execute("SELECT 1 / 0")

    store._append_beside = fail
    with pytest.raises(Unavailable, match="division"):
        await store.append(batch(first.head), refuse)
    store._append_beside = write
    assert await contents(store) == before
    await store.append(batch(first.head), accept)
    await store.close()


async def test_a_server_that_answers_rollback_has_committed_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = server.place("rollback")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    await store.append(first := batch(None), accept)

    look = postgres_session.check_durable

    async def spoil(session: Any, place: Any) -> None:
        # Behind the writer's back its transaction fails; to COMMIT the server then answers ROLLBACK, and no error.
        await look(session, place)
        with pytest.raises(asyncpg.PostgresError, match="division"):
            await session.execute("SELECT 1 / 0")

    monkeypatch.setattr(postgres_session, "check_durable", spoil)
    with pytest.raises(Unavailable, match="ROLLBACK"):
        await store.append(batch(first.head), accept)
    monkeypatch.undo()
    assert await store.head() == first.head
    await store.append(batch(first.head), accept)
    await store.close()


async def test_a_backend_that_is_terminated_at_any_moment_loses_and_doubles_nothing(server: Server) -> None:
    """The caller asks for the head after an error, as a started process does."""
    place = server.place("terminated")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    killer = await asyncpg.connect(host="127.0.0.1", port=server.port, user=SUPERUSER, database="postgres")
    draw, head, done, lost = random.Random(5), None, 0, 0
    while done < 12 or lost < 12:
        assert done + lost < 500, "some fall where they hurt, some do not"
        pid = (await store._writer.open()).get_server_pid()
        made = batch(head, 2 + (done + lost) % 3)

        async def shoot(pid: int = pid, delay: float = draw.choice((0.0, draw.uniform(0.0, 0.03)))) -> None:
            await asyncio.sleep(delay)
            await killer.execute(f"SELECT pg_terminate_backend({pid})")

        shot = asyncio.create_task(shoot())
        try:
            await store.append(made, accept)
            head, done = made.head, done + 1
        except Unavailable as error:
            lost += 1
            assert "unknown" not in str(error)
        await shot
        assert await store.head() == head
        size = head.size if head else 0
        assert await store.entries(0, 10_000) == [f"entry {index}".encode() for index in range(size)]
    await killer.close()
    await store.close()


async def test_an_idle_writer_whose_connection_died_goes_on(server: Server) -> None:
    place = server.place("idle")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    await store.append(first := batch(None), accept)
    server.sql(place, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ledger_app'")
    await store.append(second := batch(first.head), accept)
    assert await store.head() == second.head
    await store.close()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = make_pair()
    yield made
    made.stop()


async def a_store(pair: Pair, name: str, **changes: float) -> tuple[str, Any, StoredHead]:
    """A store that demands a standby, with one batch."""
    place = pair.place(name, require_standby="1")
    deadlines = replace(PATIENT, **changes)
    store = await create_store(place, Path(), private=True, owner=pair.primary.owner(place), deadlines=deadlines)
    await store.append(first := batch(None), accept)
    return place, store, first.head


async def waiting(pair: Pair) -> int:
    """The process of the commit that waits for a standby, once there is one."""
    await apart(until, lambda: pair.primary.sql(None, LEFT))
    return int(pair.primary.sql(None, LEFT)[0][0])


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_wait_for_the_standby_that_somebody_ends_is_no_commit(pair: Pair, end: str) -> None:
    """The server says COMMIT, and that only its own disk has it."""
    place, store, first = await a_store(pair, end)
    pair.left.stop(immediate=True)
    writing = asyncio.create_task(store.append(second := batch(first), accept))
    pair.primary.sql(None, f"SELECT {end}($1)", await waiting(pair))
    await asyncio.sleep(0.2)
    assert pair.primary.sql(place, "SELECT size FROM head") == [(second.head.size,)], "it is there, and nowhere else"
    assert not writing.done(), "so it is not acknowledged"
    pair.left.start()
    await writing
    assert pair.left.sql(place, "SELECT size FROM head") == [(second.head.size,)]
    await store.append(batch(second.head), accept)
    await store.close()


async def test_nor_is_a_checkpoint_kept_then(pair: Pair) -> None:
    _place, store, first = await a_store(pair, "checkpoint")
    await store.put_checkpoint(b"one", first.size)
    pair.left.stop(immediate=True)
    keeping = asyncio.create_task(store.put_checkpoint(b"two", first.size))
    pair.primary.sql(None, "SELECT pg_cancel_backend($1)", await waiting(pair))
    with pytest.raises(Unavailable, match="unknown"):
        await keeping
    pair.left.start()
    await store.put_checkpoint(b"three", first.size)
    try:
        wait_for(pair.primary, "")
        with pytest.raises(Unavailable, match="require_standby"):
            await store.put_checkpoint(b"four", first.size)
        assert await store.checkpoint() == b"three"
    finally:
        wait_for(pair.primary, ONE)
    await store.close()


async def test_what_a_crash_left_on_one_disk_is_not_believed_before_the_standby_has_it(pair: Pair) -> None:
    place, store, first = await a_store(pair, "crash")
    pair.left.stop(immediate=True)
    store._writer._deadlines = replace(PATIENT, command=0.5, settle=0.5)
    with pytest.raises(Unavailable, match="unknown"):
        await store.append(second := batch(first), accept)
    await store.close()
    crash(pair.primary)
    pair.primary.start()
    assert pair.primary.sql(place, "SELECT size FROM head") == [(second.head.size,)], "nobody else has it"
    with pytest.raises(Unavailable):
        await open_store(place, Path(), private=True, deadlines=replace(PATIENT, command=0.5))
    pair.left.start()
    until(pair.attached)
    store = await open_store(place, Path(), private=True, deadlines=PATIENT)
    assert await store.head() == second.head
    await store.close()


async def test_nothing_is_written_where_the_standby_is_let_go(pair: Pair) -> None:
    """Before a commit or in the middle of one: the batch is pending, whatever the server says."""
    place, store, first = await a_store(pair, "let go", settle=0.5)
    try:
        wait_for(pair.primary, "")
        with pytest.raises(Unavailable, match="require_standby"):
            await store.append(batch(first), accept)
        assert await store.head() == first
        await store.close()
        with pytest.raises(Unavailable, match="require_standby"):
            await open_store(place, Path(), private=True, deadlines=PATIENT)
        undemanding = await open_store(place.replace("require_standby=1", "require_standby=0"), Path(), private=True)
        await undemanding.close()
        wait_for(pair.primary, ONE)
        store = await open_store(place, Path(), private=True, deadlines=replace(PATIENT, settle=0.5))
        pair.left.stop(immediate=True)
        writing = asyncio.create_task(store.append(batch(first), accept))
        await waiting(pair)
        wait_for(pair.primary, "")
        with pytest.raises(Unavailable, match="unknown"):
            await writing
    finally:
        wait_for(pair.primary, ONE)
        if pair.left.process is None:
            pair.left.start()
        await store.close()


async def test_the_writer_goes_on_with_the_standby_that_was_promoted(pair: Pair) -> None:
    """Twice, so that the primary is once the first and once the second of the hosts. A commit that was on its way when
    the primary died is looked up on the new one, and waits until that has a standby in its turn."""
    _place, store, head = await a_store(pair, "promoted")
    for _ in range(2):
        until(pair.attached)
        writing = asyncio.create_task(store.append(following := batch(head), accept))
        await asyncio.sleep(0.01)
        await apart(crash, pair.primary)
        await apart(pair.promote)
        await apart(pair.rejoin)
        try:
            await writing
        except Unavailable:
            assert await store.head() == head
            await store.append(following, accept)
        head = following.head
        assert await store.head() == head
    assert await store.entries(0, 99) == [f"entry {at}".encode() for at in range(head.size)]
    await store.close()

"""A server that may lose a commit is not written to: not at the start, and not after a reload that nobody told of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable
from ledger.store.opening import create_store, open_store
from ledger.store.postgres_durable import connect_checked
from ledger.store.postgres_link import parse_place
from ledger.store.protocol import IndexRow, Purpose, StoredHead
from tests.support.batches import accept, batch, h
from tests.support.postgres import PATIENT, Server, needed, new_cluster, postgres_server, room
from tests.support.standby import Pair, apart, make_pair

SHOWN = "SELECT current_setting('synchronous_commit')"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def server() -> Server:
    return postgres_server()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = make_pair()
    yield made
    made.stop()


async def made(server: Server, place: str, **changes: float) -> tuple[Any, StoredHead]:
    """A store with one batch."""
    deadlines = replace(PATIENT, **changes)
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=deadlines)
    await store.append(first := batch(None), accept)
    return store, first.head


@pytest.mark.parametrize("level", ["off", "local", "remote_write"])
async def test_a_server_that_may_lose_a_commit_is_refused(server: Server, level: str) -> None:
    place = server.place(level)
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    role = "ALTER ROLE ledger_app IN DATABASE ledger"
    server.sql(None, f"{role} SET synchronous_commit = {level}")
    try:
        with pytest.raises(Refused) as refused:
            await open_store(place, Path(), private=True, deadlines=PATIENT)
        assert (refused.value.code, refused.value.field) == ("NOT_DURABLE", "synchronous_commit")
    finally:
        server.sql(None, f"{role} RESET synchronous_commit")


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_a_server_without_fsync_is_refused(server: Server, setting: str) -> None:
    place = server.place(setting)
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    with server.set_to(setting, "off"):
        with pytest.raises(Refused) as refused:
            await open_store(place, Path(), private=True, deadlines=PATIENT)
        assert (refused.value.code, refused.value.field) == ("NOT_DURABLE", setting)


async def test_a_server_that_waits_for_no_standby_is_refused_where_one_is_demanded(server: Server) -> None:
    place = server.place("demanding") + "&require_standby=1"
    with pytest.raises(Unavailable, match="require_standby"):
        await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    schema = "SELECT to_regnamespace($1) IS NULL"
    assert server.sql(place, schema, parse_place(place).schema) == [(True,)], "the owner's address need not say so too"


async def test_one_that_has_nobody_to_send_to_waits_for_nobody_whatever_names_it_has() -> None:
    alone = new_cluster(room(), needed(), max_wal_senders="0", synchronous_standby_names="FIRST 1 (b)")
    try:
        with pytest.raises(Unavailable, match="max_wal_senders is 0"):
            await connect_checked(parse_place(alone.place("alone") + "&require_standby=1"), PATIENT)
    finally:
        alone.stop(immediate=True)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_what_a_reload_takes_away_is_seen_before_the_next_commit(server: Server, setting: str) -> None:
    """An open session goes by the new value at once, and nobody tells it."""
    store, first = await made(server, server.place(f"reloaded {setting}"))
    row = IndexRow(h("person"), Purpose.PERSON, 1, b"track")
    await store.put_checkpoint(b"kept", first.size)
    with server.set_to(setting, "off"):
        for write in (
            lambda: store.append(batch(first), accept),
            lambda: store.put_checkpoint(b"lost", first.size),
            lambda: store.claim([row]),
            store.check_durable,
        ):
            with pytest.raises(Refused) as refused:
                await write()
            assert (refused.value.code, refused.value.field) == ("NOT_DURABLE", setting)
            assert f"{setting} = off" in refused.value.text.en and "重新加载" in refused.value.text.zh
        assert (await store.head(), await store.checkpoint()) == (first, b"kept")
        assert await store.index([row.hmac]) == {}
        await store.hold()  # it leads, and what is stored can be read
    await store.check_durable()
    await store.append(second := batch(first), accept)
    assert await store.head() == second.head
    await store.close()


async def test_a_commit_during_which_it_was_taken_away_is_not_acknowledged(pair: Pair) -> None:
    store, first = await made(pair.primary, pair.place("meanwhile", require_standby="1"), settle=0.5)
    await apart(pair.left.stop, immediate=True)
    try:
        writing = asyncio.create_task(store.append(batch(first), accept))
        await _waits(pair, writing)
        with pair.primary.set_to("fsync", "off"):
            await apart(pair.left.start)
            with pytest.raises(Unavailable, match="unknown"):
                await writing
    finally:
        if pair.left.process is None:
            await apart(pair.left.start)
        await store.close()


async def _waits(pair: Pair, writing: asyncio.Task[Any]) -> int:
    """The process of the commit that waits for the standby. It must."""
    async with asyncio.timeout(60):
        while not (rows := pair.primary.sql(None, WAITING)):
            assert not writing.done(), "acknowledged, and on one disk alone"
            await asyncio.sleep(0.02)
    return int(rows[0][0])


@pytest.mark.parametrize("level", ["off", "local", "remote_write"])
async def test_how_a_session_waits_is_changed_by_no_reload(pair: Pair, level: str) -> None:
    """As an operator does in an emergency, and `patronictl edit-config` for him: the log goes on waiting."""
    place = pair.place(level, require_standby="1")
    store, first = await made(pair.primary, place)
    await store.put_checkpoint(b"one", first.size)
    with pair.primary.set_to("synchronous_commit", level):
        for write in (lambda: store.append(batch(first), accept), lambda: store.put_checkpoint(b"two", first.size)):
            await apart(pair.left.stop, immediate=True)
            try:
                writing = asyncio.create_task(write())
                await _waits(pair, writing)
            finally:
                await apart(pair.left.start)
            await writing
        await store.close()
        with pytest.raises(Refused, match="NOT_DURABLE"):
            await open_store(place, Path(), private=True, deadlines=PATIENT)
    again = await open_store(place, Path(), private=True, deadlines=PATIENT)
    assert await again.checkpoint() == b"two"
    await again.close()


async def test_a_stricter_level_is_taken_up_and_kept(server: Server) -> None:
    place = parse_place(server.place("strict"))
    with server.set_to("synchronous_commit", "remote_apply"):
        session = await connect_checked(place, PATIENT)
    assert server.sql(None, SHOWN) == [("on",)]
    assert await session.fetchval(SHOWN) == "remote_apply"
    await session.close()


async def test_that_a_wait_was_ended_is_heard_however_little_the_server_says(pair: Pair) -> None:
    """It says so in a warning, which a setting keeps from its clients."""
    place = pair.place("quiet", require_standby="1")
    store, first = await made(pair.primary, place)
    with pair.primary.set_to("client_min_messages", "error"):
        await apart(pair.left.stop, immediate=True)
        try:
            writing = asyncio.create_task(store.append(batch(first), accept))
            pair.primary.sql(None, "SELECT pg_cancel_backend($1)", await _waits(pair, writing))
            while pair.primary.sql(place, "SELECT size FROM head") == [(first.size,)]:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            assert not writing.done(), "acknowledged, and on one disk alone"
        finally:
            await apart(pair.left.start)
        await writing
    await store.close()

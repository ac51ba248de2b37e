"""Who may delete rows, and that they are gone: from the file, or from primary and standby."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable
from ledger.store import sql
from ledger.store.erasing import erase_rows
from ledger.store.opening import create_store
from ledger.store.postgres_link import Deadlines
from ledger.store.protocol import IndexRow, Purpose
from tests.support.builders import octets
from tests.support.postgres import GUARD_DATABASE, PATIENT, postgres_server
from tests.support.standby import ONE, Pair, apart, crash, make_pair, until, wait_for
from tests.support.stores import PostgresKind, SqliteKind

HMACS = [octets("one"), octets("two")]
BODY = b"nobody may read this any more"
PLACE = octets("place")
HURRIED = replace(PATIENT, command=5.0)  # the product waits a minute for a standby
WAITING = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
LEFT = "SELECT body FROM envelope UNION ALL SELECT body FROM private_index"


@dataclass(frozen=True)
class Named:
    places: Sequence[bytes] = ()
    hmacs: Sequence[bytes] = ()


async def erase(
    store: str,
    folder: Path,
    owner: str,
    places: Sequence[bytes],
    hmacs: Sequence[bytes],
    deadlines: Deadlines = PATIENT,
) -> int:
    async def find(_: Any) -> Named:
        return Named(places, hmacs)

    return (await erase_rows(store, folder, owner, find, deadlines))[1]


async def test_a_file_forgets_and_is_not_shared_with_a_running_ledger(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store = await SqliteKind().create(path, private=True)
    await store.claim([IndexRow(hmac, Purpose.LOOKUP, 1, BODY) for hmac in HMACS])
    with pytest.raises(Refused, match="STORE_IN_USE"):
        await erase("log.db", tmp_path, "", [], HMACS)
    await store.close()
    assert any(BODY in file.read_bytes() for file in tmp_path.iterdir())
    assert await erase("log.db", tmp_path, "", [octets("place")], [*HMACS, octets("three")]) == 2
    assert not any(BODY in file.read_bytes() for file in tmp_path.iterdir())


async def test_a_file_that_somebody_reads_forgets_when_asked_again(tmp_path: Path) -> None:
    """A backup, say: SQLite keeps for a reader what stood there when it began, and answers "busy" without an error."""
    store = await SqliteKind().create(tmp_path / "log.db", private=True)
    await store.claim([IndexRow(hmac, Purpose.LOOKUP, 1, BODY) for hmac in HMACS])
    await store.close()
    reader = await SqliteKind().open(tmp_path / "log.db", private=True, read_only=True)
    assert await reader.index(HMACS) == dict.fromkeys(HMACS, BODY)
    with pytest.raises(Unavailable, match="run this again"):
        await erase("log.db", tmp_path, "", [], HMACS)
    await reader.close()  # which leaves the file as it is
    assert await erase("log.db", tmp_path, "", [], HMACS) == 0
    assert not any(BODY in file.read_bytes() for file in tmp_path.iterdir())
    reader = await SqliteKind().open(tmp_path / "log.db", private=True, read_only=True)
    assert await erase("log.db", tmp_path, "", [], HMACS) == 0, "a reader of what is in the file disturbs nobody"
    await reader.close()


async def test_in_postgresql_only_the_owner_deletes_also_beside_a_running_ledger(tmp_path: Path) -> None:
    kind, path = PostgresKind(), tmp_path / "log.db"
    store = await kind.create(path, private=True)
    await store.claim([IndexRow(hmac, Purpose.LOOKUP, 1, BODY) for hmac in HMACS])
    place = kind.place(path)
    with pytest.raises(Refused, match="STORE_OWNER"):
        await erase(place, tmp_path, "", [], HMACS)
    with pytest.raises(Unavailable):
        await erase(place, tmp_path, place, [], HMACS)
    assert await store.index(HMACS) == dict.fromkeys(HMACS, BODY)
    assert await erase(place, tmp_path, postgres_server().owner(place), [], HMACS) == 2
    assert await store.index(HMACS) == {}
    await store.close()


async def test_the_owner_of_another_database_deletes_nothing(tmp_path: Path) -> None:
    """The log has moved, say, and both its old database and an old address of the owner are still there."""
    server = postgres_server()
    live = server.place("moved")
    left = live.replace("/ledger?", f"/{GUARD_DATABASE}?")
    for place in (live, left):
        store = await create_store(place, tmp_path, private=True, owner=server.owner(place), deadlines=PATIENT)
        await store.fill(sql.PUT_ENVELOPE, [(PLACE, 1, BODY)])
        await store.close()
    with pytest.raises(Refused, match="STORE_OWNER") as refused:
        await erase(live, tmp_path, server.owner(left), [PLACE], [])
    assert "没有删除" in refused.value.text.zh and "Nothing was deleted" in refused.value.text.en
    assert [server.sql(place, LEFT) for place in (live, left)] == [[(BODY,)]] * 2
    assert await erase(live, tmp_path, server.owner(live), [PLACE], []) == 1


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = make_pair()
    yield made
    made.stop()


async def a_person(pair: Pair, tmp_path: Path, name: str) -> tuple[str, str]:
    """A store that holds an envelope and a look-up row, and the owner's address, which demands no standby."""
    place = pair.place(name, require_standby="1")
    owner = pair.place().split("?")[0].replace("ledger_app@", "ledger_owner@")
    store = await create_store(place, tmp_path, private=True, owner=owner, deadlines=PATIENT)
    await store.fill(sql.PUT_ENVELOPE, [(PLACE, 1, BODY)])
    await store.claim([IndexRow(HMACS[0], Purpose.LOOKUP, 1, BODY)])
    await store.close()
    await asyncio.to_thread(until, pair.attached)
    return place, owner


async def test_the_stores_address_alone_demands_a_standby(pair: Pair, tmp_path: Path) -> None:
    place, owner = await a_person(pair, tmp_path, "demanded")
    await asyncio.to_thread(wait_for, pair.primary, "")
    with pytest.raises(Unavailable, match="require_standby"):
        await erase(place, tmp_path, owner, [PLACE], HMACS)
    assert len(pair.primary.sql(place, LEFT)) == 2
    await asyncio.to_thread(wait_for, pair.primary, ONE)
    assert await erase(place, tmp_path, owner, [PLACE], HMACS) == 2


async def test_gone_means_gone_from_the_standby_too(pair: Pair, tmp_path: Path) -> None:
    """However often it is asked for meanwhile, and though the primary shows nothing any more."""
    place, owner = await a_person(pair, tmp_path, "confirmed")

    async def unconfirmed() -> None:
        with pytest.raises(Unavailable) as error:
            await erase(place, tmp_path, owner, [PLACE], HMACS, HURRIED)
        assert "再次执行" in error.value.what.zh and "run the same again" in error.value.what.en

    await apart(pair.left.stop, immediate=True)
    await unconfirmed()
    assert pair.primary.sql(None, WAITING), "it waits on: a cancelled one would show on the primary alone"
    assert len(pair.primary.sql(place, LEFT)) == 2
    with pytest.raises(Refused, match="STORE_IN_USE"):
        await erase(place, tmp_path, owner, [PLACE], HMACS, HURRIED)
    await apart(crash, pair.primary)
    await apart(pair.primary.start)
    assert pair.primary.sql(place, LEFT) == [], "what was written before the crash is there, on this one disk"
    await unconfirmed()
    await apart(pair.left.start)
    await asyncio.to_thread(until, pair.attached)
    await asyncio.to_thread(until, lambda: not pair.primary.sql(None, WAITING))
    assert await erase(place, tmp_path, owner, [PLACE], HMACS) == 0
    await apart(crash, pair.primary)
    await apart(pair.promote)
    assert pair.primary.sql(place, LEFT) == []

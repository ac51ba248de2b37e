"""The contract of the site's store, on both kinds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.errors import Malformed, Refused, Unavailable
from ledger.store.migrations import Migration
from tests.support.postgres import postgres_server
from verifier.site import postgres, sqlite, store
from verifier.site.opening import open_site, prepare_site

STEPS = [
    Migration("0001_note", "CREATE TABLE note (id text PRIMARY KEY, at bigint NOT NULL, body bytea); -- no; comment"),
    Migration("0002_more", "CREATE TABLE more (id text PRIMARY KEY); CREATE INDEX more_id ON more (id)"),
]
PUT = "INSERT INTO note (id, at, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Migration]:
    found = list(STEPS)
    for module in (store, sqlite, postgres):
        monkeypatch.setattr(module, "site_steps", lambda: list(found))
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return "site.db"
    server = postgres_server()
    return server.owner(server.place("site"))


@pytest.fixture
async def site(place: str, tmp_path: Path) -> AsyncIterator[store.SiteStore]:
    assert await prepare_site(place, tmp_path) == ["0001_note", "0002_more"]
    opened = await open_site(place, tmp_path)
    yield opened
    await opened.close()


async def test_values_come_back_as_they_went_in(site: store.SiteStore) -> None:
    rows = [("一", 2**62, b"\0\xff"), ("b", -1, None)]
    for row in rows:
        assert await site.execute(PUT, *row) == 1
    assert await site.execute(PUT, "b", 5, b"") == 0, "it is there already"
    assert await site.fetch("SELECT id, at, body FROM note ORDER BY at DESC") == rows
    found = await site.fetch("UPDATE note SET at = at + $1 WHERE id = $2 RETURNING at", 2, "b")
    assert found == [(1,)] and await site.execute("UPDATE note SET at = $1", 7) == 2
    assert await site.execute("DELETE FROM note WHERE id = $1", "nobody") == 0


async def test_text_compares_by_its_bytes(site: store.SiteStore) -> None:
    for name in ("b", "B", "a", "é"):
        await site.execute(PUT, name, 0, None)
    assert [row[0] for row in await site.fetch("SELECT id FROM note ORDER BY id")] == ["B", "a", "b", "é"]


async def test_a_transaction_is_whole_or_nothing(site: store.SiteStore) -> None:
    with pytest.raises(LookupError):
        async with site.transaction() as tx:
            assert await tx.execute(PUT, "a", 1, b"") == 1
            assert await tx.fetch("SELECT at FROM note") == [(1,)]
            raise LookupError
    assert await site.fetch("SELECT id FROM note") == []
    async with site.transaction() as tx:
        await tx.execute(PUT, "a", 1, b"")
    assert await site.fetch("SELECT id FROM note") == [("a",)]


async def test_one_given_up_half_way_leaves_nothing_and_blocks_nobody(site: store.SiteStore) -> None:
    inside = asyncio.Event()

    async def slow() -> None:
        async with site.transaction() as tx:
            await tx.execute(PUT, "slow", 1, b"")
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(slow())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with site.transaction() as tx:
        assert await tx.fetch("SELECT id FROM note") == []
        await tx.execute(PUT, "next", 1, b"")
    assert await site.fetch("SELECT id FROM note") == [("next",)]


async def test_one_given_up_before_it_began_leaves_nothing_open(
    site: store.SiteStore, place: str, tmp_path: Path
) -> None:
    """What was asked of a database goes on there when nobody waits for it any more."""
    other = await open_site(place, tmp_path)

    async def waiting() -> None:
        async with site.transaction():
            raise AssertionError("it had its turn")

    async with other.transaction():
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0.2)  # until it waits in the database; where it does not yet, nothing is open
        task.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await task
    await site.execute(PUT, "next", 1, b"")
    assert await other.fetch("SELECT id FROM note") == [("next",)]
    async with site.transaction() as tx:
        await tx.execute(PUT, "after", 1, b"")
    assert len(await other.fetch("SELECT id FROM note")) == 2
    await other.close()


async def test_transactions_run_one_after_the_other_across_stores(
    site: store.SiteStore, place: str, tmp_path: Path
) -> None:
    other = await open_site(place, tmp_path)
    await site.execute(PUT, "count", 0, b"")

    async def add(of: store.SiteStore) -> None:
        async with of.transaction() as tx:
            ((at,),) = await tx.fetch("SELECT at FROM note WHERE id = $1", "count")
            await asyncio.sleep(0)
            await tx.execute("UPDATE note SET at = $1 WHERE id = $2", at + 1, "count")

    await asyncio.gather(*(add(of) for of in [site, other] * 10))
    assert await site.fetch("SELECT at FROM note") == [(20,)]
    await other.close()


async def test_a_broken_constraint_is_a_bug_and_a_broken_statement_unavailable(site: store.SiteStore) -> None:
    with pytest.raises((sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError)):
        await site.execute("INSERT INTO note (id, at) VALUES ($1, NULL)", "a")
    with pytest.raises(Unavailable):
        await site.fetch("SELECT * FROM nowhere")
    assert await site.execute(PUT, "a", 1, b"") == 1


async def test_it_is_made_explicitly_and_brought_up_to_date(place: str, tmp_path: Path, steps: list[Migration]) -> None:
    with pytest.raises(Unavailable, match="site-store"):
        await open_site(place, tmp_path)
    last = steps.pop()
    assert await prepare_site(place, tmp_path) == ["0001_note"]
    steps.append(last)
    with pytest.raises(Refused) as refused:
        await open_site(place, tmp_path)
    assert refused.value.code == "SCHEMA"
    assert await prepare_site(place, tmp_path) == ["0002_more"]
    assert await prepare_site(place, tmp_path) == []
    await (await open_site(place, tmp_path)).close()
    steps[0] = Migration("0001_note", STEPS[0].text + " ")
    for work in (open_site, prepare_site):
        with pytest.raises(Refused):
            await work(place, tmp_path)


async def test_a_table_that_was_changed_by_hand_is_refused_by_name(place: str, tmp_path: Path) -> None:
    await prepare_site(place, tmp_path)
    opened = await open_site(place, tmp_path)
    await opened.execute("DROP INDEX more_id")
    await opened.close()
    for work in (open_site, prepare_site):
        with pytest.raises(Refused) as refused:
            await work(place, tmp_path)
        assert refused.value.code == "SCHEMA_CHANGED" and "index more_id: missing" in refused.value.text.en


async def test_what_a_server_may_lose_is_not_said_to_be_done(tmp_path: Path) -> None:
    """Settings that are loaded again change it under a store that is open."""
    server = postgres_server()
    place = server.owner(server.place("site"))
    await prepare_site(place, tmp_path)
    site = await open_site(place, tmp_path)
    await site.execute(PUT, "a", 1, b"")
    with server.set_to("fsync", "off"):
        with pytest.raises(Unavailable, match="fsync = off"):
            await site.execute(PUT, "b", 1, b"")
        with pytest.raises(Unavailable, match="fsync = off"):
            async with site.transaction() as tx:
                await tx.execute(PUT, "c", 1, b"")
    with server.set_to("synchronous_commit", "off"):
        await site.close()
        with pytest.raises(Refused, match="NOT_DURABLE"):
            await open_site(place, tmp_path)
    site = await open_site(place, tmp_path)
    async with site.transaction() as tx:
        with server.set_to("synchronous_commit", "off"):
            shown = "SELECT current_setting('synchronous_commit')"
            assert await tx.fetch(shown) == [("on",)]
    assert await site.fetch("SELECT id FROM note") == [("a",)]
    for text in (  # as a server does when somebody ends the wait for its standby
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON note INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()",
    ):
        server.sql(place, text)
    with pytest.raises(Unavailable, match="not confirmed"):
        await site.execute(PUT, "d", 1, b"")
    with pytest.raises(Unavailable, match="not confirmed"):
        async with site.transaction() as tx:
            await tx.execute(PUT, "e", 1, b"")
    await site.close()


async def test_whoever_goes_away_while_a_session_is_looked_at_leaves_none_behind(tmp_path: Path) -> None:
    server = postgres_server()
    place = server.owner(server.place("site gone away"))
    await prepare_site(place, tmp_path)
    site = await open_site(place, tmp_path)
    await site.fetch("SELECT 1")
    (session,) = site._idle  # type: ignore[attr-defined]
    asking = asyncio.create_task(site.fetch("SELECT 1"))
    while site._idle:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert session.is_closed()
    assert await site.fetch("SELECT 1") == [(1,)]
    await site.close()


async def test_a_password_or_no_address_is_refused(tmp_path: Path) -> None:
    errors: dict[str, Any] = {"postgresql://a:secret@localhost/x": Refused, "postgresql://localhost": Malformed}
    for address, error in errors.items():
        with pytest.raises(error) as raised:
            await open_site(address, tmp_path)
        assert "secret" not in str(raised.value)


async def test_in_a_file_a_commit_tells_of_every_error_of_the_disk(tmp_path: Path) -> None:
    """SQLite copies a write-ahead log back by itself, and tells nobody of an error; so a file of before has none any
    more when it was opened."""
    await prepare_site("site.db", tmp_path)
    raw = sqlite3.connect(tmp_path / "site.db", isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()
    opened = await open_site("site.db", tmp_path)
    assert await opened.execute(PUT, "a", 1, b"1") == 1
    await opened.close()
    with (tmp_path / "site.db").open("rb") as file:
        assert file.read(20)[18:] == b"\x01\x01", "of the header: a rollback journal"

"""Whatever somebody changes in a store's tables by hand is named and the store not opened, on both kinds, by every way
in; a store of our own has no drift."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused
from ledger.store import sqlite_schema
from ledger.store.drift import differences, postgres_drift, refuse_drift
from ledger.store.migrations import migrations
from ledger.store.opening import create_store, open_store, upgrade_store
from ledger.store.postgres import open_reader
from ledger.store.postgres_link import connect, parse_place
from tests.support.postgres import PATIENT, SUPERUSER, Server, postgres_server
from tests.support.stores import KINDS, StoreKind

LOG = "log.db"
# A change, and what is said of it.
CHANGES = {
    "DROP INDEX state_since": "index state_since: missing",
    "CREATE INDEX mine ON entry (kind)": "index mine: no step made it",
    "CREATE TABLE mine (x bigint)": "mine: no step made it",
    "CREATE VIEW mine AS SELECT 1 AS x": "mine: no step made it",
    "ALTER TABLE entry ADD COLUMN note text": "entry",
    "ALTER TABLE event RENAME COLUMN idx TO at": "event",
    "DROP TABLE envelope": "envelope",
}
POSTGRES_ONLY = {
    "DROP INDEX state_track; CREATE INDEX state_track ON state (track)": "index state_track: changed",
    "DROP INDEX state_track; CREATE INDEX state_track ON state USING hash (track)": "index state_track: changed",
    "ALTER TABLE entry ALTER COLUMN chain DROP NOT NULL": "column entry.chain: changed",
    "ALTER TABLE entry ALTER COLUMN kind TYPE integer": "column entry.kind: changed",
    "ALTER TABLE entry ALTER COLUMN kind SET DEFAULT 7": "column entry.kind: changed",
    'ALTER TABLE named ALTER COLUMN name TYPE text COLLATE "en-x-icu"': "column named.name: changed",
    "ALTER TABLE entry DROP CONSTRAINT entry_known_as_key": "constraint entry.entry_known_as_key: missing",
    "ALTER TABLE head DROP CONSTRAINT head_one_check": "constraint head.head_one_check: missing",
    "CREATE RULE quiet AS ON INSERT TO entry DO INSTEAD NOTHING": "rule entry.quiet: no step made it",
    "CREATE TRIGGER quiet BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()": (
        "trigger head.quiet: no step made it"
    ),
    "ALTER TABLE entry ENABLE ROW LEVEL SECURITY": "row security of entry: no step made it",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'state_since'::regclass": "index state_since: changed",
}
SQLITE_ONLY = {
    "CREATE TRIGGER quiet BEFORE INSERT ON entry BEGIN SELECT RAISE(IGNORE); END": "trigger quiet: no step made it"
}


@pytest.fixture
def server() -> Server:
    return postgres_server()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    return KINDS[request.param]()


async def said(opening: Callable[[], Awaitable[Any]]) -> str:
    with pytest.raises(Refused) as found:
        await opening()
    assert found.value.code == "SCHEMA_CHANGED"
    return found.value.text.en


async def upgrade(folder: Path) -> list[str]:
    dry = await upgrade_store(LOG, folder, private=True, dry_run=True)
    assert await upgrade_store(LOG, folder, private=True) == dry
    return dry


@pytest.mark.parametrize("private", [True, False])
async def test_a_changed_store_is_not_opened_until_it_is_put_back(
    kind: StoreKind, tmp_path: Path, private: bool
) -> None:
    path = tmp_path / LOG
    await (await kind.create(path, private=private)).close()
    for change, back in (
        ("DROP INDEX state_since", "CREATE INDEX state_since ON state (since, map_key)"),
        ("ALTER TABLE entry ADD COLUMN note text", "ALTER TABLE entry DROP COLUMN note"),
    ):
        kind.change(path, change)
        for read_only in (True, False):
            named = await said(partial(kind.open, path, private=private, read_only=read_only))
            assert CHANGES[change] in named
        kind.change(path, back)
        await (await kind.open(path, private=private)).close()


async def test_nor_is_it_read_beside_a_running_log(server: Server) -> None:
    place = server.place("drift reader")
    running = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    await (await open_reader(parse_place(place))).close()
    server.sql(place, "ALTER TABLE state DROP COLUMN since")
    assert "column state.since: missing" in await said(partial(open_reader, parse_place(place)))
    await running.close()


async def test_an_index_that_is_being_made_again_keeps_no_log_from_starting(server: Server) -> None:
    place = server.place("drift reindex")
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    # As REINDEX CONCURRENTLY has it in between, and leaves it when it is broken off.
    server.sql(place, "CREATE INDEX state_since_ccnew ON state (since, map_key)")
    server.sql(place, "CREATE UNIQUE INDEX entry_pkey_ccold1 ON entry (idx)")
    server.sql(place, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'state_since_ccnew'::regclass")
    await (await open_store(place, Path(), private=True, deadlines=PATIENT)).close()
    assert await upgrade_store(place, Path(), private=True, owner=server.owner(place)) == []


@pytest.mark.parametrize(("change", "named"), (CHANGES | SQLITE_ONLY).items())
async def test_a_changed_file_is_refused_by_what_was_changed(tmp_path: Path, change: str, named: str) -> None:
    await (await create_store(LOG, tmp_path, private=True)).close()
    assert await upgrade(tmp_path) == []
    with closing(sqlite3.connect(tmp_path / LOG)) as raw:
        raw.execute(change)
    for dry_run in (True, False):
        assert named in await said(partial(upgrade_store, LOG, tmp_path, private=True, dry_run=dry_run))
    assert named in await said(partial(open_store, LOG, tmp_path, private=True))


@pytest.mark.parametrize("private", [True, False])
async def test_a_schema_of_our_own_has_no_drift_and_a_changed_one_is_refused(server: Server, private: bool) -> None:
    place = server.place(f"drift {private}")
    owner = server.owner(place)
    run_by = place if private else owner
    await (await create_store(run_by, Path(), private=private, owner=owner, deadlines=PATIENT)).close()
    assert await upgrade_store(run_by, Path(), private=private, owner=owner) == []
    server.sql(place, "DROP INDEX state_track")
    server.sql(place, "ALTER TABLE entry ALTER COLUMN kind TYPE integer")
    for dry_run in (True, False):
        opening = partial(upgrade_store, run_by, Path(), private=private, owner=owner, dry_run=dry_run)
        assert "column entry.kind: changed; index state_track: missing" in await said(opening)


async def test_every_change_of_a_schema_is_named(server: Server) -> None:
    place = server.place("drift")
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    superuser = replace(parse_place(place.replace("ledger_app@", f"{SUPERUSER}@")), role=SUPERUSER)
    session = await connect(superuser, PATIENT)
    steps = migrations(private=True)
    for change, named in (CHANGES | POSTGRES_ONLY).items():
        undo = session.transaction()
        await undo.start()
        await session.execute(change)
        assert named in "; ".join(map(str, await postgres_drift(session.fetch, steps))), change
        await undo.rollback()
    assert await postgres_drift(session.fetch, steps) == []
    await session.close()


async def test_a_store_of_before_is_compared_with_the_steps_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations(private=True)
    with monkeypatch.context() as before:
        before.setattr(sqlite_schema, "migrations", lambda *, private: steps[:3])
        await (await create_store(LOG, tmp_path, private=True)).close()
    assert await upgrade(tmp_path) == [step.name for step in steps[3:]]
    assert await upgrade(tmp_path) == []


def test_differences_have_three_kinds_in_order() -> None:
    found = differences({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"})
    assert [str(each) for each in found] == [
        "a: missing",
        "b: changed",
        "d: no step made it",
    ]


async def test_what_was_changed_can_be_put_back_from_what_is_said(server: Server) -> None:
    place = server.place("drift back")
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    for change in ("DROP INDEX state_track", "CREATE INDEX state_track ON state (track)", "DROP INDEX state_since"):
        server.sql(place, change)
    server.sql(place, "ALTER TABLE entry ALTER COLUMN chain DROP NOT NULL")
    with pytest.raises(Refused) as refused:
        await open_store(place, Path(), private=True, deadlines=PATIENT)
    en, zh = refused.value.text.en, refused.value.text.zh
    track = "CREATE INDEX state_track ON state USING hash (track) WHERE (length(track) > 0)"
    is_now = "CREATE INDEX state_track ON state USING btree (track)"
    assert f"index state_track, {track} (and it is {is_now})" in en and f"{track}（现为 {is_now}）" in zh
    assert "column entry.chain, bytea not null (and it is bytea)" in en
    since = "CREATE INDEX state_since ON state USING btree (since, map_key)"
    assert since in en and since in zh
    for back in ("DROP INDEX state_track", track, since, "ALTER TABLE entry ALTER COLUMN chain SET NOT NULL"):
        server.sql(place, back)
    await (await open_store(place, Path(), private=True, deadlines=PATIENT)).close()


def test_a_definition_without_end_is_cut_and_no_step_means_nothing_is_wanted() -> None:
    long, other = differences({"a": "x" * 400}, {"a": "y", "b": "z"})
    assert long.wanted is not None and len(long.wanted.en) < 350 and long.wanted.zh.count("x") == 300
    assert other.wanted is None
    with pytest.raises(Refused) as refused:
        refuse_drift([other], "here")
    assert "What the steps make" not in refused.value.text.en

"""Made by the owner, used by a role that cannot rewrite the log; every step once, and drift refused."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest

from ledger.errors import Refused, Unavailable
from ledger.store import postgres_schema, sql
from ledger.store.migrations import Migration, migrations
from ledger.store.opening import check_no_store, create_store, open_store, upgrade_store
from ledger.store.postgres_link import connect, parse_place
from ledger.store.postgres_text import each_bucket, each_range
from tests.support.batches import accept, batch
from tests.support.postgres import APPLICATION, HASTY, OWNER, PATIENT, Server, postgres_server
from tests.support.stores import before_map_step

APPEND_ONLY = ("entry", "state_history", "event", "signed")


@pytest.fixture
def server() -> Server:
    return postgres_server()


@pytest.fixture
async def place(server: Server) -> str:
    made = server.place("schema")
    store = await create_store(made, Path(), private=True, owner=server.owner(made), deadlines=PATIENT)
    await store.append(first := batch(None), accept)
    await store.append(batch(first.head), accept)
    await store.close()
    return made


async def run_as_application(place: str, text: str) -> None:
    parsed = parse_place(place)
    connection = await asyncpg.connect(parsed.dsn, server_settings={"search_path": parsed.schema})
    try:
        await connection.execute(text)
    finally:
        await connection.close()


async def test_a_schema_of_the_role_and_a_right_that_tables_will_have_are_refused_beforehand(server: Server) -> None:
    """In the first the owner may make nothing, and what is wrong is not that; in the second no table is there yet."""
    place = server.place("schema of the role")
    schema = parse_place(place).schema
    owner = server.owner(place)
    server.sql(place, f"CREATE SCHEMA {schema} AUTHORIZATION {APPLICATION}")
    with pytest.raises(Refused, match="STORE_ROLE") as refused:
        await check_no_store(place, Path(), private=True, owner=owner)
    assert f"schema {schema}: owner" in refused.value.text.en
    server.sql(place, f"ALTER SCHEMA {schema} OWNER TO {OWNER}")
    server.sql(place, f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA {schema} GRANT DELETE ON TABLES TO PUBLIC")
    with pytest.raises(Refused, match="STORE_ROLE") as refused:
        await check_no_store(place, Path(), private=True, owner=owner)
    assert "DELETE" in refused.value.text.en


async def test_the_application_role_cannot_rewrite(place: str) -> None:
    for table in (*APPEND_ONLY, "meta", "named", "migration", "envelope"):
        for text in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"DROP TABLE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await run_as_application(place, text)
    for table, column in (("entry", "body"), ("meta", "value"), ("named", "idx"), ("envelope", "body")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run_as_application(place, f"UPDATE {table} SET {column} = {column}")


async def test_the_head_cannot_be_deleted_and_no_step_invented(place: str) -> None:
    for text in ("DELETE FROM head", "INSERT INTO migration VALUES ('x', '')", "CREATE TABLE more ()"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run_as_application(place, text)


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_a_role_that_could_rewrite_is_refused(server: Server, place: str, table: str) -> None:
    for may in ("UPDATE", "DELETE", "TRUNCATE"):
        server.sql(place, f"GRANT {may} ON {table} TO {APPLICATION}")
        with pytest.raises(Refused) as refused:
            await open_store(place, Path(), private=True, deadlines=PATIENT)
        assert refused.value.code == "STORE_ROLE"
        server.sql(place, f"REVOKE {may} ON {table} FROM {APPLICATION}")
    await (await open_store(place, Path(), private=True, deadlines=PATIENT)).close()


async def test_so_is_one_that_may_change_a_column_or_become_the_owner(server: Server, place: str) -> None:
    refuse = [
        (f"GRANT UPDATE (body) ON entry TO {APPLICATION}", f"REVOKE UPDATE (body) ON entry FROM {APPLICATION}"),
        (f"GRANT {OWNER} TO {APPLICATION}", f"REVOKE {OWNER} FROM {APPLICATION}"),
    ]
    for grant, revoke in refuse:
        server.sql(place, grant)
        try:
            with pytest.raises(Refused, match="STORE_ROLE"):
                await open_store(place, Path(), private=True, deadlines=PATIENT)
        finally:
            server.sql(place, revoke)
    with pytest.raises(Refused, match="STORE_ROLE"):
        await open_store(server.owner(place), Path(), private=True, deadlines=PATIENT)


async def test_a_ledger_is_not_made_by_the_role_that_runs_it(server: Server) -> None:
    place = server.place("own")
    for owner in ("", place):
        with pytest.raises(Refused) as refused:
            await create_store(place, Path(), private=True, owner=owner, deadlines=PATIENT)
        assert refused.value.code == "STORE_OWNER"


async def test_a_schema_that_the_role_made_is_refused_before_anything_is_made_in_it(server: Server) -> None:
    """Whoever owns it may drop every table in it, whoever owns those."""
    place = server.place("its own")
    schema, owner = parse_place(place).schema, server.owner(place)
    server.sql(place, f"CREATE SCHEMA {schema} AUTHORIZATION {APPLICATION}")
    server.sql(place, f"GRANT ALL ON SCHEMA {schema} TO {OWNER}")
    for make in (
        lambda: check_no_store(place, Path(), private=True, owner=owner),
        lambda: create_store(place, Path(), private=True, owner=owner, deadlines=PATIENT),
    ):
        with pytest.raises(Refused, match="STORE_ROLE") as refused:
            await make()
        assert f"schema {schema}: owner" in refused.value.text.en
    assert server.sql(place, "SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1)", schema) == []


async def test_missing_steps_are_shown_then_applied_with_their_grants(server: Server, place: str) -> None:
    owner = server.owner(place)
    assert await upgrade_store(place, Path(), private=True, owner=owner) == []
    # As a store of an earlier version: the steps from the third on were not there yet.
    server.sql(place, "DROP TABLE signed")
    server.sql(place, "DROP TABLE event")
    server.sql(place, "DROP INDEX state_since")
    before_map_step(lambda text: server.sql(place, text), postgres=True)
    server.sql(place, "DELETE FROM migration WHERE name >= '0003'")
    wanted = [step.name for step in migrations(private=True)[2:]]
    for _ in range(2):
        assert await upgrade_store(place, Path(), private=True, owner=owner, dry_run=True) == wanted
        with pytest.raises(Refused, match=r"SCHEMA.*older than this program.*migrate"):
            await open_store(place, Path(), private=True, deadlines=PATIENT)
    assert await upgrade_store(place, Path(), private=True, owner=owner) == wanted
    store = await open_store(place, Path(), private=True, deadlines=PATIENT)
    head = await store.head()
    await store.append(batch(head), accept)
    await store.close()


@pytest.mark.parametrize("table", ["private_index", "envelope", "entry"])
async def test_a_table_that_a_crash_empties_is_refused(server: Server, place: str, table: str) -> None:
    server.sql(place, f"ALTER TABLE {table} SET UNLOGGED")
    for read_only in (False, True):
        with pytest.raises(Refused) as refused:
            await open_store(place, Path(), private=True, read_only=read_only, deadlines=PATIENT)
        assert (refused.value.code, refused.value.field) == ("NOT_DURABLE", table)
    with pytest.raises(Refused, match="NOT_DURABLE"):
        await upgrade_store(place, Path(), private=True, owner=server.owner(place), dry_run=True)
    server.sql(place, f"ALTER TABLE {table} SET LOGGED")
    await (await open_store(place, Path(), private=True, deadlines=PATIENT)).close()


async def test_a_step_over_a_large_log_is_given_its_time(
    server: Server, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index over 10^7 entries takes longer than a statement of a running log may: such a log was never upgraded."""
    step = Migration("0099_index", "CREATE TABLE seen AS SELECT current_setting('statement_timeout') AS took")
    steps = [*migrations(private=True), step]
    monkeypatch.setattr(postgres_schema, "migrations", lambda *, private: steps)
    assert await upgrade_store(place, Path(), private=True, owner=server.owner(place)) == [step.name]
    assert server.sql(place, "SELECT took FROM seen") == [("4h",)]


@pytest.mark.parametrize(
    "drift",
    [
        "UPDATE migration SET digest = '' WHERE name = '0001_log'",
        "DELETE FROM migration WHERE name = '0002_private'",
        "INSERT INTO migration VALUES ('9999_later', '')",
    ],
)
async def test_drift_is_refused_and_nothing_applied(server: Server, place: str, drift: str) -> None:
    server.sql(place, drift)
    for dry_run in (True, False):
        with pytest.raises(Refused) as refused:
            await upgrade_store(place, Path(), private=True, owner=server.owner(place), dry_run=dry_run)
        assert refused.value.code == "SCHEMA"


async def test_no_step_beside_a_running_log_and_none_without_a_log(
    server: Server, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.opening.Deadlines", lambda: HASTY)
    store = await open_store(place, Path(), private=True, deadlines=PATIENT)
    with pytest.raises(Refused) as refused:
        await upgrade_store(place, Path(), private=True, owner=server.owner(place))
    assert refused.value.code == "STORE_IN_USE"
    await store.close()
    nothing = server.place("nothing")
    with pytest.raises(Unavailable, match="run init"):
        await upgrade_store(nothing, Path(), private=True, owner=server.owner(nothing))


async def test_a_bucket_is_read_out_of_the_index_alone(server: Server, place: str) -> None:
    """Its certificates lie on as many pages of the table, which at ten million are rarely in memory."""
    server.sql(
        place,
        "INSERT INTO state SELECT sha256(at::text::bytea), sha256(at::text::bytea), at, '', '', repeat('x', 400)::bytea"
        " FROM generate_series(1, 5000) AS at",
    )
    session = await connect(parse_place(place), PATIENT)
    try:
        for other in ("indexscan", "bitmapscan"):  # what the planner takes is for its statistics to say
            await session.execute(f"SET enable_{other} = off")
        low, high = [bytes([at, 0]) + bytes(30) for at in range(40)], [bytes([at, 9]) + bytes(30) for at in range(40)]
        for text, values in (
            (each_range(sql.LEAVES), (low, high)),
            (each_bucket(sql.BUCKET), (low, high, low)),
        ):
            plan = "\n".join(row[0] for row in await session.fetch(f"EXPLAIN {text}", *values))
            assert "Index Only Scan using state_pkey" in plan, plan
    finally:
        await session.close()


async def test_a_track_is_looked_for_in_its_index(server: Server, place: str) -> None:
    """Which has no rows of no track: all of them would be one chain of pages, that each new one is written behind."""
    keys = "sha256(at::text::bytea)"
    rows = f"INSERT INTO state SELECT {keys}, '', at, '', {{}}, ''::bytea FROM generate_series({{}}) AS at"
    size = "SELECT pg_relation_size('state_track')"
    server.sql(place, rows.format(f"substr({keys}, 1, 16)", "1, 5000"))
    before = server.sql(place, size)
    server.sql(place, rows.format("''", "5001, 50000"))
    assert server.sql(place, size) == before
    session = await connect(parse_place(place), PATIENT)
    try:
        tracks = [sha256(b"%d" % at).digest()[:16] for at in range(1, 40)]
        plan = "\n".join(row[0] for row in await session.fetch(f"EXPLAIN ANALYZE {sql.TRACK}", [*tracks, b""]))
        assert "Bitmap Index Scan on state_track" in plan, plan
        assert len(await session.fetch(sql.TRACK, [*tracks, b""])) == len(tracks)
    finally:
        await session.close()

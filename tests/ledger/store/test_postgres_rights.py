"""Whatever a log's role may do beyond what it was given is found, by whichever way it got it, and named."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from ledger.errors import Refused
from ledger.store.opening import create_store, open_store
from ledger.store.postgres_link import parse_place
from tests.support.postgres import PATIENT, Server, postgres_server

# What somebody does, what is said of it, and how it is undone. {schema} is the log's.
TOO_MUCH = {
    "ALTER SCHEMA {schema} OWNER TO ledger_app": (
        "schema {schema}: owner",
        "ALTER SCHEMA {schema} OWNER TO ledger_owner; GRANT USAGE ON SCHEMA {schema} TO ledger_app",
    ),
    "GRANT CREATE ON SCHEMA {schema} TO PUBLIC": (
        "schema {schema}: CREATE",
        "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
    ),
    "ALTER DATABASE ledger OWNER TO ledger_app": (
        "database ledger: owner",
        "ALTER DATABASE ledger OWNER TO ledger_owner",
    ),
    "ALTER TABLE head OWNER TO ledger_app": (
        "table head: owner",
        "ALTER TABLE head OWNER TO ledger_owner; GRANT SELECT, INSERT, UPDATE ON head TO ledger_app",
    ),
    "GRANT TRIGGER ON entry TO ledger_app": ("table entry: TRIGGER", "REVOKE TRIGGER ON entry FROM ledger_app"),
    "GRANT REFERENCES (idx) ON entry TO ledger_app": (
        "table entry.idx: REFERENCES",
        "REVOKE REFERENCES (idx) ON entry FROM ledger_app",
    ),
    "GRANT UPDATE (body) ON entry TO PUBLIC": ("table entry.body: UPDATE", "REVOKE UPDATE (body) ON entry FROM PUBLIC"),
    "GRANT TRUNCATE ON tile TO PUBLIC": ("table tile: TRUNCATE", "REVOKE TRUNCATE ON tile FROM PUBLIC"),
    "GRANT DELETE ON head TO ledger_app": ("table head: DELETE", "REVOKE DELETE ON head FROM ledger_app"),
    "GRANT UPDATE ON meta TO ledger_app": ("table meta: UPDATE", "REVOKE UPDATE ON meta FROM ledger_app"),
    "GRANT INSERT ON migration TO ledger_app": (
        "table migration: INSERT",
        "REVOKE INSERT ON migration FROM ledger_app",
    ),
    "ALTER ROLE ledger_app SUPERUSER": ("role ledger_app: superuser", "ALTER ROLE ledger_app NOSUPERUSER"),
    "ALTER ROLE ledger_app CREATEROLE": ("role ledger_app: CREATEROLE", "ALTER ROLE ledger_app NOCREATEROLE"),
    "GRANT pg_write_all_data TO ledger_app": ("role pg_write_all_data", "REVOKE pg_write_all_data FROM ledger_app"),
    "GRANT pg_execute_server_program TO ledger_app": (
        "role pg_execute_server_program",
        "REVOKE pg_execute_server_program FROM ledger_app",
    ),
    # By another role, of which it inherits nothing: it may become that one all the same.
    "CREATE ROLE more; GRANT DELETE ON entry TO more; ALTER ROLE ledger_app NOINHERIT; GRANT more TO ledger_app": (
        "table entry: DELETE",
        "DROP OWNED BY more; DROP ROLE more; ALTER ROLE ledger_app INHERIT",
    ),
    "ALTER ROLE ledger_app NOINHERIT; GRANT ledger_owner TO ledger_app": (
        "schema {schema}: owner",
        "REVOKE ledger_owner FROM ledger_app; ALTER ROLE ledger_app INHERIT",
    ),
}


@pytest.fixture(scope="module")
def server() -> Server:
    return postgres_server()


def do(server: Server, place: str, statements: str) -> None:
    for text in statements.replace("{schema}", parse_place(place).schema).split("; "):
        server.sql(place, text)


async def test_whatever_goes_beyond_is_refused_by_name(server: Server) -> None:
    place = server.place("rights")
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    for grant, (said, revoke) in TOO_MUCH.items():
        do(server, place, grant)
        try:
            with pytest.raises(Refused) as refused:
                await open_store(place, Path(), private=True, deadlines=PATIENT)
            assert refused.value.code == "STORE_ROLE", grant
            for text in (refused.value.text.zh, refused.value.text.en):
                assert said.replace("{schema}", parse_place(place).schema) in text, (grant, text)
        finally:
            do(server, place, revoke)
        await (await open_store(place, Path(), private=True, deadlines=PATIENT)).close()


async def test_what_only_reads_is_no_reason_to_refuse(server: Server) -> None:
    place = server.place("reading")
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    do(server, place, "CREATE ROLE looking; GRANT looking TO ledger_app; GRANT pg_monitor TO ledger_app")
    try:
        await (await open_store(place, Path(), private=True, deadlines=PATIENT)).close()
    finally:
        do(server, place, "REVOKE pg_monitor FROM ledger_app; DROP ROLE looking")


async def test_who_owns_the_schema_may_drop_what_others_own_in_it(server: Server) -> None:
    """Why that is asked: neither the table's rights nor its owner keep it there."""
    place = server.place("dropped")
    await (await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)).close()
    found = parse_place(place)
    session = await asyncpg.connect(found.dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await session.execute(f"DROP TABLE {found.schema}.entry")
    do(server, place, "ALTER SCHEMA {schema} OWNER TO ledger_app")
    await session.execute(f"DROP TABLE {found.schema}.entry")
    await session.close()

"""Which guard a setting means, and that it is made once, by its owner, and not beside the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Malformed, Refused, Unavailable
from ledger.service.config import LedgerSettings
from ledger.service.guard import FileGuard
from ledger.service.guards import create_guard, move_guard, open_guard
from ledger.service.postgres_guard import PostgresGuard
from tests.support.builders import octets
from tests.support.postgres import postgres_server

ORIGIN = "log.test.example/guards"


async def test_a_file_name_is_a_file_in_the_folder(tmp_path: Path) -> None:
    await create_guard("guard", tmp_path, ORIGIN, "log.db")
    assert (tmp_path / "guard").is_file()
    with pytest.raises(Refused, match="EXISTS"):
        await create_guard("guard", tmp_path, ORIGIN, "log.db")
    guard = await open_guard("guard", tmp_path, ORIGIN, "log.db")
    assert isinstance(guard, FileGuard)
    await guard.close()
    with pytest.raises(Unavailable):
        await open_guard("other", tmp_path, ORIGIN, "log.db")


@pytest.mark.parametrize("guard", ["", "http://db/guard", "postgresql://h", "postgresql://h/guard?schema=A"])
def test_a_setting_that_names_none_is_malformed(guard: str) -> None:
    with pytest.raises(Malformed, match="guard: "):
        LedgerSettings(ORIGIN, guard=guard)


async def test_an_address_is_a_database_whose_table_another_role_owns(tmp_path: Path) -> None:
    server = postgres_server()
    place, store = server.place("guard"), server.place("store")
    for owner in ("", place):
        with pytest.raises(Refused, match="GUARD_OWNER"):
            await create_guard(place, tmp_path, ORIGIN, store, owner=owner)
    await create_guard(place, tmp_path, ORIGIN, store, owner=server.owner(place))
    guard = await open_guard(place, tmp_path, ORIGIN, store)
    assert isinstance(guard, PostgresGuard) and list(tmp_path.iterdir()) == []
    await guard.remember(3, octets("3"))
    await guard.close()
    again = await open_guard(place, tmp_path, ORIGIN, "log.db")  # a log in a file has no schema to lie beside
    with pytest.raises(Refused, match="GUARD_BACKWARDS"):
        await again.check(2, octets("2"))
    await again.close()


async def test_it_refuses_to_lie_beside_the_log(tmp_path: Path) -> None:
    server = postgres_server()
    place, store = server.place("guard beside"), server.place("log beside")
    await create_guard(place, tmp_path, ORIGIN, store, owner=server.owner(place))
    schema = store.partition("schema=")[2]
    server.sql(place, f'CREATE SCHEMA "{schema}" CREATE TABLE entry (idx bigint)')
    with pytest.raises(Refused, match="GUARD_PLACE"):
        await open_guard(place, tmp_path, ORIGIN, store)


async def test_a_guard_moves_into_a_database_with_what_it_has_seen(tmp_path: Path) -> None:
    server = postgres_server()
    place, file = server.place("moved"), tmp_path / "guard"
    FileGuard.create(file)
    running = FileGuard(file)
    await running.remember(7, octets("7"))
    for target, owner, code in (
        (place, server.owner(place), "GUARD_IN_USE"),
        (place, "", "GUARD_OWNER"),
        ("other", server.owner(place), "GUARD_TARGET"),
    ):
        with pytest.raises(Refused, match=code):
            await move_guard(file, target, ORIGIN, "log.db", owner=owner)
    await running.close()
    moved = await move_guard(file, place, ORIGIN, "log.db", owner=server.owner(place))
    assert moved.is_file() and not file.exists()
    guard = await open_guard(place, tmp_path, ORIGIN, "log.db")
    await guard.check(7, octets("7"))
    for head, code in (((6, octets("6")), "GUARD_BACKWARDS"), ((7, octets("other")), "GUARD_FORK")):
        with pytest.raises(Refused, match=code):
            await guard.check(*head)
    moved.rename(file)  # as if it had been killed before it put the file away
    assert await move_guard(file, place, ORIGIN, "log.db", owner=server.owner(place)) == moved
    await guard.remember(8, octets("8"))
    await guard.close()
    moved.rename(file)
    with pytest.raises(Refused, match="EXISTS"):
        await move_guard(file, place, ORIGIN, "log.db", owner=server.owner(place))
    assert file.is_file(), "it says less than the other one: nobody is told to use either"

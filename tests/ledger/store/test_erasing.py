"""Who may delete rows, and that they are gone from the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.store.erasing import erase_rows
from ledger.store.protocol import IndexRow, Purpose
from tests.support.builders import octets
from tests.support.postgres import postgres_server
from tests.support.stores import PostgresKind, SqliteKind

HMACS = [octets("one"), octets("two")]
BODY = b"nobody may read this any more"


async def test_a_file_forgets_and_is_not_shared_with_a_running_ledger(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store = await SqliteKind().create(path, private=True)
    await store.claim([IndexRow(hmac, Purpose.LOOKUP, 1, BODY) for hmac in HMACS])
    with pytest.raises(Refused, match="STORE_IN_USE"):
        await erase_rows("log.db", tmp_path, "", [], HMACS)
    await store.close()
    assert any(BODY in file.read_bytes() for file in tmp_path.iterdir())
    assert await erase_rows("log.db", tmp_path, "", [octets("place")], [*HMACS, octets("three")]) == 2
    assert not any(BODY in file.read_bytes() for file in tmp_path.iterdir())


async def test_a_file_that_somebody_reads_forgets_when_asked_again(tmp_path: Path) -> None:
    """A backup, say: SQLite keeps for a reader what stood there when it began, and answers "busy" without an error."""
    store = await SqliteKind().create(tmp_path / "log.db", private=True)
    await store.claim([IndexRow(hmac, Purpose.LOOKUP, 1, BODY) for hmac in HMACS])
    await store.close()
    reader = await SqliteKind().open(tmp_path / "log.db", private=True, read_only=True)
    assert await reader.index(HMACS) == dict.fromkeys(HMACS, BODY)
    with pytest.raises(Unavailable, match="run this again"):
        await erase_rows("log.db", tmp_path, "", [], HMACS)
    await reader.close()  # which leaves the file as it is
    assert await erase_rows("log.db", tmp_path, "", [], HMACS) == 0
    assert not any(BODY in file.read_bytes() for file in tmp_path.iterdir())
    reader = await SqliteKind().open(tmp_path / "log.db", private=True, read_only=True)
    assert await erase_rows("log.db", tmp_path, "", [], HMACS) == 0, "a reader of what is in the file disturbs nobody"
    await reader.close()


async def test_in_postgresql_only_the_owner_deletes_also_beside_a_running_ledger(tmp_path: Path) -> None:
    kind, path = PostgresKind(), tmp_path / "log.db"
    store = await kind.create(path, private=True)
    await store.claim([IndexRow(hmac, Purpose.LOOKUP, 1, BODY) for hmac in HMACS])
    place = kind.place(path)
    with pytest.raises(Refused, match="STORE_OWNER"):
        await erase_rows(place, tmp_path, "", [], HMACS)
    with pytest.raises(Unavailable):
        await erase_rows(place, tmp_path, place, [], HMACS)
    assert await store.index(HMACS) == dict.fromkeys(HMACS, BODY)
    assert await erase_rows(place, tmp_path, postgres_server().owner(place), [], HMACS) == 2
    assert await store.index(HMACS) == {}
    await store.close()

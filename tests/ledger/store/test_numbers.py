"""The number rows: what the log proves of them is checked, on both kinds of store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.store import numbers
from ledger.store.fsck import fsck
from ledger.store.numbers import NumberRows, check_numbers
from ledger.store.protocol import VersionedStore
from ledger.store.sqlite import create_sqlite
from tests.support.service_room import BODY, Room
from tests.support.stores import KINDS

LABELS = [f"n {at}" for at in range(11)]  # two bytes of the bit map, and more than one read of three rows


@pytest.fixture(params=sorted(KINDS))
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    """A log of eleven certificates; a reissue took the number of one."""
    made = Room(tmp_path, KINDS[request.param]())
    async with made.open(limit=4):
        certificates = await made.draft(*LABELS)
        assert all(isinstance(answer, int) for answer in await made.put(*certificates))
        (answer,) = await made.put(BODY.reissue("again", certificates[3]))
        assert isinstance(answer, int), answer
        yield made


async def replayed(room: Room, folder: Path) -> VersionedStore:
    scratch = create_sqlite(folder / "scratch.db", private=False)
    with ThreadPoolExecutor(1) as workers:
        assert await fsck(room.store, scratch, workers) == []
    return scratch


ONE = "hmac = (SELECT hmac FROM private_index WHERE purpose = 1 ORDER BY hmac LIMIT 1)"
BODY_OF = {"a seal": "x'0000000000000001'", "beyond the log": "x'00000000000000ff'", "no index": "x'00'",
           "the filing": "x'0000000000000002'"}  # fmt: skip
DAMAGE = {
    **{
        f"one leads to {what}": (f"UPDATE private_index SET body = {body} WHERE {ONE}", "leads to", 1, 1)
        for what, body in BODY_OF.items()
    },
    "one leads to another certificate": (
        "UPDATE private_index SET body ="
        f" (SELECT body FROM private_index WHERE purpose = 1 ORDER BY hmac LIMIT 1 OFFSET 1) WHERE {ONE}",
        "two number rows",
        1,
        1,
    ),
    "one is gone": (f"DELETE FROM private_index WHERE {ONE}", "", 0, 1),
    "one is another purpose's": (f"UPDATE private_index SET purpose = 3 WHERE {ONE}", "", 0, 1),
    "all are gone": ("DELETE FROM private_index WHERE purpose = 1", "", 0, len(LABELS)),
}


async def test_sound_rows_pass(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = await replayed(room, tmp_path)
    assert await check_numbers(room.store, scratch) == NumberRows([], 0)
    monkeypatch.setattr(numbers, "_READ", 3)
    assert await check_numbers(room.store, scratch) == NumberRows([], 0)
    await scratch.close()


async def test_every_damage_that_the_log_can_prove_is_found(room: Room, tmp_path: Path) -> None:
    scratch, place = await replayed(room, tmp_path), room.folder / "log.db"
    blobs = "hmac, purpose, key_version, body"
    room.kind.change(place, f"CREATE TABLE kept AS SELECT {blobs} FROM private_index")
    for what, (change, said, count, missing) in DAMAGE.items():
        room.kind.change(place, change)
        rows = await check_numbers(room.store, scratch)
        assert (len(rows.problems), rows.missing) == (count, missing), (what, rows)
        assert all(said in problem.en for problem in rows.problems), (what, rows)
        room.kind.change(place, "DELETE FROM private_index")
        room.kind.change(place, f"INSERT INTO private_index ({blobs}) SELECT {blobs} FROM kept")
    assert await check_numbers(room.store, scratch) == NumberRows([], 0)
    await scratch.close()


async def test_the_row_of_a_number_that_moved_is_wanted_where_it_is_now(room: Room, tmp_path: Path) -> None:
    """The reissued certificate gave its number up: a row that leads to it is a restored old one."""
    scratch, place = await replayed(room, tmp_path), room.folder / "log.db"
    newest = room.size - 2
    old = (await scratch.signed(BODY.filing.number, 0, newest))[3].index
    room.kind.change(
        place,
        f"UPDATE private_index SET body = x'{old:016x}' WHERE purpose = 1 AND body = x'{newest:016x}'",
    )
    rows = await check_numbers(room.store, scratch)
    assert len(rows.problems) == rows.missing == 1 and f"{old:016x}" in rows.problems[0].en
    await scratch.close()


async def test_the_list_of_problems_is_bounded(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = await replayed(room, tmp_path)
    monkeypatch.setattr(numbers, "_LIMIT", 4)
    room.kind.change(room.folder / "log.db", "UPDATE private_index SET body = x'00' WHERE purpose = 1")
    assert len((await check_numbers(room.store, scratch)).problems) == 4
    await scratch.close()

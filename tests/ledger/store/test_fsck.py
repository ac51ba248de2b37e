"""fsck: a sound store passes, and every kind of damage is found. The checker is itself injected with faults."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest

from ledger.errors import Unavailable
from ledger.records.kinds import Kind
from ledger.store.fsck import _READ, damage_of, fsck
from ledger.store.hashes import Hashes
from ledger.store.sqlite import create_sqlite, open_sqlite
from ledger.store.track_places import TRACK_PLACES, new_places
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from tests.support.build_log import LogBuilder
from tests.support.builders import DAY, correct, late, make_authority, make_body, octets, ruling
from tests.support.fault_store import flip
from tests.support.stored_log import StoredLog

SIZE = 1500  # more than one read; batches straddle the border between reads


@pytest.fixture(scope="module")
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def build(path: Path, batches: tuple[int, ...]) -> None:
    async def make() -> None:
        store = create_sqlite(path, private=False)
        await store.put_meta({TRACK_PLACES: new_places(lambda size: bytes(range(size)))})
        log = await LogBuilder.create(path, store=store)
        number = 0
        for count in batches:
            number += count
            await log.issue(
                *(
                    log.certificate(f"{number - at}", track=str((number - at) // 2), grade=2 + at % 2)
                    for at in range(count)
                )
            )
        await log.store.close()

    asyncio.run(make())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 60 leaves in five batches."""
    path = tmp_path_factory.mktemp("small") / "log.db"
    build(path, (20, 2, 32, 2))  # the last change of the map is in no chunk yet
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "log.db"
    build(path, (700, 600, SIZE - 1300))
    return path


async def check(
    path: Path,
    folder: Path,
    workers: ThreadPoolExecutor,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    store = open_sqlite(path, private=False, read_only=True)
    scratch = create_sqlite(folder / "scratch.db", private=False)
    try:
        return [problem.en for problem in await fsck(store, scratch, workers, progress)]
    finally:
        await store.close()
        await scratch.close()


def damaged(source: Path, folder: Path, change: Callable[[sqlite3.Connection], None]) -> Path:
    path = folder / "log.db"
    path.write_bytes(source.read_bytes())
    raw = sqlite3.connect(path)
    change(raw)
    raw.commit()
    raw.close()
    return path


async def test_a_sound_store_passes(small: Path, large: Path, tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    for name, path in (("small", small), ("large", large)):
        (tmp_path / name).mkdir()
        done: list[int] = []
        totals: set[int] = set()

        def note(now: int, total: int, done: list[int] = done, totals: set[int] = totals) -> None:
            done.append(now)
            totals.add(total)

        assert await check(path, tmp_path / name, workers, note) == []
        assert totals == {done[-1]} and done == sorted(done)


async def test_a_value_that_differs_from_that_of_its_index_is_found(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    """A track's members are read with the values of their rows, everything else with those in the index by map key."""
    path = damaged(small, tmp_path, lambda raw: None)
    with closing(sqlite3.connect(path)) as raw:
        row = "SELECT map_key, value, since, subject FROM state WHERE length(track) > 0 ORDER BY rowid LIMIT 1"
        key, value, since, subject = raw.execute(row).fetchone()
    of_row = key + value + since.to_bytes(1, "big") + subject
    whole = path.read_bytes()
    assert whole.count(of_row) == 1 and whole.count(key + value) > 1
    path.write_bytes(whole.replace(of_row, of_row.replace(value, flip(value, 9))))
    assert await check(path, tmp_path, workers) == ["state map: a state is not found in its track as the replay has it"]


# table, column: every stored value that the log depends on
COLUMNS = [
    *(("entry", column) for column in ("body", "chain", "known_as")),
    ("tile", "body"),
    *(("state", column) for column in ("map_key", "value", "subject", "track", "body")),
    ("map_change", "body"),
    ("meta", "value"),
    *(("head", column) for column in ("root", "chain", "map_root")),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("table", "column"), COLUMNS)
async def test_every_flipped_bit_is_found(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor, table: str, column: str, seed: int
) -> None:
    draw = random.Random(f"{table} {column} {seed}")

    def change(raw: sqlite3.Connection) -> None:
        rows = raw.execute(f"SELECT rowid, {column} FROM {table} WHERE length({column}) > 0 ORDER BY rowid").fetchall()
        rowid, value = draw.choice(rows)
        flipped = flip(value, draw.randrange(8 * len(value)))
        raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (flipped, rowid))

    problems = await check(damaged(small, tmp_path, change), tmp_path, workers)
    assert problems and all(problems)


DAMAGE = {
    "a row in the middle": "DELETE FROM entry WHERE idx = 7",
    "the first row": "DELETE FROM entry WHERE idx = 0",
    "the last row": "DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)",
    "two rows exchanged": "UPDATE entry SET idx = CASE idx WHEN 5 THEN -6 WHEN 6 THEN -5 ELSE idx END",
    "an entry's kind": "UPDATE entry SET kind = 4 WHERE idx = 6",
    "a seal's kind": "UPDATE entry SET kind = 4 WHERE kind = 0 AND idx > 10",
    "a tile": "DELETE FROM tile",
    "a tile with more": "UPDATE tile SET body = CAST(body || zeroblob(1) AS BLOB)",
    "a state": "DELETE FROM state WHERE rowid = 3",
    "a state more": "INSERT INTO state SELECT randomblob(32), value, since, subject, track, body FROM state LIMIT 1",
    "a chunk of the map": "UPDATE map_chunk SET body = zeroblob(length(body))",
    "a change of the map": "DELETE FROM map_change WHERE seal = (SELECT max(seal) FROM map_change)",
    "a change behind the head": "INSERT INTO map_change VALUES (99999, x'')",
    "a chunk more": "INSERT INTO map_chunk VALUES (99999, 1, zeroblob(8192))",
    "head size": "UPDATE head SET size = size - 1",
    "head back to the seal before": "UPDATE head SET size = 23, seal = 22",
    "head seal": "UPDATE head SET seal = seal - 1",
    "head time": "UPDATE head SET time = time + 1",
    "head count": "UPDATE head SET map_count = map_count - 1",
    "the head": "DELETE FROM head",
    "a name": "UPDATE named SET idx = idx + 1",
    "a name gone": "DELETE FROM named",
    "a name more": "INSERT INTO named VALUES (9, '2026', 3)",
    "a row behind the head": (
        "INSERT INTO entry SELECT max(idx) + 9, randomblob(9), randomblob(32), 4, randomblob(32) FROM entry"
    ),
    "the key of the tracks' places": "UPDATE meta SET value = x'00' WHERE name = 'track_places'",
    "another key of them": f"UPDATE meta SET value = x'{new_places(bytes).hex()}' WHERE name = 'track_places'",
    "its name": "UPDATE meta SET name = 'track_placer' WHERE name = 'track_places'",
    "no key of them": "DELETE FROM meta WHERE name = 'track_places'",
    "a checkpoint that is none": "INSERT INTO checkpoint (one, note) VALUES (1, x'00')",
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_missing_moved_and_added_rows_are_found(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor, what: str
) -> None:
    def change(raw: sqlite3.Connection) -> None:
        assert raw.execute(DAMAGE[what]).rowcount > 0
        raw.execute("UPDATE entry SET idx = -idx WHERE idx < 0")

    assert await check(damaged(small, tmp_path, change), tmp_path, workers)


@pytest.mark.parametrize("what", ["a chunk of the map", "a change of the map"])
async def test_roots_of_the_map_are_compared_with_the_replay(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor, what: str
) -> None:
    """And not only noticed by the start that ends the check, which could as well mean tiles."""
    problems = await check(damaged(small, tmp_path, lambda raw: raw.execute(DAMAGE[what])), tmp_path, workers)
    assert "map buckets: differ from the replay" in problems


@pytest.mark.parametrize(
    ("column", "index"),
    [("chain", 704), ("known_as", _READ - 1), ("chain", _READ - 1), ("chain", _READ), ("known_as", 1306)],
)
async def test_rows_on_both_sides_of_a_read_are_compared(
    large: Path, tmp_path: Path, workers: ThreadPoolExecutor, column: str, index: int
) -> None:
    def change(raw: sqlite3.Connection) -> None:
        (value,) = raw.execute(f"SELECT {column} FROM entry WHERE idx = ?", (index,)).fetchone()
        bit = index if column == "chain" else 0  # of a certificate's index, which no other row may have
        raw.execute(f"UPDATE entry SET {column} = ? WHERE idx = ?", (flip(value, bit), index))

    problems = await check(damaged(large, tmp_path, change), tmp_path, workers)
    assert any(f"entry {index}:" in problem for problem in problems)


async def test_rows_that_are_known_as_before_are_sound_and_compared(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    """Until migration 0007 each certificate and seal was known as the SHA-256 of its bytes."""

    def before(raw: sqlite3.Connection) -> list[int]:
        rows = raw.execute("SELECT idx, body FROM entry WHERE length(known_as) = 8").fetchall()
        raw.executemany("UPDATE entry SET known_as = ? WHERE idx = ?", [(sha256(b).digest(), at) for at, b in rows])
        return [at for at, _ in rows]

    def spoilt(raw: sqlite3.Connection) -> None:
        last = before(raw)[-2]
        raw.execute("UPDATE entry SET known_as = ? WHERE idx = ?", (sha256(b"another").digest(), last))

    def of_all(raw: sqlite3.Connection) -> None:
        """Also of what the authority signed, which is known by what was signed and never by its bytes."""
        first, body = raw.execute("SELECT idx, body FROM entry WHERE length(known_as) = 32 ORDER BY idx").fetchone()
        raw.execute("UPDATE entry SET known_as = ? WHERE idx = ?", (sha256(body).digest(), first))

    for name, change, wanted in (("old", before, 0), ("spoilt", spoilt, 1), ("all", of_all, 1)):
        (tmp_path / name).mkdir()
        problems = await check(damaged(small, tmp_path / name, change), tmp_path / name, workers)
        assert len(problems) == wanted and all("row differs" in problem for problem in problems)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with corrections, rulings, a reissue and a late permit: rows in every table."""
    path = tmp_path_factory.mktemp("lived") / "log.db"

    async def make() -> None:
        authority, body = make_authority(), make_body()
        log = await StoredLog.create(path, body)
        made = [body.certificate(label) for label in "abc"]
        await log.add(*(one.statement for one in made))
        await log.add(body.sign(ruling(Kind.SUSPEND, made[0])), authority.sign(correct(made[1])))
        await log.add(body.sign(correct(made[1], "again")), body.reissue("n", made[2]).statement)
        permit, (old,) = late(authority, body, "old", day=DAY - 100)
        await log.add(permit, old.statement)
        await log.store.close()

    asyncio.run(make())
    return path


LIVED_DAMAGE = {
    **{
        f"signed {column}": f"UPDATE signed SET {column} = {value} WHERE rowid = 2"
        for column, value in {
            "filing": "'S000151000999'",
            "idx": "idx + 100",
            "kind": 13,
            "cert_key": "zeroblob(32)",
            "kid": "zeroblob(8)",
            "day": "day + 1",
        }.items()
    },
    "signed, an unknown kind": "UPDATE signed SET kind = 99 WHERE rowid = 2",
    "signed, one gone": "DELETE FROM signed WHERE rowid = 1",
    "signed, the last gone": "DELETE FROM signed WHERE idx = (SELECT max(idx) FROM signed)",
    "signed, one more": "INSERT INTO signed SELECT 'Y000051000002', idx, kind, cert_key, kid, day FROM signed LIMIT 1",
    "event cert_key": "UPDATE event SET cert_key = zeroblob(32) WHERE rowid = 1",
    "event idx": "UPDATE event SET idx = idx + 100 WHERE rowid = 1",
    "event, one gone": "DELETE FROM event WHERE rowid = 2",
    "state since": "UPDATE state SET since = since + 1 WHERE rowid = (SELECT max(rowid) FROM state)",
    **{
        f"older version {column}": f"UPDATE state_history SET {column} = {value} WHERE rowid = 2"
        for column, value in {
            "map_key": "zeroblob(32)",
            "since": "since + 1",
            "value": "zeroblob(32)",
            "body": "CAST(body || zeroblob(1) AS BLOB)",
        }.items()
    },
    "older version gone": "DELETE FROM state_history WHERE rowid = 1",
    "older version more": "INSERT INTO state_history SELECT map_key, since + 1, value, body FROM state LIMIT 1",
    "event, one more": "INSERT INTO event VALUES (zeroblob(32), 4)",
    "a permit's name": "UPDATE named SET idx = idx + 1 WHERE kind = 7",
    "a permit's name gone": "DELETE FROM named WHERE kind = 7",
}


async def test_a_lived_store_passes(lived: Path, tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    assert await check(lived, tmp_path, workers) == []


@pytest.mark.parametrize("what", LIVED_DAMAGE)
async def test_damage_to_what_later_statements_look_for_is_found(
    lived: Path, tmp_path: Path, workers: ThreadPoolExecutor, what: str
) -> None:
    def change(raw: sqlite3.Connection) -> None:
        assert raw.execute(LIVED_DAMAGE[what]).rowcount == 1

    problems = await check(damaged(lived, tmp_path, change), tmp_path, workers)
    words = {"signed": "signed row", "event": "events", "state": "since when", "older": "older versions"}
    wanted = words.get(what.split()[0].rstrip(","), "late_permit")
    assert len(problems) == 1 and wanted in problems[0]


async def test_the_list_of_problems_is_bounded(small: Path, tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    path = damaged(small, tmp_path, lambda raw: raw.execute("UPDATE entry SET chain = x'00'") and None)
    assert 1 < len(await check(path, tmp_path, workers)) <= 100


async def test_no_room_for_the_check_is_no_problem_of_the_store(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    store = open_sqlite(small, private=False, read_only=True)
    scratch = create_sqlite(tmp_path / "scratch.db", private=False)
    scratch._writer.execute("PRAGMA max_page_count = 1")  # all that it has: SQLite says "full" at the next one
    with pytest.raises(Unavailable, match=r"scratch store of the check.*full"):
        await fsck(store, scratch, workers)
    await store.close()
    await scratch.close()


@pytest.mark.parametrize("asked", ["signed_after", "rows"])
async def test_a_store_that_goes_away_is_no_problem_of_its_rows(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    store = open_sqlite(small, private=False, read_only=True)
    scratch = create_sqlite(tmp_path / "scratch.db", private=False)

    async def gone(*_: object) -> object:
        raise Unavailable(Text("没有应答", "store: read: ConnectionResetError")) from ConnectionResetError()

    monkeypatch.setattr(store, asked, gone, raising=True)
    with pytest.raises(Unavailable, match="ConnectionResetError"):
        await fsck(store, scratch, workers)
    await store.close()
    await scratch.close()


async def test_pages_that_the_database_calls_damaged_are_a_problem(
    small: Path, tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    path = damaged(small, tmp_path, lambda raw: None)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * (path.stat().st_size // 4))
    problems = await check(path, tmp_path, workers)
    assert problems == ["the database is damaged: store: database disk image is malformed"]


def test_postgres_says_damage_in_two_words() -> None:
    def caused(error: Exception) -> Unavailable:
        found = Unavailable(Text("没有应答", "store: read"))
        found.__cause__ = error
        return found

    assert damage_of(caused(asyncpg.DataCorruptedError("invalid page in block 3"))) is not None
    assert damage_of(caused(asyncpg.IndexCorruptedError("unexpected zero page"))) is not None
    assert damage_of(caused(asyncpg.QueryCanceledError("canceling statement"))) is None
    assert damage_of(Unavailable(Text("没有应答", "nobody there"))) is None


async def test_a_kept_checkpoint_is_of_the_tree(small: Path, tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """A start that finds another one refuses, and says to run fsck."""
    store = open_sqlite(small, private=False, read_only=True)
    head = await store.head()
    assert head is not None
    older = await Hashes(store).root(5)
    await store.close()
    signer = CheckpointSigner("log.test.example/kept", Ed25519Signer(octets("ed")), MlDsa44Signer(octets("ml")))
    cases: list[tuple[int, bytes, int | None, bool]] = [
        (head.size, head.root, head.size, True),
        (head.size, head.root, None, True),  # kept before step 0010
        (head.size, head.root, head.size + 1, False),
        (5, older, 5, True),
        (5, head.root, 5, False),
        (head.size + 1, head.root, None, False),
    ]
    for at, (size, root, said, sound) in enumerate(cases):
        note = signer.sign(Checkpoint(signer.origin, size, root), 1)
        folder = tmp_path / str(at)
        folder.mkdir()

        def keep(raw: sqlite3.Connection, note: bytes = note, said: int | None = said) -> None:
            raw.execute("INSERT INTO checkpoint (one, note, size) VALUES (1, ?, ?)", (note, said))

        path = damaged(small, folder, keep)
        assert (await check(path, folder, workers) == []) is sound, (size, sound)


async def test_a_store_beside_its_writer_is_sound(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """fsck reads one snapshot: batches that arrive meanwhile are no damage."""
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.issue(*(log.certificate(f"{at}") for at in range(30)))
    store = open_sqlite(tmp_path / "log.db", private=False, read_only=True)
    scratch = create_sqlite(tmp_path / "scratch.db", private=False)
    assert (await store.head()).size == log.integrator.size
    await log.issue(*(log.certificate(f"more {at}") for at in range(30)))
    assert await fsck(store, scratch, workers) == []
    assert (await scratch.head()).size == log.integrator.size - 31
    for each in (store, scratch, log.store):
        await each.close()


async def test_memory_does_not_hold_the_log(large: Path, tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """What is held grows with a read and a batch, not with the log."""
    await check(large, tmp_path, workers)  # imports and caches
    (tmp_path / "scratch.db").unlink()
    tracemalloc.start()
    try:
        await check(large, tmp_path, workers)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * 1024 * 1024

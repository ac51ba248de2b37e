"""What only the SQLite store does: its write-ahead log is copied back beside the writer and stays bounded."""

from __future__ import annotations

import asyncio
import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ledger.errors import Damaged, Refused, Unavailable
from ledger.records.kinds import Kind
from ledger.records.state import certificate_map_key
from ledger.store import sql, sqlite, sqlite_batch
from ledger.store import sqlite_wal as module
from ledger.store.integrate import Integrator
from ledger.store.protocol import IndexRow, Purpose, StateRow
from ledger.store.sqlite import SqliteStore, create_sqlite, open_sqlite
from ledger.store.sqlite_batch import all_rows
from ledger.store.sqlite_text import any_of, each_range, numbered
from tests.support.batches import accept, batch
from tests.support.build_log import LogBuilder
from tests.support.builders import octets


def wal_bytes(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


async def grow(log: LogBuilder, batches: int) -> None:
    for _ in range(batches):
        size = log.integrator.size
        await log.issue(*(log.certificate(f"{size} {at}") for at in range(3)))


async def test_the_write_ahead_log_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far past the limit the writer waits for the copy, after which the file is written from its beginning."""
    monkeypatch.setattr(module, "_COPY_PAGES", 50)
    monkeypatch.setattr(module, "_WAL_LIMIT", 300)
    log = await LogBuilder.create(tmp_path / "log.db")
    await grow(log, 20)
    sizes = []
    for _ in range(6):
        await grow(log, 20)
        sizes.append(wal_bytes(tmp_path / "log.db"))
    frame = 4096 + 24  # a page and its header
    assert max(sizes) <= (300 + 100) * frame, "the limit and a batch or two, however long the log grows"
    head = log.integrator.head
    await log.store.close()
    again = open_sqlite(tmp_path / "log.db", private=False)
    assert (await Integrator.open(again)).head == head
    await again.close()


async def test_a_copy_taken_at_any_moment_with_its_write_ahead_log_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a crash would leave it: both files as they are, copied back or not."""
    monkeypatch.setattr(module, "_COPY_PAGES", 50)
    log = await LogBuilder.create(tmp_path / "log.db")
    for moment in range(12):
        await grow(log, 1)
        folder = tmp_path / f"crash {moment}"
        folder.mkdir()
        for name in ("log.db", "log.db-wal"):
            shutil.copy(tmp_path / name, folder / name)
        crashed = open_sqlite(folder / "log.db", private=False)
        assert (await Integrator.open(crashed)).head == log.integrator.head
        await crashed.close()
    await log.store.close()


async def test_an_idle_replica_that_only_keeps_checkpoints_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet log renews its signature every minute, for years."""
    monkeypatch.setattr(module, "_COPY_PAGES", 100)
    monkeypatch.setattr(module, "_WAL_LIMIT", 200)
    log = await LogBuilder.create(tmp_path / "log.db")
    sizes = []
    for _ in range(4):
        for number in range(200):
            await log.store.put_checkpoint(b"note %d" % number, 1)
        sizes.append(wal_bytes(tmp_path / "log.db"))
    assert max(sizes) < 500 * 4200, "800 commits of a page each do not stay in it"
    await log.store.close()


async def test_a_long_reader_does_not_make_every_commit_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while fsck runs: the log cannot be used again, so the writer asks for it once in a while only."""
    monkeypatch.setattr(module, "_COPY_PAGES", 50)
    monkeypatch.setattr(module, "_WAL_LIMIT", 300)
    copier = module.Copier(tmp_path / "c.db")
    monkeypatch.setattr(copier, "_copy", lambda through: 10_000)  # nothing can be given back
    waits = 0
    for _ in range(300):
        waits += copier.note(10)
        if copier._running is not None:
            wait([copier._running])
    copier.close()
    assert 1 <= waits <= 3000 // 300


async def test_a_large_store_is_copied_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a share of its own pages, between the least and the most."""
    monkeypatch.setattr(module, "_COPY_PAGES", 20)
    monkeypatch.setattr(module, "_COPY_MOST", 40)
    monkeypatch.setattr(module, "_COPY_SHARE", 2)
    log = await LogBuilder.create(tmp_path / "log.db")
    copier, seen = log.store._copier, dict[int, int]()
    assert isinstance(copier, module.Copier)
    copies = list[int]()
    real = copier._copy
    monkeypatch.setattr(copier, "_copy", lambda through: copies.append(1) or real(through))
    for _ in range(60):
        await grow(log, 1)
        if copier._running is not None:
            wait([copier._running])
        pages = log.store._reader.execute("PRAGMA page_count").fetchone()[0]
        seen[pages] = copier._between
        assert copier._between <= max(20, min(40, pages // 2))
    assert min(seen.values()) == 20 and max(seen.values()) == 40 and len(set(seen.values())) > 2
    noted, copier._noted, copier._left = 0, 0, 0
    copies.clear()
    while not copies:
        noted += 1
        copier.note(1)
        if copier._running is not None:
            wait([copier._running])
    assert noted == 41
    await log.store.close()


class SlowCopies:
    """In the place of the copier's thread: a copy of many pages ends `commits` commits after it began, one of few
    pages before the next commit."""

    def __init__(self, commits: int) -> None:
        self.written = self.copied = 0
        self.running = Future[int]()
        self._commits, self._left = commits, 0
        self.through = list[tuple[bool, int]]()  # and at which length of the log

    def submit(self, copy: Callable[[bool], int], through: bool) -> Future[int]:
        self.through.append((through, self.written))
        self._left = self._commits if self.written - self.copied > 20_000 else 0
        self.copied, self.running = self.written, Future()
        return self.running

    def commit(self) -> None:
        if not self._left and not self.running.done():
            self.running.set_result(self.copied)
        self._left -= 1

    def shutdown(self, wait: bool) -> None: ...


@pytest.mark.parametrize("commits", [0, 1, 3])
@pytest.mark.parametrize("large", [False, True])
def test_the_writer_waits_for_few_pages_of_a_log_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool, commits: int
) -> None:
    """The others are copied beside it first, and so are those that come meanwhile."""
    copier, copies = module.Copier(tmp_path / "c.db"), SlowCopies(commits)
    copier._thread.shutdown()
    monkeypatch.setattr(copier, "_thread", copies)
    if large:
        copier._between = module._COPY_MOST
    limit = module._WAL_LIMIT - module._COPY_PAGES + copier._between
    waited = list[int]()
    for _ in range(2000):
        copies.written += 5000
        assert copies.written <= limit + module._WAL_SPARE + 5000
        if copier.note(5000):
            assert copier._running is None and not copier.note(0), "it waits once"
            waited.append(copies.written - copies.copied)
            copier.begun(copier.begin_again(copier._connection))
            copies.written = copies.copied = 0
        copies.commit()
    copier.close()
    assert 2000 * 5000 // (limit + module._WAL_SPARE) <= len(waited) <= 2000 * 5000 // limit
    assert 0 < max(waited) <= module._FEW_PAGES
    assert all(through is (length > limit) for through, length in copies.through)


@pytest.mark.parametrize("commits", [0, 1, 2, 9])  # each during one copy
def test_a_log_that_is_full_is_copied_until_nothing_came_meanwhile(tmp_path: Path, commits: int) -> None:
    """SQLite synchronises the file only after such a copy."""
    store = create_sqlite(tmp_path / "log.db", private=True)
    copier = store._copier
    assert copier is not None
    inner, copies = copier._connection, list[int]()

    class Disturbed:
        def execute(self, text: str) -> Any:
            answer = inner.execute(text)
            if "PASSIVE" in text:
                copies.append(1)
                if len(copies) <= commits:
                    # Another length each time, as the log is begun again.
                    store._writer.execute("INSERT INTO meta SELECT count(*), zeroblob(9000 * count(*)) FROM meta")
            return answer

    copier._connection = Disturbed()  # type: ignore[assignment]
    try:
        copier._copy(False)
        assert len(copies) == 1
        copies.clear()
        copier._copy(True)
        assert len(copies) == min(commits + 2, 4)
    finally:
        copier._connection = inner
        store.close_now()


def test_a_copy_beside_a_reader_or_another_copy_ends_at_once(tmp_path: Path) -> None:
    """It cannot go on, or not begin; the log is no shorter for it."""
    store = create_sqlite(tmp_path / "log.db", private=True)
    copier, copies = store._copier, list[tuple[int, int, int]]()
    assert copier is not None
    inner, busy = copier._connection, list[bool]()

    class Watched:
        def execute(self, text: str) -> Any:
            answer = inner.execute(text)
            if "PASSIVE" not in text:
                return answer
            copies.append((1, -1, -1) if busy else answer.fetchone())
            return SimpleNamespace(fetchone=lambda: copies[-1])

    copier._connection = Watched()  # type: ignore[assignment]
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM head").fetchall()
        store._writer.execute("INSERT INTO meta VALUES ('a', zeroblob(90000))")
        assert copier._copy(True) == copies[-1][1] > copies[-1][2] and len(copies) == 2
        busy.append(True)
        assert copier._copy(True) is None and len(copies) == 3
    busy.clear()
    ended = Future[int | None]()
    ended.set_result(None)
    copier._left, copier._copying, copier._running = 70, 7, ended
    copier.note(1)
    assert (copier._left, copier._copying, copier._noted) == (77, 0, 1)
    copier._connection = inner
    store.close_now()


def failing(name: str) -> Any:
    """A connection that cannot copy."""

    def execute(text: str) -> Any:
        error = sqlite3.OperationalError("no")
        error.sqlite_errorname = name  # type: ignore[misc]
        raise error

    return SimpleNamespace(execute=execute)


@pytest.mark.parametrize("name", ["SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED", "SQLITE_FULL"])
async def test_a_copy_that_was_not_made_is_made_later(tmp_path: Path, name: str) -> None:
    store = create_sqlite(tmp_path / "log.db", private=True)
    copier = store._copier
    assert copier is not None
    inner, copier._connection = copier._connection, failing(name)
    assert copier._copy(True) is None
    copier._connection = inner
    assert copier._copy(True) is not None
    await store.close()


@pytest.mark.parametrize("name", ["SQLITE_IOERR_FSYNC", "SQLITE_IOERR_WRITE", "SQLITE_CORRUPT", "?"])
async def test_after_a_copy_that_failed_at_the_disk_nothing_more_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The system tells once that a page was not written. A later copy would leave it out, and the log that still has it
    would be written over."""
    monkeypatch.setattr(module, "_COPY_PAGES", 1)
    store = create_sqlite(tmp_path / "log.db", private=True)
    copier = store._copier
    assert copier is not None
    copier._between = 1
    inner, copier._connection = copier._connection, failing(name)
    await store.claim([IndexRow(octets("1"), Purpose.PERSON, 1, b"1")])
    assert copier._running is not None
    wait([copier._running])
    copier._connection = inner
    for at in range(2, 5):
        with pytest.raises(Unavailable, match="could not be copied back"):
            await store.claim([IndexRow(octets(str(at)), Purpose.PERSON, 1, b"1")])
    with pytest.raises(Unavailable, match="could not be copied back"):
        store._begin_again()
    with pytest.raises(Unavailable, match="could not be copied back"):
        await store.erase([], [octets("1")])
    assert await store.index([octets(str(at)) for at in range(5)]) == {octets("1"): b"1"}, "nothing more is written"
    before = left(tmp_path)
    await store.close()
    assert left(tmp_path) == before and before["log.db-wal"], "the log that has the page"
    again = open_sqlite(tmp_path / "log.db", private=True)
    assert await again.index([octets("1")]) == {octets("1"): b"1"}
    await again.close()
    assert "log.db-wal" not in left(tmp_path)


def left(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("log.db*") if not path.name.endswith("-shm")}


async def test_how_large_a_store_is_need_not_be_known(tmp_path: Path) -> None:
    store = create_sqlite(tmp_path / "log.db", private=True)
    copier = store._copier
    assert copier is not None
    inner = copier._connection

    def execute(text: str) -> Any:
        return inner.execute(text) if "checkpoint" in text else failing("SQLITE_IOERR_READ").execute(text)

    copier._connection = SimpleNamespace(execute=execute)  # type: ignore[assignment]
    assert copier._copy(True) is not None
    copier._connection = inner
    await store.put_meta({"a": b"b"})
    await store.close()


@pytest.mark.parametrize("how", ["begin_again", "empty"])
async def test_so_it_is_after_one_that_the_writer_waited_for(tmp_path: Path, how: str) -> None:
    store = create_sqlite(tmp_path / "log.db", private=True)
    assert store._copier is not None
    with pytest.raises(Unavailable, match="could not be copied back"):
        getattr(store._copier, how)(failing("SQLITE_IOERR_FSYNC"))
    with pytest.raises(Unavailable, match="could not be copied back"):
        await store.put_meta({"a": b"b"})
    assert await store.meta("a") is None
    await store.close()


async def test_reading_leaves_what_a_kill_left(tmp_path: Path) -> None:
    """Somebody looks before the log is started again: that is to find everything as it was."""
    there = tmp_path / "there"
    there.mkdir()
    store = create_sqlite(tmp_path / "log.db", private=True)
    await store.claim([IndexRow(octets("1"), Purpose.PERSON, 1, b"1")])
    for name in ("log.db", "log.db-wal"):
        shutil.copy(tmp_path / name, there / name)
    await store.close()
    before = left(there)
    looking = open_sqlite(there / "log.db", private=True, read_only=True)
    assert await looking.index([octets("1")]) == {octets("1"): b"1"}
    await looking.close()
    assert left(there) == before


@pytest.mark.parametrize("read", [False, True])
def test_only_a_log_that_nobody_reads_is_begun_again(tmp_path: Path, read: bool) -> None:
    store = create_sqlite(tmp_path / "log.db", private=True)
    copier = store._copier
    assert copier is not None
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        if read:
            other.execute("BEGIN")
            other.execute("SELECT * FROM head").fetchall()
        store._writer.execute("PRAGMA busy_timeout = 100")
        store._writer.execute("INSERT INTO meta (name, value) VALUES ('a', 'b')")
        copier._left, copier._noted, copier._beginning = 70, 7, True
        copier.begun(store._begin_again())
        assert not copier._beginning
        assert (copier._left, copier._noted) == ((70, 7) if read else (0, 0))
    store.close_now()


def test_pages_that_are_being_copied_are_still_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COPY_PAGES", 10)
    monkeypatch.setattr(module, "_WAL_LIMIT", 20)
    monkeypatch.setattr(module, "_WAL_SPARE", 10)
    copier, release = module.Copier(tmp_path / "c.db"), threading.Event()
    monkeypatch.setattr(copier, "_copy", lambda through: int(release.wait()))
    try:
        assert [copier.note(11), copier.note(11), copier.note(9)] == [False, False, True]
    finally:
        release.set()
        copier.close()


async def test_the_writer_waits_for_a_copy_that_is_under_way(tmp_path: Path) -> None:
    """Two copies at once are one too many for SQLite: the second would be told "busy" and do nothing."""
    store = (await LogBuilder.create(tmp_path / "log.db")).store
    assert isinstance(store, SqliteStore) and store._copier is not None
    release = threading.Event()
    store._copier._running = store._copier._thread.submit(lambda: int(release.wait()))
    waiting = asyncio.create_task(store._write(store._begin_again))
    try:
        await asyncio.sleep(0.05)
        assert not waiting.done()
    finally:
        release.set()
        await waiting
    await store.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look at" * 50])
def test_a_file_that_is_no_store_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(Unavailable, match="not a store"):
            open_sqlite(path, private=True)


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in ("absent", "file"):
        with pytest.raises(Unavailable, match="no store can be written at"):
            create_sqlite(tmp_path / folder / "log.db", private=True)


def test_a_store_that_cannot_be_made_is_unavailable_and_can_be_made_later(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(Unavailable):
            create_sqlite(path, private=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    create_sqlite(path, private=True).close_now()
    with pytest.raises(Refused, match="EXISTS"):
        create_sqlite(path, private=True)


async def test_a_commit_writes_its_pages_into_the_write_ahead_log_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not first into a temporary file, as SQLite does for a statement that it may have to undo by itself."""
    monkeypatch.setattr(module.Copier, "note", lambda self, pages: False)
    store, log = create_sqlite(tmp_path / "log.db", private=True), tmp_path / "log.db-wal"
    try:
        await store.append(first := batch(None, 8000), accept)
        second = batch(first.head, 1000)
        written, length = _written(), log.stat().st_size
        await store.append(second, accept)
        assert 0 < log.stat().st_size - length <= _written() - written < 1.05 * (log.stat().st_size - length)
    finally:
        await store.close()


def _written() -> int:
    """Bytes that this process has handed to write calls so far (proc(5), /proc/pid/io)."""
    return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])


def test_every_commit_is_synchronous(tmp_path: Path) -> None:
    store = create_sqlite(tmp_path / "log.db", private=True)
    # What survives a power cut is SQLite's promise under these two settings, so they are pinned.
    for connection in (store._writer, store._reader):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close_now()


def test_a_damaged_file_that_answers_in_damaged_text_is_unavailable_and_not_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    create_sqlite(path, private=True).close_now()

    def connect(*_: object, **__: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    with monkeypatch.context() as patch, pytest.raises(Unavailable, match="not a store"):
        patch.setattr(sqlite, "connect", connect)
        open_sqlite(path, private=True)
    open_sqlite(path, private=True).close_now()


async def test_a_file_that_cannot_take_everything_in_is_not_called_whole(tmp_path: Path) -> None:
    """Without room SQLite leaves what was committed beside the file and says nothing about it."""
    log = await LogBuilder.create(tmp_path / "log.db")
    await grow(log, 2)
    for name in ("log.db", "log.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / name.replace("log", "left"))
    left, size = tmp_path / "left.db", log.integrator.size
    await log.store.close()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(Unavailable, match="one file"):
            module.gather(left)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert wal_bytes(left) > 0, "nothing is lost"
    module.gather(left)
    assert not left.with_name("left.db-wal").exists()
    store = open_sqlite(left, private=False, read_only=True)
    head = await store.head()
    assert head is not None and head.size == size
    await store.close()


async def test_what_is_read_for_a_batch_goes_by_the_writer_while_that_is_idle(tmp_path: Path) -> None:
    """A commit empties what any other connection remembers. Beside a write nobody waits for it, though, and the event
    loop does not read it."""
    log = await LogBuilder.create(tmp_path / "log.db")
    made = [log.certificate(f"{at}") for at in range(40)]
    await log.issue(*made)
    store, asked = log.store, {"reader": list[str](), "writer": list[str](), "beside": list[str]()}
    for name, said in asked.items():
        getattr(store, f"_{name}").set_trace_callback(said.append)
    keys = [certificate_map_key(one.issue.cert_key) for one in made]
    tracks = [one.issue.track_id for one in made]

    async def read(count: int) -> list[Any]:
        rows = await store.states(keys[:count])
        members = await store.tracks(tracks[:count])
        leaves = await store.leaves([(key, key) for key in keys[:count]])
        return [rows, {row.map_key: row for row in members}, leaves]

    rows, members, leaves = idle = await read(40)
    assert rows == members and len(rows) == 40
    assert leaves == [[(key, rows[key].value)] for key in keys]
    assert asked["writer"] and not asked["reader"] and not asked["beside"]
    asked["writer"].clear()
    held = threading.Event()
    writing = asyncio.create_task(store._write(held.wait))
    await asyncio.sleep(0)
    assert await read(40) == idle
    assert asked["beside"] and not asked["reader"] and not asked["writer"]
    held.set()
    await writing
    asked["beside"].clear()
    held.clear()
    writing = asyncio.create_task(store._write(held.wait, brief=True))
    await asyncio.sleep(0)
    reading = asyncio.create_task(read(40))
    await asyncio.sleep(0.05)
    assert not reading.done(), "a checkpoint is soon kept"
    held.set()
    assert await reading == idle and await writing
    assert asked["writer"] and not asked["reader"]
    asked["writer"].clear()
    few = await read(3)
    assert few[0].keys() == set(keys[:3]) and asked["reader"] and not asked["writer"]
    await store.close()
    for count in (3, 40):
        with pytest.raises(Unavailable):
            await store.states(keys[:count])


async def test_a_snapshot_is_read_by_its_reader_alone(tmp_path: Path) -> None:
    """Another connection would see what was committed since."""
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.issue(*(log.certificate(f"{at}") for at in range(40)))
    snapshot = open_sqlite(tmp_path / "log.db", private=False, read_only=True)
    head = await snapshot.head()
    late = [log.certificate(f"late {at}") for at in range(40)]
    await log.issue(*late)
    keys = [certificate_map_key(one.issue.cert_key) for one in late]
    assert len(await log.store.states(keys)) == 40
    assert await snapshot.head() == head and await snapshot.states(keys) == {}
    await snapshot.close()
    await log.store.close()


def test_a_bucket_is_read_out_of_the_index_alone(tmp_path: Path) -> None:
    """Its certificates lie on as many pages of the table, which at ten million come from the disk."""
    create_sqlite(tmp_path / "log.db", private=False).close_now()
    low, high = bytes(32), b"\xff" * 32
    with closing(sqlite3.connect(tmp_path / "log.db")) as store:
        for text, values, wanted in (
            (*next(each_range(sql.LEAVES, [(0, low, high)] * 2)), "SEARCH state USING COVERING INDEX state_key"),
            (numbered(sql.COUNT_STATES).replace("= ANY(?1)", "IN (?)"), (low,), "USING COVERING INDEX state_key"),
            (*next(any_of(sql.STATE, [low, high])), "SEARCH state USING INDEX state_key"),
            (numbered(sql.BUCKET), (low, high, low), "SEARCH state USING INDEX state_key"),
            (numbered(sql.LEAVES_AS_OF), (low, high, 9), "SEARCH state USING INDEX state_key"),
            (numbered(sql.CHANGED_SINCE), (9, low, 5), "SEARCH state USING COVERING INDEX state_since"),
        ):
            plan = [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {text}", values)]
            assert any(wanted in line for line in plan), plan
            assert not any(line.startswith("SCAN state") for line in plan), plan


def insert_state(path: Path, map_key: bytes) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        values = "?, randomblob(32), since, subject, randomblob(16), body"
        store.execute(f"INSERT INTO state SELECT {values} FROM state LIMIT 1", (map_key,))


async def test_no_state_stands_twice(tmp_path: Path) -> None:
    """The index by map key says no more than that no key has the same value twice. Where a row stands that the log does
    not have, beside the certificate's or in its place, the batch that meets it leaves nothing."""
    log = await LogBuilder.create(tmp_path / "log.db")
    certificate, later = log.certificate("a"), log.certificate("b")
    await log.issue(certificate)
    await log.rule(Kind.SUSPEND, certificate)
    key = certificate_map_key(certificate.issue.cert_key)
    with closing(sqlite3.connect(tmp_path / "log.db")) as store:
        of_it = "FROM {} WHERE map_key = ?"
        ((since,),) = store.execute(f"SELECT since {of_it.format('state')}", (key,)).fetchall()
        ((before,),) = store.execute(f"SELECT since {of_it.format('state_history')}", (key,)).fetchall()
    assert since > before
    size = log.integrator.size
    insert_state(tmp_path / "log.db", certificate_map_key(later.issue.cert_key))
    with pytest.raises(Damaged, match="run fsck"):
        await log.issue(later)
    log.integrator = await Integrator.open(log.store)
    assert log.integrator.size == size
    insert_state(tmp_path / "log.db", key)
    with pytest.raises(Damaged, match="run fsck"):
        await log.rule(Kind.RESTORE, certificate)
    log.integrator = await Integrator.open(log.store)
    assert log.integrator.size == size
    await log.store.close()


async def test_a_batch_with_two_states_under_one_key_is_not_written(tmp_path: Path) -> None:
    """A bug of ours: the index by map key would take both."""
    store = create_sqlite(tmp_path / "log.db", private=True)
    first = batch(None)
    (state,) = first.states
    keys = [sha256(b"%d" % at).digest() for at in range(14)]
    states = [StateRow(key, state.value, state.subject, state.track, state.body) for key in keys]
    twice = [*states, *(StateRow(key, bytes(32), b"", b"", b"") for key in keys[3:5])]
    for held in (None, frozenset[bytes]()):
        with pytest.raises(Damaged, match="run fsck"):
            await store.append(replace(first, states=twice, held=held), accept)
        assert await store.head() is None
    await store.append(replace(first, states=states), accept)
    assert await store.head() == first.head
    await store.close()


async def test_nothing_rests_on_the_order_of_rows_that_come_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says nothing of it: entries read back and the leaves of a bucket are put in order."""
    log = await LogBuilder.create(tmp_path / "log.db")
    for at in (sqlite, sqlite_batch):
        monkeypatch.setattr(at, "all_rows", lambda *asked: all_rows(*asked)[::-1])
    await log.issue(*(log.certificate(f"{at}") for at in range(60)))
    await log.issue(*(log.certificate(f"later {at}") for at in range(60)))
    ranges = [(bytes([at]) + bytes(31), bytes([at + 7]) + b"\xff" * 31) for at in range(0, 256, 8)]
    found = await log.store.leaves(ranges)
    assert max(map(len, found)) > 2 and sum(map(len, found)) > 120
    assert all(leaves == sorted(leaves) for leaves in found)
    assert all(low <= key <= high for (low, high), leaves in zip(ranges, found, strict=True) for key, _ in leaves)
    await log.store.close()

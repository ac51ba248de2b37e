"""The one seam to the kind of store and to the guard that goes with it (a file beside SQLite, a database of its own
beside PostgreSQL): how a trial makes them fail, copies, damages and checks them."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from ledger.service.guard import FileGuard, Guard
from ledger.store import sql, sqlite
from ledger.store.fsck import fsck
from ledger.store.numbers import check_numbers
from ledger.store.sqlite import create_sqlite, open_sqlite
from ledger.store.sqlite_text import in_one_row, numbered
from tests.support.fault_store import flip


@dataclass
class Fault:
    """One failure at one step. `kept`: what the step does takes effect first, only its answer is lost."""

    step: str
    kept: bool
    left: int = 1  # times it still happens
    fired: int = 0
    early: int = 0  # signatures over what the guard had not yet on its disk

    def strikes(self, step: str) -> bool:
        if step != self.step or self.left == 0:
            return False
        self.left -= 1
        self.fired += 1
        return True


class StoreKind(Protocol):
    """What a campaign needs of one kind of store."""

    name: str

    def settings(self, folder: Path) -> dict[str, Any]:
        """Fields of LedgerSettings for a log in this folder: its store and its guard."""

    def failing(self, fault: Fault) -> AbstractContextManager[None]:
        """A context in which stores that are opened fail at `fault`: entries tiles states map head check commit
        publish."""

    def failing_guard(self, fault: Fault, folder: Path) -> AbstractContextManager[Callable[[], int]]:
        """A context in which guards that are opened fail at `fault`: guard write, guard sync. Gives what tells the size
        that the one of this log has durable."""

    def own(self, folder: Path, of: Path) -> None:
        """A store and a guard of its own, with the same rows, for a stopped log whose folder is a copy of the folder
        `of`."""

    def discard(self, folder: Path) -> None:
        """Give up what `own` made beside the folder."""

    def back_up(self, folder: Path, to: Path) -> None:
        """A whole copy of the store, also beside a running log."""

    def put_back(self, backup: Path, folder: Path) -> None:
        """Restore it where the log is stopped."""

    async def open(self, folder: Path) -> Any:
        """The ledger's own store, as its start opens it."""

    async def check(self, folder: Path) -> list[str]:
        """The operator's check of a stopped log."""

    def flipped_row(self, folder: Path, draw: random.Random) -> AbstractContextManager[str]:
        """One bit of one stored value is another in there; the table's name."""

    def flipped_file(self, folder: Path, draw: random.Random) -> AbstractContextManager[str]:
        """One bit of the store's files is another in there; a name for them."""

    def rows(self, folder: Path) -> dict[str, int]:
        """How many rows each table has in which `flipped_row` may fall."""

    def remembered(self, folder: Path) -> tuple[int, bytes]:
        """Size and root that the guard of a log has on its disk, not by the product's word."""

    def back_up_guard(self, folder: Path, to: Path) -> None:
        """What the guard of a stopped log has, in the file `to`: what nobody should do."""

    def put_back_guard(self, kept: Path, folder: Path) -> None:
        """And put it back."""

    def new_guard(self, folder: Path) -> None:
        """One that has seen nothing in its place, against the manual's advice."""

    async def open_guard(self, folder: Path) -> Guard:
        """The guard of a stopped log, as its start opens it."""

    def flipped_guard(self, folder: Path, draw: random.Random) -> AbstractContextManager[None]:
        """One bit of what the guard has on its disk is another in there."""

    def begin_tail(self, folder: Path) -> int:
        """A mark before what is written next, of a running log."""

    def copy_torn(self, folder: Path, to: Path) -> Path:
        """A running log's files as they are now, to be cut; the folder."""

    def tail_lengths(self, folder: Path, begin: int, most: int, step: int) -> Iterable[int]:
        """Every `step`-th length of what was written since the mark, the last `most` bytes of it."""

    def cut_tail(self, folder: Path, length: int) -> None: ...
    def cut_tile(self, folder: Path, length: int) -> AbstractContextManager[None]:
        """The growing tile's row has only so many bytes in there."""


STEPS = (
    ("INSERT INTO entry ", "entries"),
    ("INSERT INTO tile ", "tiles"),
    ("INSERT INTO state ", "states"),
    ("INSERT INTO map_change ", "map"),
    ("UPDATE head ", "head"),
    ("SELECT body FROM entry ", "check"),
    (in_one_row(numbered(sql.ENTRIES_AT))[0], "check"),
    ("INSERT INTO checkpoint ", "publish"),
)


def step_of(text: str) -> str:
    """The step that a statement of either store's writer is, or ""."""
    words = text.replace("INSERT OR ROLLBACK INTO ", "INSERT INTO ", 1)
    return next((step for begin, step in STEPS if words.startswith(begin)), "")


class _Failing:
    """A writer's connection that fails at one step."""

    def __init__(self, inner: sqlite3.Connection, fault: Fault) -> None:
        self._inner, self._fault = inner, fault
        self._commit = ""  # the step that a COMMIT would be now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, text: str, *values: Any) -> Any:
        step = step_of(text)
        if text.startswith("BEGIN"):
            self._commit = ""
        elif step == "entries":
            self._commit = "commit"
        elif text == "COMMIT":
            step = self._commit
        if not self._fault.strikes(step):
            return self._inner.execute(text, *values)
        if not self._fault.kept:
            raise sqlite3.OperationalError("disk I/O error")
        result = self._inner.execute(text, *values)
        if step == "check":  # memory that went bad between the disk and us
            parts = result.fetchone()[0].split(".")
            bodies = [flip(bytes.fromhex(body), 77).hex() for body in parts[1::2]]
            spoilt = ".".join(part for row in zip(parts[::2], bodies, strict=True) for part in row)
            return self._inner.execute("SELECT ?", (spoilt,))
        raise sqlite3.OperationalError("disk I/O error")


async def prove(store: Any, scratch: Any) -> list[str]:
    """What the operator's check would say of a ledger's store."""
    with ThreadPoolExecutor(1) as workers:
        problems = await fsck(store, scratch, workers)
    return [problem.en for problem in problems or (await check_numbers(store, scratch)).problems]


class Sqlite:
    """The embedded store: one file."""

    name = "sqlite"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {}

    def own(self, folder: Path, of: Path) -> None:
        return  # it lies in the folder

    def discard(self, folder: Path) -> None:
        return

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        real = sqlite.connect

        def connect(path: Path, *, threads: bool = False, **more: int) -> Any:
            made = real(path, threads=threads, **more)
            return _Failing(made, fault) if threads else made

        with patch.object(sqlite, "connect", connect):
            yield

    @contextmanager
    def failing_guard(self, fault: Fault, folder: Path) -> Iterator[Callable[[], int]]:
        """pwrite and fdatasync, which only the guard calls in this process. A sync that keeps nothing loses what was
        written since the last one, as a power cut would.
        """
        write, sync, guard = os.pwrite, os.fdatasync, folder / "guard"
        durable = guard.read_bytes()

        def pwrite(file: int, raw: bytes, offset: int) -> int:
            if not fault.strikes("guard write"):
                return write(file, raw, offset)
            if fault.kept:
                write(file, raw, offset)
            raise OSError(5, "Input/output error")

        def fdatasync(file: int) -> None:
            nonlocal durable
            if not fault.strikes("guard sync"):
                sync(file)
                durable = guard.read_bytes()
                return
            if fault.kept:
                sync(file)
            else:
                write(file, durable, 0)
            raise OSError(5, "Input/output error")

        with patch.object(os, "pwrite", pwrite), patch.object(os, "fdatasync", fdatasync):
            yield lambda: _in_slots(durable)[0]

    def back_up(self, folder: Path, to: Path) -> None:
        to.mkdir(parents=True)
        with closing(sqlite3.connect(folder / "log.db")) as source, closing(sqlite3.connect(to / "log.db")) as copy:
            source.backup(copy)

    def put_back(self, backup: Path, folder: Path) -> None:
        for name in ("log.db", "log.db-wal", "log.db-shm"):
            (folder / name).unlink(missing_ok=True)
        shutil.copy(backup / "log.db", folder / "log.db")

    async def open(self, folder: Path) -> Any:
        return open_sqlite(folder / "log.db", private=True)

    async def check(self, folder: Path) -> list[str]:
        store = open_sqlite(folder / "log.db", private=True, read_only=True)
        scratch = self.scratch(folder)
        try:
            return await prove(store, scratch)
        finally:
            await scratch.close()
            await store.close()

    def scratch(self, folder: Path) -> Any:
        """An empty store: a copy of one that is made once."""
        empty, path = folder / "empty.db", folder / "scratch.db"
        if not empty.exists():
            create_sqlite(empty, private=False).close_now()
        for name in ("scratch.db-wal", "scratch.db-shm"):
            (folder / name).unlink(missing_ok=True)
        shutil.copy(empty, path)
        scratch = open_sqlite(path, private=False)
        scratch._writer.execute("PRAGMA synchronous = OFF")  # it is thrown away
        return scratch

    @contextmanager
    def flipped_row(self, folder: Path, draw: random.Random) -> Iterator[str]:
        with self._mended(folder) as path:
            while True:
                with closing(sqlite3.connect(path, isolation_level=None)) as raw:
                    raw.execute("PRAGMA synchronous = OFF")
                    table = draw.choice(_tables(raw))
                    column = draw.choice([row[1] for row in raw.execute(f"PRAGMA table_info({table})")])
                    rows = raw.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid").fetchall()
                    if not rows:
                        continue
                    rowid, value = draw.choice(rows)
                    try:
                        raw.execute(f"UPDATE {table} SET {column} = {_flipped(value, draw)} WHERE rowid = {rowid}")
                    except sqlite3.IntegrityError:
                        continue  # the store itself does not take it
                break
            yield table

    @contextmanager
    def flipped_file(self, folder: Path, draw: random.Random) -> Iterator[str]:
        with self._mended(folder) as path, path.open("r+b") as file:
            at = draw.randrange(path.stat().st_size)
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ 1 << draw.randrange(8)]))
            file.flush()
            yield "file"

    def rows(self, folder: Path) -> dict[str, int]:
        with closing(sqlite3.connect(folder / "log.db")) as raw:
            return {table: raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _tables(raw)}

    def remembered(self, folder: Path) -> tuple[int, bytes]:
        return _in_slots((folder / "guard").read_bytes())

    def back_up_guard(self, folder: Path, to: Path) -> None:
        shutil.copy(folder / "guard", to)

    def put_back_guard(self, kept: Path, folder: Path) -> None:
        shutil.copy(kept, folder / "guard")

    def new_guard(self, folder: Path) -> None:
        (folder / "guard").unlink()
        FileGuard.create(folder / "guard")

    async def open_guard(self, folder: Path) -> Guard:
        return FileGuard(folder / "guard")

    @contextmanager
    def flipped_guard(self, folder: Path, draw: random.Random) -> Iterator[None]:
        path = folder / "guard"
        whole = path.read_bytes()
        path.write_bytes(flip(whole, draw.randrange(8 * len(whole))))
        try:
            yield
        finally:
            path.write_bytes(whole)

    @contextmanager
    def _mended(self, folder: Path) -> Iterator[Path]:
        """The database file of a stopped log, put back afterwards."""
        path = folder / "log.db"
        whole = path.read_bytes()
        try:
            yield path
        finally:
            for name in ("log.db-wal", "log.db-shm"):
                (folder / name).unlink(missing_ok=True)
            fresh = path.with_suffix(".fresh")  # another file: SQLite keeps what it knows by inode
            fresh.write_bytes(whole)
            fresh.replace(path)

    def begin_tail(self, folder: Path) -> int:
        return (folder / "log.db-wal").stat().st_size

    def copy_torn(self, folder: Path, to: Path) -> Path:
        to.mkdir()
        for name in ("log.db", "log.db-wal"):
            shutil.copy(folder / name, to / name)
            shutil.copy(folder / name, to / f"{name} whole")
        return to

    def tail_lengths(self, folder: Path, begin: int, most: int, step: int) -> Iterable[int]:
        end = (folder / "log.db-wal whole").stat().st_size
        return range(max(begin, end - most), end + 1, step)

    def cut_tail(self, folder: Path, length: int) -> None:
        (folder / "log.db-shm").unlink(missing_ok=True)
        (folder / "log.db").write_bytes((folder / "log.db whole").read_bytes())
        (folder / "log.db-wal").write_bytes((folder / "log.db-wal whole").read_bytes()[:length])

    @contextmanager
    def cut_tile(self, folder: Path, length: int) -> Iterator[None]:
        with self._mended(folder) as path:
            with closing(sqlite3.connect(path, isolation_level=None)) as raw:
                raw.execute("PRAGMA synchronous = OFF")
                cut = "UPDATE tile SET body = CAST(substr(body, 1, ?) AS BLOB) WHERE level = 0"
                raw.execute(cut, (length,))
            yield


def _in_slots(raw: bytes) -> tuple[int, bytes]:
    """Size and root in the newest whole slot of a guard's file."""
    slots = [slot for slot in (raw[:128], raw[128:]) if sha256(slot[:64]).digest() == slot[64:96]]
    newest = max(slots, key=lambda slot: slot[16:24])
    return int.from_bytes(newest[24:32], "big"), newest[32:64]


def _tables(raw: sqlite3.Connection) -> list[str]:
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'migration' ORDER BY name"
    return [row[0] for row in raw.execute(names)]


def _flipped(value: Any, draw: random.Random) -> str:
    """The SQL literal of a value with one bit changed."""
    if isinstance(value, int):
        return str(value ^ 1 << draw.randrange(48))
    raw = value.encode() if isinstance(value, str) else value
    changed = f"x'{flip(raw, draw.randrange(8 * len(raw))).hex()}'" if raw else "x'01'"
    return f"CAST({changed} AS TEXT)" if isinstance(value, str) else changed

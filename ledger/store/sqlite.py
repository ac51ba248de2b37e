"""The embedded store: one SQLite file in WAL mode with synchronous=FULL, nothing to install.

Reads run directly on the event loop's thread (a point read costs less than a hand-over); the one writer runs on a
thread of its own, so that an fsync never stalls the loop. What is read for a batch goes by the writer too while that is
idle: a commit empties the pages that any other connection remembers, and the pages that tell what stands beside a new
row are those that it is written into next. Beside a commit a thread of its own reads it. A second process that opens
the file for writing is refused by a lock file's advisory lock, and would lose the compare-and-swap on the head row.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ledger.errors import Damaged, Refused, Unavailable
from ledger.records.view import Signed
from ledger.store import sql
from ledger.store.protocol import (
    HEAD_MOVED,
    ROW_THERE,
    EntryRow,
    IndexRow,
    Slot,
    StateRow,
    StateVersion,
    StoredBatch,
    StoredHead,
    index_values,
    signed_row,
    unchanged_bucket,
)
from ledger.store.sqlite_batch import all_rows, insert_rows, write_batch
from ledger.store.sqlite_lock import lock_file
from ledger.store.sqlite_schema import NO_STORE_OF_OURS, check_tables, is_begun, make_tables, upgrade_tables
from ledger.store.sqlite_text import Statement, any_of, each_range, numbered
from ledger.store.sqlite_wal import BESIDE_CACHE_KIB, WRITER_CACHE_KIB, Copier, connect, transaction
from ledger.text import Text

T = TypeVar("T")
# Pages of 4 KiB in the write-ahead log. Nearly every random key of an entry (state, track) touches a page of its own:
# 4.7 pages a certificate at a million, when that of its number was random too.
ENTRY_PAGES = 5
COMMIT_PAGES = 16
_NO_STORE = Text(
    "{path} 没有存储：请核对路径；新建请先运行 init", "no store at {path}: is the path right? A new one: run init first"
)
_READ = Text(
    "已删除，但另一进程正在读取存储（可能是备份），其结束前字节仍留在文件中：请待其结束后再次执行",
    "deleted, but another process reads the store (a backup?), and until it has ended the bytes stay in the file: run "
    "this again then",
)
_MANY = 32  # keys that are read for a batch rather than for somebody who waits for one answer


class SqliteStore:
    """Implements Store and, when opened with `private`, PrivateStore."""

    reads_at_once: ClassVar[bool] = True
    reads_first: ClassVar[bool] = True
    tracks_in_order: ClassVar[bool] = True

    def __init__(self, path: Path, *, private: bool, read_only: bool = False) -> None:
        self._path = path
        self._private = private
        self._lock = None if read_only else lock_file(path)
        try:
            self._reader = connect(path, read_only=read_only)
            self._writer = connect(path, threads=True, cache_kib=WRITER_CACHE_KIB, read_only=read_only)
            self._beside = None if read_only else connect(path, threads=True, cache_kib=BESIDE_CACHE_KIB)
            self._copier = None if read_only else Copier(path)
        except (sqlite3.Error, UnicodeDecodeError) as error:  # a damaged file answers in damaged text
            if self._lock is not None:
                os.close(self._lock)
            raise Unavailable(NO_STORE_OF_OURS.format(path=path, error=error)) from error
        if read_only:
            self._writer.execute("PRAGMA query_only = ON")
            self._reader.execute("BEGIN")  # every read sees the log as it was at the first one
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="store-reader")  # by `_beside`
        self._writes = 0  # under way, or waiting for the thread
        self._closed = False

    async def meta(self, name: str) -> bytes | None:
        row = self._one(sql.META, name)
        return None if row is None else row[0]

    async def put_meta(self, values: Mapping[str, bytes]) -> None:
        def write() -> None:
            with self._transaction():
                self._writer.executemany(numbered(sql.PUT_META), list(values.items()))

        await self._write(write)
        for name, value in values.items():
            if await self.meta(name) != value:
                raise Refused("META_FIXED", name, Text("创建时确定的设置不能更改", "Fixed when the log was created"))

    async def head(self) -> StoredHead | None:
        row = self._one(sql.HEAD)
        return None if row is None else StoredHead(*row)

    async def append(self, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        try:
            await self._write(lambda: self._append(batch, check))
        except sqlite3.IntegrityError as error:
            raise Damaged(ROW_THERE) from error
        await self._written(COMMIT_PAGES + ENTRY_PAGES * len(batch.entries))

    def _append(self, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        # A crash before COMMIT leaves the old head and nothing of the batch; after it, all of the batch.
        with self._transaction():
            write_batch(self._writer, self._insert, batch, check, private=self._private)

    async def entries(self, start: int, end: int) -> list[bytes]:
        return [row[0] for row in self._all(sql.ENTRIES, start, end)]

    async def rows(self, start: int, end: int) -> list[EntryRow]:
        return [EntryRow(*row) for row in self._all(sql.ROWS, start, end)]

    async def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        return dict(await self._each(sql.FIND, identities))

    async def tile(self, level: int, index: int) -> bytes | None:
        row = self._one(sql.TILE, level, index)
        return None if row is None else row[0]

    async def states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        return {row[0]: StateRow(*row) for row in await self._each(sql.STATE, map_keys)}

    async def tracks(self, places: Sequence[bytes]) -> list[StateRow]:
        return [StateRow(*row) for row in await self._each(sql.TRACK, places)]

    async def leaves(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        found: list[list[tuple[bytes, bytes]]] = [[] for _ in ranges]
        asked = [(place, low, high) for place, (low, high) in enumerate(ranges)]
        for place, key, value in await self._read(each_range(sql.LEAVES, asked), len(asked)):
            found[place].append((key, value))
        for leaves in found:
            if len(leaves) > 1:
                leaves.sort()
        return found

    async def state_as_of(self, map_key: bytes, seal: int) -> StateVersion | None:
        row = self._one(sql.STATE_AS_OF, map_key, seal)
        return None if row is None else StateVersion(*row)

    async def leaves_as_of(self, ranges: Sequence[tuple[bytes, bytes]], seal: int) -> list[list[tuple[bytes, bytes]]]:
        return [self._all(sql.LEAVES_AS_OF, low, high, seal) for low, high in ranges]

    async def bucket_as_of(
        self, low: bytes, high: bytes, map_key: bytes, seal: int
    ) -> tuple[list[tuple[bytes, bytes]], StateVersion | None]:
        found = unchanged_bucket(self._all(sql.BUCKET, low, high, map_key), seal)
        if found is None:
            (leaves,) = await self.leaves_as_of([(low, high)], seal)
            return leaves, await self.state_as_of(map_key, seal)
        return found

    async def changed_since(self, seal: int, after: bytes, limit: int) -> list[tuple[int, bytes]]:
        return self._all(sql.CHANGED_SINCE, seal, after, limit)

    async def history_after(self, map_key: bytes, since: int, count: int) -> list[tuple[bytes, StateVersion]]:
        return [(key, StateVersion(*row)) for key, *row in self._all(sql.HISTORY_AFTER, map_key, since, count)]

    async def seal_from(self, index: int) -> int | None:
        row = self._one(sql.SEAL_FROM, index)
        return None if row is None else row[0]

    async def map_chunks(self) -> list[tuple[int, int, bytes]]:
        return self._all(sql.CHUNKS)

    async def map_changes(self, seal: int, count: int) -> list[tuple[int, bytes]]:
        return self._all(sql.CHANGES, seal, count)

    async def named(self, kind: int) -> dict[str, int]:
        return dict(self._all(sql.NAMED, kind))

    async def find_named(self, kind: int, name: str) -> int | None:
        row = self._one(sql.FIND_NAMED, kind, name)
        return None if row is None else row[0]

    async def signed(self, number: str, first: int, last: int) -> list[Signed]:
        return [signed_row(*row) for row in self._all(sql.SIGNED, number, first, last)]

    async def events(self, cert_key: bytes) -> list[int]:
        return [row[0] for row in self._all(sql.EVENTS, cert_key)]

    async def signed_after(self, number: str, index: int, count: int) -> list[tuple[str, Signed]]:
        return [(filing, signed_row(*row)) for filing, *row in self._all(sql.SIGNED_AFTER, number, index, count)]

    async def events_after(self, cert_key: bytes, index: int, count: int) -> list[tuple[bytes, int]]:
        return self._all(sql.EVENTS_AFTER, cert_key, index, count)

    async def checkpoint(self) -> bytes | None:
        row = self._one(sql.CHECKPOINT)
        return None if row is None else row[0]

    async def checkpoint_size(self) -> int | None:
        row = self._one(sql.CHECKPOINT_SIZE)
        return None if row is None else row[0]

    async def put_checkpoint(self, note: bytes, size: int) -> None:
        def write() -> None:  # one statement, and so a transaction of its own
            assert not self._writer.in_transaction
            if self._writer.execute(numbered(sql.PUT_CHECKPOINT), (note, size)).rowcount != 1:
                raise Refused("HEAD_MOVED", "head", HEAD_MOVED)

        await self._write(write, brief=True)
        await self._written(COMMIT_PAGES)

    async def some_member(self) -> StateRow | None:
        row = self._one(sql.SOME_MEMBER)
        return None if row is None else StateRow(*row)

    async def hold(self) -> None:
        """True for as long as this process lives: it has the file's lock."""

    async def check_durable(self) -> None:
        """Always: it is this program's own setting."""

    async def envelope(self, place: bytes, slot: Slot) -> bytes | None:
        row = self._one(sql.ENVELOPE, place, int(slot))
        return None if row is None else row[0]

    async def index(self, hmacs: Sequence[bytes]) -> dict[bytes, bytes]:
        return dict(await self._each(sql.INDEX, hmacs))

    async def claim(self, rows: Sequence[IndexRow]) -> dict[bytes, bytes]:
        def write() -> None:
            with self._transaction():
                self._insert(sql.CLAIM_INDEX, index_values(rows))

        await self._write(write)
        await self._written(COMMIT_PAGES + len(rows))
        return await self.index([row.hmac for row in rows])

    async def erase(self, places: Sequence[bytes], hmacs: Sequence[bytes]) -> int:
        """Delete envelopes and index rows in one commit; how many were there. Nothing of them stays in the file, nor in
        the write-ahead log beside it. Raises Unavailable, with the rows deleted, while another process reads the store:
        their bytes go when this is called again."""

        def write() -> int:
            self._writer.execute("PRAGMA secure_delete = ON")
            gone = 0
            with self._transaction():
                for text, keys in ((sql.ERASE_ENVELOPE, places), (sql.ERASE_INDEX, hmacs)):
                    gone += sum(self._writer.execute(numbered(text), (key,)).rowcount for key in keys)
            return gone

        gone = await self._write(write)
        await self._write(self._empty_log)
        return gone

    def _empty_log(self) -> None:
        assert self._copier is not None
        self._writer.execute("PRAGMA busy_timeout = 1000")
        if not self._copier.empty(self._writer):
            raise Unavailable(_READ, public=True)

    async def page(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a copy that is being made (`ledger.store.copying`)."""
        return self._all(text, *values)

    async def keep(self) -> None:
        """True for as long as this is open: it has the file's lock, or is a snapshot."""

    async def fill(self, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of a copy, that must be new, in one commit."""

        def write() -> None:
            with self._transaction():
                self._insert(insert, rows)

        await self._write(write)
        await self._written(COMMIT_PAGES + ENTRY_PAGES * len(rows))

    async def close(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        self._closed = True
        self._thread.shutdown(wait=True)
        self._reading.shutdown(wait=True)
        if self._beside is not None:
            self._beside.close()
        last = None if self._copier is None else self._copier.close()
        self._writer.close()
        self._reader.close()
        if last is not None:
            last.close()
        if self._lock is not None:
            os.close(self._lock)

    def _transaction(self) -> AbstractContextManager[None]:
        return transaction(self._writer)

    async def _written(self, pages: int) -> None:
        """Have the write-ahead log copied back beside the writer; wait for it only when it has grown far too long."""
        assert self._copier is not None, "a store opened for reading writes nothing"
        if self._copier.note(pages):
            again = False
            try:
                again = await self._write(self._begin_again)
            finally:
                self._copier.begun(again)

    def _begin_again(self) -> bool:
        assert self._copier is not None
        return self._copier.begin_again(self._writer)

    async def _write(self, action: Callable[[], T], *, brief: bool = False) -> T:
        if self._copier is not None:
            self._copier.check()
        self._writes += not brief  # for a page or two what a batch reads had better wait
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, action)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise Unavailable(
                Text(f"存储没有完成写入：{error}；结果未知", f"store: {error}; outcome unknown")
            ) from error
        finally:
            self._writes -= not brief

    def _one(self, text: str, *values: Any) -> Any:
        return next(iter(self._all(text, *values)), None)

    def _all(self, text: str, *values: Any) -> list[Any]:
        try:
            return self._reader.execute(numbered(text), values).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(Text(f"存储没有完成操作：{error}", f"store: {error}")) from error

    async def _each(self, text: str, keys: Iterable[bytes]) -> list[Any]:
        """The rows of every key, each once, in no particular order."""
        asked = list(dict.fromkeys(keys))
        return await self._read(any_of(text, asked), len(asked))

    async def _read(self, statements: Iterable[Statement], asked: int) -> list[Any]:
        """The rows of all these, which ask for so many keys or ranges together."""

        def read(connection: sqlite3.Connection) -> list[Any]:
            return [row for text, values in statements for row in all_rows(connection, text, values)]

        try:
            if asked < _MANY or self._beside is None or self._closed:
                return read(self._reader)
            by = (self._reading, self._beside) if self._writes else (self._thread, self._writer)
            return await asyncio.get_running_loop().run_in_executor(by[0], read, by[1])
        except sqlite3.Error as error:
            raise Unavailable(Text(f"存储没有完成操作：{error}", f"store: {error}")) from error

    def _insert(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        insert_rows(self._writer, text, rows)


def create_sqlite(path: Path, *, private: bool) -> SqliteStore:
    """Make a new store file, also where that was begun and not ended. Raises Refused when one is there."""
    if path.exists() and not is_begun(path):
        raise Refused("EXISTS", str(path), Text("存储已存在", "The store exists already"))
    store = SqliteStore(path, private=private)
    try:
        make_tables(store._writer, path, private=private)
    except BaseException:
        store.close_now()
        raise
    return store


def open_sqlite(path: Path, *, private: bool, read_only: bool = False) -> SqliteStore:
    """Open an existing store. Raises Unavailable when it is missing, Refused on schema drift or a second writer.

    `read_only` opens a snapshot beside a running writer: nothing can be written, and later batches are not seen.
    """
    if not path.exists():
        raise Unavailable(_NO_STORE.format(path=path))
    store = SqliteStore(path, private=private, read_only=read_only)
    try:
        check_tables(store._reader, path, private=private)
    except BaseException:
        store.close_now()
        raise
    return store


def upgrade_sqlite(path: Path, *, private: bool, dry_run: bool) -> list[str]:
    """Apply the missing steps, unless `dry_run`, and return their names. Raises as open_sqlite."""
    if not path.exists():
        raise Unavailable(_NO_STORE.format(path=path))
    store = SqliteStore(path, private=private)
    try:
        return upgrade_tables(store._writer, path, private=private, dry_run=dry_run)
    finally:
        store.close_now()

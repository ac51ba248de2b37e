"""The auditor's store: what a replay needs and nothing else, in one SQLite file that may be lost and made again.

It implements `ledger.store.protocol.Store`, and differs from the log's own store where an audit may:

    no fsync per batch        WAL with synchronous=NORMAL: a kill loses nothing that was flushed, a power cut at worst
                              the last flushes; never a part of one. What is lost is simply replayed again
    many batches, one commit  `append` writes into an open transaction, which this store's one connection reads too;
                              `flush` commits it together with the statistics, so that they always belong together
    fewer random pages        rows that grow by appending, and two small tables in key order (`leaf`, `track`); an
                              index over identities only of what is no certificate: the fold refuses a cert key twice,
                              but a restore, say, that is played again only its identity gives away
    no reading back           `append` does not call `check`. It guards a log against signing what it misread; here
                              every root is compared with the one that the log signed

Memory is SQLite's page cache, however long the log is. One process at a time: the file is locked while it is open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ledger.errors import Refused, Unavailable
from ledger.records.kinds import Kind
from ledger.records.view import Signed
from ledger.store.protocol import EntryRow, StateRow, StoredBatch, StoredHead
from ledger.text import Text

_CACHE_KIB: Final = 48 * 1024
_AUTOCHECKPOINT: Final = 16_384  # pages of 4 KiB
_AT_ONCE: Final = 256  # keys in one SQL text
_LAYOUT: Final = b"audit-store/1"
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE entry (
    idx INTEGER PRIMARY KEY, body BLOB NOT NULL, chain BLOB NOT NULL, kind INTEGER NOT NULL, identity BLOB NOT NULL
);
CREATE UNIQUE INDEX repeatable ON entry (identity) WHERE kind NOT IN (0, 12, 13, 19); -- neither seal nor certificate
CREATE TABLE tile (level INTEGER, idx INTEGER, body BLOB NOT NULL, PRIMARY KEY (level, idx));
CREATE TABLE state (id INTEGER PRIMARY KEY, map_key BLOB NOT NULL, subject BLOB NOT NULL, track BLOB NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE leaf (map_key BLOB PRIMARY KEY, value BLOB NOT NULL, state INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE track (track BLOB, map_key BLOB, PRIMARY KEY (track, map_key)) WITHOUT ROWID;
CREATE TABLE bucket (bucket INTEGER PRIMARY KEY, root BLOB NOT NULL);
CREATE TABLE named (kind INTEGER, name TEXT, idx INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE signed (filing TEXT, idx INTEGER, kind INTEGER NOT NULL, cert_key BLOB NOT NULL, kid BLOB NOT NULL,
    day INTEGER NOT NULL, PRIMARY KEY (filing, idx)) WITHOUT ROWID;
CREATE TABLE event (cert_key BLOB, idx INTEGER, PRIMARY KEY (cert_key, idx)) WITHOUT ROWID;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL,
    chain BLOB NOT NULL, seal INTEGER NOT NULL, time INTEGER NOT NULL, map_root BLOB NOT NULL,
    map_count INTEGER NOT NULL);
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), note BLOB NOT NULL);
CREATE TABLE statistics (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, body BLOB NOT NULL);
"""
_FIND_REPEATABLE: Final = "SELECT identity, idx FROM entry WHERE kind NOT IN (0, 12, 13, 19) AND identity"
_STATE: Final = "SELECT l.map_key, l.value, s.subject, s.track, s.body FROM leaf l JOIN state s ON s.id = l.state"


class StoreFailed(Unavailable):
    """Our own disk did not answer: nothing that the log, or whoever stands between, has to do with."""


class AuditStore:
    """Implements Store. One thread; every call works at once, since nothing waits for a disk to be synced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
            for pragma in (
                "locking_mode = EXCLUSIVE",
                "journal_mode = WAL",
                "synchronous = NORMAL",
                f"cache_size = -{_CACHE_KIB}",
                f"wal_autocheckpoint = {_AUTOCHECKPOINT}",
            ):
                self._db.execute(f"PRAGMA {pragma}").fetchall()
            self._db.execute("BEGIN IMMEDIATE")  # takes the lock of the file, which this connection then keeps
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                text = Text("存储正被另一进程使用", "Another process has the store")
                raise Refused("STORE_IN_USE", str(path), text) from error
            raise Unavailable(f"{path}: {error}") from error
        except sqlite3.Error as error:
            raise Unavailable(f"{path} is not a store of this program: {error}") from error
        self._next = 0

    async def meta(self, name: str) -> bytes | None:
        row = self._one("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else row[0]

    async def put_meta(self, values: Mapping[str, bytes]) -> None:
        with self._writing() as db:
            db.executemany("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", list(values.items()))
        for name, value in values.items():
            if await self.meta(name) != value:
                raise Refused("META_FIXED", name, Text("创建时确定的设置不能更改", "Fixed when the log was created"))

    async def head(self) -> StoredHead | None:
        row = self._one("SELECT size, root, chain, seal, time, map_root, map_count FROM head")
        return None if row is None else StoredHead(*row)

    async def append(self, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        """Write one batch into the open transaction. A crash before the next `flush` leaves nothing of it."""
        head = batch.head
        fields = (head.size, head.root, head.chain, head.seal, head.time, head.map_root, head.map_count)
        if await self.head() != batch.before:
            text = Text("日志已被另一进程写入", "Another process has written to this log")
            raise Refused("HEAD_MOVED", "head", text)
        first = self._next
        self._next += len(batch.states)
        states = list(enumerate(batch.states, first))
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?, ?, ?)", fields)
            db.executemany(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?)",
                [(e.index, e.body, e.chain, e.kind, e.identity) for e in batch.entries],
            )
            db.executemany("INSERT OR REPLACE INTO tile VALUES (?, ?, ?)", batch.tiles)
            db.executemany(
                "INSERT INTO state VALUES (?, ?, ?, ?, ?)",
                [(at, s.map_key, s.subject, s.track, s.body) for at, s in states],
            )
            leaves = sorted((s.map_key, s.value, at) for at, s in states)
            db.executemany("INSERT OR REPLACE INTO leaf VALUES (?, ?, ?)", leaves)
            tracks = sorted((s.track, s.map_key) for s in batch.states if s.track)
            db.executemany("INSERT OR IGNORE INTO track VALUES (?, ?)", tracks)
            db.executemany("INSERT OR REPLACE INTO bucket VALUES (?, ?)", sorted(batch.buckets))
            db.executemany("INSERT INTO named VALUES (?, ?, ?)", batch.named)
            signed = [(n, s.index, int(s.kind), s.cert_key, s.kid, s.day) for n, s in batch.signed]
            db.executemany("INSERT INTO signed VALUES (?, ?, ?, ?, ?, ?)", signed)
            db.executemany("INSERT INTO event VALUES (?, ?)", batch.events)

    async def entries(self, start: int, end: int) -> list[bytes]:
        return [row[0] for row in self._all("SELECT body FROM entry WHERE idx >= ? AND idx < ?", start, end)]

    async def rows(self, start: int, end: int) -> list[EntryRow]:
        return [EntryRow(*row) for row in self._all("SELECT * FROM entry WHERE idx >= ? AND idx < ?", start, end)]

    async def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Reads every entry: a replay never asks, and an index over identities would cost more than all the rest."""
        return dict(self._each("SELECT identity, idx FROM entry WHERE identity", identities))

    async def find_repeatable(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        return dict(self._each(_FIND_REPEATABLE, identities))

    async def tile(self, level: int, index: int) -> bytes | None:
        row = self._one("SELECT body FROM tile WHERE level = ? AND idx = ?", level, index)
        return None if row is None else row[0]

    async def states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        return {row[0]: StateRow(*row) for row in self._each(f"{_STATE} WHERE l.map_key", map_keys)}

    async def tracks(self, track_ids: Sequence[bytes]) -> list[StateRow]:
        # A correction may have moved a certificate: the state says where it is now.
        text = f"{_STATE} JOIN track t ON t.map_key = l.map_key WHERE s.track = t.track AND t.track"
        return [StateRow(*row) for row in self._each(text, track_ids)]

    async def leaves(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        text = "SELECT map_key, value FROM leaf WHERE map_key >= ? AND map_key <= ?"
        with self._reading() as db:
            return [db.execute(text, pair).fetchall() for pair in ranges]

    async def buckets(self) -> dict[int, bytes]:
        return dict(self._all("SELECT bucket, root FROM bucket"))

    async def named(self, kind: int) -> dict[str, int]:
        return dict(self._all("SELECT name, idx FROM named WHERE kind = ?", kind))

    async def find_named(self, kind: int, name: str) -> int | None:
        row = self._one("SELECT idx FROM named WHERE kind = ? AND name = ?", kind, name)
        return None if row is None else row[0]

    async def signed(self, number: str, first: int, last: int) -> list[Signed]:
        text = "SELECT idx, kind, cert_key, kid, day FROM signed WHERE filing = ? AND idx >= ? AND idx <= ?"
        rows = self._all(text, number, first, last)
        return [Signed(index, Kind(kind), cert_key, kid, day) for index, kind, cert_key, kid, day in rows]

    async def events(self, cert_key: bytes) -> list[int]:
        return [row[0] for row in self._all("SELECT idx FROM event WHERE cert_key = ?", cert_key)]

    async def signed_after(self, number: str, index: int, count: int) -> list[tuple[str, Signed]]:
        text = "SELECT * FROM signed WHERE (filing, idx) > (?, ?) ORDER BY filing, idx LIMIT ?"
        rows = self._all(text, number, index, count)
        return [(filing, Signed(at, Kind(kind), cert_key, kid, day)) for filing, at, kind, cert_key, kid, day in rows]

    async def events_after(self, cert_key: bytes, index: int, count: int) -> list[tuple[bytes, int]]:
        text = "SELECT cert_key, idx FROM event WHERE (cert_key, idx) > (?, ?) ORDER BY cert_key, idx LIMIT ?"
        return self._all(text, cert_key, index, count)

    async def checkpoint(self) -> bytes | None:
        row = self._one("SELECT note FROM checkpoint")
        return None if row is None else row[0]

    async def put_checkpoint(self, note: bytes) -> None:
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", (note,))

    def flush(self, size: int, statistics: bytes) -> None:
        """Commit everything since the last flush, with the statistics of the first `size` entries. A crash right
        here leaves all of it or none."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO statistics VALUES (1, ?, ?)", (size, statistics))
            db.execute("COMMIT")

    def statistics(self) -> tuple[int, bytes] | None:
        """How many entries the stored statistics cover, and they themselves."""
        row = self._one("SELECT size, body FROM statistics")
        return None if row is None else (row[0], row[1])

    async def close(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        """What was not flushed is forgotten."""
        self._db.close()

    def create(self) -> None:
        try:
            self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path}: {error}") from error
        with self._writing() as db:
            db.execute("INSERT INTO meta VALUES ('layout', ?)", (_LAYOUT,))
            db.execute("COMMIT")

    def check(self) -> None:
        """Refuse a file of another layout. Raises Unavailable for one that is no store."""
        row = self._one("SELECT value FROM meta WHERE name = 'layout'")
        if row is None or row[0] != _LAYOUT:
            raise Refused("SCHEMA", str(self._path), Text("存储结构与程序版本不符", "Store schema of another version"))
        self._next = self._one("SELECT coalesce(max(id), -1) + 1 FROM state")[0]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """An error takes back everything since the last flush; the store must then be opened anew."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            yield self._db
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StoreFailed(f"audit store: {error}") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
        except sqlite3.Error as error:
            raise StoreFailed(f"audit store: {error}") from error

    def _one(self, text: str, *values: Any) -> Any:
        with self._reading() as db:
            return db.execute(text, values).fetchone()

    def _all(self, text: str, *values: Any) -> list[Any]:
        with self._reading() as db:
            return db.execute(text, values).fetchall()

    def _each(self, text: str, keys: Iterable[bytes]) -> list[Any]:
        """The rows whose key is one of these: `text` ends before IN."""
        wanted, rows = list(dict.fromkeys(keys)), []
        with self._reading() as db:
            for at in range(0, len(wanted), _AT_ONCE):
                piece = wanted[at : at + _AT_ONCE]
                rows += db.execute(f"{text} IN ({', '.join('?' * len(piece))})", piece).fetchall()
        return rows


def create_audit_store(path: Path) -> AuditStore:
    """Make a new store file. Raises Refused when one is there."""
    if path.exists():
        raise Refused("EXISTS", str(path), Text("存储已存在", "The store exists already"))
    store = AuditStore(path)
    store.create()
    return store


def open_audit_store(path: Path) -> AuditStore:
    """Open an existing store. Raises Unavailable when it is missing, Refused for another layout or when in use."""
    if not path.exists():
        raise Unavailable(f"no store at {path}: run init first")
    store = AuditStore(path)
    try:
        store.check()
    except BaseException:
        store.close_now()
        raise
    return store

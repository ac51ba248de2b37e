"""The auditor's store: what a replay needs and nothing else, in one SQLite file that may be lost and made again.

It implements `ledger.store.protocol.Store`, and differs from the log's own store where an audit may:

    no fsync per batch        WAL with synchronous=NORMAL: a kill loses nothing that was flushed, a power cut at worst
                              the last flushes; never a part of one. What is lost is simply replayed again. Of an error
                              of the disk while the log is copied back SQLite tells nobody: behind one, make it again
    many batches, one commit  `append` writes into an open transaction, which this store's one connection reads too;
                              `flush` commits it together with the statistics, so that they always belong together
    fewer rows and pages      several entries or states to a row (`packed`), appended; the two tables that lie by hash
                              are written at a flush only (`buckets`); identities only of what is no certificate: the
                              fold refuses a cert key twice, but a restore, say, that is played again only its
                              identity gives away
    no reading back           `append` does not call `check`. It guards a log against signing what it misread; here
                              every root is compared with the one that the log signed

Memory is SQLite's page cache and what is new since the last flush, however long the log is. One process at a time:
the file is locked while it is open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ledger.errors import Refused, Unavailable
from ledger.records.kinds import CERTIFICATE_KINDS, Kind
from ledger.records.seal import CHAIN_START, extend_chain, is_seal
from ledger.records.statements import parse_statement
from ledger.records.view import Signed
from ledger.store.integrate import MAP_DEPTH
from ledger.store.map_rows import pack_chunks
from ledger.store.protocol import HEAD_MOVED, SEAL_KIND, EntryRow, StateRow, StoredBatch, StoredHead, known_as
from ledger.text import Text
from ledger.tlog.map_slots import buckets_of
from ledger.tlog.merkle import leaf_hash
from verifier.audit.buckets import AT_ONCE, SCHEMA, Buckets
from verifier.audit.packed import (
    ENTRIES,
    STATES,
    open_leaves,
    pack_entries,
    pack_signed,
    pack_states,
    pieces,
    unpack_entries,
    unpack_signed,
    unpack_state,
)

_CACHE_KIB: Final = 32 * 1024
_AUTOCHECKPOINT: Final = 16_384  # pages of 4 KiB
_LAYOUT: Final = b"audit-store/2"
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE entry (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, before BLOB NOT NULL, packed BLOB NOT NULL);
CREATE TABLE repeatable (identity BLOB PRIMARY KEY, idx INTEGER NOT NULL) WITHOUT ROWID; -- neither seal nor certificate
CREATE TABLE tile (level INTEGER, idx INTEGER, body BLOB NOT NULL, PRIMARY KEY (level, idx));
CREATE TABLE state (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, packed BLOB NOT NULL);
CREATE TABLE named (kind INTEGER, name TEXT, idx INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE signed (filing TEXT, first INTEGER, packed BLOB NOT NULL, PRIMARY KEY (filing, first));
CREATE TABLE event (cert_key BLOB, idx INTEGER, PRIMARY KEY (cert_key, idx)) WITHOUT ROWID;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL,
    chain BLOB NOT NULL, seal INTEGER NOT NULL, time INTEGER NOT NULL, map_root BLOB NOT NULL,
    map_count INTEGER NOT NULL);
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), note BLOB NOT NULL);
CREATE TABLE statistics (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, body BLOB NOT NULL);
"""
_REPEATABLE: Final = frozenset(map(int, Kind)) - frozenset(map(int, CERTIFICATE_KINDS))
# The rows of one filing from the one on that holds index ?2.
_SIGNED: Final = """SELECT packed FROM signed WHERE filing = ?1 AND first <= ?3
    AND first >= coalesce((SELECT max(first) FROM signed WHERE filing = ?1 AND first <= ?2), 0) ORDER BY first"""
_SIGNED_AFTER: Final = """SELECT filing, packed FROM signed WHERE filing > ?1 OR (filing = ?1
    AND first >= coalesce((SELECT max(first) FROM signed WHERE filing = ?1 AND first <= ?2), 0))
    ORDER BY filing, first"""


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
            raise Unavailable(Text(f"{path} 无法打开：{error}", f"{path} cannot be opened: {error}")) from error
        except sqlite3.Error as error:
            raise Unavailable(
                Text(f"{path} 不是本程序的存储：{error}", f"{path} is not a store of this program: {error}")
            ) from error
        self._next = 0  # bundle of states
        self._map_depth: int | None = None
        self._buckets = Buckets(self._db)

    async def meta(self, name: str) -> bytes | None:
        row = self._one("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else row[0]

    async def put_meta(self, values: Mapping[str, bytes]) -> None:
        with self._writing() as db:
            db.executemany("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", list(values.items()))
        self._map_depth = None
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
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?, ?, ?)", fields)
            db.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", _bundles(batch))
            repeatable = [(entry.known_as, entry.index) for entry in batch.entries if entry.kind in _REPEATABLE]
            db.executemany("INSERT INTO repeatable VALUES (?, ?)", repeatable)
            db.executemany("INSERT OR REPLACE INTO tile VALUES (?, ?, ?)", batch.tiles)
            self._append_states(db, batch)
            db.executemany("INSERT INTO named VALUES (?, ?, ?)", batch.named)
            signed: dict[str, list[Signed]] = {}
            for number, row in batch.signed:
                signed.setdefault(number, []).append(row)
            packed = [(number, rows[0].index, pack_signed(rows)) for number, rows in sorted(signed.items())]
            db.executemany("INSERT INTO signed VALUES (?, ?, ?)", packed)
            db.executemany("INSERT INTO event VALUES (?, ?)", batch.events)

    def _append_states(self, db: sqlite3.Connection, batch: StoredBatch) -> None:
        """The states, and what leads to them."""
        bundles = list(pieces(batch.states, STATES))
        packed = [(number, len(states), pack_states(states)) for number, states in enumerate(bundles, self._next)]
        db.executemany("INSERT INTO state VALUES (?, ?, ?)", packed)
        self._buckets.take(batch.states, self._next * STATES, batch.buckets, self._depth)
        self._next += len(bundles)

    async def entries(self, start: int, end: int) -> list[bytes]:
        found: list[bytes] = []
        for first, count, packed in self._all(
            "SELECT first, count, packed FROM entry WHERE first > ? AND first < ? ORDER BY first", start - ENTRIES, end
        ):
            found += unpack_entries(packed, count)[max(start - first, 0) : end - first]
        return found

    async def rows(self, start: int, end: int) -> list[EntryRow]:
        """All but the entries is worked out again from the entries: a replay never asks."""
        found: list[EntryRow] = []
        for first, count, before, packed in self._all(
            "SELECT * FROM entry WHERE first > ? AND first < ? ORDER BY first", start - ENTRIES, end
        ):
            entries = unpack_entries(packed, count)
            chain = extend_chain(before, map(leaf_hash, entries))
            rows = [_row(first + at, entry, chain[at]) for at, entry in enumerate(entries)]
            found += [row for row in rows if start <= row.index < end]
        return found

    async def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        return dict(self._each("SELECT identity, idx FROM repeatable WHERE identity", identities))

    async def tile(self, level: int, index: int) -> bytes | None:
        row = self._one("SELECT body FROM tile WHERE level = ? AND idx = ?", level, index)
        return None if row is None else row[0]

    async def states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        with self._reading():
            found = self._buckets.find(map_keys, self._depth)
        if not found:
            return {}
        text = "SELECT id, count, packed FROM state WHERE id"
        bundles = {row[0]: row[1:] for row in self._each(text, (place // STATES for _, place in found.values()))}
        states = {}
        for key, (value, place) in found.items():
            count, packed = bundles[place // STATES]
            states[key] = StateRow(key, value, *unpack_state(packed, count, place % STATES))
        return states

    async def tracks(self, places: Sequence[bytes]) -> list[StateRow]:
        wanted = set(places)
        with self._reading():
            keys = self._buckets.members(wanted, self._depth)
        # A correction may have moved a certificate: the state says where it is now.
        return [state for state in (await self.states(keys)).values() if state.track in wanted]

    async def leaves(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        ends = [buckets_of([end[side] for end in ranges], self._depth) for side in (0, 1)]
        found = []
        with self._reading():
            known = self._buckets.of([first for first, last in zip(*ends, strict=True) if first == last])
            for (low, high), first, last in zip(ranges, *ends, strict=True):
                leaves = open_leaves(known[first]) if first == last else [*self._buckets.leaves(first, last)]
                whole = not leaves or (low <= leaves[0][0] and leaves[-1][0] <= high)
                found.append(leaves if whole else [leaf for leaf in leaves if low <= leaf[0] <= high])
        return found

    async def map_chunks(self) -> list[tuple[int, int, bytes]]:
        """All of them as they are now: here the root of a bucket lies beside its leaves."""
        head = await self.head()
        with self._reading():
            return pack_chunks(self._buckets.roots(), self._depth, head.seal if head else 0)

    async def map_changes(self, seal: int, count: int) -> list[tuple[int, bytes]]:
        return []

    async def named(self, kind: int) -> dict[str, int]:
        return dict(self._all("SELECT name, idx FROM named WHERE kind = ?", kind))

    async def find_named(self, kind: int, name: str) -> int | None:
        row = self._one("SELECT idx FROM named WHERE kind = ? AND name = ?", kind, name)
        return None if row is None else row[0]

    async def signed(self, number: str, first: int, last: int) -> list[Signed]:
        rows = [row for (packed,) in self._all(_SIGNED, number, first, last) for row in unpack_signed(packed)]
        return [row for row in rows if first <= row.index <= last]

    async def events(self, cert_key: bytes) -> list[int]:
        return [row[0] for row in self._all("SELECT idx FROM event WHERE cert_key = ?", cert_key)]

    async def signed_after(self, number: str, index: int, count: int) -> list[tuple[str, Signed]]:
        found: list[tuple[str, Signed]] = []
        with self._reading() as db:
            for filing, packed in db.execute(_SIGNED_AFTER, (number, index)):
                found += [(filing, row) for row in unpack_signed(packed) if (filing, row.index) > (number, index)]
                if len(found) >= count:
                    break
        return found[:count]

    async def events_after(self, cert_key: bytes, index: int, count: int) -> list[tuple[bytes, int]]:
        text = "SELECT cert_key, idx FROM event WHERE (cert_key, idx) > (?, ?) ORDER BY cert_key, idx LIMIT ?"
        return self._all(text, cert_key, index, count)

    async def checkpoint(self) -> bytes | None:
        row = self._one("SELECT note FROM checkpoint")
        return None if row is None else row[0]

    async def checkpoint_size(self) -> int | None:
        return None

    async def put_checkpoint(self, note: bytes, size: int) -> None:
        """Of two the later one stays: nobody else writes here, and a replica does not go back."""
        with self._writing() as db:
            text = "INSERT OR REPLACE INTO checkpoint SELECT 1, ? WHERE NOT EXISTS (SELECT 1 FROM head WHERE size < ?)"
            if db.execute(text, (note, size)).rowcount != 1:
                raise Refused("HEAD_MOVED", "head", HEAD_MOVED)

    def flush(self, size: int, statistics: bytes) -> None:
        """Commit everything since the last flush, with the statistics of the first `size` entries. A crash right
        here leaves all of it or none."""
        with self._writing() as db:
            self._buckets.flush()
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
            self._db.executescript(f"BEGIN; {_SCHEMA} {SCHEMA} COMMIT;")
        except sqlite3.Error as error:
            raise Unavailable(
                Text(f"{self._path} 无法写入：{error}", f"{self._path} cannot be written: {error}")
            ) from error
        with self._writing() as db:
            db.execute("INSERT INTO meta VALUES ('layout', ?)", (_LAYOUT,))
            db.execute("COMMIT")

    def check(self) -> None:
        """Refuse a file of another layout. Raises Unavailable for one that is no store."""
        row = self._one("SELECT value FROM meta WHERE name = 'layout'")
        if row is None or row[0] != _LAYOUT:
            raise Refused("SCHEMA", str(self._path), Text("存储结构与程序版本不符", "Store schema of another version"))
        self._next = self._one("SELECT coalesce(max(id), -1) + 1 FROM state")[0]

    @property
    def _depth(self) -> int:
        """Of the map, as its integrator has it (fixed before the first entry)."""
        if self._map_depth is None:
            row = self._one("SELECT value FROM meta WHERE name = 'map_depth'")
            self._map_depth = MAP_DEPTH if row is None else int.from_bytes(row[0], "big")
        return self._map_depth

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """An error takes back everything since the last flush; the store must then be opened anew."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            yield self._db
        except sqlite3.Error as error:
            self._buckets.forget()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StoreFailed(Text(f"审计存储没有完成操作：{error}", f"audit store: {error}")) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
        except sqlite3.Error as error:
            raise StoreFailed(Text(f"审计存储没有完成操作：{error}", f"audit store: {error}")) from error

    def _one(self, text: str, *values: Any) -> Any:
        with self._reading() as db:
            return db.execute(text, values).fetchone()

    def _all(self, text: str, *values: Any) -> list[Any]:
        with self._reading() as db:
            return db.execute(text, values).fetchall()

    def _each(self, text: str, keys: Iterable[Any]) -> list[Any]:
        """The rows whose key is one of these: `text` ends before IN."""
        wanted, rows = list(dict.fromkeys(keys)), []
        with self._reading() as db:
            for at in range(0, len(wanted), AT_ONCE):
                piece = wanted[at : at + AT_ONCE]
                rows += db.execute(f"{text} IN ({', '.join('?' * len(piece))})", piece).fetchall()
        return rows


def _bundles(batch: StoredBatch) -> Iterator[tuple[int, int, bytes, bytes]]:
    """The rows of a batch's entries: first index, count, the chain value before it, the entries."""
    chain = batch.before.chain if batch.before else CHAIN_START
    for rows in pieces(batch.entries, ENTRIES):
        yield rows[0].index, len(rows), chain, pack_entries([row.body for row in rows])
        chain = rows[-1].chain


def _row(index: int, entry: bytes, chain: bytes) -> EntryRow:
    if is_seal(entry):
        return EntryRow(index, entry, chain, SEAL_KIND, known_as(SEAL_KIND, b"", index))
    statement = parse_statement(entry)
    kind = int(statement.kind)
    return EntryRow(index, entry, chain, kind, known_as(kind, statement.identity, index))


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
        raise Unavailable(Text(f"{path} 没有存储：请先运行 init", f"no store at {path}: run init first"))
    store = AuditStore(path)
    try:
        store.check()
    except BaseException:
        store.close_now()
        raise
    return store

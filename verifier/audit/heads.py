"""Every tree head that the log was ever seen to sign, from whatever source, and whether they all fit.

An append-only SQLite file of its own, synced at every write and never thrown away with the replica: what convicts a
log is an old head that somebody kept. One row for each different (size, root); a log that renews its signature over
the same tree adds nothing. Rows are only ever added, and triggers refuse anything else.

Each head is compared with the replica, and so with every other one:

    size <= replica   the root of the replica's first `size` leaves must be the head's
    size >  replica   the log's own tiles must lead from our newest checkpoint to the head (RFC 6962 2.1.2)

A head that is proven not to fit comes back as a `Fork`, which stands on its own (`evidence`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ledger.durable import keep_rollback_journal
from ledger.errors import CertLedgerError, Unavailable
from ledger.remote import LogSource, RemoteTree
from ledger.text import Text
from ledger.tlog.merkle import verify_consistency
from ledger.tlog.note import VerifierKey
from verifier.audit.evidence import Fork
from verifier.audit.store import StoreFailed
from verifier.former import FormerKeys, open_known

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS head (
    size INTEGER, root BLOB, seen_ms INTEGER NOT NULL, signed_s INTEGER NOT NULL, source TEXT NOT NULL,
    note BLOB NOT NULL, PRIMARY KEY (size, root)
);
CREATE TABLE IF NOT EXISTS compared (size INTEGER, root BLOB, fits INTEGER NOT NULL, evidence BLOB NOT NULL,
    PRIMARY KEY (size, root));
"""
_FOREVER: Final = (
    "CREATE TRIGGER IF NOT EXISTS {name} BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, 'append-only'); END"
)
_SEE: Final = "INSERT OR IGNORE INTO head (size, root, seen_ms, signed_s, source, note) VALUES (?, ?, ?, ?, ?, ?)"
_ONE: Final = "SELECT size, root, seen_ms, signed_s, source, note FROM head WHERE size = ? AND root = ?"
_OPEN: Final = """
SELECT h.size, h.root, h.seen_ms, h.signed_s, h.source, h.note FROM head h
LEFT JOIN compared c ON c.size = h.size AND c.root = h.root WHERE c.size IS NULL ORDER BY h.size
"""
_FORKS: Final = """
SELECT h.size, h.root, h.seen_ms, h.signed_s, h.source, h.note, c.evidence FROM head h
JOIN compared c ON c.size = h.size AND c.root = h.root WHERE NOT c.fits ORDER BY h.size
"""
_NEWEST: Final = """
SELECT h.size, h.root, h.seen_ms, h.signed_s, h.source, h.note FROM head h
JOIN compared c ON c.size = h.size AND c.root = h.root WHERE c.fits AND h.size <= ? ORDER BY h.size DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Head:
    """One signed tree head as it was first seen."""

    size: int
    root: bytes
    seen_ms: int
    signed_s: int  # POSIX seconds, from the log's own timestamped signature
    source: str  # URL or file name
    note: bytes


class Copy(Protocol):
    """Our own copy of the log, as far as it was replayed."""

    @property
    def size(self) -> int: ...
    async def root_at(self, size: int) -> bytes: ...
    async def consistency(self, old: int, new: int) -> Sequence[bytes]: ...


class HeadRecord:
    """The file. Raises Unavailable when the disk does not answer."""

    def __init__(self, path: Path, origin: str, keys: Sequence[VerifierKey], former: Sequence[FormerKeys] = ()) -> None:
        self._origin, self._keys, self._former = origin, tuple(keys), tuple(former)
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            keep_rollback_journal(self._db)
            self._db.executescript(_SCHEMA)
            for table in ("head", "compared"):
                for what in ("UPDATE", "DELETE"):
                    self._db.execute(_FOREVER.format(name=f"{table}_{what.lower()}", what=what, table=table))
        except sqlite3.Error as error:
            raise Unavailable(
                Text(f"{path} 不是检查点记录：{error}", f"{path} is no record of heads: {error}")
            ) from error

    def see(self, note: bytes, source: str, now_ms: int) -> Head:
        """Keep a checkpoint. Raises Unverified when the log did not sign it, Malformed when it is none."""
        opened, _ = open_known(note, self._origin, self._keys, self._former)
        checkpoint = opened.checkpoint
        values = (checkpoint.size, checkpoint.root, now_ms, opened.time_s, source[:200], note)
        self._run(_SEE, values)
        (row,) = self._run(_ONE, values[:2])
        return Head(*row)

    def count(self) -> int:
        return int(self._run("SELECT count(*) FROM head")[0][0])

    def sources(self) -> list[str]:
        return [row[0] for row in self._run("SELECT DISTINCT source FROM head ORDER BY source LIMIT 100")]

    def open_heads(self) -> list[Head]:
        """Those not compared yet, smallest first."""
        return [Head(*row) for row in self._run(_OPEN)]

    def forks(self) -> list[tuple[Head, bytes]]:
        """The heads proven not to fit, each with its evidence file."""
        return [(Head(*row[:-1]), row[-1]) for row in self._run(_FORKS)]

    def newest_fitting(self, upto: int) -> Head | None:
        """The largest head that fits and has at most `upto` leaves."""
        rows = self._run(_NEWEST, (upto,))
        return Head(*rows[0]) if rows else None

    async def compare(self, copy: Copy, source: LogSource, write: Callable[[Fork], bytes]) -> list[Head]:
        """Compare every open head with `copy` and with what `source` serves. `write` turns a fork into the bytes of
        its evidence. The heads that could not be compared: larger than ours, and not shown to extend it.
        """
        left = []
        heads = self.open_heads()
        for head in heads:  # first those that fit, so that there is one to hold the others against
            if 0 < head.size <= copy.size and await copy.root_at(head.size) == head.root:
                self._judge(head, fits=True, evidence=b"")
        for head in heads:
            if 0 < head.size <= copy.size and await copy.root_at(head.size) == head.root:
                continue
            fork = await (self._below(head, copy) if head.size <= copy.size else self._above(head, copy, source))
            if fork is not None:
                self._judge(head, fits=False, evidence=write(fork))
            elif head.size:
                left.append(head)
        return left

    async def _below(self, head: Head, copy: Copy) -> Fork | None:
        """A head of another history than ours, held against our newest one."""
        ours = self.newest_fitting(copy.size)
        if head.size == 0 or ours is None or ours.size < head.size:
            return None
        proof = () if ours.size == head.size else tuple(await copy.consistency(head.size, ours.size))
        return self._fork(head.note, ours.note, await copy.root_at(head.size), proof)

    async def _above(self, head: Head, copy: Copy, source: LogSource) -> Fork | None:
        """A head beyond ours: what its own tree has as the root of our size, if its tiles can be had and prove it."""
        ours = self.newest_fitting(copy.size)
        if ours is None:
            return None
        remote = RemoteTree(source, head.size)
        try:
            root, proof = await remote.root_at(ours.size), await remote.consistency(ours.size)
            verify_consistency(ours.size, root, head.size, head.root, proof)
        except CertLedgerError:
            return None  # not served, or not what was signed: it proves nothing either way
        return None if root == ours.root else self._fork(ours.note, head.note, root, tuple(proof))

    def _fork(self, older: bytes, newer: bytes, root: bytes, proof: tuple[bytes, ...]) -> Fork:
        keys = [*self._keys, *(key for pair in self._former for key in pair.keys)]
        return Fork(self._origin, tuple(key.format_vkey() for key in keys), older, newer, root, proof)

    def _judge(self, head: Head, *, fits: bool, evidence: bytes) -> None:
        self._run("INSERT OR IGNORE INTO compared VALUES (?, ?, ?, ?)", (head.size, head.root, fits, evidence))

    def close(self) -> None:
        self._db.close()

    def _run(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise StoreFailed(Text(f"检查点记录没有完成操作：{error}", f"record of heads: {error}")) from error

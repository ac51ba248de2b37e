"""A witness's memory, one small SQLite file: per log the newest tree it cosigned, and proofs of forks it was shown.

`advance` is the one write that matters. It is a single UPDATE that holds only if size and root are still what the
decision was made on and the time does not go back; it is on disk (synchronous=FULL) when it returns. A crash before
that leaves the old row and nothing that anybody has seen; a crash after it leaves the new row, with a cosignature that
perhaps nobody got, which harms nobody: the log is told the new size (409) and asks again from there.

The file must never be restored from a backup: a witness that forgets may cosign a second tree of one size.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.durable import keep_rollback_journal, sync_folder
from ledger.errors import Malformed, Refused, Unavailable
from ledger.text import Text
from ledger.tlog.merkle import EMPTY_ROOT

MAX_FORKS: Final = 16  # kept for one log; one is enough to convict it
_VERSION: Final = 1
_BUSY_S: Final = 5.0
_SCHEMA: Final = f"""
CREATE TABLE log (
  origin TEXT PRIMARY KEY,
  size   INTEGER NOT NULL,  -- leaves of the newest cosigned tree; 0 also before the first
  root   BLOB NOT NULL,     -- 32 bytes
  time_s INTEGER NOT NULL,  -- of the newest cosignature, POSIX seconds; 0 before the first
  note   BLOB               -- that checkpoint with the log's verified lines and our own; NULL before the first
) STRICT, WITHOUT ROWID;
CREATE TABLE fork (
  origin TEXT NOT NULL,
  size   INTEGER NOT NULL,
  root   BLOB NOT NULL,     -- of the tree that was refused
  time_s INTEGER NOT NULL,
  ours   BLOB NOT NULL,     -- the cosigned note of that size
  other  BLOB NOT NULL,     -- the refused note with the log's verified lines
  PRIMARY KEY (origin, size, root)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_ADVANCE: Final = """
UPDATE log SET size = :size, root = :root, time_s = :time_s, note = :note
WHERE origin = :origin AND size = :old_size AND root = :old_root AND time_s <= :time_s
"""
_KEEP_FORK: Final = """
INSERT OR IGNORE INTO fork SELECT :origin, :size, :root, :time_s, :ours, :other
WHERE (SELECT count(*) FROM fork WHERE origin = :origin) < :most
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest tree of one log that this witness cosigned."""

    size: int = 0  # leaves
    root: bytes = EMPTY_ROOT
    time_s: int = 0  # POSIX seconds of the newest cosignature; 0: none given yet
    note: bytes | None = None  # with our cosignatures


@dataclass(frozen=True, slots=True)
class Fork:
    """Two checkpoints of one size under the log's own signature: what no honest log ever signs."""

    origin: str
    size: int
    root: bytes  # of `other`
    time_s: int  # when it was shown here
    ours: bytes
    other: bytes


class WitnessState:
    """The opened file. Threads may share it; other processes are kept honest by the same compare-and-store."""

    def __init__(self, path: Path) -> None:
        """Open what `create` made. Raises Unavailable when it is not there, Malformed when it is something else."""
        self._lock = threading.Lock()
        self._broken = False
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_S,
                check_same_thread=False,
            )  # fmt: skip
            try:
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version != _VERSION:
                    raise Malformed(Text(f"{path} 不是见证人的状态", f"{path} is not the state of a witness"))
                keep_rollback_journal(self._db)
            except BaseException:
                self._db.close()
                raise
        except sqlite3.DatabaseError as error:
            raise Unavailable(
                Text(f"无法打开见证人的状态 {path}：{error}", f"the witness's state {path} cannot be opened: {error}")
            ) from error

    @staticmethod
    def create(path: Path) -> None:
        """A new, empty state, durable on return. Refuses to replace one."""
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError as error:
            text = Text("见证状态已存在，不会被覆盖", "The witness's state exists; it is not overwritten")
            raise Refused("EXISTS", str(path), text) from error
        db = sqlite3.connect(path, isolation_level=None)
        try:
            keep_rollback_journal(db)
            db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        finally:
            db.close()
        sync_folder(path.parent)

    def add_log(self, origin: str) -> None:
        """Begin with a log that nothing is known of. What is known of it already stays."""
        with self._session() as db:
            new = Seen()
            row = (origin, new.size, new.root, new.time_s)
            db.execute("INSERT OR IGNORE INTO log (origin, size, root, time_s) VALUES (?, ?, ?, ?)", row)

    def seen(self, origin: str) -> Seen | None:
        """What was cosigned last; None for a log that was never added."""
        with self._session() as db:
            row = db.execute("SELECT size, root, time_s, note FROM log WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Seen(*row)

    def advance(self, origin: str, old: Seen, new: Seen) -> bool:
        """Put `new` where `old` is, unless somebody else was there first (False) or the time would go back (False)."""
        values = {
            "origin": origin, "old_size": old.size, "old_root": old.root,
            "size": new.size, "root": new.root, "time_s": new.time_s, "note": new.note,
        }  # fmt: skip
        with self._session() as db:
            return db.execute(_ADVANCE, values).rowcount == 1

    def keep_fork(self, fork: Fork) -> None:
        """Keep a proof of misbehaviour, at most 16 for one log."""
        values = {name: getattr(fork, name) for name in ("origin", "size", "root", "time_s", "ours", "other")}
        with self._session() as db:
            db.execute(_KEEP_FORK, {**values, "most": MAX_FORKS})

    def forks(self) -> list[Fork]:
        """Every proof kept, oldest first."""
        with self._session() as db:
            rows = db.execute("SELECT origin, size, root, time_s, ours, other FROM fork ORDER BY time_s, root")
            return [Fork(*row) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _session(self) -> Iterator[sqlite3.Connection]:
        """After a failure nothing more is done: what the disk holds is only known again after a restart.

        Except where a file could not be opened, for want of a free descriptor say. The one that a write opens is the
        journal, and SQLite has that before it changes a byte of the state; where a folder cannot be opened for its
        fsync in the middle of a commit, it says nothing. So nothing was written, and the next try finds out.
        """
        with self._lock:
            if self._broken:
                raise Unavailable(
                    Text("见证人的状态出错：请重启见证人", "the witness's state has failed; start the witness again"),
                    retry_after=60,
                )
            try:
                yield self._db
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
                if code == sqlite3.SQLITE_CANTOPEN and not self._db.in_transaction:
                    raise Unavailable(
                        Text("无法打开见证人的状态", "the witness's state could not be opened"), retry_after=5
                    ) from error
                self._broken = True
                raise Unavailable(
                    Text("见证人的状态出错：请重启见证人", "the witness's state has failed"), retry_after=60
                ) from error

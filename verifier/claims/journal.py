"""What a payer has stated, durable before it is sent: one SQLite file for its owner alone.

Each row is an entry with what opens it: salts, cert key, amount, digest of the decision. No name and no ID number is
in it. A claim whose answer is unknown is sent again as it is: so no crash loses one, or reserves twice. The file is not
encrypted; whoever has it learns which certificates were claimed.

    claim   reference (the payer's own case number), entry, openings, voucher, and the answer: index or code
    act     payment, release or claw-back of a claim, and its answer

One process at a time: the file is locked while it is open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ledger.errors import Refused, Unavailable
from ledger.records.claim import DecisionOpening, HolderOpening
from ledger.records.kinds import Kind
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash

_SCHEMA: Final = """
CREATE TABLE claim (number INTEGER PRIMARY KEY, leaf BLOB NOT NULL UNIQUE, reference TEXT NOT NULL, entry BLOB NOT NULL,
    holder_salt BLOB NOT NULL, cert_key BLOB NOT NULL, decision_salt BLOB NOT NULL, amount INTEGER NOT NULL,
    decision BLOB NOT NULL, voucher BLOB NOT NULL, idx INTEGER, code TEXT NOT NULL DEFAULT '');
CREATE INDEX claim_reference ON claim (reference);
CREATE TABLE act (number INTEGER PRIMARY KEY, leaf BLOB NOT NULL, kind INTEGER NOT NULL, entry BLOB NOT NULL UNIQUE,
    idx INTEGER, code TEXT NOT NULL DEFAULT '');
CREATE INDEX act_leaf ON act (leaf);
"""
_COLUMNS: Final = "reference, entry, holder_salt, cert_key, decision_salt, amount, decision, voucher, idx, code"


@dataclass(frozen=True, slots=True)
class Kept:
    """A claim as the payer made it. `index` and `code` are the answer; neither: it is not known yet."""

    reference: str
    entry: bytes
    holder: HolderOpening
    decision: DecisionOpening
    voucher: bytes
    index: int | None = None
    code: str = ""

    @property
    def leaf(self) -> bytes:
        return leaf_hash(self.entry)

    @property
    def answered(self) -> bool:
        return self.index is not None or self.code != ""


@dataclass(frozen=True, slots=True)
class KeptAct:
    """What was stated about a claim."""

    claim: bytes  # leaf hash
    kind: Kind
    entry: bytes
    index: int | None = None
    code: str = ""


class Journal:
    """An open journal. Every method is durable on return; raises Unavailable when the disk fails."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise Unavailable(Text(f"{path} 没有流水", f"no journal at {path}"))
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.2)
            for pragma in ("locking_mode = EXCLUSIVE", "synchronous = FULL"):
                self._db.execute(f"PRAGMA {pragma}").fetchall()
            self._db.execute("BEGIN EXCLUSIVE")  # takes the lock of the file, which this connection then keeps
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            text = Text("流水正被另一进程使用", "Another process has the journal")
            raise Refused("JOURNAL_IN_USE", str(path), text) from error
        except sqlite3.Error as error:
            raise Unavailable(Text(f"{path} 不是流水：{error}", f"{path} is no journal: {error}")) from error

    def add(self, claims: Sequence[Kept]) -> None:
        text = (
            "INSERT INTO claim"
            " (leaf, reference, entry, holder_salt, cert_key, decision_salt, amount, decision, voucher)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        rows = [
            (one.leaf, one.reference, one.entry, one.holder.salt, one.holder.cert_key, one.decision.salt,
             one.decision.amount, one.decision.decision, one.voucher)
            for one in claims
        ]  # fmt: skip
        with self._writing() as db:
            db.executemany(text, rows)

    def add_acts(self, acts: Sequence[KeptAct]) -> None:
        with self._writing() as db:
            rows = [(one.claim, int(one.kind), one.entry) for one in acts]
            db.executemany("INSERT OR IGNORE INTO act (leaf, kind, entry) VALUES (?, ?, ?)", rows)

    def answer(self, entry: bytes, index: int | None, code: str) -> None:
        """Keep the answer to a claim or an act."""
        with self._writing() as db:
            db.execute("UPDATE claim SET idx = ?, code = ? WHERE leaf = ?", (index, code, leaf_hash(entry)))
            db.execute("UPDATE act SET idx = ?, code = ? WHERE entry = ?", (index, code, entry))

    def last(self, reference: str) -> Kept | None:
        """The newest claim of a case."""
        text = f"SELECT {_COLUMNS} FROM claim WHERE reference = ? ORDER BY number DESC LIMIT 1"  # noqa: S608
        rows = self._all(text, reference)
        return _kept(rows[0]) if rows else None

    def claims(self) -> list[Kept]:
        """All of them in the order they were made."""
        return [_kept(row) for row in self._all(f"SELECT {_COLUMNS} FROM claim ORDER BY number")]  # noqa: S608

    def find(self, leaf: bytes) -> Kept | None:
        rows = self._all(f"SELECT {_COLUMNS} FROM claim WHERE leaf = ?", leaf)  # noqa: S608
        return _kept(rows[0]) if rows else None

    def acts(self, leaf: bytes) -> list[KeptAct]:
        """What was stated about a claim, in order."""
        rows = self._all("SELECT leaf, kind, entry, idx, code FROM act WHERE leaf = ? ORDER BY number", leaf)
        return [KeptAct(claim, Kind(kind), entry, index, code) for claim, kind, entry, index, code in rows]

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise Unavailable(Text(f"流水没有完成操作：{error}", f"journal: {error}")) from error

    def _all(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(Text(f"流水没有完成操作：{error}", f"journal: {error}")) from error


def create_journal(path: Path) -> None:
    """Make an empty journal, for its owner alone. Raises FileExistsError, and OSError as the disk does."""
    path.touch(mode=0o600, exist_ok=False)
    db = sqlite3.connect(path)
    try:
        db.executescript(_SCHEMA)
    finally:
        db.close()


def _kept(row: tuple[Any, ...]) -> Kept:
    reference, entry, holder_salt, cert_key, decision_salt, amount, decision, voucher, index, code = row
    holder, opened = HolderOpening(holder_salt, cert_key), DecisionOpening(decision_salt, amount, decision)
    return Kept(reference, entry, holder, opened, voucher, index, code)

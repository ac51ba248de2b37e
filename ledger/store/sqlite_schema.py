"""The tables of a log in a SQLite file: brought up to this version, and refused when they are not what its steps make.

Each step of an upgrade is a transaction, so that a crash in between leaves the earlier ones, which the next one goes on
from. A new file gets all of them in one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ledger.errors import Refused, Unavailable
from ledger.store.drift import refuse_drift, sqlite_drift
from ledger.store.migrations import OLDER, TABLE_OF_STEPS, Migration, migrations, missing_steps
from ledger.store.sqlite_wal import transaction
from ledger.text import Text

NO_STORE_OF_OURS = Text("{path} 不是本程序的存储：{error}", "{path} is not a store of this program: {error}")


def make_tables(store: sqlite3.Connection, path: Path, *, private: bool) -> None:
    """Every step, in a new file, all of them or none. Raises Unavailable."""
    try:
        with transaction(store):
            store.execute(TABLE_OF_STEPS)
            for step in migrations(private=private):
                _carry_out(store, step)
    except sqlite3.Error as error:
        raise Unavailable(
            Text(f"无法在 {path} 建立存储：{error}", f"no store can be made at {path}: {error}")
        ) from error


def is_begun(path: Path) -> bool:
    """Whether a file is a store of which nothing was made yet: a crash leaves one."""
    try:
        with closing(sqlite3.connect(path)) as file:
            return bool(file.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,))
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def upgrade_tables(store: sqlite3.Connection, path: Path, *, private: bool, dry_run: bool) -> list[str]:
    """Apply the missing steps, unless `dry_run`, and return their names. Raises Refused on drift: another step than
    ours, or tables that are not what the steps make; Unavailable when one fails, with those before it done."""
    missing = _missing(store, path, private=private)
    done = [step for step in migrations(private=private) if step not in missing]
    refuse_drift(sqlite_drift(store, done), str(path))
    if not dry_run:
        _apply(store, missing)
    return [step.name for step in missing]


def check_tables(store: sqlite3.Connection, path: Path, *, private: bool) -> None:
    """Refuse to run on a store whose schema is not exactly this version's, or was changed by hand."""
    if _missing(store, path, private=private):
        raise Refused("SCHEMA", str(path), OLDER)
    refuse_drift(sqlite_drift(store, migrations(private=private)), str(path))


def _missing(store: sqlite3.Connection, path: Path, *, private: bool) -> list[Migration]:
    try:
        done = dict(store.execute("SELECT name, digest FROM migration"))
    except sqlite3.DatabaseError as error:
        raise Unavailable(NO_STORE_OF_OURS.format(path=path, error=error)) from error
    return missing_steps(migrations(private=private), done, str(path))


def _apply(store: sqlite3.Connection, steps: list[Migration]) -> None:
    for step in steps:
        try:
            with transaction(store):
                _carry_out(store, step)
        except sqlite3.Error as error:  # a full disk, say: a step may write a large table anew
            raise Unavailable(
                Text(
                    f"升级步骤 {step.name} 失败，未作任何改动：{error}",
                    f"step {step.name} failed, and nothing of it was done: {error}",
                )
            ) from error


def _carry_out(store: sqlite3.Connection, step: Migration) -> None:
    for statement in step.statements("sqlite"):
        store.execute(statement)
    store.execute("INSERT INTO migration (name, digest) VALUES (?, ?)", (step.name, step.digest))

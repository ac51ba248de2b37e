"""Files and names that a power cut leaves where they were put."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """The names in it are on the disk on return. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """A folder, with those above it, whose names are on the disk on return. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def write_new_file(path: Path, content: bytes) -> None:
    """A file that was not there, with its name on the disk on return. Raises FileExistsError; for any other OSError no
    half of it is left."""
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            sync_folder(path.parent)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def keep_rollback_journal(db: sqlite3.Connection) -> None:
    """For a small file of SQLite that must not lose a commit; also where it had a write-ahead log before.

    Of a write-ahead log SQLite copies pages back by itself, and keeps an error of the disk to itself, which the disk
    tells once. Here the commit fails that met it. Raises sqlite3.Error, also when the file keeps another kind of
    journal: somebody else has it open.
    """
    (kept,) = db.execute("PRAGMA journal_mode = DELETE").fetchone()
    if kept != "delete":
        raise sqlite3.OperationalError(f"it cannot have a rollback journal: {kept}")
    db.execute("PRAGMA synchronous = FULL")

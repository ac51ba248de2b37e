"""Files and names that a power cut leaves where they were put."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import BinaryIO

from ledger.errors import Refused, cannot_write
from ledger.text import Text


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


def write_new_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """A file that was not there, with its name on the disk on return; `mode` is less the umask. Raises Refused when it
    is there, Unavailable, and leaves no half of it then; a crash may."""
    try:
        with _opened(path, os.O_EXCL, mode) as file:
            try:
                _fill(file, content)
                sync_folder(path.parent)
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise cannot_write(path, error) from error


def check_new(path: Path) -> None:
    """For what takes long before it is written. Raises Refused where `write_new_file` would."""
    if path.exists():
        raise _exists(path)


def _exists(path: Path) -> Refused:
    return Refused("EXISTS", str(path), Text(f"{path} 已存在，不会被覆盖", f"{path} exists; not overwritten"))


def replace_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """All of the new file, with its name on the disk on return; until then whoever looks, also after a power cut, finds
    all of the old one or of the new. It keeps its rights; `mode`, less the umask, is that of a file that was not there.
    A crash leaves a `.part` beside it at most. Raises Unavailable, and then it is as it was."""
    part = path.with_name(f"{path.name}.part")
    try:
        try:
            kept = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            kept = None
        part.unlink(missing_ok=True)  # of a crash: whoever could read that one must not read this one
        try:
            with _opened(part, os.O_EXCL, mode if kept is None else 0o600) as file:
                _fill(file, content)
                if kept is not None:
                    os.fchmod(file.fileno(), kept)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def _opened(path: Path, flags: int, mode: int) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, mode), "wb")


def _fill(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


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

"""Files and names that a power cut leaves where they were put."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from ledger.errors import Refused, cannot_write
from ledger.text import Text

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # of whoever's file system has none


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
    """A file that was not there, with its name on the disk on return; until then nobody finds it, nor after a crash,
    which leaves a hidden part beside it at most. `mode` is less the umask. Raises Refused when it is there, and
    Unavailable; then there is none of it."""
    try:
        with _written_beside(path, content, None, mode) as part:
            try:
                os.link(part, path)  # fails where a rename would overwrite
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                _write_in_place(path, content, mode)
        try:
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
    all of the old one or of the new. Of a link, the file that it leads to. It keeps its rights and, as far as we may
    give files away, its owner; `mode`, less the umask, is that of a file that was not there. A crash leaves a hidden
    part beside it at most. Raises Unavailable: then it is as it was, or all new where only its name could not be
    synchronised."""
    path = path.resolve()
    try:
        try:
            kept = path.stat()
        except FileNotFoundError:
            kept = None
        if kept is not None and not stat.S_ISREG(kept.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        with _written_beside(path, content, kept, mode) as part:
            part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def _written_beside(path: Path, content: bytes, like: os.stat_result | None, mode: int) -> Iterator[Path]:
    """All of it in a file of its own in the same folder, under a name that nobody else draws, while this lasts; with
    rights and owner of `like`."""
    part = path.with_name(f".{path.name[:32]}.{secrets.token_hex(8)}.part")
    try:
        with _opened(part, mode if like is None else 0o600) as file:
            _fill(file, content)
            if like is not None:
                if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    with suppress(PermissionError):
                        os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
        yield part
    finally:
        part.unlink(missing_ok=True)


def _write_in_place(path: Path, content: bytes, mode: int) -> None:
    """On a file system without links (a stick): a crash may leave half of it."""
    with _opened(path, mode) as file:
        try:
            _fill(file, content)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _opened(path: Path, mode: int) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb")


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

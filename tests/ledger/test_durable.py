"""A file that was made is there after a power cut, whole and under its name."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

import pytest

from ledger import durable as module
from ledger.durable import check_new, keep_rollback_journal, make_folder, replace_file, write_new_file
from ledger.errors import Refused, Unavailable
from tests.support.power_cut import PowerCut, no_file_is_synchronised, no_folder_is_synchronised, nothing

CONTENT = b"all of it"


def make_file(folder: Path) -> str:
    write_new_file(folder / "settings", CONTENT)
    return "settings"


def make_file_in_new_folders(folder: Path) -> str:
    for _ in range(2):  # the second time they are there
        make_folder(folder / "a" / "b")
    write_new_file(folder / "a" / "b" / "settings", CONTENT)
    return "a/b/settings"


@pytest.mark.parametrize("broken", [nothing, no_file_is_synchronised, no_folder_is_synchronised])
@pytest.mark.parametrize("make", [make_file, make_file_in_new_folders])
def test_a_power_cut_leaves_it(
    make: Callable[[Path], str], broken: Callable[[ExitStack], None], tmp_path: Path
) -> None:
    made: list[str] = []

    def there(files: Mapping[str, bytes]) -> None:
        assert not made or files.get(made[0]) == CONTENT, "it is gone"

    with ExitStack() as outcome:
        if broken is not nothing:
            outcome.enter_context(pytest.raises(AssertionError, match="it is gone"))
        with PowerCut(tmp_path, there) as cut, ExitStack() as stack:
            broken(stack)
            made.append(make(tmp_path))
            cut.look()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"before")
    with pytest.raises(Refused, match="EXISTS"):
        write_new_file(tmp_path / "there", b"after")
    assert (tmp_path / "there").read_bytes() == b"before"
    with pytest.raises(Refused, match="EXISTS"):
        check_new(tmp_path / "there")
    check_new(tmp_path / "new")


def full(_: object) -> None:
    raise OSError(errno.ENOSPC, "no space left")


@pytest.mark.parametrize("call", ["fsync", "sync_folder"])
def test_what_cannot_be_kept_is_not_left(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os if call == "fsync" else module, call, full)
    with pytest.raises(Unavailable, match="half: no space"):
        write_new_file(tmp_path / "half", b"content")
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize("broken", [nothing, no_file_is_synchronised, no_folder_is_synchronised])
def test_a_power_cut_leaves_the_old_file_or_the_new_one(broken: Callable[[ExitStack], None], tmp_path: Path) -> None:
    write_new_file(tmp_path / "kept", b"old")
    may = [b"", b"old"]

    def whole(files: Mapping[str, bytes]) -> None:
        assert files.get("kept") in may, "it is torn or gone"

    with ExitStack() as outcome:
        if broken is not nothing:
            outcome.enter_context(pytest.raises(AssertionError, match="it is torn or gone"))
        with PowerCut(tmp_path, whole) as cut, ExitStack() as stack:
            with (tmp_path / "kept").open("rb") as file:
                os.fsync(file.fileno())
            may[:] = [b"old", CONTENT]
            broken(stack)
            replace_file(tmp_path / "kept", CONTENT)
            may.remove(b"old")
            cut.look()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


class Killed(BaseException):
    """The process is gone."""


def killed(_file: object, _content: bytes) -> None:
    raise Killed


def test_a_crash_leaves_no_half_of_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "_fill", killed)
        write_new_file(tmp_path / "settings", CONTENT)
    assert not (tmp_path / "settings").exists()
    write_new_file(tmp_path / "settings", CONTENT)


def test_where_there_are_no_links_a_new_file_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(_part: Path, _path: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    write_new_file(tmp_path / "proposal", CONTENT)
    with pytest.raises(Refused, match="EXISTS"):
        write_new_file(tmp_path / "proposal", b"after")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [CONTENT]


def test_two_that_replace_one_file_leave_that_of_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other begins when the first has written all of its part, and gets no further than five bytes."""
    path = tmp_path / "kept"
    fill = module._fill

    def and_then_another(file: BinaryIO, content: bytes) -> None:
        fill(file, content)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(module, "_fill", lambda file, _content: (file.write(b"other"), killed(file, b"")))
            replace_file(path, b"the other's")

    replace_file(path, b"old")
    monkeypatch.setattr(module, "_fill", and_then_another)
    replace_file(path, CONTENT)
    assert path.read_bytes() == CONTENT


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    path, link = tmp_path / "real", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)
    replace_file(link, CONTENT)
    assert link.is_symlink() and path.read_bytes() == CONTENT


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unavailable, match="not a regular file"):
        replace_file(tmp_path / "pipe", CONTENT)
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_of_somebody_else_stays_his(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    replace_file(tmp_path / "kept", b"old")
    mine = (tmp_path / "kept").stat()
    monkeypatch.setattr(os, "fchown", lambda _file, uid, gid: given.append((uid, gid)))
    replace_file(tmp_path / "kept", b"new")
    assert given == []
    monkeypatch.setattr(os, "geteuid", lambda: mine.st_uid + 1)  # root, of a service's file
    replace_file(tmp_path / "kept", b"newer")
    assert given == [(mine.st_uid, mine.st_gid)]


def test_a_file_that_is_replaced_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    replace_file(path, b"old", 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    replace_file(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)


def test_a_disk_that_is_full_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file(tmp_path / "kept", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="kept: no space"):
        replace_file(tmp_path / "kept", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    with pytest.raises(Unavailable):
        replace_file(tmp_path / "nowhere" / "kept", b"new")


def test_a_file_with_a_write_ahead_log_gets_a_rollback_journal_when_nobody_else_has_it(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(sqlite3.connect(path)) as db:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE kept (at)")
        db.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(sqlite3.OperationalError):
            keep_rollback_journal(db)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.close()
        keep_rollback_journal(db)
        assert [db.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous")] == [
            ("delete",),
            (2,),
        ]


def test_one_that_keeps_another_journal_is_refused() -> None:
    """Some files answer with the journal that they keep, and with no error."""
    with closing(sqlite3.connect(":memory:")) as db, pytest.raises(sqlite3.OperationalError, match="memory"):
        keep_rollback_journal(db)

"""A file that was made is there after a power cut, whole and under its name."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

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


def test_a_file_that_is_replaced_keeps_its_rights(tmp_path: Path) -> None:
    path, part = tmp_path / "kept", tmp_path / "kept.part"
    part.write_bytes(b"of a crash")
    part.chmod(0o666)
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

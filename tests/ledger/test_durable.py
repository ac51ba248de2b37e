"""A file that was made is there after a power cut, whole and under its name."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from ledger import durable as module
from ledger.durable import make_folder, write_new_file
from tests.support.power_cut import PowerCut, no_file_is_synchronised, no_folder_is_synchronised, nothing


@pytest.mark.parametrize("broken", [nothing, no_file_is_synchronised, no_folder_is_synchronised])
def test_a_power_cut_leaves_it(broken: Callable[[ExitStack], None], tmp_path: Path) -> None:
    made: list[bytes] = []

    def there(files: Mapping[str, bytes]) -> None:
        assert not made or files.get("settings") == made[0], "it is gone"

    def make() -> None:
        with PowerCut(tmp_path, there) as cut, ExitStack() as stack:
            broken(stack)
            write_new_file(tmp_path / "settings", b"all of it")
            made.append(b"all of it")
            cut.look()

    if broken is nothing:
        make()
    else:
        with pytest.raises(AssertionError, match="it is gone"):
            make()


@pytest.mark.parametrize("broken", [nothing, no_folder_is_synchronised])
def test_so_it_leaves_a_folder_and_those_above_it(broken: Callable[[ExitStack], None], tmp_path: Path) -> None:
    made: list[bytes] = []

    def there(files: Mapping[str, bytes]) -> None:
        assert not made or files.get("a/b/settings") == made[0], "it is gone"

    def make() -> None:
        with PowerCut(tmp_path, there) as cut, ExitStack() as stack:
            broken(stack)
            make_folder(tmp_path / "a" / "b")
            make_folder(tmp_path / "a" / "b")
            write_new_file(tmp_path / "a" / "b" / "settings", b"all of it")
            made.append(b"all of it")
            cut.look()

    if broken is nothing:
        make()
    else:
        with pytest.raises(AssertionError, match="it is gone"):
            make()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"before")
    with pytest.raises(FileExistsError):
        write_new_file(tmp_path / "there", b"after")
    assert (tmp_path / "there").read_bytes() == b"before"


@pytest.mark.parametrize("call", ["fsync", "sync_folder"])
def test_what_cannot_be_kept_is_not_left(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os if call == "fsync" else module, call, full)
    with pytest.raises(OSError, match="no space"):
        write_new_file(tmp_path / "half", b"content")
    assert not (tmp_path / "half").exists()

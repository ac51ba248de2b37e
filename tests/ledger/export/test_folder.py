"""A folder as the place: whole files or none, never other bytes, readable by everybody, one writer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.export import folder as module
from ledger.export.folder import FolderPlace
from ledger.export.place import OtherBytes

TILE = "tile/0/x001/234"


@pytest.fixture(autouse=True)
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


async def test_adds_once_and_never_overwrites(tmp_path: Path) -> None:
    async with FolderPlace(tmp_path / "a" / "b") as place:
        assert await place.read(TILE) is None
        await place.add(TILE, b"one")
        await place.add(TILE, b"one")
        with pytest.raises(OtherBytes) as refused:
            await place.add(TILE, b"two")
        assert refused.value.field == TILE and "two" not in str(refused.value)
        assert await place.read(TILE) == b"one"
        await place.publish(b"note 1")
        await place.publish(b"note 2")
    assert (tmp_path / "a/b/checkpoint").read_bytes() == b"note 2"
    assert list((tmp_path / "a").rglob("*.part")) == []


async def test_static_servers_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    async with FolderPlace(tmp_path / "out") as place:
        await place.add(TILE, b"one")
        await place.publish(b"note")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in (tmp_path / "out", *(tmp_path / "out").rglob("*/"))}
    assert (modes, folders) == ({0o644}, {0o755})


async def test_partials_are_dropped(tmp_path: Path) -> None:
    async with FolderPlace(tmp_path) as place:
        for path in ("tile/0/000.p/1", "tile/0/000.p/17", "tile/0/000", "tile/0/001.p/1"):
            await place.add(path, path.encode())
        await place.drop_partials("tile/0/000")
        await place.drop_partials("tile/0/000")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"tile/0/000", "tile/0/001.p/1"}


async def test_one_writer(tmp_path: Path) -> None:
    async with FolderPlace(tmp_path):
        with pytest.raises(Refused) as refused:
            async with FolderPlace(tmp_path):
                raise AssertionError("two writers")
        assert refused.value.code == "PLACE_IN_USE"
    async with FolderPlace(tmp_path):
        pass


async def test_everything_is_synced_before_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file before its rename, each folder with a new entry by `settle`, the root after the checkpoint's rename."""
    synced: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(module.os, "fsync", fsync)
    async with FolderPlace(tmp_path / "out") as place:
        await place.add("tile/0/000", b"x")
        assert synced == [tmp_path / "out/tile/0/000.part"]
        await place.settle()
        assert set(synced[1:]) == {tmp_path, tmp_path / "out", tmp_path / "out/tile", tmp_path / "out/tile/0"}
        synced.clear()
        await place.publish(b"note")
        assert synced == [tmp_path / "out/checkpoint.part", tmp_path / "out"]


async def test_a_torn_write_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FolderPlace(tmp_path) as place:

        def fsync(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(module.os, "fsync", fsync)
        with pytest.raises(Unavailable):
            await place.add("tile/0/000", b"x")
        assert await place.read("tile/0/000") is None
        monkeypatch.undo()
        await place.add("tile/0/000", b"other")
        assert await place.read("tile/0/000") == b"other"


async def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    """It stays as it is: a password file must not become readable by everybody because somebody mistook its name."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "file").chmod(0o600)
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Unavailable, match="Not a directory"):
            async with FolderPlace(place):
                pass
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


async def test_what_an_ended_run_has_left_is_synced_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is found equal may have a name that no folder has kept yet."""
    async with FolderPlace(tmp_path / "out") as ended:
        await ended.add(TILE, b"one")
    synced: set[Path] = set()
    monkeypatch.setattr(module, "sync_folder", synced.add)
    async with FolderPlace(tmp_path / "out") as place:
        await place.add(TILE, b"one")
        await place.settle()
    inside = ["out/tile/0/x001", "out/tile/0", "out/tile", "out", "."]
    assert synced == {tmp_path / name for name in inside}

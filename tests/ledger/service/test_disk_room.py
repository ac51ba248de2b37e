"""Room on the disks of store and guard, with disks that hold what the test says."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.service.config import LedgerSettings
from ledger.service.disk_room import Disk, DiskRoom, disks_of, free_bytes, reserve
from ledger.store.sqlite_wal import to_copy_back
from ledger.text import Text
from tests.support.service_room import Room

SETTINGS = LedgerSettings(origin="log.test.example/room")
FULL = Text("磁盘已满", "the disk is full")


class Machine:
    """Two disks, of which 1,000 bytes each are wanted, and a clock."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, list[str]()
        self.at_most = 1000
        self.free: dict[str, int | OSError | None] = {"store": 5000, "guard": 5000}
        disks = [Disk(name, Path("/srv") / name, lambda: self.at_most, lambda: 1000, FULL) for name in self.free]
        self.room = DiskRoom(disks, lambda: self.now, self._free)

    def _free(self, folder: Path) -> int | None:
        self.asked.append(folder.name)
        told = self.free[folder.name]
        if isinstance(told, OSError):
            raise told
        return told


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("disk", ["store", "guard"])
def test_a_disk_that_fills_up_is_told_when_that_begins_and_when_it_is_over(
    machine: Machine, caplog: pytest.LogCaptureFixture, disk: str
) -> None:
    caplog.set_level(logging.INFO)
    machine.room.look()
    machine.free[disk] = 999
    for _ in range(3):
        with pytest.raises(Unavailable) as full:
            machine.room.look()
        assert machine.room.is_short
    assert full.value.text == FULL and full.value.retry_after == 30
    machine.free[disk] = 1249  # the next batch would take it away again
    assert machine.room.is_short
    machine.free[disk] = 1250
    machine.room.look()
    assert not machine.room.is_short
    machine.free[disk] = 1000
    machine.room.look()
    begun, over = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert begun == {"disk": disk, "path": f"/srv/{disk}", "free": 999, "wanted": 1000} and over == {"disk": disk}


def test_a_long_log_of_what_is_copied_back_already_keeps_nothing_out(machine: Machine) -> None:
    machine.at_most = 1_000_000
    machine.room.look()
    machine.free["store"] = 999
    with pytest.raises(Unavailable):
        machine.room.look()
    machine.free["store"] = 1250
    machine.room.look()


async def test_what_a_store_may_still_grow_by_is_not_how_long_its_log_is(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.open(limit=8):
        path, log = tmp_path / "log.db", tmp_path / "log.db-wal"
        assert 0 < to_copy_back(path) <= log.stat().st_size
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
        assert log.stat().st_size > 0 and to_copy_back(path) == 0


def test_who_waits_goes_by_the_last_look_for_a_second(machine: Machine) -> None:
    machine.room.check()
    assert machine.asked == ["store", "guard"]
    machine.free["store"] = 0
    machine.now = 0.9
    machine.room.check()
    assert len(machine.asked) == 2
    machine.now = 1.0
    with pytest.raises(Unavailable):
        machine.room.check()
    machine.free["store"] = 5000
    machine.room.check()  # at once
    machine.free["store"] = 0
    with pytest.raises(Unavailable):
        machine.room.look()  # a batch is about to be written


def test_a_file_system_that_does_not_say_keeps_nothing_out_and_one_that_cannot_be_asked_does(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.free["store"] = None
    machine.room.look()
    machine.free["guard"] = OSError(5, "Input/output error")
    with pytest.raises(Unavailable):
        machine.room.look()
    (record,) = caplog.records
    assert record.fields["reason"] == "Input/output error"  # type: ignore[attr-defined]


def test_what_a_log_writes_to(tmp_path: Path) -> None:
    database = "postgresql://ledger_app@127.0.0.1/ledger"
    (store,) = disks_of(tmp_path, SETTINGS)  # the guard lies on the same
    assert (store.name, store.folder, store.wanted()) == ("store", tmp_path, reserve(SETTINGS.batch_limit))
    (tmp_path / "log.db-wal").write_bytes(bytes(7000))
    assert store.wanted() == reserve(SETTINGS.batch_limit) + 7000, "it may be copied back, into new pages"
    _, guard = disks_of(tmp_path, replace(SETTINGS, guard="/proc/self/guard"))
    assert (guard.name, guard.folder) == ("guard", Path("/proc/self")) and 0 < guard.wanted() < 1 << 20
    assert [disk.name for disk in disks_of(tmp_path, replace(SETTINGS, store=database))] == ["guard"]
    assert disks_of(tmp_path, replace(SETTINGS, store=database, guard=database)) == []
    for disk in (store, guard):
        assert disk.full.zh and str(tmp_path) not in disk.full.both(), "callers read it"
    assert store.full != guard.full


def test_a_real_disk_says_what_is_free(tmp_path: Path) -> None:
    assert free_bytes(Path("/proc")) is None
    told = free_bytes(tmp_path)
    assert told is not None and told > 1 << 20
    with pytest.raises(OSError, match="absent"):
        free_bytes(tmp_path / "absent")


async def test_two_full_batches_fit_into_what_is_kept_free(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.open(limit=8):
        made = await room.draft(*(f"{at}" for at in range(16)))
        before = (tmp_path / "log.db-wal").stat().st_size
        await room.put(*made)
        grown = (tmp_path / "log.db-wal").stat().st_size - before
    assert 16 * 4096 < grown <= reserve(8)

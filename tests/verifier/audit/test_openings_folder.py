"""The folder of a service: what is put in, changed and taken away, a little at a time, never ahead of the replay."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.records.bundle import format_bundle
from ledger.records.commitments import FaceOpening
from ledger.reference_data import load_ladder
from tests.support.build_log import FILING, Certificate, LogBuilder, octets
from verifier.audit import openings_folder
from verifier.audit.openings import OpeningsResult
from verifier.audit.openings_folder import LIST_MS, OpeningsFolder, _listing, open_folder


@dataclass
class Desk:
    log: LogBuilder
    folder: OpeningsFolder
    now_ms: int = 0

    async def put(self, name: str, certificate: Certificate) -> Path:
        path = self.folder.folder / f"{name}.certbundle"
        path.write_bytes(format_bundle(await self.log.bundle(certificate)))
        self.now_ms += LIST_MS
        return path

    async def look(self, size: int | None = None) -> tuple[int, int, int, int]:
        """Checked, unreadable, unread, alarms."""
        found = await self.folder.look(
            self.now_ms, self.log.integrator.size if size is None else size, self.entry_at,
            self.log.integrator.certificate,
        )  # fmt: skip
        assert found is self.folder.result
        return found.checked, found.unreadable, found.unread, len(found.alarms)

    async def entry_at(self, index: int) -> bytes | None:
        return next(iter(await self.log.store.entries(index, index + 1)), None)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    (tmp_path / "given" / "below").mkdir(parents=True)
    yield Desk(log, open_folder(tmp_path / "given", load_ladder(), 4))
    await log.store.close()


async def two_of_one_number(desk: Desk) -> list[Certificate]:
    made = []
    for label in ("one", "two"):
        face = FaceOpening(octets(f"face {label}", 16), f"{FILING}263000007", "例小明")
        made.append(replace(desk.log.certificate(label, face=face.digest()), face=face))
    await desk.log.issue(*made)
    return made


async def test_what_is_put_in_is_checked_and_found(desk: Desk) -> None:
    assert await desk.look() == (0, 0, 0, 0)
    one, two = await two_of_one_number(desk)
    await desk.put("one", one)
    desk.now_ms -= 1
    assert await desk.look() == (0, 0, 0, 0), "listed once in LIST_MS"
    desk.now_ms += 1
    assert await desk.look() == (1, 0, 0, 0)
    path = await desk.put("below/two", two)
    assert await desk.look() == (2, 0, 0, 1)
    (alarm,) = desk.folder.result.alarms
    assert alarm.code == "number_twice"
    assert await desk.look() == (2, 0, 0, 1), "once read, nothing is read again"
    path.unlink()
    desk.now_ms += LIST_MS
    assert await desk.look() == (1, 0, 0, 0)


async def test_a_bundle_waits_for_the_replay(desk: Desk) -> None:
    certificate = desk.log.certificate("a")
    (index,) = await desk.log.issue(certificate)
    await desk.put("a", certificate)
    assert await desk.look(index) == (0, 0, 1, 0), "its entry is not replayed: no word against it"
    assert await desk.look(index + 1) == (1, 0, 0, 0)


async def test_what_changes_is_read_anew(desk: Desk) -> None:
    certificate = desk.log.certificate("a")
    await desk.log.issue(certificate)
    path = await desk.put("a", certificate)
    good = path.read_bytes()
    path.write_bytes(good[:100])
    os.utime(path, ns=(1, 1))
    assert await desk.look() == (0, 1, 0, 0), "half a file"
    path.write_bytes(good)
    os.utime(path, ns=(2, 2))
    desk.now_ms += LIST_MS
    assert await desk.look() == (1, 0, 0, 0)
    bundle = await desk.log.bundle(certificate)
    path.write_bytes(format_bundle(replace(bundle, face=replace(bundle.face, name="别人"))))
    os.utime(path, ns=(3, 3))
    desk.now_ms += LIST_MS
    assert await desk.look() == (1, 0, 0, 1)
    assert desk.folder.result.alarms[0].code == "opening_mismatch"


async def test_a_little_at_a_time_and_what_was_found_stands_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openings_folder, "AT_ONCE", 1)
    one, two = await two_of_one_number(desk)
    await desk.put("a", one)
    await desk.put("b", two)
    path = await desk.put("c", one)
    assert [await desk.look() for _ in range(4)] == [(1, 0, 2, 0), (2, 0, 1, 1), (3, 0, 0, 1), (3, 0, 0, 1)]
    path.unlink()
    desk.now_ms += LIST_MS
    assert [await desk.look() for _ in range(2)] == [(3, 0, 1, 1), (2, 0, 0, 1)]


async def test_a_folder_that_changes_all_the_time_is_found_out_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openings_folder, "AT_ONCE", 1)
    one, two = await two_of_one_number(desk)
    first = await desk.put("a", one)
    for _ in range(2):
        await desk.look()
    await desk.put("b", two)
    await desk.put("c", one)
    found = []
    for moment in range(1, 9):
        os.utime(first, ns=(moment, moment))
        desk.now_ms += LIST_MS
        found.append((await desk.look())[3])
    assert found[-1] == 1, found


async def test_no_more_than_so_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openings_folder, "MAX_FILES", 1)
    monkeypatch.setattr(openings_folder, "MAX_ALARMS", 0)
    one, two = await two_of_one_number(desk)
    await desk.put("a", one)
    await desk.put("b", two)
    assert await desk.look() == (1, 0, 1, 0)
    monkeypatch.setattr(openings_folder, "MAX_FILES", 2)
    desk.now_ms += LIST_MS
    assert await desk.look() == (2, 0, 0, 0), "one alarm, and none is told"


async def test_a_folder_that_goes_takes_nothing_along(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    one, two = await two_of_one_number(desk)
    await desk.put("a", one)
    await desk.put("b", two)
    found: OpeningsResult = desk.folder.result
    assert await desk.look() == (2, 0, 0, 1) and found.checked == 0
    shutil.rmtree(desk.folder.folder)
    desk.now_ms += LIST_MS
    with caplog.at_level(logging.WARNING, "verifier.audit"):
        assert await desk.look() == (2, 0, 0, 1)
    assert "FileNotFoundError" in caplog.text
    with pytest.raises(Unavailable):
        open_folder(desk.folder.folder, load_ladder(), 4)


async def test_a_link_to_itself_blinds_nobody(tmp_path: Path) -> None:
    (tmp_path / "a.certbundle").write_bytes(b"no bundle")
    (tmp_path / "b.certbundle").symlink_to("b.certbundle")
    os.mkfifo(tmp_path / "c.certbundle")
    looks, beyond = _listing(tmp_path)
    assert [path.name for path in looks] == ["a.certbundle", "b.certbundle", "c.certbundle"] and beyond == 0

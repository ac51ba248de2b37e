"""Every head is kept for ever and held against our copy; what does not fit comes back as evidence."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ledger.errors import Malformed, Unverified
from ledger.store.hashes import Hashes
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import fold_right
from tests.support.build_log import FakeLedger, LogBuilder, octets
from verifier.audit.evidence import Fork, format_evidence, parse_evidence, verify_evidence
from verifier.audit.heads import HeadRecord
from verifier.former import FormerKeys


@dataclass
class OurCopy:
    """A copy of a built log as it was when it had `size` entries."""

    log: LogBuilder
    size: int

    async def root_at(self, size: int) -> bytes:
        return fold_right(await Hashes(self.log.store).cover(size))

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        return await Hashes(self.log.store).consistency(old, new)


@dataclass
class Desk:
    log: LogBuilder
    record: HeadRecord
    written: list[bytes] = field(default_factory=list)

    def write(self, fork: Fork) -> bytes:
        self.written.append(format_evidence(fork))
        return self.written[-1]

    def see(self, size: int, root: bytes, time_s: int = 1000, source: str = "here") -> bytes:
        note = self.log.signer.sign(Checkpoint(self.log.origin, size, root), time_s)
        self.record.see(note, source, 5)
        return note

    async def compare(self, copy: OurCopy | None = None) -> list[int]:
        left = await self.record.compare(
            copy or OurCopy(self.log, self.log.integrator.size), FakeLedger(self.log), self.write
        )
        return [head.size for head in left]

    def convicts(self) -> tuple[int, int]:
        (raw,) = self.written
        older, newer = verify_evidence(parse_evidence(raw), self.log.origin, self.log.signer.vkeys)
        return older.checkpoint.size, newer.checkpoint.size


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    for n in range(6):
        await log.issue(*(log.certificate(f"{n}-{m}") for m in range(n + 1)))
    record = HeadRecord(tmp_path / "heads.db", log.origin, log.signer.vkeys)
    yield Desk(log, record)
    record.close()
    await log.store.close()


async def test_a_commit_tells_of_every_error_of_the_disk(desk: Desk) -> None:
    """Which SQLite's copying back of a write-ahead log does not."""
    assert desk.record._run("PRAGMA journal_mode") == [("delete",)]


async def test_heads_of_one_history_fit(desk: Desk) -> None:
    copy = OurCopy(desk.log, desk.log.integrator.size)
    for size in (3, 5, 8, copy.size):
        desk.see(size, await copy.root_at(size))
    assert await desk.compare() == [] and desk.written == [] and desk.record.open_heads() == []
    newest = desk.record.newest_fitting(copy.size)
    assert newest is not None and newest.size == copy.size
    assert desk.record.count() == 4 and desk.record.forks() == []


async def test_one_row_for_each_tree(desk: Desk) -> None:
    root = await OurCopy(desk.log, 5).root_at(5)
    for time_s in (1000, 1060, 1120):
        desk.see(5, root, time_s, f"source {time_s}")
    assert desk.record.count() == 1
    assert desk.record.open_heads()[0].signed_s == 1000 and desk.record.sources() == ["source 1000"]


@pytest.mark.parametrize("size", [1, 3, 4, 7, 20, 27])
async def test_another_root_below_ours_is_a_fork(desk: Desk, size: int) -> None:
    copy = OurCopy(desk.log, desk.log.integrator.size)
    desk.see(copy.size, await copy.root_at(copy.size))
    desk.see(size, octets("x"))
    assert await desk.compare() == []
    assert desk.convicts() == (size, copy.size)
    (fork,) = desk.record.forks()
    assert fork[0].size == size and fork[1] == desk.written[0]
    assert await desk.compare() == [] and len(desk.written) == 1  # judged once


async def test_another_root_of_our_size_is_a_fork(desk: Desk) -> None:
    copy = OurCopy(desk.log, desk.log.integrator.size)
    desk.see(copy.size, octets("x"))
    assert await desk.compare() == [copy.size]  # nothing signed to hold it against yet
    desk.see(copy.size, await copy.root_at(copy.size))
    assert await desk.compare() == []
    assert desk.convicts() == (copy.size, copy.size)


async def test_a_larger_head_that_does_not_extend_ours(desk: Desk, tmp_path: Path) -> None:
    other = await LogBuilder.create(tmp_path / "other.db")
    await other.issue(*(other.certificate(f"other {n}") for n in range(40)))
    ours = OurCopy(desk.log, desk.log.integrator.size)
    desk.see(ours.size, await ours.root_at(ours.size))
    head = other.integrator.head
    assert head is not None and head.size > ours.size
    desk.record.see(other.checkpoint(), "elsewhere", 5)
    assert [h.size for h in await desk.record.compare(ours, FakeLedger(other), desk.write)] == []
    assert desk.convicts() == (ours.size, head.size)
    await other.store.close()


async def test_a_larger_head_that_extends_ours_is_left_open(desk: Desk) -> None:
    ours = OurCopy(desk.log, 5)
    desk.see(5, await ours.root_at(5))
    size = desk.log.integrator.size
    desk.record.see(desk.log.checkpoint(), "elsewhere", 5)
    assert await desk.compare(ours) == [size]
    assert desk.written == [] and [h.size for h in desk.record.open_heads()] == [size]
    assert await desk.compare() == []  # replayed since


async def test_unproven_is_not_convicted(desk: Desk) -> None:
    """A head whose tiles nobody serves proves nothing."""
    copy = OurCopy(desk.log, desk.log.integrator.size)
    desk.see(copy.size, await copy.root_at(copy.size))
    desk.see(copy.size + 7, octets("x"))
    ledger = FakeLedger(desk.log, down=True)
    assert [h.size for h in await desk.record.compare(copy, ledger, desk.write)] == [copy.size + 7]
    assert desk.written == []


async def test_only_what_the_log_signed_is_kept(desk: Desk, tmp_path: Path) -> None:
    thief = await LogBuilder.create(tmp_path / "thief.db", seed="thief")
    with pytest.raises(Unverified):
        desk.record.see(thief.checkpoint(), "x", 1)
    with pytest.raises(Malformed):
        desk.record.see(b"no note", "x", 1)
    assert desk.record.count() == 0
    await thief.store.close()


async def test_nothing_can_be_taken_back(desk: Desk, tmp_path: Path) -> None:
    copy = OurCopy(desk.log, desk.log.integrator.size)
    desk.see(copy.size, await copy.root_at(copy.size))
    await desk.compare()
    desk.record.close()
    raw = sqlite3.connect(tmp_path / "heads.db")
    for text in (
        "DELETE FROM head",
        "UPDATE head SET size = 1",
        "DELETE FROM compared",
        "UPDATE compared SET fits = 0",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw.execute(text)
    raw.close()
    again = HeadRecord(tmp_path / "heads.db", desk.log.origin, desk.log.signer.vkeys)
    assert again.count() == 1
    again.close()


async def test_heads_from_before_the_log_changed_its_keys(desk: Desk, tmp_path: Path) -> None:
    """They are kept, they are compared, and they convict: also a log that forked with the change."""
    log, size = desk.log, desk.log.integrator.size
    copy = OurCopy(log, size)
    desk.see(7, octets("x"), time_s=log.time // 1000)
    desk.record.close()
    former, old = FormerKeys(log.signer.vkeys, log.time), log.signer
    log.pair = "second"
    pins = log.origin, log.signer.vkeys
    desk.record = HeadRecord(tmp_path / "heads.db", *pins, (former,))
    desk.see(size, await copy.root_at(size))
    kept = old.sign(Checkpoint(log.origin, 5, await copy.root_at(5)), log.time // 1000)
    assert desk.record.see(kept, "a file", 5).size == 5
    for note in (
        old.sign(Checkpoint(log.origin, 8, octets("y")), log.time // 1000 + 1),
        replace(log, pair="third").checkpoint(),
    ):
        with pytest.raises(Unverified):
            desk.record.see(note, "later", 5)
    assert await desk.compare() == [] and desk.record.count() == 3
    (raw,) = desk.written
    fork = parse_evidence(raw)
    assert isinstance(fork, Fork) and len(fork.vkeys) == 4
    assert [opened.checkpoint.size for opened in verify_evidence(fork, *pins, (former,))] == [7, size]
    with pytest.raises(Unverified):
        verify_evidence(fork, *pins)

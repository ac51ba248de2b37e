"""Exporting: what lies there is the log as the specification says, at every moment under a checkpoint that is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.export.folder import FolderPlace
from ledger.export.place import OtherBytes
from ledger.export.tiles import Export
from ledger.log_folder import open_log
from ledger.remote import RemoteTree
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.tiles import format_tile_path, new_entries_tiles, tiles_for_size
from tests.support.tile_log import TileLog, signer, split_path


class Killed(BaseException):
    """The process ends here."""


@dataclass
class MemoryPlace:
    """The contract of `Place` in a dict; `left` calls until it is killed, before or after the call does its work."""

    files: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    left: int = -1
    after: bool = False

    async def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    async def add(self, path: str, body: bytes) -> None:
        def work() -> None:
            if self.files.setdefault(path, body) != body:
                raise OtherBytes(path)

        self._call(f"add {path}", work)

    async def settle(self) -> None:
        self._call("settle", lambda: None)

    async def publish(self, note: bytes) -> None:
        self._call("publish", lambda: self.files.update(checkpoint=note))

    async def drop_partials(self, path: str) -> None:
        def work() -> None:
            for name in [name for name in self.files if name.startswith(f"{path}.p/")]:
                del self.files[name]

        self._call(f"drop {path}", work)

    def _call(self, what: str, work: Callable[[], None]) -> None:
        if self.left == 0 and not self.after:
            raise Killed
        self.calls.append(what)
        work()
        if self.left == 0:
            raise Killed
        self.left -= 1


def exporter(log: TileLog, place: MemoryPlace | FolderPlace, **how: int) -> Export:
    return Export(log, place, log.origin, [log.vkeys], **how)


async def export(log: TileLog, place: MemoryPlace, **how: int) -> None:
    assert await exporter(log, place, **how).once() is not None


def check_whole(log: TileLog, files: dict[str, bytes]) -> int:
    """The checkpoint there is signed, and every tile of its size is there (a partial one, or its full one) with the
    specification's bytes. Nothing there is anything else."""
    head = open_checkpoint(files["checkpoint"], log.origin, log.vkeys).checkpoint
    for tile in (*tiles_for_size(head.size), *new_entries_tiles(0, head.size)):
        path = format_tile_path(tile)
        full = path.partition(".p/")[0]
        assert path in files or full in files, f"{path} of size {head.size} is missing"
    for path, body in files.items():
        if path != "checkpoint":
            assert body == log.content(path), path
    return head.size


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 700])
async def test_every_size_lies_there_as_specified(size: int) -> None:
    log, place = TileLog().grow(size), MemoryPlace()
    await export(log, place, stretch=256)
    assert check_whole(log, place.files) == size
    wanted = {format_tile_path(t) for t in (*tiles_for_size(size), *new_entries_tiles(0, size))}
    assert set(place.files) == wanted | {"checkpoint"}


async def test_two_levels_and_a_fork_behind_them() -> None:
    log, place = TileLog().grow(65_536 + 300), MemoryPlace()
    await export(log, place)
    assert check_whole(log, place.files) == log.size
    assert {"tile/1/000", "tile/2/000.p/1", "tile/0/256", "tile/entries/257.p/44"} <= set(place.files)
    fork = TileLog(entries=list(log.entries))
    fork.entries[65_800] = b"another"
    with pytest.raises(OtherBytes) as refused:
        await export(fork, place)
    assert refused.value.field == "tile/entries/257.p/44"


async def test_a_second_run_writes_only_what_is_new() -> None:
    log, place = TileLog().grow(300), MemoryPlace()
    await export(log, place)
    for more in (0, 1, 100, 111, 256, 1, 513):  # 111: to the end of a bundle
        log.grow(more)
        log.time_s += 60
        before, log.asked = log.size - more, []
        place.calls.clear()
        await export(log, place, stretch=256)
        assert check_whole(log, place.files) == log.size
        added = [call.split()[1] for call in place.calls if call.startswith("add")]
        for path in added:
            kind, number, width = split_path(path)
            span = 1 if kind == "entries" else 256 ** int(kind)
            assert (256 * number + width) * span > before, f"{path} was there before"
        bundles = [path for path in log.asked if "entries" in path]
        assert len(bundles) == (-(-log.size // 256) - before // 256 if more else 0), "no old bundle is fetched again"


async def test_the_checkpoint_is_last_and_settled() -> None:
    log, place = TileLog().grow(700), MemoryPlace()
    await export(log, place, stretch=256)
    assert place.calls[-2:] == ["settle", "publish"]
    assert all(call.startswith("add") for call in place.calls[:-2])


async def test_nothing_new() -> None:
    log, place = TileLog().grow(10), MemoryPlace()
    one = exporter(log, place)
    assert await one.once() is not None
    place.calls.clear()
    assert await one.once() is None and await exporter(log, place).once() is None
    assert place.calls == []
    log.time_s += 60  # renewed by an idle log
    assert await one.once() is not None
    assert place.files["checkpoint"] == log.note() and place.calls == ["settle", "publish"]


async def test_partial_tiles_go_when_the_full_one_is_published() -> None:
    log, place = TileLog().grow(100), MemoryPlace()
    one = exporter(log, place)
    await one.once()
    for _ in range(3):
        log.grow(40)
        await one.once()
    partial = {path for path in place.files if ".p/" in path}
    assert len(partial) == 8, "each published size keeps its own while the full one is not there"
    log.grow(40)
    place.calls.clear()
    await one.once()
    assert {path for path in place.files if ".p/" in path} == {
        "tile/0/001.p/4", "tile/1/000.p/1", "tile/entries/001.p/4",
    }  # fmt: skip
    published = place.calls.index("publish")
    assert all(call.startswith("drop") == (at > published) for at, call in enumerate(place.calls) if at != published)


@pytest.mark.parametrize("after", [False, True])
async def test_a_kill_anywhere_leaves_a_whole_log(after: bool) -> None:
    """Before or after each single call; the next run goes on, and what lies there is always under its checkpoint."""
    log = TileLog().grow(300)
    start = MemoryPlace()
    await export(log, start)
    log.grow(500)
    for left in range(100):
        place = MemoryPlace(dict(start.files), left=left, after=after)
        try:
            await export(log, place, stretch=256)
        except Killed:
            pass
        else:
            break
        assert check_whole(log, place.files) in (300, 800)
        place.left = -1
        log.time_s += 1
        await export(log, place, stretch=256)
        assert check_whole(log, place.files) == 800
    assert 10 < left < 99


async def test_a_kill_of_the_first_export_leaves_no_checkpoint() -> None:
    log = TileLog().grow(300)
    for left in range(5):
        place = MemoryPlace(left=left)
        with pytest.raises(Killed):
            await export(log, place)
        assert "checkpoint" not in place.files
        place.left = -1
        await export(log, place)
        assert check_whole(log, place.files) == 300


class TestForks:
    @pytest.mark.parametrize(("size", "bad", "path"), [
        (300, 7, "tile/entries/000"), (300, 299, "tile/entries/001.p/44"), (700, 600, "tile/entries/002.p/188"),
        (512, 300, "tile/entries/001"),
    ])  # fmt: skip
    async def test_another_history_is_refused_and_the_first_tile_named(self, size: int, bad: int, path: str) -> None:
        log, place = TileLog().grow(size), MemoryPlace()
        await export(log, place)
        before = dict(place.files)
        for more in (0, 300):
            fork = TileLog(entries=list(log.entries))
            fork.entries[bad] = b"another"
            fork.grow(more).time_s += 60
            with pytest.raises(OtherBytes) as refused:
                await export(fork, place)
            assert refused.value.field == path and place.files == before

    async def test_what_a_crashed_run_of_another_log_left_is_not_overwritten(self) -> None:
        log = TileLog().grow(300)
        fork = TileLog(entries=list(log.entries))
        fork.entries[1] = b"another"
        place = MemoryPlace(left=4)
        with pytest.raises(Killed):
            await export(fork, place)
        place.left, left = -1, dict(place.files)
        with pytest.raises(OtherBytes) as refused:
            await export(log, place)
        assert refused.value.field == "tile/entries/000"
        assert left.items() <= place.files.items() and "checkpoint" not in place.files

    async def test_an_old_copy_of_the_log(self) -> None:
        log, place = TileLog().grow(300), MemoryPlace()
        await export(log, place)
        before = dict(place.files)
        log.altered["checkpoint"] = log.note(200)
        with pytest.raises(Refused) as refused:
            await export(log, place)
        assert refused.value.code == "SHRUNK" and place.files == before

    async def test_a_place_of_another_log_or_damaged(self) -> None:
        log, other, place = TileLog().grow(300), TileLog("log.test.example/other").grow(300), MemoryPlace()
        await export(other, place)
        spoiled = [{"checkpoint": b"rubbish"}, {"tile/1/000.p/1": bytes(32)}, {"tile/0/001.p/44": b""}]
        for source, files in ((log, {}), *((other, files) for files in spoiled)):
            source.time_s += 60
            with pytest.raises(Refused) as refused:
                await export(source, MemoryPlace(place.files | files))
            assert refused.value.code == "PLACE_DAMAGED"


class TestLies:
    """A ledger, or whoever answers for it, that shows what it has not signed: nothing of it gets there."""

    @pytest.mark.parametrize("path", ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/188"])
    async def test_other_entries(self, path: str) -> None:
        log, place = TileLog().grow(700), MemoryPlace()
        log.altered[path] = log.content(path)[:-1] + b"!"
        with pytest.raises((Malformed, Unverified)):
            await export(log, place, stretch=256)
        assert path not in place.files and "checkpoint" not in place.files
        for name, body in place.files.items():
            assert body == log.content(name)

    async def test_other_entries_in_the_bundle_that_grows(self) -> None:
        log, place = TileLog().grow(300), MemoryPlace()
        await export(log, place)
        log.grow(10)
        entries = [b"another", *log.entries[257:]]
        log.altered["tile/entries/001.p/54"] = b"".join(len(e).to_bytes(2, "big") + e for e in entries)
        with pytest.raises(Unverified):
            await export(log, place)

    @pytest.mark.parametrize("body", [b"", b"\xff" * 9000])
    async def test_rubbish(self, body: bytes) -> None:
        """In place of a checkpoint: a page of whoever stands before the ledger, that `--follow` waits out."""
        for path in ("checkpoint", "tile/entries/000", "tile/1/000.p/2"):
            log, place = TileLog().grow(700), MemoryPlace()
            log.altered[path] = body or b"\n"
            with pytest.raises(Unavailable if path == "checkpoint" else (Malformed, Unverified)):
                await export(log, place, stretch=256)
            assert "checkpoint" not in place.files

    async def test_other_keys_and_other_origins(self) -> None:
        log, place = TileLog().grow(10), MemoryPlace()
        old = signer(log.origin, "before").vkeys
        assert await Export(log, place, log.origin, [old, log.vkeys]).once() is not None, "one of its pairs is enough"
        with pytest.raises(Unverified):
            await Export(log, MemoryPlace(), log.origin, [old]).once()
        with pytest.raises(CertLedgerError):
            await Export(log, MemoryPlace(), "log.test.example/else", [log.vkeys]).once()

    async def test_a_silent_ledger(self) -> None:
        log, place = TileLog().grow(10), MemoryPlace()
        one = exporter(log, place)
        log.down = True
        with pytest.raises(Unavailable):
            await one.once()
        log.down = False
        assert await one.once() is not None


async def test_what_was_exported_reads_back(tmp_path: Path) -> None:
    """Through the reader that verifiers use, from real files."""
    log = TileLog().grow(600)
    async with FolderPlace(tmp_path / "out") as place:
        await exporter(log, place).once()
    async with open_log((tmp_path / "out").as_uri()) as source:
        tree = RemoteTree(source, 600)
        assert await tree.entries(0, 600) == log.entries
        assert (await tree.frontier()).root() == log.root()
        assert await source.checkpoint() == log.note()

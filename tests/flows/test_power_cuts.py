"""Power cuts at every step of an export, of making a guard, of keeping evidence and of an issuer's results, and broken
builds that must be noticed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from ledger.export.folder import FolderPlace
from ledger.export.tiles import Export
from ledger.log_folder import CHECKPOINT
from ledger.service.guard import FileGuard
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.tiles import format_tile_path, new_entries_tiles, tiles_for_size
from tests.support.auditing import NOW, auditing
from tests.support.build_log import FakeLedger, LogBuilder
from tests.support.issuer_desk import sample, set_up, write_csv
from tests.support.power_cut import PowerCut, no_file_is_synchronised, no_folder_is_synchronised, nothing
from tests.support.tile_log import TileLog
from verifier.audit.evidence import Fork, parse_evidence

SIZES = (200, 257, 300)  # partial tiles alone; full ones instead, which the next checkpoint still needs
Break = Callable[[ExitStack], None]


async def exports_survive(room: Path, broken: Break) -> int:
    """The check: whenever the power goes, nothing under its name is torn, the checkpoint has all its tiles, and once an
    export has ended there is its checkpoint or a newer one. Returns how many remains were checked."""
    log, ended = TileLog(), [0]

    def whole(files: Mapping[str, bytes]) -> None:
        there = {path: body for path, body in files.items() if not path.endswith(".part")}
        for path, body in there.items():
            assert path == CHECKPOINT or body == log.content(path), f"{path} is torn"
        if CHECKPOINT not in there:
            assert not ended[0], "the checkpoint of an export that ended is gone"
            return
        assert there[CHECKPOINT], "the checkpoint is torn"
        head = open_checkpoint(there[CHECKPOINT], log.origin, log.vkeys).checkpoint
        assert head.size >= ended[0], "an older checkpoint"
        for tile in (*tiles_for_size(head.size), *new_entries_tiles(0, head.size)):
            path = format_tile_path(tile)
            assert path in there or path.partition(".p/")[0] in there, f"{path} of size {head.size} is missing"

    with PowerCut(room, whole) as cut, ExitStack() as stack:
        broken(stack)
        for size in SIZES:
            log.grow(size - log.size)
            async with FolderPlace(room) as place:
                await Export(log, place, log.origin, [log.vkeys]).once()
            ended[0] = size
        cut.look()
        return cut.states


def renamed_before_it_is_synchronised(stack: ExitStack) -> None:
    def broken(self: FolderPlace, path: str, body: bytes) -> None:
        final = self._folder / path
        part = final.with_name(f"{final.name}.part")
        self._make(final.parent)
        part.write_bytes(body)
        os.replace(part, final)
        with final.open("rb") as file:
            os.fsync(file.fileno())
        self._touched.add(final.parent)

    stack.enter_context(patch.object(FolderPlace, "_write", broken))


def published_before_its_tiles(stack: ExitStack) -> None:
    add = Export._add

    async def broken(self: Export, files: Sequence[tuple[str, bytes]]) -> None:
        await self._place.publish(await self._source.checkpoint())
        await add(self, files)

    stack.enter_context(patch.object(Export, "_add", broken))


def published_before_it_is_durable(stack: ExitStack) -> None:
    async def broken(self: FolderPlace) -> None:
        return

    async def publish(self: FolderPlace, note: bytes) -> None:
        self._write(CHECKPOINT, note)
        self._settle()

    stack.enter_context(patch.object(FolderPlace, "settle", broken))
    stack.enter_context(patch.object(FolderPlace, "publish", publish))


def partial_tiles_go_too_early(stack: ExitStack) -> None:
    add = Export._add

    async def broken(self: Export, files: Sequence[tuple[str, bytes]]) -> None:
        for path, _ in files:
            await self._place.drop_partials(path)
        await add(self, files)

    stack.enter_context(patch.object(Export, "_add", broken))


@pytest.mark.parametrize(
    ("broken", "noticed"),
    [
        (nothing, ""),
        (no_file_is_synchronised, "is torn"),
        (no_folder_is_synchronised, "is missing"),
        (renamed_before_it_is_synchronised, "is torn"),
        (published_before_its_tiles, "is missing"),
        (published_before_it_is_durable, "is missing"),
        (partial_tiles_go_too_early, "is missing"),
    ],
)
async def test_an_exported_log_survives_a_power_cut_at_any_step(broken: Break, noticed: str, tmp_path: Path) -> None:
    if not noticed:
        assert await exports_survive(tmp_path, broken) > 100
        return
    with pytest.raises(AssertionError, match=noticed):
        await exports_survive(tmp_path, broken)


@pytest.mark.parametrize("broken", [nothing, no_file_is_synchronised, no_folder_is_synchronised])
def test_a_guard_that_was_made_survives_a_power_cut(broken: Break, tmp_path: Path) -> None:
    """A guard that is lost lets a restored store be signed: it is durable before anything is."""
    made: list[bytes] = []

    def there(files: Mapping[str, bytes]) -> None:
        assert not made or files.get("guard") == made[0], "the guard is gone"

    def make() -> None:
        with PowerCut(tmp_path, there) as cut, ExitStack() as stack:
            broken(stack)
            FileGuard.create(tmp_path / "guard")
            made.append((tmp_path / "guard").read_bytes())
            cut.look()

    if broken is nothing:
        make()
    else:
        with pytest.raises(AssertionError, match="the guard is gone"):
            make()


BUILDS = [(nothing, ""), (no_file_is_synchronised, "is torn"), (no_folder_is_synchronised, "is gone")]


@pytest.mark.parametrize(("broken", "noticed"), BUILDS)
async def test_evidence_of_a_fork_survives_a_power_cut(broken: Break, noticed: str, tmp_path: Path) -> None:
    """It convicts a log that may never show both heads again: whole where it is, and there once the look has ended."""
    log, fork = await LogBuilder.create(tmp_path / "log.db"), await LogBuilder.create(tmp_path / "fork.db")
    await log.issue(log.certificate("here"))
    await fork.issue(*(fork.certificate(f"there {n}") for n in range(2)))
    ledger, looked = FakeLedger(log), [False]

    def whole(files: Mapping[str, bytes]) -> None:
        there = {path: raw for path, raw in files.items() if path.startswith("evidence/") and path.endswith(".json")}
        assert all(there.values()), "the evidence is torn"
        assert all(isinstance(parse_evidence(raw), Fork) for raw in there.values())
        assert there or not looked[0], "the evidence is gone"

    async with auditing(tmp_path / "a", log, ledger) as audit:
        await audit.look(NOW)
        ledger.log = fork
        with ExitStack() as outcome:
            if noticed:
                outcome.enter_context(pytest.raises(AssertionError, match=noticed))
            with PowerCut(tmp_path / "a", whole) as cut, ExitStack() as stack:
                broken(stack)
                await audit.look(NOW)
                looked[0] = True
                cut.look()
        assert len(audit.evidence_files()) == 1
    await log.store.close()
    await fork.store.close()


OLDER = b"what was handed out before"


@pytest.mark.parametrize(("broken", "noticed"), BUILDS)
async def test_results_survive_a_power_cut(broken: Break, noticed: str, tmp_path: Path) -> None:
    """Of papers that are made again there is the old one or the new one, and once they are made they are there."""
    setting = set_up(tmp_path / "desk")
    outcome = await setting.issue(write_csv(tmp_path / "roster.csv", sample(1)))
    room = tmp_path / "room"
    room.mkdir()
    seen: dict[str, set[bytes]] = {}
    made: set[str] = set()

    def whole(files: Mapping[str, bytes]) -> None:
        assert made <= files.keys(), f"{sorted(made - files.keys())} is gone"
        for path, content in files.items():
            seen.setdefault(path, set()).add(content)

    async def write() -> dict[str, bytes]:
        await setting.write(room / "out", outcome, workers=1)
        there = {str(path.relative_to(room)): path.read_bytes() for path in room.rglob("*") if path.is_file()}
        made.update(there)
        cut.look()
        return there

    with ExitStack() as judged:
        if noticed:
            judged.enter_context(pytest.raises(AssertionError, match=noticed))
        with PowerCut(room, whole) as cut, ExitStack() as stack:
            broken(stack)
            contents = [await write()]
            for path in made:
                with (room / path).open("wb") as file:
                    file.write(OLDER)
                    file.flush()
                    os.fsync(file.fileno())
            contents.append(await write())
        assert len(made) == 5
        for path in made:
            assert seen[path] <= {OLDER, *(content[path] for content in contents)}, f"{path} is torn"

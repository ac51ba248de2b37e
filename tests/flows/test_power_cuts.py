"""Power cuts at every step of an export and of making a guard, and broken builds that must be noticed."""

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
from ledger.tlog.tiles import entries_tiles_for_size, format_tile_path, tiles_for_size
from tests.support.power_cut import PowerCut, no_file_is_synchronised, no_folder_is_synchronised, nothing
from tests.support.tile_log import TileLog

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
        for tile in (*tiles_for_size(head.size), *entries_tiles_for_size(head.size)):
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

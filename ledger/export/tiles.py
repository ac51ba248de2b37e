"""From a running ledger to a place that anybody can read: every full tile and bundle, the right edge, the checkpoint.

It asks the ledger over HTTP, not its store: the store holds batches that are not published yet, and a log without a
witness quorum keeps no signed checkpoint there. What is published is told only by the ledger that published it; so it
also works beside a running `serve`, for every kind of store, and from another machine. Hashes are computed here, from
the entries; the ledger's own tiles only prove that they belong under its signature.

One export, numbered:

    1 checkpoint   opens under the log's origin and one of its pairs of keys
    2 held         what lies at the place is what the place's own checkpoint says
    3 growth       the new tree is not smaller, and provably begins with the one that lies there
    4 stretch      entries are fetched; the tree that they make is proven to be a prefix of the checkpoint's
    5 add          their bundles and tiles are put, each where nothing is or the same bytes are
    6 settle       all of it is durable
    7 publish      only now the checkpoint is replaced
    8 drop         partial tiles go where the full one is there and published (C2SP tlog-tiles)

A crash before 7 leaves the old checkpoint with everything it needs, and tiles of the next one, which the next run finds
equal; after 7, at most partial tiles that nobody needs. At no moment is there a checkpoint whose tiles are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.export.place import OtherBytes, Place
from ledger.log_folder import CHECKPOINT
from ledger.remote import WIDTH, LogSource, RemoteTree
from ledger.store.growth import grow_tiles
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint
from ledger.tlog.merkle import Frontier, leaf_hash, verify_consistency
from ledger.tlog.note import VerifierKey
from ledger.tlog.tiles import EntriesTile, Tile, format_entries, format_tile_path

STRETCH: Final = 16 * WIDTH  # entries proven and held in memory at a time: at most 32 MiB
_ABSENT: Final = Text("该处缺少文件", "A file is missing at the place")
_SHRUNK: Final = Text(
    "账本的检查点为 {shown} 条，已导出 {held} 条：账本可能是旧副本；未作改动",
    "The ledger shows {shown} entries and {held} are exported: is it an old copy? Nothing was changed",
)
_DAMAGED: Final = Text(
    "导出处的内容与其检查点不符（{reason}）；请换一个空的位置重新导出",
    "What lies at the place does not match its own checkpoint ({reason}); export to an empty place instead",
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What one export did."""

    checkpoint: Checkpoint
    files: int  # tiles and bundles put, or found equal
    entries: int  # new ones


@dataclass(frozen=True, slots=True)
class _Held:
    """What lies at the place: the right edge of its tree, the growing row of each level, and its checkpoint."""

    frontier: Frontier = field(default_factory=Frontier.empty)
    edge: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    note: bytes = b""

    @property
    def size(self) -> int:
        return self.frontier.size


class _PlaceSource:
    """A place, read as a log."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def checkpoint(self) -> bytes:
        return await self.tile(CHECKPOINT)

    async def tile(self, path: str) -> bytes:
        found = await self._place.read(path)
        if found is None:
            raise Refused("not_found", path, _ABSENT)
        return found


class Export:
    """Keeps one place up with one log. `keys`: each pair that the log has signed with, the newest too."""

    def __init__(
        self,
        source: LogSource,
        place: Place,
        origin: str,
        keys: Sequence[Sequence[VerifierKey]],
        *,
        stretch: int = STRETCH,
    ) -> None:
        assert stretch > 0 and stretch % WIDTH == 0, "whole bundles"
        self._source, self._place = source, place
        self._origin, self._keys = origin, keys
        self._stretch = stretch
        self._held: _Held | None = None
        self.target: int | None = None  # entries that the export under way is heading for

    async def once(self, progress: Callable[[int], None] = lambda entries: None) -> Exported | None:
        """One export; None when the newest checkpoint is there already. `progress` gets the entries reached, first
        those that lie there, and nothing where no entry is new.

        Raises Unverified for what the ledger cannot prove, Refused when the place is damaged or holds other bytes, and
        Unavailable.
        """
        opened = await self._published()  # 1
        head = opened.checkpoint
        before = self._held = self._held or await self._read_place()  # 2
        if opened.note == before.note:
            return None
        if head.size < before.size:
            raise Refused("SHRUNK", CHECKPOINT, _SHRUNK.format(shown=head.size, held=before.size))
        self.target = head.size
        remote = RemoteTree(self._source, head.size)
        if before.size:
            await self._check_prefix(remote, before.frontier, head)  # 3
        now, files = before, 0
        if now.size < head.size:
            progress(now.size)
        while now.size < head.size:
            now, ready = await self._next(remote, now, head, before.size)  # 4
            await self._add(ready)  # 5
            files += len(ready)
            progress(now.size)
        await self._place.settle()  # 6
        await self._place.publish(opened.note)  # 7
        self._held = _Held(now.frontier, now.edge, opened.note)
        for path in _outgrown(before, head.size):
            await self._place.drop_partials(path)  # 8
        return Exported(head, files, head.size - before.size)

    async def _add(self, files: Sequence[tuple[str, bytes]]) -> None:
        """All at once. Raises for the first, in their order, that cannot be added."""
        adding = [self._place.add(path, body) for path, body in files]
        for error in await asyncio.gather(*adding, return_exceptions=True):
            if error is not None:
                raise error

    async def _published(self) -> OpenedCheckpoint:
        """What the ledger shows. A page in its place, or a refusal, is of whoever stands before it, for a while."""
        try:
            return self._open(await self._source.checkpoint())
        except (Malformed, Refused) as error:
            said = error.text if isinstance(error, Refused) else Text(error.of("zh"), error.of("en"))
            what = Text(f"对方没有可用的检查点：{said.zh}", f"no checkpoint is served: {said.en}")
            raise Unavailable(what) from error

    def _open(self, note: bytes) -> OpenedCheckpoint:
        for pair in self._keys[1:]:
            with suppress(Unverified):
                return open_checkpoint(note, self._origin, pair)
        return open_checkpoint(note, self._origin, self._keys[0])

    async def _read_place(self) -> _Held:
        note = await self._place.read(CHECKPOINT)
        if note is None:
            return _Held()
        try:
            size = (head := self._open(note).checkpoint).size
            tree = RemoteTree(_PlaceSource(self._place), size)
            frontier = await tree.frontier()
            if frontier.root() != head.root:
                raise Unverified("another root")
            edge = {}
            for level in range((size.bit_length() + 7) // 8):
                index, width = divmod(size >> 8 * level, WIDTH)
                if width:
                    edge[level] = index, await tree.tile(level, index)
        except (Malformed, Unverified, Refused) as error:
            raise Refused("PLACE_DAMAGED", CHECKPOINT, _DAMAGED.format(reason=error)) from error
        return _Held(frontier, edge, note)

    async def _check_prefix(self, remote: RemoteTree, frontier: Frontier, head: Checkpoint) -> None:
        """The tree of `frontier` is a prefix of the checkpoint's. Raises OtherBytes with the first tile that is not."""
        try:
            if frontier.size == head.size:
                if frontier.root() != head.root:
                    raise Unverified("another root of the same size")
                return
            proof = await remote.consistency(frontier.size)
            verify_consistency(frontier.size, frontier.root(), head.size, head.root, proof)
        except Unverified:
            await self._find_difference(remote, frontier.size)
            raise

    async def _find_difference(self, remote: RemoteTree, size: int) -> None:
        """Down from the top tile, always into the first slot that differs."""
        ours = RemoteTree(_PlaceSource(self._place), size)
        index = 0
        for level in reversed(range((size.bit_length() + 7) // 8)):
            held = await ours.tile(level, index)
            width = len(held) // 32
            theirs = (await remote.tile(level, index))[: len(held)]
            slots = range(0, len(held), 32)
            differing = [at // 32 for at in slots if held[at : at + 32] != theirs[at : at + 32]]
            if not level and differing:
                full = width if len(held) < 32 * WIDTH else WIDTH
                raise OtherBytes(format_tile_path(EntriesTile(index, full)))
            index = index * WIDTH + (differing[0] if differing else width)

    async def _next(
        self, remote: RemoteTree, now: _Held, head: Checkpoint, held: int
    ) -> tuple[_Held, list[tuple[str, bytes]]]:
        """The next stretch, proven, and the files that it completes; at the end those of the right edge too."""
        first = now.size - now.size % WIDTH
        end = min(first + self._stretch, head.size)
        entries = await remote.entries(first, end)
        hashes = [leaf_hash(entry) for entry in entries]
        known = now.size - first
        if known and b"".join(hashes[:known]) != now.edge[0][1]:
            raise Unverified(f"the ledger shows other entries than it has signed, from {first} on")
        reached, completed = now.frontier.append(hashes[known:])
        await self._check_stretch(remote, reached, head)
        rows, growing = grow_tiles(now.edge, completed)
        files = []
        for at in range(0, len(entries), WIDTH):
            part = entries[at : at + WIDTH]
            files.append((format_tile_path(EntriesTile((first + at) // WIDTH, len(part))), format_entries(part)))
        files += [(_path(level, index, body), body) for level, index, body in rows if len(body) == 32 * WIDTH]
        if end == head.size:
            grown = {level: row for level, row in growing.items() if held >> 8 * level != end >> 8 * level}
            files += [(_path(level, index, body), body) for level, (index, body) in grown.items()]
        return _Held(reached, growing, now.note), files

    async def _check_stretch(self, remote: RemoteTree, reached: Frontier, head: Checkpoint) -> None:
        if reached.size < head.size:
            proof = await remote.consistency(reached.size)
            verify_consistency(reached.size, reached.root(), head.size, head.root, proof)
        elif reached.root() != head.root:
            raise Unverified("the ledger shows other entries than it has signed")


def _path(level: int, index: int, body: bytes) -> str:
    return format_tile_path(Tile(level, index, len(body) // 32))


def _outgrown(before: _Held, size: int) -> list[str]:
    """The full tiles and bundle that have taken the place of the partial ones of `before`."""
    full: list[Tile | EntriesTile] = []
    for level, (index, _) in before.edge.items():
        if size >> 8 * level >= (index + 1) * WIDTH:
            full.append(Tile(level, index, WIDTH))
            if not level:
                full.append(EntriesTile(index, WIDTH))
    return [format_tile_path(tile) for tile in full]

"""Step 4 of a replica's poll: what a checkpoint has beyond the entries that are held, from anybody, in stretches. Each
is proven to lie under the signed root before it is given out, and a few are fetched while one is folded.

Whatever does not fit is somebody's doing: of the log, if what it signed proves it, or else of whoever stands between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar

from ledger.errors import CertLedgerError, Malformed, Refused, Unverified
from ledger.remote import WIDTH, LogSource, RemoteTree
from ledger.store.reading import Read
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Frontier, leaf_hash, verify_consistency
from verifier.violation import Violation

T = TypeVar("T")
STRETCH: Final = 16 * WIDTH  # entries proven at a time
AHEAD: Final = 3  # stretches fetched, or on their way, while one is folded: the fold waits for nobody

Stretch: TypeAlias = tuple[list[bytes], Awaitable[list[Read]]]  # entries, and what is being read of them
_Fetched: TypeAlias = tuple[list[bytes], Awaitable[list[Read]], Frontier]


class Download:
    """What `checkpoint` has behind the entries of `held`. `read` begins to read entries, the first at the given index.

    Raises Violation for what does not fit, Unavailable when nobody answers.
    """

    def __init__(
        self,
        source: LogSource,
        checkpoint: Checkpoint,
        held: Frontier,
        read: Callable[[list[bytes], int], Awaitable[list[Read]]],
        stretch: int = STRETCH,
    ) -> None:
        self._remote = RemoteTree(source, checkpoint.size)
        self._size, self._root = checkpoint.size, checkpoint.root
        self._held, self._read, self._stretch = held, read, stretch

    async def prove_held(self) -> None:
        """Our tree is a prefix of the checkpoint's. When it is not, find out whether tiles or log are wrong."""
        held, remote = self._held, self._remote
        if not held.size:
            return
        proof = await _well_formed(remote.consistency(held.size), held.size)
        try:
            verify_consistency(held.size, held.root(), self._size, self._root, proof)
        except Unverified:
            other = await _well_formed(remote.root_at(held.size), held.size)
            forked = other != held.root() and self._leads(held.size, other, proof)
            raise Violation(f"the checkpoint does not extend our {held.size} entries", proven=forked) from None

    async def stretches(self) -> AsyncGenerator[Stretch, None]:
        """In order, up to the checkpoint's size. Whoever stops early closes it: what is on its way is then given up."""
        ahead: deque[asyncio.Task[_Fetched]] = deque()
        asked = self._held.size

        async def fetch(before: asyncio.Task[_Fetched] | None, reached: Frontier) -> _Fetched:
            return await self._fetch(reached if before is None else (await before)[2])

        frontier = self._held
        try:
            while ahead or asked < self._size:
                while asked < self._size and len(ahead) < AHEAD:
                    ahead.append(asyncio.create_task(fetch(ahead[-1] if ahead else None, frontier)))
                    asked = self._end(asked)
                entries, reading, frontier = await ahead[0]
                ahead.popleft()
                yield entries, reading
        finally:
            for task in ahead:
                task.cancel()
            for task in ahead:
                with suppress(asyncio.CancelledError, CertLedgerError):
                    await task

    async def _fetch(self, frontier: Frontier) -> _Fetched:
        """The next stretch, proven to lie under the root, and what is being read of it."""
        start = frontier.size
        entries = await _well_formed(self._remote.entries(start, self._end(start)), start)
        reached, _ = frontier.append([leaf_hash(entry) for entry in entries])
        await self._prove(reached, start, entries)
        return entries, self._read(entries, start), reached

    def _end(self, start: int) -> int:
        """Where a stretch from `start` on ends."""
        return min(start - start % WIDTH + self._stretch, self._size)

    async def _prove(self, reached: Frontier, start: int, entries: Sequence[bytes]) -> None:
        remote = self._remote
        try:
            if reached.size < self._size:
                proof = await _well_formed(remote.consistency(reached.size), start)
                verify_consistency(reached.size, reached.root(), self._size, self._root, proof)
            elif reached.root() != self._root:
                raise Unverified("another root")
        except Violation:
            raise
        except Unverified as error:
            hashes = await _well_formed(remote.leaf_hashes(start, reached.size), start)
            pairs = enumerate(zip(entries, hashes, strict=True), start)
            bad = next((index for index, (entry, told) in pairs if leaf_hash(entry) != told), start)
            raise Violation("not under the signed root", index=bad, proven=False) from error

    def _leads(self, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
        """Whether the signed tree provably has `root` as that of its first `size` leaves."""
        try:
            verify_consistency(size, root, self._size, self._root, proof)
        except Unverified:
            return False
        return True


async def _well_formed(answer: Awaitable[T], index: int) -> T:
    """An answer of the wrong form is the server's fault, not the log's."""
    try:
        return await answer
    except (Malformed, Refused) as error:
        raise Violation(str(error), index=index, proven=False) from error

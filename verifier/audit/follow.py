"""The auditor's replica: the common one, counting as it replays, on a store that commits many batches at a time."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from multiprocessing import get_context
from typing import Final

from ledger.process_pool import ProcessPool
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.state import CertificateState
from ledger.store.batch import Prepared
from ledger.store.hashes import Hashes
from ledger.store.reading import Read
from ledger.tlog.checkpoint import CosignedCheckpoint
from verifier.audit.sitting_counts import SittingCounts
from verifier.audit.statistics import Statistics, fold_stretch, parse_statistics
from verifier.audit.store import AuditStore
from verifier.replica import Replica

MANY: Final = 2_048  # entries of one stretch from which on processes read them
FLUSH: Final = 131_072  # entries between two commits: what a kill costs at most
_YIELD: Final = 10  # how much nicer readers are than the fold, which all of them wait for and which is one thread


class Readers:
    """Processes that read ahead of the fold: made when there is much to read, so that a small look costs nothing."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPool | None = None

    def pool(self) -> Executor:
        """The processes, made anew when one of them has ended."""
        if self._pool is not None:
            try:
                self._pool.submit(int)
            except BrokenExecutor:
                self.close()
                self._pool = None
        if self._pool is None:
            context = get_context("spawn")
            self._pool = ProcessPool(self._count, mp_context=context, initializer=_begin)
        return self._pool

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def spare_collector() -> None:
    """Let the garbage collector look less often: a replay makes hundreds of objects for each entry, and no cycles."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends us
    os.nice(_YIELD)
    spare_collector()


class AuditReplica(Replica):
    """Follows a log into an `AuditStore`. `count` comes before the first poll."""

    proves = False
    looked_at: CosignedCheckpoint | None = None  # the newest checkpoint that the log showed, believed or not
    sittings: SittingCounts | None = None

    def count(self, store: AuditStore, rush: tuple[int, int], readers: Readers) -> None:
        """Keep the statistics of what `store` holds. `rush`: from how many days and certificates of one track on it
        is listed. Raises Malformed for stored statistics of another version."""
        self._audit_store, self._rush, self._processes = store, rush, readers
        self._load()

    async def count_sittings(self, sittings: SittingCounts) -> None:
        """Count for these from now on, and what is held already."""
        await sittings.count_held(self.integrator.store, self.integrator.size)
        self.sittings = sittings

    @property
    def size(self) -> int:
        return self.integrator.size

    async def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """The proof out of our own copy that its first `old` leaves are a prefix of its first `new`."""
        return await Hashes(self.integrator.store).consistency(old, new)

    async def entry(self, index: int) -> bytes | None:
        """One entry of our own copy; None where it has none, whatever somebody else's file says."""
        found = await self.integrator.store.entries(index, index + 1) if 0 <= index < self.size else ()
        return found[0] if found else None

    async def certificate(self, cert_key: bytes) -> CertificateState | None:
        """What our own copy says of a certificate; None when it has no such one."""
        return await self.integrator.certificate(cert_key)

    def _readers(self, count: int) -> Executor:
        return self._processes.pool() if count >= MANY else super()._readers(count)

    async def _checked(self, stretch: Sequence[bytes], prepared: Prepared) -> None:
        if self.sittings is not None:
            await self.sittings.take(prepared, self.integrator.store)
        view, placed = prepared.view, {}
        for statement in prepared.statements:
            if isinstance(statement.body, Issue):
                track = view.track(statement.body.track_id)
                if len(track) > 1:
                    placed[statement.body.track_id] = [
                        (body.issue_day, state.issue_index)
                        for body, state in track.values()
                        if state.status is not CertificateStatus.REPLACED
                    ]
        fold_stretch(self.numbers, prepared.statements, prepared.head.time, prepared.statuses, placed, self._rush)

    async def _integrate(self, stretch: Sequence[bytes], reads: Sequence[Read]) -> None:
        await super()._integrate(stretch, reads)
        if self.integrator.size - self._flushed >= FLUSH:
            self._flush()

    async def _follow(self, opened: CosignedCheckpoint, progress: Callable[[int], None]) -> None:
        self.looked_at = opened
        await super()._follow(opened, progress)

    async def _keep(self, opened: CosignedCheckpoint) -> None:
        await super()._keep(opened)
        self._flush()

    async def _reopen(self) -> None:
        await super()._reopen()
        self._load()
        if self.sittings is not None:
            await self.sittings.count_held(self.integrator.store, self.integrator.size)

    def _load(self) -> None:
        stored = self._audit_store.statistics()
        self.numbers = Statistics() if stored is None else parse_statistics(stored[1])
        self._flushed = self.integrator.size
        assert self.numbers.size == self._flushed, "statistics and entries are committed together"

    def _flush(self) -> None:
        self._flushed = self.integrator.size
        self._audit_store.flush(self._flushed, self.numbers.encode())

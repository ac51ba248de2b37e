"""The one writer: puts candidates in order and seals them into batches. The publisher takes it from there.

Order of truth for one batch (docs/architecture.md), first half; the code carries the numbers:

    1 gather    what waits, at most `batch_limit` and what takes a moment (backlog.py); the batch time is fixed now
    2 fold      in order, each with its own answer: known already? number taken? right track? then the fold
    3 hash      chain, state map, seal, tree
    4 commit    one transaction: rows are read back inside it and hashed to the root a second way; compare-and-swap
    5-9         guard, sign, cosign, publish, answer: publisher.py

While the store is at 4, steps 1 to 3 of the next batch are done on what this one will leave, where both are of plain
certificates and enough of them wait (store/ahead.py); its own 4 begins when this one's has ended well. A store that
`reads_first` begins 4 when the next batch has read what it is folded on, if there is one.

A crash before 4 leaves nothing; after 4 the next start finds the committed head and goes on at 5. Nothing signed leaves
before 4, and no answer either: also not one that only names what the batch before has. Any error from 4 on ends the
process (`fatal`), so that what happened is decided by what the store holds and not by what this process believes, and
the batch behind it was never begun in the store. While the witness quorum is missing, batches go on being committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ledger.errors import Refused, Unavailable
from ledger.records.appointment import CertificateBody
from ledger.records.kinds import CERTIFICATE_KINDS
from ledger.records.life import Correct
from ledger.records.refusals import Refusal, refuse
from ledger.records.repeated import acts_again
from ledger.records.rotation import LogKey
from ledger.records.statements import Statement
from ledger.records.status import stands_alone
from ledger.service.admission import Candidate
from ledger.service.backlog import CROWDED, Backlog
from ledger.service.clock import LOST_MS, ClockStopped, LogClock
from ledger.service.private_fold import LineageOf, PrivateFold, behind
from ledger.service.private_index import PrivateIndex
from ledger.service.publisher import STOPPING, Publisher
from ledger.store.ahead import plain
from ledger.store.batch import Batch, Prepared
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateStore
from ledger.text import Text

log = logging.getLogger(__name__)
_BYTES: Final = 1024 * 1024  # of entries in one batch
_IN_ONE_GO: Final = 128  # statements folded before the event loop comes by
_QUEUE_BYTES: Final = 64 * 1024 * 1024  # of statements and envelopes waiting


@dataclass(slots=True)
class _Request:
    """The candidates that came together: one future for all, as each wakes up its waiter at a cost of its own."""

    answer: asyncio.Future[list[int | Refused]]
    outcomes: list[int | Refused]
    missing: int

    def settle(self, place: int, outcome: int | Refused) -> None:
        self.outcomes[place] = outcome
        self.missing -= 1
        if not self.missing and not self.answer.done():
            self.answer.set_result(self.outcomes)

    def fail(self, error: Unavailable) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(slots=True)
class _Waiting:
    candidate: Candidate
    request: _Request
    place: int  # in its request


@dataclass(slots=True)
class _Committing:
    """A batch at step 4, until its callers have their indexes."""

    task: asyncio.Task[None]
    prepared: Prepared
    plain: bool
    count: int  # statements
    may_begin: asyncio.Event


@dataclass(slots=True)
class _Sequenced:
    """What steps 1 to 3 made of a batch."""

    taken: Sequence[_Waiting]
    outcomes: Sequence[int | Refused]
    prepared: Prepared | None  # None: there is nothing to write
    plain: bool


class Sequencer:
    """Runs as one task. Requests wait on futures that carry an index or a refusal for each candidate."""

    def __init__(
        self,
        integrator: Integrator,
        store: PrivateStore,
        hashes: Hashes,
        publisher: Publisher,
        clock: LogClock,
        index: PrivateIndex,
        fatal: asyncio.Future[BaseException],
        lineage_of: LineageOf,
        backlog: Backlog,
        *,
        batch_limit: int,
        queue_limit: int,
        numbers_apart: bool,
        check_log_key: Callable[[LogKey], Awaitable[None]],
        on_commit: Callable[[Sequence[Candidate]], None] = lambda _: None,
    ) -> None:
        self.integrator, self.backlog = integrator, backlog
        self._store, self._hashes, self._publisher = store, hashes, publisher
        self._clock, self._fatal = clock, fatal
        self._index, self._lineage_of, self._numbers_apart = index, lineage_of, numbers_apart
        self._batch_limit, self._queue_limit, self._on_commit = batch_limit, queue_limit, on_commit
        self._check_log_key = check_log_key  # raises Refused for keys with which the log could not sign
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._committing: _Committing | None = None
        self._waiting_bytes = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def check_clock(self) -> None:
        """Raise ClockStopped when the clock is behind the log; Unavailable when there is no log."""
        if self.integrator.head is None:
            raise Unavailable(Text("日志还没有条目：请先运行 init", "the log has no entry yet: run init"))
        self._clock.batch_time(self.integrator.head.time)

    def check_leap(self) -> None:
        """As check_clock, but silent where a start would not help: while the clock is behind the log, which would be
        refused; and where it is a day ahead, which a person had better look at: witnesses may go by the same clock."""
        try:
            self.check_clock()
        except ClockStopped:
            assert self.integrator.head is not None
            last = max(self.integrator.head.time, self._clock.expected())
            try:
                ahead = self._clock.anew().batch_time(self.integrator.head.time) - last
            except ClockStopped:
                return
            if ahead < LOST_MS:
                raise

    def put(self, candidates: Sequence[Candidate]) -> asyncio.Future[list[int | Refused]]:
        """Queue candidates in order. Raises Unavailable when the queue is full (never an unbounded queue: this bounds
        memory, and `backlog` what a statement waits), and while no statement may be taken. Into an empty queue what one
        request may hold is always taken: it would never have room otherwise.
        """
        self._publisher.check_taking()
        size = sum(candidate.size for candidate in candidates)
        many = len(self._queue) + len(candidates) > self._queue_limit
        if self._queue and (many or self._waiting_bytes + size > _QUEUE_BYTES):
            raise Unavailable(CROWDED, retry_after=1)
        self._waiting_bytes += size
        request = _Request(asyncio.get_running_loop().create_future(), [0] * len(candidates), len(candidates))
        if not candidates:
            request.answer.set_result([])
        self._queue.extend([_Waiting(candidate, request, place) for place, candidate in enumerate(candidates)])
        self._wake.set()
        return request.answer

    async def run(self) -> None:
        """Until cancelled. An error from step 4 on is put into `fatal` and ends the loop."""
        try:
            while not self._fatal.done():
                self._wake.clear()
                if self._committing is not None and self._committing.task.done():
                    await self._committed()
                if self._due():
                    await self._guarded(self._one_batch)
                else:
                    self._let_commit()
                    await self._wake.wait()
            await self._committed()
        except BaseException:
            if self._committing is not None:
                self._committing.task.cancel()
                await asyncio.wait([self._committing.task])
            raise

    def _due(self) -> bool:
        """Whether to begin a batch: beside a commit only when as many wait as are in it, so that batches stay large."""
        if not self._queue:
            return False
        first = self._committing
        return first is None or (first.plain and len(self._queue) >= min(first.count, self._limit))

    @property
    def _limit(self) -> int:
        return min(self._batch_limit, self.backlog.batch)

    async def _guarded(self, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except ClockStopped as error:
            # Nothing was begun: the log stays readable and goes on when the clock is right.
            log.error("no batch can be made", extra={"fields": {"reason": str(error)}})
            self._fail_waiting(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, this process must not go on writing
            log.critical("the sequencer stops", extra={"fields": {"error": type(error).__name__}})
            self._fail_waiting(Unavailable(STOPPING, retry_after=5))
            if not self._fatal.done():
                self._fatal.set_result(error)

    def _fail_waiting(self, error: Unavailable) -> None:
        for item in self._queue:
            item.request.fail(error)
        self._queue.clear()
        self._waiting_bytes = 0

    async def _one_batch(self) -> None:
        """Steps 1 to 3, and 4 begun: it ends by itself (`_commit`)."""
        try:
            self._publisher.check_batch()
        except Unavailable as error:  # it has stopped signing while these waited, or a disk has filled up
            self._fail_waiting(error)
            return
        taken = self._take()
        with _unknown(taken):
            sequenced = await self._sequence(taken)
            await self._committed()
        if self._fatal.done():  # by the batch before: this one is not in the store
            _fail(taken, Unavailable(STOPPING, retry_after=5))
        elif sequenced.prepared is None:
            self._settle(sequenced)
        else:
            self._begin_commit(sequenced, sequenced.prepared)

    async def _sequence(self, taken: Sequence[_Waiting]) -> _Sequenced:
        candidates = [item.candidate for item in taken]
        statements = [one.statement for one in candidates]
        of_certificates = plain(statements)
        first = self._committing
        if first is not None and not (first.plain and of_certificates):
            await self._committed()
            first = None
        ahead = None if first is None else self.integrator.ahead(first.prepared)
        head = self.integrator.head if ahead is None else ahead.head
        assert head is not None
        time = self._clock.batch_time(head.time)  # 1
        store = self._store if ahead is None else ahead.store
        private = PrivateFold(self._index, self._lineage_of, numbers_apart=self._numbers_apart)
        batch, _ = await asyncio.gather(
            self.integrator.begin(statements, time, behind(candidates), ahead), private.load(store, candidates)
        )
        self._let_commit()
        outcomes = await self._fold(batch, private, taken, store)  # 2
        prepared = await batch.finish(private.rows) if len(batch) else None  # 3
        return _Sequenced(taken, outcomes, prepared, of_certificates)

    async def _committed(self) -> None:
        """Until the batch before, if one is being committed, is durable and answered, or has ended the process."""
        if self._committing is not None:
            self._let_commit()
            await self._committing.task
            self._committing = None

    def _let_commit(self) -> None:
        """The batch at step 4 waits for no reads of the next one, or no longer."""
        if self._committing is not None:
            self._committing.may_begin.set()

    def _begin_commit(self, sequenced: _Sequenced, prepared: Prepared) -> None:
        may_begin = asyncio.Event()
        if not self._store.reads_first:
            may_begin.set()

        async def commit() -> None:
            try:
                await self._guarded(lambda: self._commit(sequenced, prepared, may_begin))
            finally:
                self._wake.set()

        task = asyncio.create_task(commit())
        self._committing = _Committing(task, prepared, sequenced.plain, len(sequenced.taken), may_begin)

    async def _commit(self, sequenced: _Sequenced, prepared: Prepared, may_begin: asyncio.Event) -> None:
        with _unknown(sequenced.taken):
            await may_begin.wait()
            await self.integrator.commit(prepared)  # 4
            self._hashes.learn(prepared.completed)
            self._publisher.committed(prepared)
            before = prepared.stored.before
            assert before is not None
            # Neither what was refused nor what the log had before: that changed nothing.
            came = [
                item.candidate
                for item, at in zip(sequenced.taken, sequenced.outcomes, strict=True)
                if isinstance(at, int) and at >= before.size
            ]
            self._on_commit(came)
        self._settle(sequenced)

    def _settle(self, sequenced: _Sequenced) -> None:
        self.backlog.finished(len(sequenced.taken))
        for item, outcome in zip(sequenced.taken, sequenced.outcomes, strict=True):
            item.request.settle(item.place, outcome)

    def _take(self) -> list[_Waiting]:
        """The next batch: as many as fit, or one that stands alone."""
        taken: list[_Waiting] = []
        size, limit = 0, self._limit
        while self._queue and len(taken) < limit and size < _BYTES:
            statement = self._queue[0].candidate.statement
            alone = stands_alone(statement)
            if taken and (alone or _corrects_one_of(statement, taken)):
                break
            item = self._queue.popleft()
            self._waiting_bytes -= item.candidate.size
            if not item.request.answer.done():  # given up, or failed with another part of its request
                taken.append(item)
                size += len(item.candidate.statement.entry)
            if alone:
                break
        return taken

    async def _fold(
        self, batch: Batch, private: PrivateFold, taken: Sequence[_Waiting], store: PrivateStore
    ) -> list[int | Refused]:
        statements = [item.candidate.statement for item in taken]
        named = [statement.identity for statement in statements if statement.kind not in CERTIFICATE_KINDS]
        known: dict[bytes, int] = await store.find(named) if named else {}
        await private.load_named(store, [item.candidate for item in taken], batch)
        outcomes: list[int | Refused] = []
        for place, item in enumerate(taken):
            if place % _IN_ONE_GO == 0:
                await asyncio.sleep(0)  # a commit under way asks the loop for little, but often
            statement = item.candidate.statement
            before = _logged(batch, statement, known)
            if before is not None:  # 3 of admission
                undone = acts_again(batch.view, item.candidate.authentic, batch.moment())
                outcomes.append(refuse(Refusal.REPEATED, "reason") if undone else before)
                continue
            try:
                private.check(item.candidate, batch)  # 9, 10
                if isinstance(statement.body, LogKey):
                    await self._check_log_key(statement.body)
                index = batch.add(item.candidate.authentic)  # 5, 8, 10, 11, 12
            except Refused as refusal:
                outcomes.append(refusal)
                continue
            known[statement.identity] = index
            outcomes.append(index)
            private.take(item.candidate, index)
        return outcomes


def _logged(batch: Batch, statement: Statement, known: Mapping[bytes, int]) -> int | None:
    """Where a statement is that the log or the batch has already; `known`: by identity, of those that are found so. Of
    a certificate the very same, not another under its key."""
    body = statement.body
    if not isinstance(body, CertificateBody):
        return known.get(statement.identity)
    member = batch.member(body.cert_key)
    return member[1].issue_index if member is not None and member[1].issue_leaf == statement.leaf_hash else None


def _fail(taken: Sequence[_Waiting], error: Unavailable) -> None:
    for item in taken:
        item.request.fail(error)


@contextmanager
def _unknown(taken: Sequence[_Waiting]) -> Iterator[None]:
    """Whatever goes wrong meanwhile, their callers must ask again."""
    try:
        yield
    except BaseException:
        _fail(taken, Unavailable(Text("结果未知，请重试", "outcome unknown; ask again"), retry_after=5))
        raise


def _corrects_one_of(statement: Statement, taken: Sequence[_Waiting]) -> bool:
    """Whether it corrects a certificate that waits in the same batch: its occupation must be in the log before."""
    body = statement.body
    return isinstance(body, Correct) and any(
        item.candidate.statement.kind in CERTIFICATE_KINDS and item.candidate.statement.body.cert_key == body.cert_key  # type: ignore[union-attr]
        for item in taken
    )

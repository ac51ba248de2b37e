"""The one writer: puts candidates in order, seals them into batches, signs, publishes, and only then answers.

Order of truth for one batch (design 4); the code carries the numbers:

    1 gather    what waits, at most `batch_limit`; the batch time is fixed now
    2 fold      in order, each with its own answer: known already? number taken? right track? then the fold
    3 hash      chain, state map, seal, tree
    4 commit    one transaction: rows are read back inside it and hashed to the root a second way; compare-and-swap
    5 guard     remembers (size, root) in separate storage, durably
    6 sign      the checkpoint
    7 publish   readers see the new checkpoint
    8 answer    index and proofs under it

A crash before 4 leaves nothing; after 4 the next start finds the committed head and goes on at 5; nothing signed
leaves before 4, and nobody is answered before 7. Any error from 4 on ends the process (`fatal`), so that what
happened is decided by what the store holds and not by what this process believes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Refused, Unavailable
from ledger.records.kinds import CERTIFICATE_KINDS
from ledger.records.life import Correct
from ledger.records.seal import Seal, is_seal, parse_seal
from ledger.records.statements import Statement
from ledger.records.status import stands_alone
from ledger.service.admission import Candidate
from ledger.service.clock import ClockStopped, LogClock
from ledger.service.private_fold import LineageOf, PrivateFold
from ledger.service.private_index import PrivateIndex
from ledger.service.signer import HeadSigner
from ledger.store.hashes import Hashes
from ledger.store.integrate import Batch, Integrator
from ledger.store.protocol import PrivateRows, PrivateStore
from ledger.wire import Logged, Receipt

log = logging.getLogger(__name__)
RENEW_S: Final = 60.0  # an idle log renews its ML-DSA signature this often
_BYTES: Final = 1024 * 1024  # of entries in one batch
_PUBLICATION_S: Final = 10.0  # from commit to publication at most
_QUEUE_BYTES: Final = 64 * 1024 * 1024  # of statements and envelopes waiting
_SEAL_SEARCH: Final = 5000  # leaves; longer than any batch


@dataclass(frozen=True, slots=True)
class Published:
    """What readers see: one signed head and the seal that ends it."""

    size: int
    root: bytes
    note: bytes
    seal: bytes


@dataclass(slots=True)
class _Waiting:
    candidate: Candidate
    answer: asyncio.Future[int | Refused]


class Sequencer:
    """Runs as one task. Requests wait on futures that carry an index or a refusal."""

    def __init__(
        self,
        integrator: Integrator,
        store: PrivateStore,
        signer: HeadSigner,
        clock: LogClock,
        index: PrivateIndex,
        lineage_of: LineageOf,
        *,
        batch_limit: int,
        queue_limit: int,
        on_commit: Callable[[Sequence[Candidate]], None] = lambda _: None,
    ) -> None:
        self.integrator = integrator
        self.hashes = Hashes(store)
        self.fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.published: Published | None = None
        self._store, self._signer, self._clock = store, signer, clock
        self._index, self._lineage_of = index, lineage_of
        self._batch_limit, self._queue_limit, self._on_commit = batch_limit, queue_limit, on_commit
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._signed_at = self._renew_at = 0.0  # the loop's time of the newest signature, and of the next
        self._waiting_bytes = 0
        self._publication = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether readers get fresh signatures: published, not stopped, and renewed on time."""
        if self.published is None or self.fatal.done():
            return False
        return asyncio.get_running_loop().time() - self._signed_at < 2 * RENEW_S

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def start(self) -> None:
        """Sign and publish the committed head again: the cure for a crash between commit and publication."""
        head = self.integrator.head
        if head is None:
            raise Unavailable("the log has no entry yet: run init")
        self._clock.batch_time(head.time)
        seal = (await self._store.entries(head.seal, head.size))[0]
        self._publish(Published(head.size, head.root, self._signer.sign(head.size, head.root), seal))

    def put(self, candidates: Sequence[Candidate]) -> list[asyncio.Future[int | Refused]]:
        """Queue candidates in order. Raises Unavailable when the queue is full: never an unbounded queue."""
        if self.fatal.done():
            raise Unavailable("the log is stopping", retry_after=5)
        size = sum(candidate.size for candidate in candidates)
        if len(self._queue) + len(candidates) > self._queue_limit or self._waiting_bytes + size > _QUEUE_BYTES:
            raise Unavailable("too many statements are waiting", retry_after=1)
        self._waiting_bytes += size
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(candidate, loop.create_future()) for candidate in candidates]
        self._queue.extend(waiting)
        self._wake.set()
        return [item.answer for item in waiting]

    async def receipt(self, answers: Sequence[int | Refused]) -> Receipt:
        """Indexes as proofs under the published checkpoint."""
        indexes = [answer for answer in answers if isinstance(answer, int)]
        published = await self._published_beyond(max(indexes, default=0))
        proofs = dict(zip(indexes, await self.hashes.inclusion(indexes, published.size), strict=True))
        times = await self._times(indexes, parse_seal(published.seal))
        seal_path = (await self.hashes.inclusion([published.size - 1], published.size))[0]
        logged = tuple(
            Logged(answer, times[answer], proofs[answer]) if isinstance(answer, int) else answer for answer in answers
        )
        return Receipt(logged, published.note, published.seal, seal_path)

    async def _published_beyond(self, index: int) -> Published:
        """The published head, once it covers `index`: a retry can find its statement between commit and publication."""
        while self.published is None or index >= self.published.size:
            if self.fatal.done():
                raise Unavailable("the log is stopping; ask again", retry_after=5)
            try:
                async with asyncio.timeout(_PUBLICATION_S):
                    await self._publication.wait()
            except TimeoutError:
                raise Unavailable("logged, but not published yet; ask again", retry_after=5) from None
        return self.published

    def _publish(self, published: Published) -> None:
        self.published = published
        self._signed_at = asyncio.get_running_loop().time()
        self._renew_at = self._signed_at + RENEW_S
        self._publication.set()
        self._publication = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. An error from step 4 on is put into `fatal` and ends the loop."""
        loop = asyncio.get_running_loop()
        while not self.fatal.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._renew_at):
                    await self._wake.wait()
            self._wake.clear()
            if self._queue:
                await self._guarded(self._one_batch)
            if loop.time() >= self._renew_at:  # batches of refusals sign nothing
                self._renew_at = loop.time() + RENEW_S / 10  # should this attempt fail
                await self._guarded(self._renew)
            if self._queue:
                self._wake.set()

    async def _guarded(self, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except ClockStopped as error:
            # Nothing was begun: the log stays readable and tries again when the clock is right.
            log.error("signing is stopped", extra={"fields": {"reason": str(error)}})
            self._fail_waiting(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, this process must not go on writing
            log.critical("the sequencer stops", extra={"fields": {"error": type(error).__name__}})
            self._fail_waiting(Unavailable("the log is stopping; ask again", retry_after=5))
            if not self.fatal.done():
                self.fatal.set_result(error)

    def _fail_waiting(self, error: Unavailable) -> None:
        for item in self._queue:
            if not item.answer.done():
                item.answer.set_exception(error)
        self._queue.clear()
        self._waiting_bytes = 0

    async def _renew(self) -> None:
        published = self.published
        assert published is not None
        note = self._signer.sign(published.size, published.root)
        self._publish(Published(published.size, published.root, note, published.seal))

    async def _one_batch(self) -> None:
        taken = self._take()
        try:
            outcomes = await self._sequence(taken)
        except BaseException:
            for item in taken:
                if not item.answer.done():
                    item.answer.set_exception(Unavailable("outcome unknown; ask again", retry_after=5))
            raise
        for item, outcome in zip(taken, outcomes, strict=True):  # 8
            if not item.answer.done():
                item.answer.set_result(outcome)

    async def _sequence(self, taken: Sequence[_Waiting]) -> Sequence[int | Refused]:
        head = self.integrator.head
        assert head is not None
        time = self._clock.batch_time(head.time)  # 1
        batch = await self.integrator.begin([item.candidate.statement for item in taken], time)
        outcomes, private = await self._fold(batch, taken)  # 2
        if len(batch):
            prepared = await batch.finish(private)  # 3
            await self.integrator.commit(prepared)  # 4
            try:
                note = self._signer.sign(prepared.head.size, prepared.head.root)  # 5, 6
            except ClockStopped as error:
                raise Unavailable("the clock leapt between commit and signature") from error  # no longer "not begun"
            self.hashes.learn(prepared.completed)
            self._publish(Published(prepared.head.size, prepared.head.root, note, prepared.seal))  # 7
            self._on_commit([item.candidate for item in taken])
        return outcomes

    def _take(self) -> list[_Waiting]:
        """The next batch: as many as fit, or one that stands alone."""
        taken: list[_Waiting] = []
        size = 0
        while self._queue and len(taken) < self._batch_limit and size < _BYTES:
            statement = self._queue[0].candidate.statement
            alone = stands_alone(statement)
            if taken and (alone or _corrects_one_of(statement, taken)):
                break
            item = self._queue.popleft()
            self._waiting_bytes -= item.candidate.size
            if not item.answer.cancelled():
                taken.append(item)
                size += len(item.candidate.statement.entry)
            if alone:
                break
        return taken

    async def _fold(self, batch: Batch, taken: Sequence[_Waiting]) -> tuple[list[int | Refused], PrivateRows]:
        known = await self._store.find([item.candidate.statement.identity for item in taken])
        private = await PrivateFold.load(
            self._store, self._index, self._lineage_of, [item.candidate for item in taken], batch
        )
        outcomes: list[int | Refused] = []
        for item in taken:
            statement = item.candidate.statement
            before = known.get(statement.identity)
            if before is not None:  # 3 of admission
                outcomes.append(before)
                continue
            try:
                private.check(item.candidate, batch)  # 9, 10
                index = batch.add(item.candidate.authentic)  # 5, 8, 10, 11, 12
            except Refused as refusal:
                outcomes.append(refusal)
                continue
            known[statement.identity] = index
            outcomes.append(index)
            private.take(item.candidate, index)
        return outcomes, private.rows

    async def _times(self, indexes: Sequence[int], newest: Seal) -> dict[int, int]:
        """The batch time of each index: that of the first seal after it. `newest` covers all of them."""
        times: dict[int, int] = {}
        seal: Seal | None = None
        for index in sorted(indexes):
            if seal is None or index > seal.covered:
                seal = newest if index > newest.previous else await self._seal_after(index)
            times[index] = seal.time
        return times

    async def _seal_after(self, index: int) -> Seal:
        for start in range(index, index + _SEAL_SEARCH, 256):
            for entry in await self._store.entries(start, start + 256):
                if is_seal(entry):
                    return parse_seal(entry)
        raise AssertionError("a committed statement is followed by its seal")


def _corrects_one_of(statement: Statement, taken: Sequence[_Waiting]) -> bool:
    """Whether it corrects a certificate that waits in the same batch: its occupation must be in the log before."""
    body = statement.body
    return isinstance(body, Correct) and any(
        item.candidate.statement.kind in CERTIFICATE_KINDS and item.candidate.statement.body.cert_key == body.cert_key  # type: ignore[union-attr]
        for item in taken
    )

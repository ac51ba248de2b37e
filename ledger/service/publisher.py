"""From committed heads to the published checkpoint: the second half of the order of truth (docs/architecture.md).

The sequencer commits (1-4) and goes on; this task always takes the newest committed head, so it may skip some:

    5 guard     remembers (size, root) in separate storage, durably
    6 sign      the checkpoint, with both log keys
    7 cosign    by the witnesses of the policy, until they satisfy its quorum
    8 publish   durably where there is a quorum, so that a restart without one shows no smaller log; then readers see it
    9 answer    index and proofs under it (answers.py)
   10 beyond    who the quorum does not name (map auditors) is shown it; a line that comes is shown with the head while
                that is the newest, and remembered with it until there is one on a newer head (cosigned.py)

Before the first signature of a process:

    a guard     the committed head is neither smaller than what was signed nor another one, and what was signed is a
                part of the stored tree: else the process ends
    b ask       the witnesses what they have seen, until those that have not said could not be a quorum among
                themselves; until then nothing is signed and no statement is taken
    c stop      one of them shows a checkpoint under the log's own signature that the store does not hold: the store is
                an old copy, or another branch. This process signs nothing any more, and the next one asks again; what
                is stored stays readable

A crash before 5 leaves a committed head, after 5 one that the guard allows again, after 7 one that some witnesses have:
the next start goes on at a with the same head in every case. A missing quorum is a state: committed batches stay
durable and pending, and are published together when it is back. A store or guard error ends the process (`fatal`); a
clock that leapt only holds 5 up until it is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Unavailable, Unverified
from ledger.service.clock import ClockStopped
from ledger.service.cosigned import LastCosigned, Published
from ledger.service.disk_room import DiskRoom
from ledger.service.signer import HeadSigner
from ledger.service.witness import Contradiction, Signed
from ledger.service.witnesses import Witnesses
from ledger.store.batch import Prepared
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateStore, StoredHead, entry_at
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, add_cosignatures, open_checkpoint
from ledger.tlog.note import NoteSignature

log = logging.getLogger(__name__)
RENEW_S: Final = 60.0  # an idle log renews its signature, and its cosignatures, this often
_ASKING: Final = Text(
    "账本正在向见证者核对，尚未签名，请稍后重试",
    "The log is still asking its witnesses what they have seen, and signs nothing before; please try again later",
)
_CLOCK: Final = Text(
    "法定数见证者的时间与本机时钟相差超过 30 秒：请校准本机时钟后重启账本；在此之前不接收语句",
    "A quorum of witnesses has another time than this machine, by more than 30 seconds: set its clock and start the "
    "log again. Until then no statement is taken",
)
_SHORT: Final = Text(
    "见证人不足法定数，没有新的检查点可发布；语句照常入账，见证人恢复后自动发布。请查看各见证人",
    "Too few witnesses sign, so nothing new is published; what is logged gets published when the quorum is back. Look "
    "at the witnesses",
)
STOPPING: Final = Text("日志正在停止，请重试", "the log is stopping; ask again")
_LONG: Final = Text("已很久没有公布检查点，请查看日志", "nothing was published for long; look at the log")
_STOPPED: Final = Text(
    "账本已停止签名：见证者 {witness} 持有本账本签署的、大小为 {shown} 的检查点，而存储中只有 {size} 条或内容不同，"
    "可能恢复了旧备份。已存内容仍可读取。请用 cert-ledger refill 从核验方的副本补齐后再启动；"
    "切勿删除签名守卫或更换密钥",
    "The log has stopped signing: witness {witness} has a checkpoint of size {shown} that this log signed, and the "
    "store holds {size} leaves or others: an old backup? What is stored stays readable. Refill it from a verifier's "
    "replica (cert-ledger refill), then start again; do not delete the guard, do not change keys",
)


@dataclass(frozen=True, slots=True)
class _Committed:
    head: StoredHead
    seal: bytes


class Publisher:
    """Runs as one task beside the sequencer. `on_published` is called in the very step in which readers see a head:
    also when only its signatures are newer.
    """

    def __init__(
        self,
        integrator: Integrator,
        store: PrivateStore,
        hashes: Hashes,
        signer: HeadSigner,
        witnesses: Witnesses,
        fatal: asyncio.Future[BaseException],
        room: DiskRoom,
        *,
        on_published: Callable[[Published], None] = lambda _: None,
    ) -> None:
        self.published: Published | None = None
        self.last_cosigned = LastCosigned()
        self.stopped: Text | None = None  # what people are told when it must not sign
        self.room = room
        self._integrator, self._store, self._signer, self._witnesses = integrator, store, signer, witnesses
        self._hashes, self._fatal, self._on_published = hashes, fatal, on_published
        witnesses.report_to(self)
        self._newest: _Committed | None = None
        self._asked = False
        self._wake, self._publication = asyncio.Event(), asyncio.Event()
        # The loop's times: of the newest publication, of the next renewal, and before which nothing is tried.
        self._published_at = self._renew_at = self._not_before = 0.0
        self._short = False
        self._on_its_way: Signed | None = None
        self._late: list[NoteSignature] = []  # of the head that is on its way, after its quorum

    @property
    def alive(self) -> bool:
        """Whether readers get fresh signatures: published, not stopped, and renewed on time."""
        running = self.published is not None and self.stopped is None and not self._fatal.done()
        return running and self.age_s < 2 * RENEW_S

    def check_alive(self) -> None:
        """Raise Unavailable unless readers get fresh signatures; it says when it is the witnesses who are missing."""
        if not self.alive:
            raise Unavailable(_SHORT if self._short else _LONG, public=self._short)

    @property
    def age_s(self) -> float:
        """Seconds since signatures were last published by this process; before that, since it booted."""
        return asyncio.get_running_loop().time() - self._published_at

    @property
    def readable(self) -> int:
        """Leaves that may be read: of the published head, or all that is stored when there will be no other."""
        if self.stopped is not None:
            return self._integrator.size
        return self.published.size if self.published else 0

    @property
    def needs_quorum(self) -> bool:
        """Whether witnesses have to see a head before it is published."""
        return self._witnesses.policy.has_quorum

    def shown(self) -> Published:
        """What readers see. Raise Unavailable while that is nothing, and when there will be no newer one."""
        self.check_running()
        if self.published is None:
            raise Unavailable(Text("还没有公布任何检查点，请稍后重试", "nothing is published yet; try again later"))
        return self.published

    @property
    def pending(self) -> int:
        """Leaves that are committed and not published."""
        return self._integrator.size - (self.published.size if self.published else 0)

    def check_taking(self) -> None:
        """Raise Unavailable while no statement may be taken: before the witnesses were asked, after a stop, while
        a quorum of them contradicts our clock (a batch sealed with a time to come could have no successor until then),
        and while a disk has too little room.
        """
        self._check_allowed()
        self.room.check()

    def check_batch(self) -> None:
        """The same for a batch that begins right now: its room is looked at anew."""
        self._check_allowed()
        self.room.look()

    def _check_allowed(self) -> None:
        self.check_running()
        if self._witnesses.doubt_clock():
            raise Unavailable(_CLOCK, retry_after=60, public=True)
        if not self._asked:
            raise Unavailable(_ASKING, retry_after=5, public=True)

    def check_running(self) -> None:
        """Raise Unavailable when there will be no newer checkpoint from this process."""
        if self._fatal.done():
            raise Unavailable(STOPPING, retry_after=5)
        if self.stopped is not None:
            raise Unavailable(self.stopped, retry_after=600, public=True)

    async def start(self) -> None:
        """Steps a to c, and the committed head as far as it gets at once. Raises what the guard or the store raises."""
        head = self._integrator.head
        if head is None:
            raise Unavailable(Text("日志还没有条目：请先运行 init", "the log has no entry yet: run init"))
        await self._signer.check(head.size, head.root, self._hashes.root)  # a
        self._newest = _Committed(head, await entry_at(self._store, head.seal))
        await self._show_stored(head)
        await self._step()

    def committed(self, prepared: Prepared) -> None:
        """A batch is durable: its head is the newest now."""
        self._newest = _Committed(prepared.head, prepared.seal)
        self._wake.set()

    async def beyond(self, index: int, wait_s: float) -> Published | None:
        """The published head, once it covers `index`; None when it does not within `wait_s`. Raises Unavailable."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self.published is None or index >= self.published.size:
                    self.check_running()
                    await self._publication.wait()
                return self.published
        return None

    async def run(self) -> None:
        """Until cancelled or stopped. An error of store or guard is put into `fatal` and ends the loop."""
        pace = asyncio.create_task(self._witnesses.pace(lambda: self.published.signed if self.published else None))
        try:
            while not self._fatal.done() and self.stopped is None:
                await self._until_due()
                try:
                    await self._step()
                except ClockStopped as error:  # what is committed waits until the clock is right
                    log.error("signing is stopped", extra={"fields": {"reason": str(error)}})
                    self._not_before = asyncio.get_running_loop().time() + RENEW_S / 10
                except Exception as error:  # noqa: BLE001  # whatever it is, this process must not go on signing
                    self.end(error)
        finally:
            pace.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pace

    def late(self, signed: Signed, lines: Sequence[NoteSignature]) -> None:
        """Cosignatures that came after the quorum, or from public witnesses: shown while their head is the newest."""
        if self._on_its_way is signed:
            self._late += lines
        elif self.published is not None and self.published.signed is signed and self.stopped is None:
            self._show(self.published.bearing(lines))

    def answered(self, published: Published, lines: Sequence[NoteSignature]) -> None:
        """10: lines from beyond the quorum. They are about size and root, so that one also goes with the same head when
        it was signed again meanwhile."""
        if self.stopped is not None or self.published is None:
            return
        if self.published.signed.checkpoint == published.signed.checkpoint:
            published = self.published.bearing(lines)
            self._show(published)
        else:
            published = published.bearing(lines)
        self.last_cosigned.take(published, lines)

    def contradicted(self, found: Contradiction) -> None:
        """Step c, whenever a witness shows it: nothing is signed any more."""
        if self.stopped is None:
            fields = {"witness": found.witness, "shown": found.shown.size, "stored": self._integrator.size}
            log.critical("the log contradicts what it signed; it signs no more", extra={"fields": fields})
            self.stopped = _STOPPED.format(witness=found.witness, shown=found.shown.size, size=self._integrator.size)
            self._tell()

    def end(self, error: BaseException) -> None:
        """An error after which nothing may be signed: the process has to end."""
        log.critical("the publisher stops", extra={"fields": {"error": type(error).__name__}})
        if not self._fatal.done():
            self._fatal.set_result(error)
        self._tell()

    async def _until_due(self) -> None:
        """Until there is a newer head or a renewal is due, and no failed attempt is too recent."""
        loop = asyncio.get_running_loop()
        if not self._due():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._renew_at):
                    await self._wake.wait()
        self._wake.clear()
        await asyncio.sleep(max(0.0, self._not_before - loop.time()))

    def _due(self) -> bool:
        newest = self._newest
        return newest is not None and (self.published is None or newest.head.size > self.published.size)

    async def _step(self) -> None:
        """Ask the witnesses if that is still to be done; then one attempt to publish the newest head."""
        if await self._may_sign() and await self._attempt():
            if self._short:
                log.info("the witness quorum is back")
            self._short = False
        elif self.stopped is None and not self._fatal.done():
            self._not_before = self._witnesses.next_try()
            if not self._short:
                log.error("the witness quorum is missing; statements stay pending")
            self._short = True

    async def _may_sign(self) -> bool:
        if self.stopped is None and not self._asked:
            try:
                self._asked = await self._witnesses.ask(self.published.signed if self.published else None)  # b
            except Contradiction as found:
                self.contradicted(found)  # c
        return self._asked and self.stopped is None

    async def _attempt(self) -> bool:
        """Steps 5 to 8 for the newest committed head; whether the quorum was there."""
        newest = self._newest
        assert newest is not None
        if self._fatal.done():  # by the very batch that woke this up, maybe: one that names other keys (log_keys.py)
            return False
        self._late = []
        head = newest.head
        try:
            signed = self._on_its_way = await self._sign(head)  # 5, 6
            lines = await self._witnesses.cosign(signed)  # 7
            if lines is None or self._halted():
                return False
            if self.needs_quorum:
                await self._store.put_checkpoint(add_cosignatures(signed.note, lines), head.size)  # 8
                if self._halted():
                    return False
            note = add_cosignatures(signed.note, (*lines, *self._late))
            self._show(published := Published(signed, note, newest.seal))
            self._witnesses.published(published)  # 10
            return True
        finally:
            self._on_its_way = None

    def _halted(self) -> bool:
        return self.stopped is not None

    async def _sign(self, head: StoredHead) -> Signed:
        note = await self._signer.sign(head.size, head.root)  # 5, 6
        return Signed(Checkpoint(self._signer.signer.origin, head.size, head.root), note)

    def _show(self, published: Published) -> None:
        """Step 8: readers see it from here on."""
        loop = asyncio.get_running_loop()
        if self.published is None or self.published.signed is not published.signed:
            self._published_at, self._renew_at = loop.time(), loop.time() + RENEW_S
        self.published = published
        self._on_published(published)
        self._tell()

    def _tell(self) -> None:
        self._publication.set()
        self._publication = asyncio.Event()

    async def _show_stored(self, head: StoredHead) -> None:
        """What was published last, where that was kept: readers see it until there is a newer one."""
        note = await self._store.checkpoint() if self.needs_quorum else None
        if note is None:
            return
        signer = self._signer.signer
        try:
            checkpoint = open_checkpoint(note, signer.origin, signer.vkeys).checkpoint
        except (Malformed, Unverified):
            log.error("the kept checkpoint is not under the log's keys; it is not shown")
            return
        if checkpoint.size > head.size or await self._hashes.root(checkpoint.size) != checkpoint.root:
            raise Unavailable(
                Text(
                    "存储：已公布的检查点与存储的树不符，请运行 fsck",
                    "store: the published checkpoint is not of the stored tree; run fsck",
                )
            )
        seal = await entry_at(self._store, checkpoint.size - 1)
        self.published = Published(Signed(checkpoint, note), note, seal)

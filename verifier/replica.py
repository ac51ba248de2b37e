"""The verifier's own copy of one log: fetched from anybody, believed only after it was checked here.

One poll, numbered:

    1 checkpoint   opens under the pinned origin and keys, and is not from the future
    2 growth       not smaller than what was verified before; the same size has the same root
    3 quorum       the witnesses of the pinned policy stand behind it; nothing is taken in without them
    4 prefix       what we hold and each further stretch are proven to be a prefix of the checkpoint's tree,
                   before any of it is stored
    5 genesis      entry 0 is the pinned one
    6 signatures   every statement is signed by a key of its filing, or by enough of the authority
    7 fold         every statement is admissible where it stands
    8 seal         the seal computed here equals the log's, byte for byte: same chain, map root and key count
    9 end          the checkpoint ends with a seal (R1); only now its note is kept and its time counts

A failure of 2 or 5 to 9 is proven by the log's own signatures: the replica halts and what it answers is no longer
fresh. A failure of 1, 3 or 4 may be the doing of whoever stands between, so it is tried again; freshness runs out by
itself. A kill at any moment leaves whole batches, from which the next start goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Final, Self

from ledger.errors import CertLedgerError, Damaged, Malformed, Refused, Unavailable, Unverified
from ledger.records.authority import FiledKey
from ledger.records.seal import is_seal
from ledger.remote import LogSource
from ledger.store.batch import Prepared
from ledger.store.evidence import Basis, Prover, Standing
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.protocol import Store, entry_at
from ledger.store.reading import BadEntry, Read, filed_ahead, read_entries
from ledger.store.replay import replay_stretch, split_sealed
from ledger.store.serving import Serving
from ledger.text import Text
from ledger.tlog.checkpoint import CosignedCheckpoint, OpenedCheckpoint, open_checkpoint, open_cosigned
from ledger.tlog.merkle import fold_right
from verifier.download import STRETCH, Download
from verifier.former import Pins, UnknownKeys, open_known
from verifier.log_end import BEHIND, LogEnd
from verifier.violation import NOT_PINNED, ClocksDiffer, Unwitnessed, Violation

MAX_BATCH: Final = 16_384  # entries between two seals: four times what a ledger may put in a batch
MAX_BATCH_BYTES: Final = 128 * 1024 * 1024
_MAX_PAUSE_S: Final = 30.0
_FUTURE: Final = Text(
    "检查点的时间在未来：请检查本机时钟",
    "checkpoint: its time is in the future; is this computer's clock right?",
)
_PENDING_NODES: Final = 40_000  # of the map while a long log is taken in: only its end will be proven from


@dataclass(frozen=True, slots=True)
class Verified:
    """The newest checkpoint that everything up to step 9 was checked for."""

    size: int
    root: bytes
    time_ms: int  # how fresh it is: the quorum's newest moment, or the log's where the policy has no quorum
    log_time_ms: int  # from the log's own timestamped signature
    note: bytes


class Replica:
    """Follows one log into one store. One task polls; reads may come from anywhere on the same loop."""

    proves: ClassVar[bool] = True  # its store keeps the versions that proofs are made from

    def __init__(
        self, integrator: Integrator, source: LogSource, trust: Pins, pool: Executor, stretch: int = STRETCH
    ) -> None:
        self._adopt(integrator)
        self.verified: Verified | None = None
        self._before: Verified | None = None  # kept under former keys: the log goes on from there, and it is no news
        self.halted: Violation | None = None
        self.problem: CertLedgerError | None = None  # of the last poll
        self.answered = False  # some poll went well
        self.target: int | None = None  # size that a poll under way is heading for
        self._source = source
        self._trust = trust
        self._pool = pool
        self._stretch = stretch
        self._unknown = False  # whether the store has what was committed last
        self._ahead: dict[bytes, FiledKey] = {}  # of filings that were read and are not folded yet

    def _adopt(self, integrator: Integrator) -> None:
        self.integrator = integrator
        if self.proves:
            self._serving = Serving(integrator, max_pending=_PENDING_NODES)
            self._prover = Prover(integrator, Hashes(integrator.store), self._serving)

    @classmethod
    async def open(
        cls,
        store: Store,
        source: LogSource,
        trust: Pins,
        pool: Executor,
        stretch: int = STRETCH,
        *,
        now_ms: int | None = None,
    ) -> Self:
        """Continue from what `store` holds. Raises Unverified when it is damaged or of another log.

        Its checkpoint counts again only under the log's present keys and if it still has the policy's quorum, of
        cosignatures not later than `now_ms`.
        """
        self = cls(await Integrator.open(store), source, trust, pool, stretch)
        head = self.integrator.head
        if head is None:
            return self
        first = await entry_at(store, 0)
        if sha256(first).digest() != trust.genesis:
            raise Unverified(Text("存储中的日志不是所固定的那个", "the store holds another log than the pinned one"))
        note = await store.checkpoint()
        if note is not None:
            try:
                opened, former = open_known(note, trust.origin, trust.keys, trust.former)
            except UnknownKeys:
                return self  # the log's keys have changed since: the next poll brings a new one
            if opened.checkpoint.size > head.size:
                raise Unverified(
                    Text(
                        "存储比它自己的检查点旧，请用 init 重新建立",
                        "the store is older than its own checkpoint; make a new one with init",
                    )
                )
            if await self.root_at(opened.checkpoint.size) != opened.checkpoint.root:
                raise Unverified(Text("存储的检查点与其条目不符", "the store's checkpoint is not of its entries"))
            if former:
                moment = opened.time_s * 1000
                self._before = Verified(opened.checkpoint.size, opened.checkpoint.root, moment, moment, note)
                return self
            with suppress(Unverified):  # kept under another policy: the next poll brings a better one
                self.verified = _verified(self._with_quorum(note, now_ms))
        return self

    async def close(self) -> None:
        """End what it is making by itself. Before its store is closed."""
        if self.proves:
            await self._prover.close()

    async def poll(self, now_ms: int, progress: Callable[[int], None] = lambda size: None) -> None:
        """Look once for growth and take it in. `progress` is called with the size reached.

        Raises Violation, and Unavailable when the ledger or the store does not answer.
        """
        if self.halted is not None:
            raise self.halted
        try:
            if self._unknown:
                await self._reopen()
            opened = self._open(await self._checkpoint(), now_ms)  # 1
            await self._compare(opened)  # 2
            await self._follow(self._require_quorum(opened.note, now_ms), progress)  # 3
            self.problem, self.answered = None, True
        except Violation as violation:
            self.problem = violation
            if violation.proven:
                self.halted = violation
            raise
        except CertLedgerError as error:
            self.problem = error
            raise
        finally:
            self.target = None

    async def follow(self, now_ms: Callable[[], int], alarm: Callable[[CertLedgerError], None], every_s: float) -> None:
        """Poll until cancelled or halted. `alarm` hears of each failure; pauses grow to 30 s while it fails."""
        pause = every_s
        while self.halted is None:
            try:
                await self.poll(now_ms())
                pause = every_s
            except CertLedgerError as error:
                alarm(error)
                pause = min(pause * 2, max(_MAX_PAUSE_S, every_s))
            await asyncio.sleep(pause)

    async def _checkpoint(self) -> bytes:
        try:
            return await self._source.checkpoint()
        except Refused as refusal:  # a static server has nothing else to say while nothing is there
            raise Unavailable(
                Text("该处没有可用的检查点：请核对地址", "no checkpoint is served there: look at the address")
            ) from refusal
        except Malformed as error:  # as what is no note: of whoever answered
            raise Violation(_no_checkpoint(error), proven=False) from error

    def _with_quorum(self, note: bytes, now_ms: int | None) -> CosignedCheckpoint:
        trust = self._trust
        latest_s = None if now_ms is None else (now_ms + trust.max_skew_ms) // 1000
        return open_cosigned(note, trust.origin, trust.keys, trust.policy, latest_s=latest_s)

    def _open(self, note: bytes, now_ms: int) -> OpenedCheckpoint:
        try:
            opened = open_checkpoint(note, self._trust.origin, self._trust.keys)
        except (Malformed, Unverified) as error:
            raise Violation(_no_checkpoint(error), proven=False) from error
        if opened.time_s * 1000 > now_ms + self._trust.max_skew_ms:
            raise ClocksDiffer(_FUTURE)
        return opened

    async def _compare(self, opened: OpenedCheckpoint) -> None:
        """What the log signed against what we hold, whoever else stands behind it."""
        checkpoint, known = opened.checkpoint, self.verified or self._before
        if checkpoint.size > self.integrator.size:
            return
        if checkpoint.size == 0 or await self.root_at(checkpoint.size) != checkpoint.root:
            raise Violation(f"the log has signed a second history of size {checkpoint.size}")
        if not is_seal(await entry_at(self.integrator.store, checkpoint.size - 1)):
            raise Violation("the checkpoint does not end with a seal", index=checkpoint.size - 1)
        if known is not None and checkpoint.size < known.size:
            # An old note shown again proves nothing about the log; a new signature over less does. One that is newer by
            # less than clocks may differ may be old: sequencers that followed each other, or a clock put back.
            newer = opened.time_s * 1000 > known.log_time_ms + self._trust.max_skew_ms
            raise Violation(f"checkpoint of size {checkpoint.size} after {known.size}", proven=newer)

    def _require_quorum(self, note: bytes, now_ms: int) -> CosignedCheckpoint:
        try:
            return self._with_quorum(note, now_ms)
        except (Malformed, Unverified) as error:
            raise Unwitnessed(_no_checkpoint(error)) from error

    async def _follow(self, opened: CosignedCheckpoint, progress: Callable[[int], None]) -> None:
        checkpoint = opened.checkpoint
        if checkpoint.size <= self.integrator.size:
            known, kept = self.verified, await self.integrator.store.checkpoint() or b""
            shown = opened.time_s * 1000, len(opened.note)  # a note grows by lines that come later: a map auditor's
            if known is None or (checkpoint.size >= known.size and shown > (known.time_ms, len(kept))):
                await self._keep(opened)
            return
        self.target = checkpoint.size
        await self._extend(opened, progress)
        head = self.integrator.head
        assert head is not None and (head.size, head.root) == (checkpoint.size, checkpoint.root)
        await self._keep(opened)

    async def _keep(self, opened: CosignedCheckpoint) -> None:
        try:
            await self.integrator.store.put_checkpoint(opened.note, opened.checkpoint.size)
        except Refused:
            if opened.checkpoint.size == self.integrator.size:
                raise
            # One over more leaves is kept, under keys or a policy of before: it stays until another covers as many.
        self.verified = _verified(opened)
        if self.proves:
            self._serving.publish(opened.checkpoint.size)

    async def evidence(self, cert_key: bytes, *, size: int | None = None, day: int | None = None) -> bytes:
        """The proof of a certificate's state under the newest verified checkpoint, out of this copy: as
        `LedgerClient.evidence`. Raises Unavailable before the first checkpoint."""
        basis = self._basis()
        if size is not None:
            return await self._prover.at_size(cert_key, size, basis)
        if day is not None:
            return await self._prover.at_day(cert_key, day, basis)
        return await self._prover.current(cert_key, basis)

    async def standing(self, cert_key: bytes) -> tuple[bytes, Standing] | None:
        """The note of the newest verified checkpoint, and where in its tree the statement stands that issued a
        certificate; None when it has no such."""
        basis = self._basis()
        found = await self._prover.standing(cert_key, basis)
        return None if found is None else (basis.note, found)

    @property
    def successor(self) -> str:
        """The origin of the log that follows this one, once its end is verified; "" while it goes on."""
        authority = self.integrator.authority
        if self.verified is None or self.verified.size != self.integrator.size or authority is None:
            return ""
        return authority.successor

    async def end(self, size: int) -> LogEnd:
        """What closed the log, under the checkpoint of its last `size`. Raises Unavailable."""
        store, index = self.integrator.store, size - BEHIND
        (path,) = await Hashes(store).inclusion([index], size)
        return LogEnd(await entry_at(store, index), path)

    def _basis(self) -> Basis:
        """What proofs are made under. Not the store's note: while the next one is kept, that is the newer of two."""
        verified = self.verified
        if verified is None:
            raise Unavailable(Text("尚未核验任何内容：请先运行 sync", "nothing is verified yet: run sync first"))
        return Basis(verified.size, verified.note, verified.time_ms)

    async def _extend(self, opened: CosignedCheckpoint, progress: Callable[[int], None]) -> None:
        download = Download(self._source, opened.checkpoint, self.integrator.frontier, self._read, self._stretch)
        await download.prove_held()  # 4
        pending: list[bytes] = []
        reads: list[Read] = []
        async with aclosing(download.stretches()) as stretches:  # 4
            async for entries, reading in stretches:
                reads += await reading
                pending += entries
                pending, reads = await self._take_in(pending, reads, progress)
                if len(pending) > MAX_BATCH or sum(map(len, pending)) > MAX_BATCH_BYTES:
                    raise Violation("no seal in sight", index=self.integrator.size)
        if pending:  # 9
            raise Violation("the checkpoint does not end with a seal", index=opened.checkpoint.size - 1)

    def _read(self, entries: list[bytes], start: int) -> Awaitable[list[Read]]:
        """Read entries ahead of the fold, on other cores; it is under way when this returns."""
        folded = self.integrator.record_keys
        self._ahead = {kid: key for kid, key in self._ahead.items() if kid not in folded} | filed_ahead(entries)
        keys = {**folded, **self._ahead} if self._ahead else folded
        return asyncio.ensure_future(read_entries(self._readers(len(entries)), entries, start, keys))

    def _readers(self, count: int) -> Executor:
        """Who reads `count` entries ahead of the fold: for subclasses with processes at hand."""
        return self._pool

    async def _take_in(
        self, entries: list[bytes], reads: list[Read], progress: Callable[[int], None]
    ) -> tuple[list[bytes], list[Read]]:
        """Integrate every batch that is complete; the rest waits for its seal."""
        stretches, rest = split_sealed(entries)
        at = 0
        for stretch in stretches:
            await self._integrate(stretch, reads[at : at + len(stretch)])
            at += len(stretch)
            progress(self.integrator.size)
        return list(rest), reads[at:]

    async def _integrate(self, stretch: Sequence[bytes], reads: Sequence[Read]) -> None:
        start = self.integrator.size
        if start == 0 and sha256(stretch[0]).digest() != self._trust.genesis:  # 5
            raise Violation(NOT_PINNED, index=0)
        try:
            prepared = await replay_stretch(self.integrator, stretch, self._pool, reads)  # 6, 7, 8
        except BadEntry as bad:
            await self._check_store()
            raise Violation(bad.reason, index=bad.index) from bad
        except Damaged:
            await self._check_store()
            raise
        await self._checked(stretch, prepared)
        try:
            await self.integrator.commit(prepared)
        except CertLedgerError:
            self._unknown = True
            await self._reopen()
            raise

    async def _checked(self, stretch: Sequence[bytes], prepared: Prepared) -> None:
        """A stretch that passed 4 to 7 and is about to be committed: what an auditor counts."""

    async def _check_store(self) -> None:
        """Before what the log says is held against it: is our store where we left it? Another process may have written
        to it, which lost the place of its one writer for a moment. Raises Unavailable then, and has read it again."""
        if await self.integrator.store.head() != self.integrator.head:
            self._unknown = True
            await self._reopen()
            raise Unavailable(
                Text("该副本的存储已有变化，已重新读取", "the store of this copy has moved on; it was read again")
            )

    async def _reopen(self) -> None:
        """Read again what the store holds."""
        integrator = await Integrator.open(self.integrator.store)
        await self.close()  # what is under way is of the one before
        self._adopt(integrator)
        self._unknown = False

    async def root_at(self, size: int) -> bytes:
        """The root of the first `size` leaves of our copy, 0 < size <= its size."""
        head = self.integrator.head
        if head is not None and head.size == size:
            return head.root
        return fold_right(await Hashes(self.integrator.store).cover(size))


def _verified(opened: CosignedCheckpoint) -> Verified:
    checkpoint = opened.checkpoint
    return Verified(checkpoint.size, checkpoint.root, opened.time_s * 1000, opened.log_time_s * 1000, opened.note)


def _no_checkpoint(error: Malformed | Unverified) -> Text:
    return Text(f"检查点不成立：{error.of('zh')}", f"checkpoint: {error}")

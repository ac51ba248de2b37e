"""A running log in one process, over real files, with a clock of the test's own and witnesses that do as they are told.

room = Room(tmp_path)
async with room.open(): ...                              no witnesses
async with room.open(witnesses=[w1, w2], k=2): ...       k of them
room.publisher, room.sequencer, room.answers
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ledger.errors import Refused, Unavailable
from ledger.records.rotation import LogKey
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service.admission import Candidate, Examiner
from ledger.service.answers import Answers
from ledger.service.backlog import Backlog
from ledger.service.clock import LogClock
from ledger.service.cosigned import Published
from ledger.service.disk_room import Disk, DiskRoom
from ledger.service.guard import FileGuard
from ledger.service.private_index import NUMBERS_APART, PrivateIndex
from ledger.service.publisher import Publisher
from ledger.service.sequencer import Sequencer
from ledger.service.signer import HeadSigner
from ledger.service.witness import TheLog
from ledger.service.witnesses import Counts, Witnesses
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.track_places import TRACK_PLACES, new_places
from ledger.text import Text
from ledger.tlog.checkpoint import CheckpointSigner, CosignedCheckpoint, open_cosigned
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.policy import NONE, Policy
from ledger.wire import submission_body
from tests.support.builders import OCCUPATION, TIME, Certificate, id_number, make_authority, make_body, octets
from tests.support.fake_witness import FakeWitness, policy_of
from tests.support.fault_store import FaultStore
from tests.support.stores import SqliteKind, StoreKind
from tests.support.waiting import PATIENCE_S, until

AUTHORITY = make_authority()
BODY = make_body()
INDEX = PrivateIndex(octets("index"), lambda count: octets("track", count))
EXAMINER = Examiner(INDEX, load_ladder(), load_catalogue())
SIGNER = CheckpointSigner(AUTHORITY.origin, Ed25519Signer(octets("ed")), MlDsa44Signer(octets("ml")))


class Room:
    """One log over a store in a folder, and the hands of its clock."""

    def __init__(self, folder: Path, kind: StoreKind | None = None) -> None:
        self.folder, self.wall, self.steady = folder, TIME, 0
        self.free: int | None = None  # bytes on its disk, of which it wants 1,000
        self.kind = kind or SqliteKind()
        self.committed: list[Candidate] = []
        self.shown: list[Published] = []  # everything that readers saw, in order
        self.outcomes: list[tuple[str, str]] = []
        self.alarms: list[tuple[str, str]] = []
        self.sequencer: Sequencer
        self.publisher: Publisher
        self.answers: Answers
        self.witnesses: Witnesses
        self.policy: Policy
        self.fatal: asyncio.Future[BaseException]
        self.store: Any
        self.tasks: list[asyncio.Task[None]]  # of sequencer and publisher, where they run

    def now_s(self) -> int:
        return self.wall // 1000

    async def check_log_key(self, said: LogKey) -> None:
        """This room has no folder of keys: it could sign with any."""

    @asynccontextmanager
    async def open(
        self,
        *,
        run: bool = True,
        queue: int = 100,
        limit: int = 8,
        witnesses: Sequence[FakeWitness] = (),
        k: int = 0,
        policy: Policy | None = None,
        public: Sequence[str] = (),
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout_s: float = PATIENCE_S,
        wait_s: float = PATIENCE_S,
        **faults: Any,
    ) -> AsyncIterator[Room]:
        path = self.folder / "log.db"
        if self.kind.exists(path):
            inner = await self.kind.open(path, private=True)
        else:
            inner = await self.kind.create(path, private=True)
            await inner.put_meta({"map_depth": b"\x04", TRACK_PLACES: new_places(os.urandom)})
            FileGuard.create(self.folder / "guard")
            integrator = await Integrator.open(inner)
            for statement in (AUTHORITY.sign(AUTHORITY.genesis), AUTHORITY.sign(BODY.filing)):
                batch = await integrator.begin([statement], self.wall)
                examined = EXAMINER.examine_authority(statement.entry, AUTHORITY.genesis)
                assert isinstance(examined.outcome, Candidate)
                batch.add(examined.outcome.authentic)
                await integrator.commit(await batch.finish())
                self.wall += 1
        self.store = FaultStore(inner, **faults)
        clock = LogClock(lambda: self.wall, lambda: self.steady)
        signer = HeadSigner(SIGNER, FileGuard(self.folder / "guard"), clock.now_s)
        integrator = await Integrator.open(self.store)
        self.fatal = asyncio.get_running_loop().create_future()
        hashes = Hashes(self.store)
        self.policy = policy or (policy_of(witnesses, k) if k else Policy((), (), (), NONE))
        self.witnesses = Witnesses(
            self.policy,
            TheLog(SIGNER.origin, SIGNER.vkeys, lambda: integrator.size, hashes.root, hashes.consistency, self.now_s),
            Counts(
                lambda name, outcome: self.outcomes.append((name, outcome)),
                lambda kind, name: self.alarms.append((kind, name)),
            ),
            public=public,
            timeout_s=timeout_s,
            rest=rest,
        )
        room = DiskRoom(
            [Disk("store", self.folder, lambda: 1000, lambda: 1000, Text("磁盘已满", "the disk is full"))],
            lambda: self.steady / 1000,
            lambda _: self.free,
        )
        self.publisher = Publisher(
            integrator,
            self.store,
            hashes,
            signer,
            self.witnesses,
            self.fatal,
            room,
            on_published=self.shown.append,
        )
        self.answers = Answers(self.publisher, self.store, hashes, wait_s)
        self.sequencer = Sequencer(
            integrator,
            self.store,
            hashes,
            self.publisher,
            clock,
            INDEX,
            self.fatal,
            EXAMINER.lineage_of,
            Backlog(lambda: self.steady / 1000),
            batch_limit=limit,
            queue_limit=queue,
            numbers_apart=await self.store.meta(NUMBERS_APART) is not None,
            check_log_key=self.check_log_key,
            on_commit=self.committed.extend,
        )
        self.tasks = []
        try:
            async with self.witnesses:
                self.sequencer.check_clock()
                await self.publisher.start()
                if run:
                    self.tasks = [asyncio.create_task(each.run()) for each in (self.sequencer, self.publisher)]
                try:
                    yield self
                finally:
                    for task in self.tasks:
                        task.cancel()
                    await asyncio.gather(*self.tasks, return_exceptions=True)
        finally:
            await signer.close()
            await inner.close()

    @property
    def published(self) -> Published | None:
        return self.publisher.published

    async def until_published(self, size: int = 0) -> Published:
        """Wait for the head of all that is committed, or one of at least `size`."""
        return await until(
            lambda: self.published if self.published and self.published.size >= (size or self.size) else None
        )

    @property
    def size(self) -> int:
        return self.sequencer.integrator.size

    def opened(self) -> CosignedCheckpoint:
        """What readers see, under pinned keys and the policy."""
        assert self.published is not None
        return open_cosigned(self.published.note, SIGNER.origin, SIGNER.vkeys, self.policy)

    async def candidates(self, *certificates: Certificate) -> list[Candidate]:
        filing = await self.sequencer.integrator.filing(BODY.filing.number)
        assert filing is not None
        authority = self.sequencer.integrator.authority
        assert authority is not None
        examined = EXAMINER.examine([submission_body(c.submission()) for c in certificates], filing, authority)
        found = [each.outcome for each in examined]
        assert all(isinstance(each, Candidate) for each in found), found
        return found  # type: ignore[return-value]

    async def put(self, *certificates: Certificate) -> list[int | Refused | BaseException]:
        outcomes = self.sequencer.put(await self.candidates(*certificates))
        try:
            return list(await outcomes)
        except Unavailable as error:
            return [error] * len(certificates)

    async def draft(self, *labels: str, **changes: Any) -> list[Certificate]:
        """Certificates with the tracks that the private index holds."""
        made, index = [], PrivateIndex(octets("index"), os.urandom)
        for label in labels:
            row = index.track_row(("111", "CHN", id_number(label)), OCCUPATION, octets(f"t {label}", 16))
            track = (await self.store.claim([row]))[row.hmac]
            made.append(BODY.certificate(label, track=track, **changes))
        return made


class Pause:
    """A pause that ends when the test says so: `rest` in place of a sleep, `over()` in place of time going by."""

    def __init__(self) -> None:
        self.asked: list[float] = []  # how long each one would have taken (s)
        self._ended, self._over = 0, asyncio.Semaphore(0)

    async def rest(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._over.acquire()

    async def over(self) -> None:
        """End the pause that is under way, or begins next, and wait until the one after has begun."""
        await until(lambda: len(self.asked) > self._ended)
        self._ended += 1
        self._over.release()
        await until(lambda: len(self.asked) > self._ended)

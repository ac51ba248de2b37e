"""A log in this process, over real files and a real port: for faults that are injected and need no killed process.

clock = Clock()
async with inside(live, clock) as fatal: ...     as `serve` runs it; `fatal` holds what would end the process
template = await Template.make(folder, "seed", 600, clock)      a filed body and certificates that wait
live = template.copy(folder / "trial")
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from campaigns.faults.journal import Journal, read_journals
from campaigns.faults.oracle import Oracle
from campaigns.faults.stores import StoreKind
from ledger.edge import start_site
from ledger.edge_connection import EdgeSettings
from ledger.errors import CertLedgerError, Refused, Unavailable, Unverified
from ledger.keystore import open_key_file
from ledger.service import requester
from ledger.service.config import LedgerSettings
from ledger.service.run import SETTINGS_FILE, running
from ledger.settings import load_settings
from ledger.store.opening import open_store
from ledger.tlog.policy import format_policy
from ledger.wire import Logged
from tests.support.builders import Body, Certificate
from tests.support.fake_witness import FakeWitness, policy_of
from tests.support.live_ledger import PASSPHRASE, LiveLedger, distinct, live_body, today, tracks_of

_TRIES = 60


class Clock:
    """Two hands that go with the real ones, can be moved, and stand still while a log starts: a request signed before
    the second in which a log started is refused, and waiting for the next one is no test of anything.
    """

    def __init__(self) -> None:
        self.shift, self._still = 0, False

    def wall_ms(self) -> int:
        return self._at if self._still else time.time_ns() // 1_000_000 + self.shift

    def steady_ms(self) -> int:
        return self._steady if self._still else time.monotonic_ns() // 1_000_000

    def now_s(self) -> int:
        return self.wall_ms() // 1000

    @contextmanager
    def still(self) -> Iterator[None]:
        """Stand at the last whole second."""
        self._at, self._steady = self.wall_ms() // 1000 * 1000, self.steady_ms()
        self._still = True
        try:
            yield
        finally:
            self._still = False


@asynccontextmanager
async def inside(live: LiveLedger, clock: Clock) -> AsyncIterator[asyncio.Future[BaseException]]:
    """Raises whatever keeps a log from starting."""
    settings = load_settings(LedgerSettings, live.folder / SETTINGS_FILE)
    keys = open_key_file(live.folder / settings.keys, PASSPHRASE)
    hands = SimpleNamespace(time=lambda: clock.wall_ms() / 1000)
    async with AsyncExitStack() as stack:
        stack.enter_context(patch.object(requester, "time", hands))  # requests are dated by the same hands
        with clock.still():
            store = await open_store(settings.store, live.folder, private=True)
            started = running(live.folder, settings, keys, store, wall_ms=clock.wall_ms, steady_ms=clock.steady_ms)
            (app,), fatal = await stack.enter_async_context(started)
        site = await start_site(app, settings.host, settings.port, EdgeSettings())
        stack.push_async_callback(site.stop)
        yield fatal


@dataclass
class Sender:
    """One client with its journal. Every answer goes to the oracle as well. From its first acknowledgement on, each
    request has another certificate under a number that is taken by then: the log must refuse it, whatever befalls it.
    """

    live: LiveLedger
    body: Body
    clock: Clock
    oracle: Oracle
    journal: Journal
    total_s: float = 20.0
    _twin: Certificate | None = None

    async def send(self, certificates: Sequence[Certificate]) -> str:
        """One request; "acked", "refused" or "unknown"."""
        labels = {each.secret.hex(): each.statement.entry for each in certificates}
        self.journal.intend(labels)
        sent = list(certificates)
        if self._twin is not None:
            twin = {self._twin.secret.hex(): self._twin.statement.entry}
            self.journal.intend(twin, forbidden=True)
            sent.append(self._twin)
            labels |= twin
        try:
            async with self.live.client(self.body, total_s=self.total_s, now_s=self.clock.now_s) as client:
                receipt = await client.submit([each.submission() for each in sent])
        except (Unavailable, Unverified):
            self.journal.lose(labels)
            return "unknown"
        except Refused as refusal:
            self.journal.refuse(dict.fromkeys(labels, refusal.code))
            return "refused"
        size, _ = self.oracle.heard(receipt.checkpoint, "client")
        answers = dict(zip(labels, receipt.answers, strict=True))
        refused = {label: answer.code for label, answer in answers.items() if isinstance(answer, Refused)}
        self.journal.refuse(refused)
        others = refused.keys() & {each.secret.hex() for each in certificates}
        self.journal.acknowledge(
            {label: (answer.index, answer.time) for label, answer in answers.items() if isinstance(answer, Logged)},
            size,
        )
        if self._twin is None and not others:
            self._twin = self.body.with_number_of(certificates[0])
        return "refused" if others else "acked"

    async def insist(self, certificates: Sequence[Certificate]) -> bool:
        """The same request until it is acknowledged, with a certificate that must be refused: a sound log does that,
        however slow the machine is."""
        for _ in range(_TRIES):
            whole = self._twin is not None
            if await self.send(certificates) != "acked":
                await asyncio.sleep(0.05)
            elif whole:
                return True
        print("a sound log does not acknowledge", flush=True)
        return False


@dataclass
class Template:
    """A stopped log with one filing, to be copied, and certificates whose tracks it has drawn."""

    live: LiveLedger
    body: Body
    clock: Clock
    store: StoreKind
    certificates: list[Certificate]
    witnesses: list[FakeWitness] = field(default_factory=list)
    quorum: int = 0

    @classmethod
    async def make(
        cls,
        folder: Path,
        seed: str,
        people: int,
        clock: Clock,
        store: StoreKind,
        witnesses: Sequence[FakeWitness] = (),
        quorum: int = 0,
        **settings: Any,
    ) -> Template:
        chosen = {
            "examiners": 0,
            "answer_wait_ms": 300,
            "witness_timeout_ms": 10_000,  # late on a busy machine is not lost: whoever loses one says so
            **store.settings(folder),
            **settings,
        }
        if witnesses:
            chosen["policy"] = "policy.txt"
        live = LiveLedger.create(folder, seed, **chosen)
        body = live_body(seed)
        made = cls(live, body, clock, store, [], list(witnesses), quorum)
        made.write_policy(live)
        async with inside(live, clock):
            for at in range(_TRIES):  # a witness may have been too slow for the start
                try:
                    await live.file(body)
                    break
                except Unavailable:
                    if at == _TRIES - 1:
                        raise
                    await asyncio.sleep(0.25)
            async with live.client(body, now_s=clock.now_s) as client:
                labels = distinct(seed, people)
                tracks: dict[str, bytes] = {}
                for at in range(0, people, 1000):
                    tracks |= await tracks_of(client, labels[at : at + 1000])
        made.certificates = [body.certificate(label, track=tracks[label], day=today() - 3) for label in labels]
        return made

    def write_policy(self, live: LiveLedger) -> None:
        if self.witnesses:
            (live.folder / "policy.txt").write_text(format_policy(policy_of(self.witnesses, self.quorum)), "utf-8")

    def copy(self, folder: Path, of: Path | None = None) -> LiveLedger:
        """The same log elsewhere, or as it has grown in the folder `of`; its witnesses have seen nothing of it yet."""
        shutil.copytree(of or self.live.folder, folder)
        self.store.own(folder, of or self.live.folder)
        for witness in self.witnesses:
            witness.seen, witness.mode = None, "honest"
        return replace(self.live, folder=folder, process=None)

    def oracle(self) -> Oracle:
        return Oracle(self.live.authority.origin, [key.format_vkey() for key in self.live.keys])

    def sender(self, live: LiveLedger, oracle: Oracle, name: str = "client") -> Sender:
        return Sender(live, self.body, self.clock, oracle, Journal(live.folder / f"{name}.journal"))


async def judge(live: LiveLedger, oracle: Oracle, store: StoreKind, *, check: bool = True) -> dict[str, int]:
    """The counts of a trial whose log is stopped again; `check` runs the operator's check as well."""
    oracle.guarded(*store.remembered(live.folder))
    counts = oracle.judge(read_journals(live.folder))
    if check:
        try:
            problems = await store.check(live.folder)
        except CertLedgerError as error:
            problems = [str(error)]
        for problem in problems:
            print(f"fsck: {problem}", flush=True)
        counts["unreadable"] += len(problems)
    return counts

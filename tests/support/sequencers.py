"""Several real sequencers of one log, on one PostgreSQL database with the guard in another.

fleet = Fleet.create(tmp_path, "seed", 3, takeover_ms=900)
fleet.members[0].start("--standby") …        each is a LiveLedger with a folder and a port of its own
leader = await fleet.leader()                the first that is ready
await fleet.submit(body, certificates)       to whoever takes it, until there is a receipt
async with fleet.watched(): …                every checkpoint that anybody shows is collected
await fleet.judge()                          one log: every head seen is a prefix of it, every answer stands in it
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from ledger.errors import Unavailable, Unverified
from ledger.records.seal import is_seal, parse_seal
from ledger.service.config import LedgerSettings
from ledger.service.run import SETTINGS_FILE
from ledger.settings import format_settings, load_settings
from ledger.tlog.tiles import parse_entries
from ledger.wire import Logged, Receipt
from tests.support import slow_tree
from tests.support.builders import Body, Certificate
from tests.support.fronts import LiveFront
from tests.support.live_ledger import START_S, LiveLedger
from tests.support.ports import free_port
from tests.support.postgres import GUARD_DATABASE, Server

_SEARCH_S = 5.0  # that a front has at least: it looks for who leads
Head = tuple[int, bytes]
T = TypeVar("T")
# How a member that is disturbed may end. Its session can be gone before anybody has taken its place.
ENDED = {-9: "killed", 1: "taken over", 3: "session gone"}


@dataclass
class Fleet:
    """Members share store, guard and keys; `heads` and `acks` are what the judge looks at."""

    server: Server
    guard: str
    members: list[LiveLedger]
    heads: set[Head] = field(default_factory=set)
    acks: dict[bytes, int] = field(default_factory=dict)  # entry -> index
    patience_s: float = 2.0  # with one that does not answer
    newest: LiveLedger | None = None  # who gave the newest receipt
    guarded: list[int] = field(default_factory=list)  # sizes that the guard remembered, in the order seen
    hear: Callable[[bytes, str], object] = lambda note, who: None  # of every checkpoint that somebody shows

    @classmethod
    def create(cls, server: Server, folder: Path, seed: str, count: int, **settings: Any) -> Fleet:
        """The log and its guard, and `count` folders; nothing runs yet."""
        place, guard = server.place(seed), server.place(seed, database=GUARD_DATABASE)
        first = LiveLedger.create(
            folder / "0",
            seed,
            store_owner=server.owner(place),
            guard_owner=server.owner(guard),
            **{"store": place, "guard": guard, "examiners": 0, **settings},
        )
        chosen = load_settings(LedgerSettings, first.folder / SETTINGS_FILE)
        members = [first]
        for at in range(1, count):
            copy = Path(shutil.copytree(first.folder, folder / str(at)))
            port = free_port()
            changes = {"port": port, "internal_port": free_port() if chosen.internal_port else 0}
            (copy / SETTINGS_FILE).write_text(format_settings(replace(chosen, **changes)), "utf-8")
            members.append(LiveLedger(copy, first.authority, f"http://127.0.0.1:{port}", first.keys))
        return cls(server, guard, members)

    async def leader(self, *others: LiveLedger) -> LiveLedger:
        """The first member that is ready, and none of `others`."""
        async with asyncio.timeout(START_S):
            for patience_s in growing(0.5):
                for member in self.members:
                    if member not in others and await status(member, "/readyz", patience_s) == 200:
                        return member
                await asyncio.sleep(0.02)
        raise AssertionError

    async def ask(self, question: Callable[[LiveLedger], Awaitable[T]]) -> T:
        """What one that leads answers; another one is asked when it loses its place meanwhile."""
        async with asyncio.timeout(START_S):
            while True:
                with suppress(Unavailable, Unverified):
                    return await question(await self.leader())

    async def submit(
        self,
        body: Body,
        certificates: Sequence[Certificate],
        unanswered: Callable[[], None] = lambda: None,
        fronts: Sequence[LiveFront] = (),
    ) -> Receipt:
        """Send to one member after the other, or to these fronts, until there is a receipt; its answers are kept.
        `unanswered` is told of each request that has none."""
        async with asyncio.timeout(START_S):
            for patience_s in growing(_SEARCH_S if fronts else self.patience_s):
                for door in fronts or sorted(self.members, key=lambda member: member is not self.newest):
                    try:
                        receipt = await self.submit_to(door.client(body, total_s=patience_s), certificates)
                    except (Unavailable, Unverified):
                        unanswered()
                        continue
                    if isinstance(door, LiveLedger):
                        self.newest = door
                    return receipt
                await asyncio.sleep(0.05)
        raise AssertionError

    async def submit_to(self, client: Any, certificates: Sequence[Certificate]) -> Receipt:
        """One request. Raises Unavailable or Unverified as the client does."""
        async with client:
            receipt = await client.submit([c.submission() for c in certificates])
        opened = self.members[0].check(receipt, [c.statement.entry for c in certificates])
        self.heads.add((opened.checkpoint.size, opened.checkpoint.root))
        for certificate, answer in zip(certificates, receipt.answers, strict=True):
            assert isinstance(answer, Logged), answer
            entry = certificate.statement.entry
            assert self.acks.setdefault(entry, answer.index) == answer.index, "a retry has the first answer"
        return receipt

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Collect what everybody shows, and what the guard remembers."""
        tasks = [asyncio.create_task(self._watch(member)) for member in self.members]
        tasks.append(asyncio.create_task(self._watch_guard()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for done in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(done, asyncio.CancelledError), done

    async def _watch(self, member: LiveLedger) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(0.5):
                    code, _, note = await member.fetch("/checkpoint")
                if code == 200:
                    self.hear(note, member.url)
                    shown = member.open(note).checkpoint
                    self.heads.add((shown.size, shown.root))
            await asyncio.sleep(0.2)

    async def _watch_guard(self) -> None:
        while True:
            self.guarded.append(await asyncio.to_thread(self.remembered))
            await asyncio.sleep(0.5)

    def remembered(self) -> int:
        """The size in the guard."""
        return int(self.server.sql(self.guard, "SELECT size FROM guard")[0][0])

    async def judge(self) -> list[bytes]:
        """Read the whole log from whoever leads; raises AssertionError unless everything seen fits. Its entries."""
        leader = await self.leader()
        checkpoint = leader.open((await leader.fetch("/checkpoint"))[2]).checkpoint
        entries: list[bytes] = []
        for start in range(0, checkpoint.size, 256):
            width = min(256, checkpoint.size - start)
            path = f"/tile/entries/{start // 256:03}" + ("" if width == 256 else f".p/{width}")
            entries += parse_entries((await leader.fetch(path))[2], width)
        leaves = [slow_tree.leaf(entry) for entry in entries]
        for size, root in self.heads | {(checkpoint.size, checkpoint.root)}:
            assert size <= len(entries) and slow_tree.root(leaves[:size]) == root, "a head of another log"
            assert is_seal(entries[size - 1]) and parse_seal(entries[size - 1]).covered == size - 1
        for entry, index in self.acks.items():
            assert entries[index] == entry
        statements = [entry for entry in entries if not is_seal(entry)]
        assert len(statements) == len(set(statements)), "nothing stands twice"
        assert self.guarded == sorted(self.guarded) and self.remembered() == checkpoint.size
        return entries

    def end(self) -> None:
        """Kill what still runs, stopped or not."""
        for member in self.members:
            if member.process is not None:
                member.kill()


def growing(patience_s: float) -> Iterator[float]:
    """How long to wait for one that may be stopped, time after time: a slow machine gets what it needs."""
    while True:
        yield patience_s
        patience_s = min(1.3 * patience_s, 30.0)


async def status(member: LiveLedger, path: str, patience_s: float) -> int:
    """The status of an answer; 0 when there is none soon."""
    try:
        async with asyncio.timeout(patience_s):
            return (await member.fetch(path))[0]
    except (aiohttp.ClientError, TimeoutError):
        return 0


async def disturb(fleet: Fleet, draw: random.Random, rounds: int) -> dict[str, int]:
    """Stop, kill and wake members at random, `rounds` times, each time until there are new answers; in the end all are
    awake. How often what happened. Somebody else submits meanwhile. The first two rounds stop and kill who leads.

    The fault campaigns call this with many rounds. Who led when it was stopped has lost its place, and ends by itself.
    """
    happened = dict.fromkeys(("stopped", *ENDED.values()), 0)
    stopped: dict[str, bool] = {}  # url -> whether it led

    def start_ended() -> None:
        for member in fleet.members:
            if member.process is not None and member.process.poll() is not None:
                code = member.kill()
                assert code in ENDED, (code, member.stderr.read_text("utf-8")[-1000:])
                happened[ENDED[code]] += 1
                member.spawn("--standby")

    async def wake(member: LiveLedger) -> None:
        assert member.process is not None
        os.kill(member.process.pid, signal.SIGCONT)
        if stopped.pop(member.url):  # it ends, unless it was awake again before anybody had noticed
            async with asyncio.timeout(START_S):
                for patience_s in growing(0.5):
                    if member.process.poll() is not None or await status(member, "/readyz", patience_s) == 200:
                        return
                    await asyncio.sleep(0.02)

    for at in range(rounds):
        awake = [member for member in fleet.members if member.url not in stopped]
        leader = await fleet.leader(*(member for member in fleet.members if member.url in stopped))
        target = leader if at < 2 or draw.random() < 0.8 else draw.choice(awake)
        assert target.process is not None
        act = ("stop", "kill")[at] if at < 2 else draw.choice(("stop", "stop", "kill"))
        if act == "kill":
            target.kill()
        elif len(stopped) < len(fleet.members) // 2:
            os.kill(target.process.pid, signal.SIGSTOP)
            stopped[target.url] = target is leader
            happened["stopped"] += 1
        else:
            await wake(draw.choice([member for member in fleet.members if member.url in stopped]))
        before = len(fleet.acks)
        async with asyncio.timeout(START_S):
            while len(fleet.acks) == before:
                start_ended()
                await asyncio.sleep(0.02)
        await asyncio.sleep(draw.uniform(0.0, 0.1))
    for member in [member for member in fleet.members if member.url in stopped]:
        await wake(member)
    start_ended()
    return happened

"""A ledger under load whose primary crashes and whose standby takes over, and the judge of what became of it.

drill = Drill.create(folder, place, owner, name)    a log at that address, its people, its clients' journal
await drill.open()                                  it runs, and the body is filed
await drill.round(draw, fail_over(pair, draw))      load, a crash at a moment, promotion, the log goes on
await drill.judge()                                 lost, duplicated, forks … from journal and public log alone
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.errors import Unavailable, Unverified
from ledger.tlog.merkle import verify_consistency
from ledger.tlog.tiles import parse_entries
from ledger.wire import Logged
from tests.support import slow_tree
from tests.support.builders import Body, Certificate
from tests.support.live_ledger import LiveLedger, distinct, live_body, today, tracks_of
from tests.support.standby import Pair, apart, crash

_CLIENTS = 4
_GO_ON_S = 300.0  # how long the log may take to answer again
Head = tuple[int, bytes]


@dataclass
class Journal:
    """What the clients know. An intent without an ack has an unknown outcome."""

    intents: dict[str, Certificate] = field(default_factory=dict)
    acks: dict[str, int] = field(default_factory=dict)  # label -> index
    heads: set[Head] = field(default_factory=set)  # that carried both of the log's signatures
    unknown: int = 0  # answers that never came
    moved: int = 0  # statements whose second answer was not the first

    def judge(self, entries: Sequence[bytes], head: Head | None = None) -> Counter[str]:
        """Of a log with these entries, and this published head."""
        found = Counter(attempted=len(self.intents), acked=len(self.acks), unknown=self.unknown, entries=len(entries))
        times, leaves = Counter(entries), [slow_tree.leaf(entry) for entry in entries]
        at = {label: entries[index] if index < len(entries) else None for label, index in self.acks.items()}
        found["lost"] = sum(entry != self.intents[label].statement.entry for label, entry in at.items())
        found["duplicated"] = self.moved + sum(count - 1 for count in times.values())
        heads = sorted(self.heads | ({head} if head else set()))
        found["heads"] = len(heads)
        right = [(size, root) for size, root in heads if slow_tree.root(leaves[:size]) == root and size <= len(leaves)]
        found["forks"] = len(heads) - len(right)
        for (old, old_root), (new, new_root) in itertools.pairwise([*right[:: max(1, len(right) // 8)], *right[-1:]]):
            if old < new:
                verify_consistency(old, old_root, new, new_root, slow_tree.consistency(old, leaves[:new]))
        return found


@dataclass
class Drill:
    """One log on a pair of servers."""

    place: str
    live: LiveLedger
    body: Body
    labels: list[str]
    tracks: dict[str, bytes] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    _next: int = 0

    @classmethod
    def create(cls, folder: Path, place: str, owner: str, name: str, people: int = 400) -> Drill:
        live = LiveLedger.create(folder, name, store=place, store_owner=owner, examiners=0)
        return cls(place, live, live_body(name), distinct(name, people))

    async def open(self) -> None:
        await self.start()
        await self.live.file(self.body)
        async with self.live.client(self.body) as client:
            for at in range(0, len(self.labels), 1000):
                self.tracks |= await tracks_of(client, self.labels[at : at + 1000])

    async def start(self) -> None:
        await asyncio.to_thread(self.live.start)

    async def close(self) -> None:
        if self.live.process is not None:
            await asyncio.to_thread(self.live.kill)

    def intend(self, count: int) -> list[str]:
        """Labels of new certificates, in the journal before anything is sent."""
        labels = self.labels[self._next : self._next + count]
        assert labels, "no people are left"
        self._next += count
        for label in labels:
            self.journal.intents[label] = self.body.certificate(label, track=self.tracks[label], day=today() - 3)
        return labels

    async def submit(self, labels: Sequence[str], total_s: float = 60.0) -> None:
        """One request. Raises Unavailable or Unverified as the client does."""
        certificates = [self.journal.intents[label] for label in labels]
        async with self.live.client(self.body, total_s=total_s) as client:
            receipt = await client.submit([certificate.submission() for certificate in certificates])
        opened = self.live.check(receipt, [certificate.statement.entry for certificate in certificates])
        self.journal.heads.add((opened.checkpoint.size, opened.checkpoint.root))
        for label, answer in zip(labels, receipt.answers, strict=True):
            assert isinstance(answer, Logged), answer
            self.journal.moved += self.journal.acks.setdefault(label, answer.index) != answer.index

    async def settle(self) -> None:
        """Send everything once more, acknowledged or not, until the log has answered for all of it."""
        labels = list(self.journal.intents)
        async with asyncio.timeout(_GO_ON_S):
            for at in range(0, len(labels), 200):
                while True:
                    try:
                        await self.submit(labels[at : at + 200])
                        break
                    except (Unavailable, Unverified):
                        await self.revive()

    async def revive(self) -> None:
        """Start the ledger again if it has ended, as its supervisor would; else give it a moment."""
        process = self.live.process
        if process is None or process.poll() is not None:
            self.live.kill()  # nothing to kill any more: what it left open
            with suppress(AssertionError):  # it may end once more
                await self.start()
        await asyncio.sleep(0.05)

    async def round(self, draw: random.Random, crashed: Coroutine[Any, Any, str]) -> str:
        """`crashed` at a moment of load, sometimes the ledger too, and everything sent again; what was done, in words.

        `crashed` ends when the log can go on."""
        before, stop = len(self.journal.acks), asyncio.Event()
        clients = [asyncio.create_task(self._client(random.Random(draw.random()), stop)) for _ in range(_CLIENTS)]
        try:
            async with asyncio.timeout(_GO_ON_S):
                while len(self.journal.acks) < before + 8:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(draw.uniform(0.0, 0.3))
            if both := draw.random() < 0.3:  # one machine had both
                self.live.kill()
            said = await crashed
        finally:
            crashed.close()
            stop.set()
            await asyncio.gather(*clients)
        went_on = not both and self.live.process is not None and self.live.process.poll() is None
        await self.settle()
        return f"{said}, ledger {'killed too' if both else 'went on' if went_on else 'ended and was started again'}"

    async def _client(self, draw: random.Random, stop: asyncio.Event) -> None:
        labels: list[str] = []
        while not stop.is_set():
            labels = labels or self.intend(draw.randint(1, 3))
            try:
                await self.submit(labels, 5.0)
                labels = []
            except (Unavailable, Unverified):
                self.journal.unknown += 1
                await asyncio.sleep(draw.uniform(0.05, 0.2))

    async def judge(self) -> Counter[str]:
        """From what an outsider can read."""
        checkpoint = self.live.open((await self.live.fetch("/checkpoint"))[2]).checkpoint
        entries: list[bytes] = []
        for start in range(0, checkpoint.size, 256):
            width = min(256, checkpoint.size - start)
            path = f"/tile/entries/{start // 256:03}" + ("" if width == 256 else f".p/{width}")
            entries += parse_entries((await self.live.fetch(path))[2], width)
        return self.journal.judge(entries, (checkpoint.size, checkpoint.root))


async def fail_over(pair: Pair, draw: random.Random) -> str:
    """The primary is gone, its standby takes over, and what was left follows it."""
    if gently := draw.random() < 0.3:
        await apart(pair.primary.stop, immediate=True)
    else:
        await apart(crash, pair.primary)
    await asyncio.sleep(draw.uniform(0.0, 0.2))
    await apart(pair.promote)
    await apart(pair.rejoin)
    return f"primary {'stopped at once' if gently else 'killed'}"

"""kill -9 of a real ledger at random moments while eight clients submit and a witness listens.

A piece is up to 100 kills of one log. Each kill falls 5 to 400 ms after the load begins; one in eight falls into a
start instead. After every start the judge reads what is new on the published log; at the end it reads everything, and
every statement that was ever sent is sent again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Sender, Template, judge
from campaigns.faults.served import START_S, Parent, Served
from campaigns.faults.stores import StoreKind
from ledger.errors import Unavailable, Unverified
from tests.support.builders import Certificate
from tests.support.live_ledger import distinct, tracks_of

PIECE = 100  # kills of one log
CLIENTS = 8
A_KILL = 24  # certificates that wait for each kill, all clients together: more than they get through
INTO_START = 8  # one in so many
AGAIN = 100  # statements of one request when all are sent again


class Load:
    """Clients that send while the log is up, and remember on disk what came of it."""

    def __init__(self, senders: list[Sender], certificates: list[Certificate], seed: str) -> None:
        self.up = asyncio.Event()
        self.sent: list[list[Certificate]] = [[] for _ in senders]
        self.outcomes: Counter[str] = Counter()
        self.began = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._client(at, sender, iter(certificates[at :: len(senders)]), seed))
            for at, sender in enumerate(senders)
        ]

    async def _client(self, at: int, sender: Sender, waiting: object, seed: str) -> None:
        draw = random.Random(f"{seed} client {at}")
        unanswered: list[Certificate] = []
        while True:
            await self.up.wait()
            fresh = [one for _ in range(draw.randint(1, 3)) if (one := next(waiting, None))]  # type: ignore[call-overload]
            self.sent[at] += fresh
            if draw.random() < 0.3:  # what got no answer goes along, and is in the log perhaps
                fresh += unanswered[-2:]
            if not fresh:  # nothing new is left: what is in the log goes on being sent
                fresh = draw.sample(self.sent[at], min(2, len(self.sent[at])))
            self.began.set()
            outcome = await sender.send(fresh)
            self.outcomes[outcome] += 1
            unanswered = fresh if outcome == "unknown" else []
            if outcome == "unknown":
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self.up.clear()
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def run_piece(room: Path, store: StoreKind, seed: int, kills: int, *, sabotage: str = "") -> Counter[str]:
    """`kills` kills of one log."""
    draw, clock, counts = random.Random(f"kills {seed}"), Clock(), Counter[str]()
    async with HearingWitness("w1") as witness:
        people = kills * A_KILL + 40
        template = await Template.make(
            room / f"kills {seed}", f"kills-{seed}", people, clock, store, [witness], 1, answer_wait_ms=2000
        )
        live, oracle = template.live, template.oracle()
        senders = [template.sender(live, oracle, f"client {at}") for at in range(CLIENTS)]
        with Parent(sabotage) as parent:
            load = Load(senders, template.certificates, f"kills {seed}")
            try:
                for at in range(kills):
                    await _one_kill(at, load, parent.serve(live), draw, oracle, counts)
                    witness.tell(oracle)
                    oracle.guarded(*store.remembered(live.folder))
            finally:
                await load.stop()
            served = parent.serve(live)
            if not await served.ready():
                raise AssertionError(f"it does not start: {(live.folder / 'serve.err').read_text()[-2000:]}")
            await all_again(template, load, senders)
            counts["unreadable"] += await other_tracks(template)
            witness.tell(oracle)
            await oracle.read_whole(live.url)
            counts["exit code"] += abs(served.stop())
    for sender in senders:
        sender.journal.close()
    counts.update(await judge(live, oracle, store))
    counts.update({f"requests {outcome}": count for outcome, count in load.outcomes.items()})
    return counts


async def _one_kill(
    at: int, load: Load, served: Served, draw: random.Random, oracle: object, counts: Counter[str]
) -> None:
    into_start = at % INTO_START == INTO_START - 1
    if into_start:
        await asyncio.sleep(draw.uniform(0.0, 0.25))
    elif await served.ready():
        await oracle.follow(served.live.url)  # type: ignore[attr-defined]
        await asyncio.sleep(1.0 - time.time() % 1.0)  # a request of the second of the start would be refused
        load.began.clear()
        load.up.set()
        async with asyncio.timeout(START_S):  # a client that failed would keep us waiting
            await load.began.wait()
        await asyncio.sleep(draw.uniform(0.005, 0.4))
    else:
        counts["unreadable"] += 1
        print(f"it ended by itself: {(served.live.folder / 'serve.err').read_text()[-2000:]}", flush=True)
    code = served.kill()
    load.up.clear()
    counts["kills"] += code == -9
    counts["kills into a start"] += into_start


async def all_again(template: Template, load: Load, senders: list[Sender]) -> None:
    """Every statement that was sent, until each has its answer."""
    await asyncio.sleep(1.0 - time.time() % 1.0)
    for sent, sender in zip(load.sent, senders, strict=True):
        sender.total_s = 30.0
        for at in range(0, len(sent), AGAIN):
            assert await sender.insist(sent[at : at + AGAIN])


async def other_tracks(template: Template) -> int:
    """How many tracks are not what was drawn at first."""
    labels = distinct(template.live.authority.origin.rpartition("/")[2], 40)
    try:
        async with template.live.client(template.body) as client:
            tracks = await tracks_of(client, labels)
    except (Unavailable, Unverified):
        return len(labels)
    first = template.certificates[: len(labels)]
    return sum(tracks[label] != each.issue.track_id for label, each in zip(labels, first, strict=True))

"""A database that fails under a running log: answers to COMMIT that are lost, sessions that are ended, the server gone.

The guard lies in another database of the same server. What `commits` and `backends` strike at is one request after
another of a log in this process; it is started again wherever the fault has ended it, and every request is repeated
until it is acknowledged. `database` has a real process under the load of `kills`, and stops the server (immediate: no
session is told, the next start recovers) beside it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Sender, Template, inside, judge
from campaigns.faults.kills import A_KILL, CLIENTS, Load, all_again, other_tracks
from campaigns.faults.oracle import Oracle
from campaigns.faults.postgres import Postgres
from campaigns.faults.served import START_S, Parent, Served
from tests.support.builders import Certificate
from tests.support.commit_proxy import CommitProxy, commit_proxy
from tests.support.postgres import APPLICATION

Strike = Callable[[], AbstractAsyncContextManager[None]]

PIECE = 50  # strikes at one log
STOPS = 10  # of the server under one log
FLAVOURS = ("before", "after") * 4 + ("late",)
COMMITS = ("batch", "guard", "checkpoint")  # of a request, in this order
SESSIONS = ("writer", "guard", "all")
_MOST = 3  # certificates of a request
_TRIES = 200
_ENDED = "SELECT xact_start IS NOT NULL AS busy, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
# The writer is the only one that holds an advisory lock.
_END = f"{_ENDED} AND ($2 OR pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory'))"
_END_WAITING = f"{_ENDED} AND datname = current_database() AND wait_event_type = 'Lock'"


async def run_commits(room: Path, store: Postgres, seed: int, count: int) -> Counter[str]:
    """`count` answers to commits, of a batch, of the guard or of the published checkpoint, that never come."""
    draw, counts = random.Random(f"commits {seed}"), Counter[str]()
    async with commit_proxy(store.server.port) as proxy:

        @asynccontextmanager
        async def cut() -> AsyncIterator[None]:
            how, through = draw.choice(FLAVOURS), draw.randrange(len(COMMITS))
            proxy.deliver.clear()
            proxy.through, proxy.cut = through, how
            late = asyncio.create_task(_deliver(proxy, draw.uniform(0.0, 0.3)))
            try:
                yield
            finally:
                await late
                struck = not proxy.cut
                proxy.cut = ""
                counts[f"{how}, {COMMITS[through]}" if struck else "not struck"] += 1

        log = await _Log.make(room, store, f"commits-{seed}", count)
        store.put_between(log.folder, proxy.port)
        return counts + await log.struck(count, cut, draw)


async def _deliver(proxy: CommitProxy, after_s: float) -> None:
    """A late COMMIT arrives so long after its client was cut off."""
    while proxy.cut == "late":
        await asyncio.sleep(0.005)
        after_s -= 0.005
        if after_s < -5.0:  # nothing was committed: there is nothing to deliver
            return
    await asyncio.sleep(max(0.0, after_s))
    proxy.deliver.set()


async def run_backends(room: Path, store: Postgres, seed: int, count: int) -> Counter[str]:
    """`count` times one or all of the log's sessions are ended by the server while a request is on its way; that of
    the guard while it remembers."""
    draw, counts = random.Random(f"backends {seed}"), Counter[str]()
    log = await _Log.make(room, store, f"backends-{seed}", count)
    admin = await store.beside_guard(log.folder)

    async def end(who: str, after_s: float, over: asyncio.Event) -> None:
        ended: list[Any] = []
        if who == "guard":
            async with admin.transaction():  # its statement waits for this one
                await admin.execute("SELECT FROM guard FOR UPDATE")
                while not ended and not over.is_set():
                    await admin.execute("SELECT pg_stat_clear_snapshot()")
                    ended = await admin.fetch(_END_WAITING, APPLICATION)
                    await asyncio.sleep(0.005)
        else:
            await asyncio.sleep(after_s)
            ended = await admin.fetch(_END, APPLICATION, who == "all")
        counts[f"sessions ended, {who}"] += len(ended)
        counts["in a transaction"] += sum(row["busy"] for row in ended)

    @asynccontextmanager
    async def strike() -> AsyncIterator[None]:
        who, over = draw.choice(SESSIONS), asyncio.Event()
        ending = asyncio.create_task(end(who, draw.uniform(0.0, log.usual_s), over))
        try:
            yield
        finally:
            over.set()
            await ending
            counts[f"strikes, {who}"] += 1

    try:
        return counts + await log.struck(count, strike, draw)
    finally:
        await admin.close()


class _Log:
    """A log in this process, struck at while a request is on its way."""

    def __init__(self, template: Template, witness: HearingWitness, store: Postgres) -> None:
        self._template, self._witness, self._store = template, witness, store
        self.folder = template.live.folder
        self.usual_s = 0.05  # that a request takes

    @classmethod
    async def make(cls, room: Path, store: Postgres, seed: str, count: int) -> _Log:
        clock = Clock()
        witness = HearingWitness("w1", clock.now_s)
        async with witness:
            template = await Template.make(
                room / f"piece {seed}" / "log", seed, _MOST * count, clock, store, [witness], 1
            )
        return cls(template, witness, store)

    async def struck(self, count: int, strike: Strike, draw: random.Random) -> Counter[str]:
        """`count` requests, each with a strike beside it, over as many processes as that takes; judged at the end."""
        template, counts = self._template, Counter[str]()
        live, oracle = template.live, template.oracle()
        sender, waiting = template.sender(live, oracle), iter(template.certificates)
        unanswered: list[Certificate] = []
        at = 0
        async with self._witness:
            template.write_policy(live)
            while at < count or unanswered:
                async with inside(live, template.clock) as fatal:
                    counts["starts"] += 1
                    while not fatal.done() and (at < count or unanswered):
                        if unanswered:
                            began = time.monotonic()
                            acked = await _until_acked(sender, unanswered, fatal)
                            if acked is None:
                                break
                            self.usual_s = min(1.0, time.monotonic() - began)
                            counts["wrong"] += not acked
                            unanswered = []
                            await oracle.follow(live.url)
                            oracle.guarded(*self._store.remembered(live.folder))
                            continue
                        at += 1
                        unanswered = [next(waiting) for _ in range(draw.randint(1, _MOST))]
                        async with strike():
                            counts[f"struck: {await sender.send(unanswered)}"] += 1
            async with inside(live, template.clock):
                await oracle.read_whole(live.url)
        self._witness.tell(oracle)
        sender.journal.close()
        counts["trials"] += count
        return counts + Counter(await judge(live, oracle, self._store))


async def _until_acked(
    sender: Sender, certificates: list[Certificate], fatal: asyncio.Future[BaseException]
) -> bool | None:
    """Whether the log acknowledges them; None when it is ending instead."""
    for _ in range(_TRIES):
        if await sender.send(certificates) == "acked":
            return True
        if fatal.done():
            return None
        await asyncio.sleep(0.02)
    print("a sound log does not acknowledge", flush=True)
    return False


async def run_database(room: Path, store: Postgres, seed: int, count: int) -> Counter[str]:
    """`count` times the server is stopped at once under load, and is back a moment later."""
    draw, clock, counts = random.Random(f"database {seed}"), Clock(), Counter[str]()
    async with HearingWitness("w1") as witness:
        folder, people = room / f"piece {seed}" / "log", count * A_KILL + 40
        template = await Template.make(
            folder, f"database-{seed}", people, clock, store, [witness], 1, answer_wait_ms=2000
        )
        live, oracle = template.live, template.oracle()
        senders = [template.sender(live, oracle, f"client {at}") for at in range(CLIENTS)]
        with Parent() as parent:
            load = Load(senders, template.certificates, f"database {seed}")
            try:
                served = await _settled(parent, parent.serve(live), counts)
                for _ in range(count):
                    await _one_stop(served, load, store, draw, oracle)
                    counts["stops"] += 1
                    served = await _settled(parent, served, counts)
                    load.up.clear()
                    witness.tell(oracle)
                    oracle.guarded(*store.remembered(live.folder))
            finally:
                await load.stop()
            served = await _settled(parent, served, counts)
            await all_again(template, load, senders)
            counts["unreadable"] += await other_tracks(template)
            witness.tell(oracle)
            await oracle.read_whole(live.url)
            counts["exit code"] += abs(served.stop())
    for sender in senders:
        sender.journal.close()
    counts.update(await judge(live, oracle, store))
    counts.update({f"requests {outcome}": number for outcome, number in load.outcomes.items()})
    return counts


async def _one_stop(served: Served, load: Load, store: Postgres, draw: random.Random, oracle: Oracle) -> None:
    await oracle.follow(served.live.url)
    await asyncio.sleep(1.0 - time.time() % 1.0)  # a request of the second of the start would be refused
    load.began.clear()
    load.up.set()
    async with asyncio.timeout(START_S):
        await load.began.wait()
    await asyncio.sleep(draw.uniform(0.005, 0.4))
    store.server.stop(immediate=True)
    await asyncio.sleep(draw.uniform(0.0, 0.3))
    store.server.start()
    await asyncio.sleep(draw.uniform(0.0, 0.3))


async def _settled(parent: Parent, served: Served, counts: Counter[str]) -> Served:
    """The log once it answers again: the same process, or the next one where that has ended, as it should."""
    async with asyncio.timeout(2 * START_S):
        while True:
            if served.ended():
                counts["the process ended"] += 1
                served.stop()  # how it ended
                counts["it ended in peace"] += served.code == 0
                served = parent.serve(served.live)
                counts["starts"] += 1
            if await served.ready() and await _is_ready(served.live.url):
                return served
            await asyncio.sleep(0.02)


async def _is_ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError):
        return False

"""Two or five sequencers of one log, on one PostgreSQL database with the guard in another: those who lead are stopped
(SIGSTOP), killed and woken while clients submit, to them or, in every other pair of pieces, each through a front of its
own. Whoever leads, there is one log: what the clients have on their disks is judged against it by the outsider of all
faults, and against the guard's memory by the fleet's own judge.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from campaigns.faults.journal import Journal, read_journals
from campaigns.faults.oracle import Oracle, Unreadable
from campaigns.faults.stores import StoreKind
from ledger.wire import Logged
from tests.support.builders import Body, Certificate
from tests.support.fronts import LiveFront
from tests.support.live_ledger import LiveLedger, distinct, drafted, live_body
from tests.support.ports import free_port
from tests.support.postgres import postgres_server
from tests.support.sequencers import Fleet, disturb

ROUNDS = 20
SIZES = (2, 5)
_CLIENTS, _EACH = 2, 2
_PEOPLE, _DRAWN = 4_000, 1_000  # tracks are drawn for so many in a request


async def run(room: Path, store: StoreKind, seed: int, count: int) -> Counter[str]:
    """`count` rounds in one fleet, of two sequencers or five by turns, and then once more with fronts."""
    size, with_fronts = SIZES[seed % len(SIZES)], seed // len(SIZES) % 2 == 1
    body, draw, counts = live_body(f"fleet-{seed}"), random.Random(f"fleet-{seed}"), Counter[str]()
    folder = room / f"piece {seed}"
    fleet = await asyncio.to_thread(
        Fleet.create,
        postgres_server(),
        folder,
        f"fleet-{seed}",
        size,
        takeover_ms=2000,
        internal_port=free_port() if with_fronts else 0,
    )
    fleet.patience_s = 0.7
    first = fleet.members[0]
    oracle = Oracle(first.authority.origin, [key.format_vkey() for key in first.keys])
    fleet.hear = oracle.heard
    journals = [Journal(folder / f"client {at}.journal") for at in range(_CLIENTS)]
    # With the times that are shipped: an answer may take longer than a search.
    fronts = [
        LiveFront.create(folder / f"front {at}", fleet.members, answer_ms=15_000, search_ms=5_000)
        for at in range(_CLIENTS if with_fronts else 0)
    ]
    try:
        await asyncio.gather(*(asyncio.to_thread(member.start, "--standby") for member in fleet.members))
        await asyncio.gather(*(asyncio.to_thread(front.start) for front in fronts))
        await fleet.ask(lambda leader: leader.file(body))
        labels = distinct(f"fleet-{seed}", _PEOPLE)

        async def draft(leader: LiveLedger) -> Sequence[Certificate]:
            async with leader.client(body, total_s=120) as client:
                parts = [await drafted(client, body, *labels[at : at + _DRAWN]) for at in range(0, _PEOPLE, _DRAWN)]
            return [certificate for part in parts for certificate in part]

        certificates, done = iter(await fleet.ask(draft)), asyncio.Event()
        async with fleet.watched():
            clients = [
                _Client(fleet, body, oracle, journal, fronts[at : at + 1]) for at, journal in enumerate(journals)
            ]
            sending = [asyncio.create_task(client.load(certificates, done)) for client in clients]
            happened = await disturb(fleet, draw, count)
            done.set()
            await asyncio.gather(*sending)
        counts.update(happened)
        await fleet.judge()
        await oracle.read_whole((await fleet.leader()).url)
        counts.update(oracle.judge(read_journals(folder)))
    except (AssertionError, Unreadable) as error:  # the judges': what that is of all that must not be, their words say
        traceback.print_exception(error)
        counts["wrong"] += 1
    finally:
        fleet.end()
        for front in fronts:
            if front.process is not None:
                front.end(signal.SIGKILL)
        for journal in journals:
            journal.close()
    counts[f"rounds of {size}{' through fronts' if with_fronts else ''}"] += count
    return counts


class _Client:
    """Sends to whoever leads, or through its front, and remembers on disk what came of it."""

    def __init__(self, fleet: Fleet, body: Body, oracle: Oracle, journal: Journal, fronts: Sequence[LiveFront]) -> None:
        self._fleet, self._body, self._oracle, self._journal, self._fronts = fleet, body, oracle, journal, fronts

    async def load(self, waiting: Iterator[Certificate], done: asyncio.Event) -> None:
        while (some := list(itertools.islice(waiting, _EACH))) and not done.is_set():
            await self._send(some)
            await asyncio.sleep(0.1)

    async def _send(self, some: Sequence[Certificate]) -> None:
        labels = {each.secret.hex(): each.statement.entry for each in some}
        self._journal.intend(labels)
        receipt = await self._fleet.submit(self._body, some, lambda: self._journal.lose(labels), self._fronts)
        size, _ = self._oracle.heard(receipt.checkpoint, "client")
        answers = zip(labels, receipt.answers, strict=True)
        self._journal.acknowledge(
            {label: (answer.index, answer.time) for label, answer in answers if isinstance(answer, Logged)}, size
        )

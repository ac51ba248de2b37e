"""Two or five sequencers of one log, on one PostgreSQL database with the guard in another: those who lead are stopped
(SIGSTOP), killed and woken while clients submit. Whoever leads, there is one log.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from campaigns.faults.stores import StoreKind
from tests.support.builders import Body, Certificate
from tests.support.live_ledger import LiveLedger, distinct, drafted, live_body
from tests.support.postgres import postgres_server
from tests.support.sequencers import Fleet, disturb

ROUNDS = 20
SIZES = (2, 5)
_CLIENTS, _EACH = 2, 2
_PEOPLE, _DRAWN = 4_000, 1_000  # tracks are drawn for so many in a request


async def run(room: Path, store: StoreKind, seed: int, count: int) -> Counter[str]:
    """`count` rounds in one fleet, of two sequencers or five by turns."""
    size = SIZES[seed % len(SIZES)]
    body, draw, counts = live_body(f"fleet-{seed}"), random.Random(f"fleet-{seed}"), Counter[str]()
    folder = room / f"piece {seed}"
    fleet = await asyncio.to_thread(Fleet.create, postgres_server(), folder, f"fleet-{seed}", size, takeover_ms=2000)
    fleet.patience_s = 0.7
    try:
        await asyncio.gather(*(asyncio.to_thread(member.start, "--standby") for member in fleet.members))
        await fleet.ask(lambda leader: leader.file(body))
        labels = distinct(f"fleet-{seed}", _PEOPLE)

        async def draft(leader: LiveLedger) -> Sequence[Certificate]:
            async with leader.client(body, total_s=120) as client:
                parts = [await drafted(client, body, *labels[at : at + _DRAWN]) for at in range(0, _PEOPLE, _DRAWN)]
            return [certificate for part in parts for certificate in part]

        certificates, done = iter(await fleet.ask(draft)), asyncio.Event()
        async with fleet.watched():
            sending = [asyncio.create_task(_load(fleet, body, certificates, done)) for _ in range(_CLIENTS)]
            happened = await disturb(fleet, draw, count)
            done.set()
            await asyncio.gather(*sending)
        counts.update(happened)
        await fleet.judge()
    except AssertionError as error:  # the judge's: what that is of all that must not be, its words say
        traceback.print_exception(error)
        counts["wrong"] += 1
    finally:
        fleet.end()
    counts.update({"acked": len(fleet.acks), "heads": len(fleet.heads), f"rounds of {size}": count})
    return counts


async def _load(fleet: Fleet, body: Body, certificates: Iterator[Certificate], done: asyncio.Event) -> None:
    for _ in itertools.count():
        some = list(itertools.islice(certificates, _EACH))
        if done.is_set() or not some:
            return
        await fleet.submit(body, some)
        await asyncio.sleep(0.1)

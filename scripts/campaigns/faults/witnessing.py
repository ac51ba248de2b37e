"""Witnesses that are down, slow, wrong or lie: one of three is noticed by nobody, two of three keep all pending."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Template, inside, judge
from campaigns.faults.stores import StoreKind
from tests.support.fake_witness import MODES

TRIALS = [(mode, bad) for mode in MODES if mode != "honest" for bad in (1, 2)]


@asynccontextmanager
async def session(room: Path, store: StoreKind) -> AsyncIterator[Callable[[int, int], Awaitable[Counter[str]]]]:
    """The seed is the trial's place in the list."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        witnesses = [await stack.enter_async_context(HearingWitness(f"w{at}", clock.now_s)) for at in range(3)]
        template = await Template.make(
            room / "small", "witnesses", 12, clock, store, witnesses, 2, witness_timeout_ms=250
        )

        async def run(seed: int, _: int) -> Counter[str]:
            mode, bad = TRIALS[seed]
            counts: Counter[str] = Counter(trials=1)
            live, oracle = template.copy(room / f"trial {seed}"), template.oracle()
            sender, certificates = template.sender(live, oracle), iter(template.certificates)
            async with inside(live, clock):
                counts["wrong"] += not await sender.insist([next(certificates)])
                published = await oracle.follow(live.url)
                for witness in witnesses[:bad]:
                    witness.mode = mode
                late = [next(certificates), next(certificates)]
                if bad == 1:  # noticed by nobody
                    counts["wrong"] += not await sender.insist(late)
                else:  # durable, and neither acknowledged nor published without its quorum
                    counts["wrong"] += await sender.send(late) != "unknown"
                    counts["wrong"] += await oracle.follow(live.url) != published
                for witness in witnesses:
                    witness.mode = "honest"
                    witness.released.set()
                    witness.released = asyncio.Event()
                counts["wrong"] += not await sender.insist(late)
                await oracle.read_whole(live.url)
            for witness in witnesses:
                witness.tell(oracle)
            sender.journal.close()
            return counts + Counter(await judge(live, oracle, store))

        yield run

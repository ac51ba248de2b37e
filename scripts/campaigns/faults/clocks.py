"""A clock that goes back or leaps, while the log runs, between commit and signature, and over a restart.

Log time only rises, nothing is lost, and when the clock is right again the log goes on by itself.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Template, inside, judge
from campaigns.faults.stores import StoreKind
from ledger.errors import CertLedgerError
from ledger.service import publisher
from ledger.store.integrate import Integrator

_HOUR, _YEAR = 3_600_000, 365 * 86_400_000
JUMPS = {"-1 s": -1000, "+1 s": 1000, "-6 s": -6000, "+301 s": 301_000, "-1 h": -_HOUR, "+1 h": _HOUR,
         "-10 y": -10 * _YEAR, "+10 y": 10 * _YEAR}  # fmt: skip
MOMENTS = ("running", "committed", "restart")
TRIALS = list(itertools.product(range(1, 13), JUMPS, MOMENTS))  # batches before it


@asynccontextmanager
async def session(room: Path, store: StoreKind) -> AsyncIterator[Callable[[int, int], Awaitable[Counter[str]]]]:
    """The seed is the trial's place in the list; each jump and moment comes after 1 to 12 batches."""
    clock = Clock()
    real = Clock()  # the witness's
    async with HearingWitness("w1", real.now_s) as witness:
        template = await Template.make(room / "small", "clocks", 40, clock, store, [witness], 1)
        with patch.object(publisher, "RENEW_S", 0.5):  # a held signature is tried again after a tenth of it

            async def run(seed: int, _: int) -> Counter[str]:
                batches, jump, moment = TRIALS[seed]
                return await _trial(template, store, room / f"trial {seed}", JUMPS[jump], moment, batches)

            yield run


async def _trial(
    template: Template, store: StoreKind, folder: Path, jump: int, moment: str, batches: int
) -> Counter[str]:
    clock, counts = template.clock, Counter(trials=1)
    (witness,) = template.witnesses
    assert isinstance(witness, HearingWitness)
    live, oracle = template.copy(folder), template.oracle()
    sender, certificates = template.sender(live, oracle), iter(template.certificates)
    commit = Integrator.commit

    async def commit_then_leap(self: Integrator, prepared: Any) -> None:
        await commit(self, prepared)
        clock.shift = jump

    try:
        async with inside(live, clock):
            for _ in range(batches):
                counts["wrong"] += not await sender.insist([next(certificates)])
            one = [next(certificates)]
            if moment == "running":
                clock.shift = jump
                counts[f"while wrong {await sender.send(one)}"] += 1
            elif moment == "committed":
                with patch.object(Integrator, "commit", commit_then_leap):
                    counts[f"while wrong {await sender.send(one)}"] += 1
            if moment != "restart":
                clock.shift = 0
                counts["wrong"] += not await sender.insist(one)
                await oracle.follow(live.url)
        if moment == "restart":
            clock.shift = jump
            try:
                async with inside(live, clock):
                    counts[f"while wrong {await sender.send(one)}"] += 1
            except CertLedgerError:
                counts["start refused"] += 1
            clock.shift = 0
        async with inside(live, clock):
            counts["wrong"] += not await sender.insist([*one, next(certificates)])
            await oracle.read_whole(live.url)
    finally:
        clock.shift = 0
    witness.tell(oracle)
    sender.journal.close()
    return counts + Counter(await judge(live, oracle, store))

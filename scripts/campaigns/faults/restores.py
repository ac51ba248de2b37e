"""Old backups put back: each must be found before the first signature, by the guard or, where that was put back too,
by the witnesses. A piece is one log with a backup of every stage, restored 25 times.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Template, inside, judge
from campaigns.faults.stores import StoreKind
from ledger.errors import Refused
from ledger.tlog.checkpoint import CheckpointSigner
from tests.support.live_ledger import LiveLedger

PIECE = 25
STAGES = 8
# What is restored, and how many of three witnesses (two are the quorum) are silent.
WAYS = (("store", 0), ("store, guard lost", 0), *(("store and guard", silent) for silent in range(4)))


async def run(room: Path, store: StoreKind, seed: int, count: int) -> Counter[str]:
    draw, clock, counts = random.Random(f"restores {seed}"), Clock(), Counter[str]()
    async with AsyncExitStack() as stack:
        witnesses = [await stack.enter_async_context(HearingWitness(f"w{at}", clock.now_s)) for at in range(3)]
        folder = room / f"piece {seed}"
        template = await Template.make(folder / "log", f"restores-{seed}", 100, clock, store, witnesses, 2)
        live, oracle = template.live, template.oracle()
        sender, certificates = template.sender(live, oracle), iter(template.certificates)
        async with inside(live, clock):
            for stage in range(STAGES):
                store.back_up(live.folder, folder / f"backup {stage}")
                store.back_up_guard(live.folder, folder / f"backup {stage}" / "guard")
                for _ in range(draw.randint(1, 2)):
                    batch = [next(certificates) for _ in range(draw.randint(1, 4))]
                    counts["wrong"] += not await sender.insist(batch)
        for each in witnesses:
            each.tell(oracle)
        newest = folder / "newest"
        store.back_up(live.folder, newest)
        store.back_up_guard(live.folder, newest / "guard")
        for at in range(count):
            what, silent = WAYS[at % len(WAYS)]
            backup = folder / f"backup {draw.randrange(STAGES)}"
            _restore(live, store, backup, what)
            silenced = draw.sample(witnesses, silent)
            for each in silenced:
                each.mode = each.read_mode = "500"
            found, signed = await _start(live, template, clock, [next(certificates)])
            for each in silenced:
                each.mode = each.read_mode = "honest"
            counts.update({"restores": 1, f"{what}, {silent} silent: {found}": 1, "signatures": signed})
            counts["wrong"] += signed > 0 or found != (
                "refused" if what == "store" else "asking" if silent == 3 else "stopped"
            )
            for each in witnesses:
                each.tell(oracle)
        _restore(live, store, newest, "store and guard")
        async with inside(live, clock):
            await oracle.read_whole(live.url)
        for each in witnesses:
            each.tell(oracle)
    sender.journal.close()
    return counts + Counter(await judge(live, oracle, store))


def _restore(live: LiveLedger, store: StoreKind, backup: Path, what: str) -> None:
    store.put_back(backup, live.folder)
    if what == "store and guard":
        store.put_back_guard(backup / "guard", live.folder)
    elif what == "store, guard lost":  # somebody made a new one against the advice of the manual
        store.new_guard(live.folder)
    else:
        store.put_back_guard(backup.parent / "newest" / "guard", live.folder)


async def _start(live: LiveLedger, template: Template, clock: Clock, certificates: Any) -> tuple[str, int]:
    """How a start on a restored store ends, and how many signatures it made."""
    signed = 0
    sign = CheckpointSigner.sign

    def counted(self: CheckpointSigner, *arguments: Any) -> bytes:
        nonlocal signed
        signed += 1
        return sign(self, *arguments)

    with patch.object(CheckpointSigner, "sign", counted):
        try:
            async with inside(live, clock):
                async with live.client(template.body, now_s=clock.now_s, total_s=5.0) as client:
                    try:
                        await client.submit([each.submission() for each in certificates])
                        return "took a statement", signed
                    except Exception as error:
                        said = str(getattr(getattr(error, "text", None), "en", error))
                async with aiohttp.ClientSession() as session, session.get(f"{live.url}/readyz") as answer:
                    ready = answer.status
                await asyncio.sleep(0.05)
                if ready == 200:
                    return f"ready: {said}", signed
                async with aiohttp.ClientSession() as session, session.get(f"{live.url}/checkpoint") as answer:
                    stopped = "stopped signing" in await answer.text()
                return ("stopped" if stopped else "asking"), signed
        except Refused as refusal:
            return "refused" if refusal.code.startswith("GUARD_") else refusal.code, signed

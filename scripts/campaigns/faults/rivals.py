"""Two ledgers on one log: the first stands still (SIGSTOP, as a frozen machine does), a second is started, the first
wakes up. The second is refused by a lock, of the store or of the guard, and there is never a fork.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from campaigns.faults.hearing import HearingWitness
from campaigns.faults.inside import Clock, Template, judge
from campaigns.faults.kills import Load
from campaigns.faults.served import Parent
from campaigns.faults.stores import StoreKind
from tests.support.live_ledger import LiveLedger, free_port

WAYS = ("same folder", "lock file removed", "copied store, same guard")
_CLIENTS, _PEOPLE = 4, 300


async def run(room: Path, store: StoreKind, seed: int, count: int, *, sabotage: str = "") -> Counter[str]:
    draw, clock, counts = random.Random(f"rivals {seed}"), Clock(), Counter[str]()
    async with HearingWitness("w1") as witness:
        folder = room / f"piece {seed}"
        template = await Template.make(folder / "log", f"rivals-{seed}", _PEOPLE, clock, store, [witness], 1)
        live, oracle = template.live, template.oracle()
        senders = [template.sender(live, oracle, f"client {at}") for at in range(_CLIENTS)]
        with Parent(sabotage) as parent, Parent(sabotage) as other:
            first = parent.serve(live)
            assert await first.ready()
            load = Load(senders, template.certificates, f"rivals {seed}")
            try:
                await asyncio.sleep(1.0 - time.time() % 1.0)
                load.up.set()
                for at in range(count):
                    await asyncio.sleep(draw.uniform(0.05, 0.3))
                    first.send(signal.SIGSTOP)
                    with _rival(live, folder, WAYS[at % len(WAYS)], at) as second:
                        rival = other.serve(second)
                        started = await rival.ready()
                    if draw.random() < 0.5:
                        await asyncio.sleep(draw.uniform(0.0, 1.0))
                    first.send(signal.SIGCONT)
                    counts["rivals"] += 1
                    counts["wrong"] += started
                    counts[f"{WAYS[at % len(WAYS)]}: {'started' if started else 'refused'}"] += 1
                    rival.kill()
                    await oracle.follow(live.url)
            finally:
                await load.stop()
            for sent, sender in zip(load.sent, senders, strict=True):
                counts["wrong"] += bool(sent) and not await sender.insist(sent)
            await oracle.read_whole(live.url)
            counts["wrong"] += first.stop() != 0
        witness.tell(oracle)
    for sender in senders:
        sender.journal.close()
    return counts + Counter(await judge(live, oracle, store))


@contextmanager
def _rival(live: LiveLedger, folder: Path, way: str, at: int) -> Iterator[LiveLedger]:
    """A folder for the second ledger, with settings of its own while it starts: another port, and nothing else."""
    second = live if way != "copied store, same guard" else replace(live, folder=folder / f"copy {at}", process=None)
    if second is live:
        if way == "lock file removed":  # and so another lock, of another file; the guard's is of the guard itself
            (live.folder / "log.db.lock").unlink()
    else:
        shutil.copytree(live.folder, second.folder)
    settings = second.folder / "ledger.toml"
    text = settings.read_text("utf-8")
    changed = text.replace('guard = "guard"', f'guard = "{live.folder / "guard"}"')
    changed = re.sub("(?m)^port = .*$", f"port = {free_port()}", changed)
    assert changed.count("port = ") == text.count("port = ") and changed != text
    settings.write_text(changed, "utf-8")
    try:
        yield second
    finally:
        settings.write_text(text, "utf-8")

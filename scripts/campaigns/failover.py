"""scripts/failover: a log under load on a primary and its synchronous standby; crash, promotion, and on, 20 times.

Two PostgreSQL clusters on loopback. Each round kills the primary (or stops it at once) at a moment that the seed draws,
sometimes the ledger with it, promotes the standby, rewinds the old primary so that it follows, and lets the clients ask
again for all that they know. What is judged is the clients' journal against the public log. Exit status 1 when anything
acknowledged is lost or twice, or two signed heads do not fit into one log. Ends only processes that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from campaigns.results import machine, write_results
from tests.support.failover import Drill, fail_over
from tests.support.standby import Pair, make_pair

A_LOG = 10  # rounds of one log
PEOPLE = 400  # of one round: more than it gets through
NEVER = ("lost", "duplicated", "forks")


async def run_log(pair: Pair, seed: int, rounds: int) -> tuple[Counter[str], Counter[str]]:
    """What was counted, and what was done how often."""
    done: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="failover-") as room:
        place = pair.place(f"failover {seed}", require_standby="1")
        drill = Drill.create(Path(room) / "log", place, pair.primary.owner(place), f"failover-{seed}", PEOPLE * rounds)
        try:
            await drill.open()
            for at in range(rounds):
                draw = random.Random(f"{seed} {at}")
                said = await drill.round(draw, fail_over(pair, draw))
                done[said] += 1
                found = await drill.judge()
                print(f"seed {seed} round {at}: {said}; {dict(found)}", flush=True)
                if any(found[name] for name in NEVER):
                    break
        finally:
            await drill.close()
    return found, done


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="crashes of a primary")
    parser.add_argument("--seed", type=int, default=0, help="of the first log; the next has the next")
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/failover.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    counts: Counter[str] = Counter()
    done: Counter[str] = Counter()
    bad, seed = [], options.seed
    pair = make_pair()
    try:
        while done.total() < options.rounds:
            one, said = asyncio.run(run_log(pair, seed, min(A_LOG, options.rounds - done.total())))
            counts, done = counts + one, done + said
            if any(one[name] for name in NEVER):
                bad.append(seed)
                break
            seed += 1
    finally:
        pair.stop()
    told = {
        "seeds": [options.seed, seed - (not bad)],
        "seconds": round(time.monotonic() - started),
        "rounds": done.total(),
        "done": dict(done),
        "counts": {name: counts[name] for name in ("attempted", "acked", "unknown", "heads", "entries", *NEVER)},
        "seeds_with_violations": bad,
    }
    print(told)
    if options.write:
        print(write_results("failover", begun, told))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

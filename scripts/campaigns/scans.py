"""scripts/scans: 5,000 sequences of issue, scan, revoke, scan, with restarts of ledger, replica and verifier between.

Counts scans that were green after the first that was not: there must be none. Exit status 1 when there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from campaigns.results import machine, write_results
from tests.support.scanning import Scanning

A_LOG = 50  # sequences of one log


async def run_log(seed: int, count: int) -> tuple[Counter[str], int]:
    with tempfile.TemporaryDirectory(prefix="scans-") as room:
        scanning = await Scanning.open(Path(room), seed)
        await scanning.run(count)
        await scanning.close()
        return scanning.counts + Counter(sequences=len(scanning.sequences)), scanning.violations


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/scans", description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="sequences")
    parser.add_argument("--seed", type=int, default=0, help="of the first log; the next has the next")
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/scans.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    counts: Counter[str] = Counter()
    bad, seed = [], options.seed
    while counts["sequences"] < options.count:
        one, violations = asyncio.run(run_log(seed, min(A_LOG, options.count - counts["sequences"])))
        counts += one
        if violations:
            bad.append(seed)
        print(f"seed {seed}: {counts['sequences']} sequences, {violations} violations", flush=True)
        seed += 1
    told = {
        "seeds": [options.seed, seed - 1],
        "seconds": round(time.monotonic() - started),
        "counts": dict(counts),
        "seeds_with_violations": bad,
    }
    print(told)
    if options.write:
        print(write_results("scans", begun, told))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""scripts/scans: 5,000 sequences of issue, scan, revoke, scan, with restarts of every program between. Two kinds:

    processes  cert-ledger, two witnesses, an auditor and a verifier over a replica are processes that are ended
               (SIGTERM, SIGKILL) and started again, while statements are on their way and after; scans go to that
               verifier by page, API and bundle, and through one without a replica, whose every check is a process.
               Beside them two broken builds of the verifier, which must be noticed (tests/support/scan_rounds.py)
    room       ledger, replica and verifier in one process, closed and opened again: more states for each second, also
               reissues, cancelled filings, stolen keys, lost commit answers (tests/support/scanning.py)

Counts scans that were green after the first that was not, and others that may not be: there must be none. Exit status 1
when there is one, or a broken build went unnoticed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from campaigns.results import FOLDER, machine, write_results
from tests.support.scan_programs import FORGETS, GOES_BACK
from tests.support.scan_rounds import Rounds
from tests.support.scanning import Scanning

KINDS = ("processes", "room")
A_LOG = 50  # sequences of one log in a room
KEPT = 20  # of so many sequences' certificates one more stays in force
BROKEN = {"goes on with what it once knew": FORGETS, "starts from an old store": GOES_BACK}


async def run_processes(seed: int, count: int, a_round: int, until_s: float, sabotage: str = "") -> Rounds:
    """One log with its programs, in rounds of `a_round` sequences; none begins after `until_s` (time.monotonic). A
    broken build has only the log beside it."""
    rounds = [min(a_round, count - at) for at in range(0, count, a_round)]
    people = sum(some + some // KEPT + 1 for some in rounds)
    with tempfile.TemporaryDirectory(prefix="scans-") as room:
        async with Rounds.open(Path(room), seed, people, few=bool(sabotage), sabotage=sabotage) as running:
            for some in rounds:
                if time.monotonic() > until_s:
                    break
                await running.round(some, kept=some // KEPT + 1)
                done = f"{running.counts['sequences']} sequences, {running.violations.total()} violations"
                print(f"seed {seed}{' (broken)' if sabotage else ''}: {done}", flush=True)
        running.counts += running.programs.counts
        return running


async def run_all(
    seed: int, count: int, a_round: int, logs: int, control: int, until_s: float
) -> tuple[dict[str, Any], bool]:
    """Logs side by side, and the broken builds; what is told of them, and whether all is well."""
    shares = [count // logs + (at < count % logs) for at in range(logs)]
    sound = [run_processes(seed + at, share, a_round, until_s) for at, share in enumerate(shares) if share]
    broken = [run_processes(seed, control, control, until_s, code) for code in BROKEN.values()] if control else []
    done = await asyncio.gather(*sound, *broken)
    counts, violations, found = Counter[str](), Counter[str](), list[str]()
    for one in done[: len(sound)]:
        counts, violations = counts + one.counts, violations + one.violations
        found += one.found
    noticed = {name: dict(one.violations) for name, one in zip(BROKEN, done[len(sound) :], strict=False)}
    told = {
        "seeds": [seed, seed + len(sound) - 1],
        "sequences_of_a_round": a_round,
        "counts": dict(sorted(counts.items())),
        "longest_until_turned_s": round(max(one.turn_s for one in done[: len(sound)]), 1),
        "violations": dict(violations),
        "found": found[:20],
        "broken_builds": noticed,
    }
    return told, not violations and all(noticed.values())


async def run_log(seed: int, count: int) -> tuple[Counter[str], int]:
    """One log in a room."""
    with tempfile.TemporaryDirectory(prefix="scans-") as room:
        scanning = await Scanning.open(Path(room), seed)
        await scanning.run(count)
        await scanning.close()
        return scanning.counts + Counter(sequences=len(scanning.sequences)), scanning.violations


def run_rooms(seed: int, count: int) -> tuple[dict[str, Any], bool]:
    """Log after log; what is told of them, and whether all is well."""
    counts: Counter[str] = Counter()
    bad, first = [], seed
    while counts["sequences"] < count:
        one, violations = asyncio.run(run_log(seed, min(A_LOG, count - counts["sequences"])))
        counts += one
        if violations:
            bad.append(seed)
        print(f"seed {seed}: {counts['sequences']} sequences, {violations} violations", flush=True)
        seed += 1
    told = {"seeds": [first, seed - 1], "counts": dict(sorted(counts.items())), "seeds_with_violations": bad}
    return told, not bad


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/scans", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0])
    parser.add_argument("--count", type=int, default=5000, help="sequences")
    parser.add_argument("--seed", type=int, default=0, help="of the first log; the next has the next")
    parser.add_argument("--round", type=int, default=100, help="sequences between two times that all programs end")
    parser.add_argument("--logs", type=int, default=1, help="logs side by side, with programs of their own")
    parser.add_argument("--minutes", type=float, help="begin no further round after so long")
    parser.add_argument("--control", type=int, default=12, help="sequences of each broken build; 0: none")
    parser.add_argument("--write", action="store_true", help="write this kind into docs/campaigns/scans.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    if options.kind == "room":
        told, well = run_rooms(options.seed, options.count)
    else:
        until_s = started + 60 * (options.minutes or math.inf)
        run = run_all(options.seed, options.count, options.round, options.logs, options.control, until_s)
        told, well = asyncio.run(run)
    told |= {"machine": begun, "seconds": round(time.monotonic() - started)}
    print(json.dumps(told, ensure_ascii=False, indent=1))
    if options.write:
        path = FOLDER / "scans.json"
        kinds = json.loads(path.read_text("utf-8"))["kinds"] if path.exists() else {}
        print(write_results("scans", begun, {"seeds": told["seeds"], "kinds": kinds | {options.kind: told}}))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

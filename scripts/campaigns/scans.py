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
from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass
class Campaign:
    """Logs side by side, each with its programs, in rounds of `a_round` sequences; no round begins after `until_s`."""

    seed: int
    a_round: int
    until_s: float
    save: Callable[[dict[str, Any]], None]  # called after every round
    logs: list[Rounds] = field(default_factory=list)
    noticed: dict[str, dict[str, int]] = field(default_factory=dict)  # violations of broken builds

    async def run(self, count: int, logs: int, control: int) -> bool:
        """`control`: sequences of each broken build. Whether all is well."""
        shares = [count // logs + (at < count % logs) for at in range(logs)]
        sound = [self._sound(self.seed + at, share) for at, share in enumerate(shares) if share]
        await asyncio.gather(*sound, *(self._broken(name, control) for name in BROKEN if control))
        return not any(one.violations for one in self.logs) and all(self.noticed.values())

    async def _sound(self, seed: int, count: int) -> None:
        rounds = [min(self.a_round, count - at) for at in range(0, count, self.a_round)]
        people = sum(some + some // KEPT + 1 for some in rounds)
        with tempfile.TemporaryDirectory(prefix="scans-") as room:
            async with Rounds.open(Path(room), seed, people) as running:
                self.logs.append(running)
                for some in rounds:
                    if time.monotonic() > self.until_s:
                        break
                    await running.round(some, kept=some // KEPT + 1)
                    self._say(f"seed {seed}", running)
                    self.save(self.told())

    async def _broken(self, name: str, count: int) -> None:
        """With nothing but the log beside it."""
        with tempfile.TemporaryDirectory(prefix="scans-") as room:
            async with Rounds.open(Path(room), self.seed, count + 1, few=True, sabotage=BROKEN[name]) as running:
                await running.round(count, kept=1)
                self._say(name, running)
                self.noticed[name] = dict(running.violations)

    def _say(self, what: str, running: Rounds) -> None:
        print(f"{what}: {running.counts['sequences']} sequences, {running.violations.total()} violations", flush=True)

    def told(self) -> dict[str, Any]:
        """Of the rounds that are over; scans of those under way are counted too, and judged when they are over."""
        counts, violations = Counter[str](), Counter[str]()
        for one in self.logs:
            counts, violations = counts + one.counts + one.programs.counts, violations + one.violations
        return {
            "seeds": [self.seed, self.seed + len(self.logs) - 1],
            "sequences_of_a_round": self.a_round,
            "counts": dict(sorted(counts.items())),
            "longest_until_turned_s": round(max(one.turn_s for one in self.logs), 1),
            "violations": dict(violations),
            "found": [line for one in self.logs for line in one.found][:20],
            "broken_builds": self.noticed,
        }


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

    def save(told: dict[str, Any]) -> None:
        told |= {"machine": begun, "seconds": round(time.monotonic() - started)}
        if options.write:
            path = FOLDER / "scans.json"
            kinds = json.loads(path.read_text("utf-8"))["kinds"] if path.exists() else {}
            write_results("scans", begun, {"seeds": told["seeds"], "kinds": kinds | {options.kind: told}})

    if options.kind == "room":
        told, well = run_rooms(options.seed, options.count)
    else:
        until_s = started + 60 * (options.minutes or math.inf)
        campaign = Campaign(options.seed, options.round, until_s, save)
        well = asyncio.run(campaign.run(options.count, options.logs, options.control))
        told = campaign.told()
    save(told)
    print(json.dumps(told, ensure_ascii=False, indent=1))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

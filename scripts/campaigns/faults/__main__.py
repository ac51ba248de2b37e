"""scripts/faults: faults of every kind against a running log; nothing acknowledged may be lost, doubled or forked.

Counts attempted, acked, refused, unknown, and what must be none: lost, duplicated, forks, unreadable, wrong. Exit
status 1 when there is one, with its seed. With --write a campaign goes on where docs/campaigns/faults.json ends, and
the table in the README beside it is written anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from campaigns.faults.kinds import KINDS, STORES
from campaigns.faults.oracle import BAD
from campaigns.faults.table import line, put_table
from campaigns.results import FOLDER, machine, write_results


def earlier(kind: str, store: str) -> dict[str, Any]:
    """What the results file says about a kind."""
    path = FOLDER / "faults.json"
    told = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return dict(told.get("stores", {}).get(store, {}).get(kind, {}))


def keep(kind: str, store: str, record: dict[str, Any], begun: dict[str, str]) -> None:
    """Put one kind's record into the results file, beside the others."""
    path = FOLDER / "faults.json"
    told = json.loads(path.read_text("utf-8")) if path.exists() else {}
    stores = told.get("stores", {})
    stores.setdefault(store, {})[kind] = record
    seeds = {which: {name: [0, one["next_seed"] - 1] for name, one in kinds.items()} for which, kinds in stores.items()}
    write_results("faults", begun, {"seeds": seeds, "stores": stores})
    put_table(FOLDER / "README.md", stores)


async def run_kind(name: str, options: argparse.Namespace, room: Path, end: float) -> list[int]:
    """Seeds in which something happened that must not."""
    kind, store, begun = KINDS[name], STORES[options.store], machine()
    before = earlier(name, options.store) if options.write and not options.anew else {}
    counts: Counter[str] = Counter(before.get("counts", {}))
    bad: list[int] = list(before.get("seeds_with_violations", []))
    first = seed = options.seed if options.seed is not None else before.get("next_seed", 0)
    wanted = options.count or kind.wanted
    done, spent = before.get("trials", 0), before.get("seconds", 0)
    target = wanted if options.write else done + wanted
    started, at_start, found = time.monotonic(), done, []
    this = {"commit": begun["commit"], "cpu": begun["cpu"], "python": begun["python"], "date": begun["date"]}
    async with kind.session(room, store) as piece:
        while done < target and time.monotonic() < end:
            size = min(kind.piece, target - done)
            try:
                one = await piece(seed, size)
            except Exception as error:
                traceback.print_exception(error)
                one = Counter({"wrong": 1, f"harness {type(error).__name__}": 1})
            counts += one
            done += size
            if any(one[name] for name in BAD):
                bad.append(seed)
                found.append(seed)
                again = f"scripts/faults --kind {name} --store {options.store} --seed {seed} --count {size}"
                print(f"VIOLATION {dict(one)}\nagain: {again}", flush=True)
            rate = (done - at_start) / (time.monotonic() - started)
            left = (target - done) / rate / 60
            if kind.piece > 1 or done % 10 == 0 or done == target:
                none = ", ".join(f"{what} {counts[what]}" for what in kind.judged)
                print(f"{name}: {done} of {target}, {rate:.2f}/s, {left:.0f} min left; {none}", flush=True)
            seed += 1
            if options.write:
                record = {
                    "what": kind.what,
                    "wanted": kind.wanted,
                    "trials": done,
                    "next_seed": seed,
                    "seconds": round(spent + time.monotonic() - started),
                    "counts": dict.fromkeys(kind.judged, 0) | {key: value for key, value in counts.items() if value},
                    "seeds_with_violations": bad,
                    **{name: before[name] for name in ("commits",) if name in before},  # of before there were runs
                    "runs": [*before.get("runs", ()), this | {"seeds": [first, seed - 1], "trials": done - at_start}],
                }
                keep(name, options.store, record, begun)
            for path in room.iterdir():
                if path.name.startswith(("trial", "kills", "piece")):
                    shutil.rmtree(path, ignore_errors=True)
    print(f"{name}: seeds {first} to {seed - 1}: {line(counts, kind.judged)}", flush=True)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="one or more; all of them when left out")
    parser.add_argument("--store", choices=sorted(STORES), default="sqlite")
    parser.add_argument("--count", type=int, default=0, help="trials of each kind; 0: what a whole campaign wants")
    parser.add_argument("--seed", type=int, default=None, help="of the first piece; the next has the next")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no further piece after this long; 0: no end")
    parser.add_argument("--dir", type=Path, default=None, help="where the logs lie; default: the temporary folder")
    parser.add_argument("--write", action="store_true", help="add to docs/campaigns/faults.json, and go on after it")
    parser.add_argument("--anew", action="store_true", help="with --write: in place of what is there of these kinds")
    options = parser.parse_args(arguments)
    end = time.monotonic() + (60 * options.minutes or 10**9)
    found: dict[str, list[int]] = {}
    names = options.kind or [name for name, kind in KINDS.items() if options.store in kind.stores]
    if elsewhere := [name for name in names if options.store not in KINDS[name].stores]:
        parser.error(f"not on {options.store}: {', '.join(elsewhere)}")
    lacking = {name: why for name in names if (why := KINDS[name].lacks())}
    for name in [name for name in names if name not in lacking]:
        with tempfile.TemporaryDirectory(prefix="faults-", dir=options.dir) as room:
            found[name] = asyncio.run(run_kind(name, options, Path(room), end))
    wrong = {name: seeds for name, seeds in found.items() if seeds}
    print("no violation" if not wrong else f"violations: {wrong}")
    for name, why in lacking.items():
        print(f"{name} was not run: {why}")
    return 1 if wrong or lacking else 0


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # what faulted logs say is what is expected of them
    sys.exit(main())

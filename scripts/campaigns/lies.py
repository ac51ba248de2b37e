"""scripts/lies: one changed grade among 100,000 entries, signed by issuer and log alike, and a replica that finds it.

The log is built once; then each lie changes the grade of one certificate, with the true record key, and makes every
chain value and every signature fit: only the map roots are as they were. The replica must name the seal of that batch.
Exit status 1 when one is missed or blamed on another index.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from campaigns.results import machine, write_results
from ledger.records.seal import CHAIN_START, extend_chain, is_seal, parse_seal
from ledger.records.statements import issue_entry, parse_statement
from ledger.store.sqlite import create_sqlite
from ledger.tlog.merkle import leaf_hash
from tests.support.build_log import MAP_DEPTH, LogBuilder
from tests.support.lying_log import RawLog
from verifier.replica import Replica
from verifier.violation import Violation

BATCH = 1000


async def build(path: Path, size: int) -> list[bytes]:
    """The entries of an honest log of at least this size."""
    log = await LogBuilder.create(path)
    while log.integrator.size < size:
        start = log.integrator.size
        made = [log.certificate(f"{start + at}", grade=2 + at % 4) for at in range(BATCH)]
        await log.batch([one.statement.entry for one in made])
        print(f"{log.integrator.size} entries", flush=True)
    entries = await log.store.entries(0, log.integrator.size)
    await log.store.close()
    return entries


def changed(log: LogBuilder, entries: list[bytes], at: int) -> tuple[list[bytes], int]:
    """The log with another grade at `at`, and the index at which that must be found."""
    issue: Any = parse_statement(entries[at]).body
    grade = 5 if issue.grade != 5 else 4
    out: list[bytes] = []
    chain, previous, bad = CHAIN_START, -1, -1
    for index, original in enumerate(entries):
        entry = original
        if index == at:
            entry = issue_entry(replace(issue, grade=grade, level=7 - grade), log.record_key)
        elif is_seal(entry):
            entry = replace(parse_seal(entry), chain=chain, previous=previous).encode()
            previous = index
            bad = index if bad < 0 and index > at else bad
        out.append(entry)
        chain = extend_chain(chain, [leaf_hash(entry)])[0]
    return out, bad


async def found(room: Path, log: LogBuilder, entries: list[bytes]) -> int:
    """Where a replica stops; -1 when it takes everything in."""
    store = create_sqlite(room / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH + 6])})
    try:
        with ThreadPoolExecutor(2) as pool:
            time_ms = parse_seal(entries[-1]).time
            replica = await Replica.open(store, RawLog(log, entries, time_ms), log.trust(), pool)
            await replica.poll(time_ms + 1000)
    except Violation as violation:
        return violation.index if violation.index is not None and violation.proven else -2
    finally:
        await store.close()
    return -1


async def run(size: int, lies: int, seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="lies-") as room:
        entries = await build(Path(room) / "log.db", size)
        log = await LogBuilder.create(Path(room) / "keys.db")
        told = []
        for number in range(lies):
            at = draw.randrange(3, len(entries))
            while is_seal(entries[at]):
                at += 1
            lie, bad = changed(log, entries, at)
            folder = Path(room) / str(number)
            folder.mkdir()
            told.append({"changed": at, "expected": bad, "found": await found(folder, log, lie)})
            print(told[-1], flush=True)
        folder = Path(room) / "truth"
        folder.mkdir()
        truth = await found(folder, log, entries)
        await log.store.close()
    return {"entries": len(entries), "lies": told, "found_in_the_truth": truth}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/lies", description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--lies", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/lies.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    told = asyncio.run(run(options.entries, options.lies, options.seed))
    told |= {"seed": options.seed, "seconds": round(time.monotonic() - started)}
    print(told)
    if options.write:
        print(write_results("lies", begun, told))
    missed = [lie for lie in told["lies"] if lie["found"] != lie["expected"]]
    return 1 if missed or told["found_in_the_truth"] != -1 else 0


if __name__ == "__main__":
    sys.exit(main())

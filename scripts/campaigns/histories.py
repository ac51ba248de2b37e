"""scripts/histories: random histories of whole logs against the slow twin, in pieces of one seed each.

Each piece is drawn by hypothesis from its own seed; the same seed, count and steps give the same histories. A piece
in which product and twin differ prints the shortest history that shows it, is counted, and ends the exit status at 1.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stdout
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from campaigns.results import machine, write_results
from tests.support.histories import History

PIECE = 100  # histories of one seed


def run_piece(number: int, count: int, steps: int) -> dict[str, Any]:
    """One piece: what was lived through, and the failure if there was one."""
    lived: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()

    class Counted(History):
        def teardown(self) -> None:
            lived.update(
                histories=1,
                batches=len(self.life.seals),
                statements=len(self.life.said),
                certificates=len(self.life.certs),
                restarts=self.restarts,
                proofs=self.proofs,
            )
            codes.update(self.codes)
            verdicts.update(self.verdicts)
            super().teardown()

    rules = settings(
        max_examples=count,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    told, failed = io.StringIO(), ""
    with redirect_stdout(told):
        try:
            run_state_machine_as_test(seed(number)(Counted), settings=rules)
        except Exception as error:
            failed = "\n".join(
                [repr(error), *traceback.format_tb(error.__traceback__)[-2:], *getattr(error, "__notes__", [])]
            )
    return {"seed": number, "lived": lived, "codes": codes, "verdicts": verdicts, "failed": failed}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/histories", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="histories")
    parser.add_argument("--steps", type=int, default=40, help="steps of one history, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the first piece; the next has the next")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no further piece after this long; 0: no end")
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/histories.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    lived: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    seeds, failed = [], []
    pieces = iter(range(options.seed, options.seed + (options.count + PIECE - 1) // PIECE))
    with ProcessPoolExecutor(options.workers) as pool:

        def submit(number: int) -> Any:
            left = options.count - (number - options.seed) * PIECE
            return pool.submit(run_piece, number, min(PIECE, left), options.steps)

        running = {submit(number) for _, number in zip(range(options.workers), pieces, strict=False)}
        while running:
            done = next(as_completed(running))
            running.remove(done)
            piece = done.result()
            lived += piece["lived"]
            codes += piece["codes"]
            verdicts += piece["verdicts"]
            seeds.append(piece["seed"])
            if piece["failed"]:
                failed.append(piece["seed"])
                print(f"seed {piece['seed']}: DIFFERENT\n{piece['failed']}", flush=True)
            print(f"seed {piece['seed']}: {dict(piece['lived'])}; in all {lived['histories']} histories", flush=True)
            late = options.minutes and time.monotonic() - started > 60 * options.minutes
            number = None if late else next(pieces, None)
            if number is not None:
                running.add(submit(number))
    codes["accepted"] = codes.pop("", 0)
    counts = {
        "wanted": options.count,
        "steps": options.steps,
        "seeds": [min(seeds), max(seeds)],
        "histories_a_seed": PIECE,
        "seconds": round(time.monotonic() - started),
        "lived": dict(lived),
        "codes": dict(codes),
        "verdicts": dict(verdicts),
        "different": sorted(failed),
    }
    print(counts)
    if options.write:
        print(write_results("histories", begun, counts))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

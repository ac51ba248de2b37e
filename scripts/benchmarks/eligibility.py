"""What a decision costs: every worked case of every shipped pack, with the full trace; and loading the packs."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.figures import Figure
from benchmarks.processes import Scale
from verifier.eligibility.cases import read_cases
from verifier.eligibility.decision import format_decision
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import SHIPPED, open_pack, shipped_packs


def measure(scale: Scale) -> list[Figure]:
    """One thread. The slowest pack counts; what counts for its cases is their mean."""
    rounds = 10 if scale.runs < 5 else 40
    loading, deciding, whole = [], [], []
    for _ in range(scale.runs):
        loading.append(_timed(lambda: [open_pack(path) for path in SHIPPED.iterdir()], 1))
        deciding.append(max(_pack_ms(pack_id, rounds, in_bytes=False) for pack_id in shipped_packs()))
        whole.append(max(_pack_ms(pack_id, rounds, in_bytes=True) for pack_id in shipped_packs()))
    return [
        Figure("eligibility.load", f"loading all {len(shipped_packs())} packs, CPU", "ms", tuple(loading), 200, True),
        Figure("eligibility.decide", "decision with full trace, slowest pack, CPU", "ms", tuple(deciding), 0.5, True),
        Figure("eligibility.bytes", "the same, and its canonical bytes", "ms", tuple(whole)),
    ]


def _pack_ms(pack_id: str, rounds: int, *, in_bytes: bool) -> float:
    pack = shipped_packs()[pack_id]
    given = [(case, read_facts(case.facts, pack)) for case in read_cases(pack)]

    def work() -> None:
        for case, facts in given:
            decision = rehearse(case.records, facts, pack, case.as_of, case.rejected)
            if in_bytes:
                format_decision(decision)

    return _timed(work, rounds) / len(given)


def _timed(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds of CPU a round: nothing here waits, and a busy host would be measured instead."""
    began = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - began) / rounds * 1000

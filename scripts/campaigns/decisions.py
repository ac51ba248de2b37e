"""scripts/decisions: 100,000 old decisions, replayed byte for byte by another process after an upgrade of the packs.

One process decides on drawn certificates and facts under the shipped packs, and keeps the bytes and each pack's
canonical form. Then every pack is replaced by a newer version (other amounts, another comment). A second process, with
another hash seed, has the new packs in force and the old ones as files: it must give every old decision again, byte for
byte, and none of them under the new ones. Exit status 1 when one differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from campaigns.results import machine, write_results
from ledger.errors import Unverified
from tests.support import eligibility as drawn
from verifier.eligibility.cases import read_cases
from verifier.eligibility.decision import format_decision
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import open_pack, shipped_packs
from verifier.eligibility.loader import load_pack
from verifier.eligibility.pack import Pack, format_pack
from verifier.eligibility.replay import replay


def decide_all(room: Path, seed: int, count: int) -> Counter[str]:
    """Write `count` decisions to `room`/decisions and the packs to `room`/*.pack; how many of each kind there are."""
    packs = list(shipped_packs().values())
    cases = {pack.id: read_cases(pack) for pack in packs}
    counts: Counter[str] = Counter()
    for pack in packs:
        (room / f"{pack.id}.pack").write_bytes(format_pack(pack.files))
    with (room / "decisions").open("wb") as file:
        for number in range(count):
            random = Random(f"{seed}/{number}")
            pack = packs[number % len(packs)]
            case = random.choice(cases[pack.id])
            given = {name: value for name, value in case.facts.items() if random.random() < 0.95}
            given |= drawn.facts(random, pack, 0.15)
            held = list(case.records) if random.random() < 0.7 else drawn.records(random)
            as_of = (
                case.as_of + random.choice([0, 0, 0, -1, 1, 30, 365]) if random.random() < 0.8 else drawn.day(random)
            )
            left_out = case.rejected if random.random() < 0.7 else drawn.rejected(random)
            decision = rehearse(held, read_facts(given, pack), pack, as_of, left_out)
            raw = format_decision(decision)
            file.write(len(raw).to_bytes(4, "big") + raw)
            counts[f"{pack.id} {decision.result}"] += 1
    return counts


def upgraded(pack: Pack) -> Pack:
    """The next version of a pack: other ceilings and amounts where it pays, another comment everywhere."""
    files = dict(pack.files)
    files["pack.toml"] = re.sub(rb"(?m)^most = ([0-9])", rb"most = 1\1", files["pack.toml"]) + b"\n# next version\n"
    files["tables.toml"] = files["tables.toml"].replace(b"amount = 1", b"amount = 11")
    return load_pack(files)


def replay_all(room: Path) -> dict[str, int]:
    """Every decision of `room` again, with the new packs in force and the old ones as files."""
    new = {pack.digest: pack for pack in map(upgraded, shipped_packs().values())}
    kept = [open_pack(path) for path in sorted(room.glob("*.pack"))]
    archive = new | {pack.digest: pack for pack in kept}
    counts = Counter(replayed=0, different=0, decided_by_new=0)
    for raw in _decisions(room / "decisions"):
        try:
            counts["different"] += format_decision(replay(raw, archive.get)) != raw
        except Unverified:
            counts["different"] += 1
        counts["replayed"] += 1
        try:
            replay(raw, new.get)
            counts["decided_by_new"] += 1
        except Unverified:
            pass
    return dict(counts)


def _decisions(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while head := file.read(4):
            yield file.read(int.from_bytes(head, "big"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/decisions", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="decisions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/decisions.json")
    parser.add_argument("--replay", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.replay is not None:
        print(json.dumps(replay_all(options.replay)))
        return 0
    begun, started = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="decisions-") as name:
        room = Path(name)
        made = decide_all(room, options.seed, options.count)
        size = (room / "decisions").stat().st_size
        command = [sys.executable, "-m", "campaigns.decisions", "--replay", name]
        environment = os.environ | {"PYTHONHASHSEED": str(options.seed + 1)}
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
    counts = json.loads(done.stdout)
    told = {
        "seed": options.seed,
        "seconds": round(time.monotonic() - started),
        "packs": len(shipped_packs()),
        "bytes": size,
        "decided": dict(sorted(made.items())),
        "counts": counts,
    }
    print(json.dumps(told, indent=1))
    if options.write:
        print(write_results("decisions", begun, told))
    whole = counts["replayed"] == options.count
    return 0 if whole and not counts["different"] and not counts["decided_by_new"] else 1


if __name__ == "__main__":
    sys.exit(main())

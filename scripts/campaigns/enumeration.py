"""scripts/enumeration: 100,000 guessed numbers with names, secrets, and tokens of shares, against the real programs.

Exit status 1 when a field of a certificate was disclosed, or when answers of one kind differ.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from campaigns.results import machine, write_results
from tests.support.enumeration import Guessing


async def guess(seed: int, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="enumeration-") as room:
        async with Guessing.open(Path(room)) as guessing:
            noticed = await guessing.control()
            told = await guessing.run(seed, count)
    told["answers"].pop("control")
    return {**told, "control": noticed}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/enumeration", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="guesses of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/enumeration.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    told = asyncio.run(guess(options.seed, options.count))
    told["seconds"] = round(time.monotonic() - started)
    print(told)
    if options.write:
        print(write_results("enumeration", begun, told))
    return 1 if told["disclosed"] or not told["control"] or set(told["answers"].values()) != {1} else 0


if __name__ == "__main__":
    sys.exit(main())

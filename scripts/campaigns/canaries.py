"""scripts/canaries: names, numbers, secrets and PINs sent through every route of the real programs, then looked for.

First a build with a leak in every channel, which the search must notice, then the build as it is. Exit status 1 when
anything was found that should not be there, or a leak was not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from campaigns.results import machine, write_results
from tests.support.canaries import LEAKS, Aviary


async def fly(seed: int, count: int, *, leaking: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="canaries-") as room:
        async with Aviary.open(Path(room), leaking=leaking) as aviary:
            return await aviary.run(seed, count, sheets=not leaking)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/canaries", description=__doc__)
    parser.add_argument("--count", type=int, default=12_000, help="requests")
    parser.add_argument("--control", type=int, default=400, help="requests to the build that leaks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/canaries.json")
    options = parser.parse_args(arguments)
    begun, started = machine(), time.monotonic()
    control = asyncio.run(fly(options.seed, options.control, leaking=True))["planted"]
    told = asyncio.run(fly(options.seed, options.count, leaking=False))
    told |= {"control": control, "seconds": round(time.monotonic() - started)}
    print(json.dumps(told, ensure_ascii=False, indent=1))
    if options.write:
        print(write_results("canaries", begun, told))
    return 1 if told["found"] or told["planted"] or not control.keys() >= LEAKS else 0


if __name__ == "__main__":
    sys.exit(main())

"""scripts/claims: payers race for the same benefits. On SQLite and on PostgreSQL, over HTTP against a real process:

    race      500 duplicates of a claim on each of 200 certificates, by five payers, each a request on a connection of
              its own, 500 in flight: exactly 200 are reserved
    killed    the same with fewer copies, while the ledger is killed (-9) again and again
    payments  what was reserved is paid while half of the certificates are revoked or suspended: no payment has an
              index after that of its certificate's revocation
    replay    the log from its bytes gives the same claims, statuses and nullifiers; fsck finds nothing

Exit status 1 when anything else happens.
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
from tests.support.claiming import Claiming
from tests.support.postgres import postgres_server

STORES = ("sqlite", "postgresql")


async def run(
    store: str, keys: int, copies: int, payers: int, kills: int, connections: int, seed: int
) -> dict[str, Any]:
    """One log: a race, payments with revocations inside, and its replay."""
    server = postgres_server() if store == "postgresql" else None
    place = server.place(f"claims {copies} {kills}") if server else ""
    owner = server.owner(place) if server else ""
    with tempfile.TemporaryDirectory(prefix="claims-") as room:
        started = time.monotonic()
        claiming = await Claiming.begin(
            Path(room) / "log", keys=keys, payers=payers, store=place, owner=owner, seed=seed
        )
        try:
            told = {"store": store, "certificates": keys, "copies_of_each": copies, "payers": payers, "seed": seed}
            told |= {"race": await claiming.race(copies, kills=kills, connections=connections)}
            told |= {"payment_run": await claiming.pay(keys // 2)}
            claiming.live.stop()
            told |= {"replay": await claiming.check()}
        finally:
            claiming.live.kill()
        return told | {"seconds": round(time.monotonic() - started)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/claims", description=__doc__)
    parser.add_argument("--store", choices=STORES, action="append", help="both, if not given")
    parser.add_argument("--keys", type=int, default=200, help="certificates")
    parser.add_argument("--copies", type=int, default=500, help="claims on each")
    parser.add_argument("--payers", type=int, default=5)
    parser.add_argument("--connections", type=int, default=500, help="one request in flight on each; 0: few, of many")
    parser.add_argument("--killed-copies", type=int, default=50, help="claims on each where the ledger is killed")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/claims.json")
    options = parser.parse_args(arguments)
    begun, runs = machine(), []
    for store in options.store or STORES:
        for copies, kills, connections in (
            (options.copies, 0, options.connections), (options.killed_copies, options.kills, 0),
        ):  # fmt: skip
            told = asyncio.run(run(store, options.keys, copies, options.payers, kills, connections, options.seed))
            print(told, flush=True)
            runs.append(told)
    if options.write:
        print(write_results("claims", begun, {"seed": options.seed, "runs": runs}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

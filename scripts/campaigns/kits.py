"""scripts/kits: how large an offline kit of a million certificates is, and how long its maker takes.

The states are made up and lie in a real SQLite store; they are read, checked against the map's root and sorted by the
maker's own code. One in a hundred is revoked, one in five hundred suspended, one in five hundred corrected, one in
twenty-five superseded, in random places.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import random
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from campaigns.results import machine, write_results
from ledger.records import canonical
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.state import CertificateState, Highest, TrackSummary, certificate_map_key
from ledger.store.growth import bucket_range
from ledger.store.sqlite import SqliteStore, create_sqlite
from ledger.tlog.map_tree import MapTree
from verifier.kit.format import LISTS
from verifier.kit.make import DEPTH, read_states

BATCH = 1000
_PUT = "INSERT INTO state (map_key, value, since, subject, track, body) VALUES (?, ?, ?, ?, ?, ?)"


def made_up(index: int, draw: random.Random) -> tuple[bytes, CertificateState]:
    """One certificate at this place of a log, and what became of it."""
    cert_key, leaf = sha256(b"key %d" % index).digest(), sha256(b"leaf %d" % index).digest()
    dice = draw.randrange(1000)
    status = CertificateStatus.REVOKED if dice < 10 else CertificateStatus.SUSPENDED if dice < 12 else 1
    other = sha256(b"other %d" % index).digest()
    highest = Highest(5, "", other, index) if 14 <= dice < 54 else Highest(4, "", cert_key, index)
    return cert_key, CertificateState(
        CertificateStatus(status), Kind.ISSUE, 4, "Y000051000001", leaf, leaf, index, leaf, 1_780_000_000_000,
        other if 12 <= dice < 14 else leaf, index, leaf, 20_600, 1, b"", b"", cert_key[:16],
        TrackSummary(highest),
    )  # fmt: skip


def fill(store: SqliteStore, count: int, seed: int) -> int:
    """Put `count` states at places with a seal after each thousand; the index of the last seal."""
    draw, index = random.Random(seed), 2
    rows = []
    for at in range(count):
        index += 2 if at % BATCH == 0 else 1
        cert_key, state = made_up(index, draw)
        body = state.encode()
        key = certificate_map_key(cert_key)
        rows.append((key, state.value(), index, cert_key, state.track_id, body))
    with store._transaction():
        store._writer.executemany(_PUT, rows)
    return index + 1


async def measure(folder: Path, count: int, seed: int) -> dict[str, float]:
    store = create_sqlite(folder / "replica.db", private=False)
    seal = fill(store, count, seed)
    tree, held = MapTree(DEPTH), 0
    for bucket in range(1 << DEPTH):
        (leaves,) = await store.leaves_as_of([bucket_range(bucket, DEPTH)], seal)
        held += len(leaves)
        tree.overwrite({bucket: leaves}, held)
    began, cpu = time.perf_counter(), time.process_time()
    found = await read_states(store, seal, tree.root, count, lambda states: None)
    read_s, read_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    width = found.width()
    sets = {name: canonical.encode(listed.as_value()) for name, listed in found.sets(width).items()}
    coded_s = time.perf_counter() - began
    await store.close()
    whole = b"".join(sets.values())
    return {
        "certificates": count,
        **{f"{name}_bytes": len(raw) for name, raw in sets.items()},
        **{f"{name}_listed": len(found.lists[name]) for name in LISTS},
        "mark_bits": width,
        "lists_bytes": len(whole),
        "lists_bytes_gzip": len(gzip.compress(whole, 9)),
        "read_and_check_s": round(read_s, 2),
        "read_and_check_cpu_s": round(read_cpu_s, 2),
        "code_lists_s": round(coded_s, 2),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/kits", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="certificates")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/kits.json")
    options = parser.parse_args(arguments)
    begun = machine()
    with tempfile.TemporaryDirectory(prefix="kits-") as folder:
        told = asyncio.run(measure(Path(folder), options.count, options.seed))
    told["seed"] = options.seed
    print(told)
    if options.write:
        print(write_results("kits", begun, told))
    return 0


if __name__ == "__main__":
    sys.exit(main())

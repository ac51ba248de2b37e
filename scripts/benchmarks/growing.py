"""A ledger that holds many certificates already: its size, its start, what it still takes in, and its whole audit.

    1 make    `cert-ledger init`
    2 fill    with certificates (benchmarks/filling.py)
    3 serve   with two witnesses that both must cosign; a further filing; statements over HTTP as in `append`; evidence
              of certificates all over the log
              with --minutes, at last, the load of `sustained` for so long: what the first minutes after a start pay for
              (pages that no cache has, PostgreSQL's whole-page images after a checkpoint) is not what a log pays later
    4 start   once more, until it is ready
    5 audit   its tiles, exported, by `cert-verifier audit`, every signature

Filling takes most of the time, so give --dir: a log that was filled is kept and used again. Each run works on a copy of
its folder, and on the store itself, which has the statements of every run: they are of another body each time. A copy
of a store would lie in the system's memory half, and the store that it was made of would take the place of the rest.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import append, auditing, proofs, sustained, visibility
from benchmarks.figures import Figure
from benchmarks.filling import fill_database, fill_file
from benchmarks.processes import Scale, free_port, run, started
from benchmarks.stores import EMBEDDED, kept_cluster, kept_database, new_database
from benchmarks.workload import (
    ORIGIN,
    Authority,
    make_log,
    restart_s,
    served_log,
    today,
)
from demonstration.settings import set_toml
from ledger.service.config import LedgerSettings
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings

ASKED = 60_000  # certificates that evidence is asked of, in turn
# What every certificate is looked for in at random places: in the server's memory, as it is after a day of work.
_ASKED_AT_RANDOM = ("state_pkey", "state_track", "private_index_pkey")
_IN_A_FILE = {  # index of the embedded store -> its table
    "state_key": "state",
    "state_track": "state",
    "sqlite_autoindex_private_index_1": "private_index",
}
_KEYS = "SELECT map_count FROM head"  # certificates, and a few filings: those of earlier runs too
_READ = 64 * 1024 * 1024  # bytes
STRETCHES = 4  # of appended statements, the first of which only warms up


async def measure(folder: Path, scale: Scale, store: str = EMBEDDED) -> list[Figure]:
    """On the embedded store, or on PostgreSQL: there without step 5, whose tiles would be of the same bytes."""
    kept, home = folder.parent / f"grown-{store}-{scale.grown}", folder / "grown"
    cluster = kept_cluster(kept.name)
    if not (kept / "filled").exists():
        shutil.rmtree(kept, ignore_errors=True)  # of a fill that was ended
        kept.mkdir(parents=True)
        depth = ["--map-depth", str(depth_for(scale.grown))]
        if store == EMBEDDED:
            make_log(kept, depth)
            _filled(fill_file, kept / "log" / "log.db", scale.grown)
        else:
            with new_database(cluster) as options:
                make_log(kept, [*depth, *options])
                _filled(fill_database, _place(kept), scale.grown)
        (kept / "filled").touch()
    shutil.copytree(kept, home, ignore=shutil.ignore_patterns("log.db*"))
    said = f"at {scale.grown:,} certificates"
    runs = len(list(kept.glob("run-*")))
    for used in range(1 + (sustained.bodies_for(scale.minutes, scale.rate) if scale.minutes else 0)):
        (kept / f"run-{runs + used}").touch()
    # What filled it may have been an older version.
    migrate = ["-m", "ledger", "migrate", "--dir", str(home / "log")]
    if store == EMBEDDED:
        file = kept / "log" / "log.db"
        set_toml(home / "log" / SETTINGS_FILE, store=str(file))
        run(migrate, home)
        _read_through(file)
        with closing(sqlite3.connect(file)) as opened:
            ((keys,),) = opened.execute(_KEYS)
            for index, table in 2 * list(_IN_A_FILE.items()):  # what was read once is given up first
                opened.execute(f"SELECT count(*) FROM {table} INDEXED BY {index}").fetchone()
        return await _served(home, scale, said, file.stat().st_size / keys, runs) + await _audited(home, said)
    with kept_database(cluster) as server:
        run([*migrate, "--store-owner", server.owner(_place(home))], home)
        server.sql(_place(home), "VACUUM (ANALYZE)")  # as it is after a day of work; the fill leaves autovacuum behind
        ((size,),) = server.sql(_place(home), f"SELECT pg_database_size(current_database()) / ({_KEYS})")
        server.sql(_place(home), "CREATE EXTENSION IF NOT EXISTS pg_prewarm SCHEMA public")
        for index in _ASKED_AT_RANDOM:
            server.sql(_place(home), "SELECT public.pg_prewarm($1::text::regclass, 'buffer')", index)
        return await _served(home, scale, said, size, runs)


def _filled(fill: Callable[[Any, int], Coroutine[Any, Any, None]], where: Path | str, count: int) -> None:
    """In a process of its own, with which the gigabytes go that it kept of the store: the log needs them."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(_fill, fill, where, count).result()


def _fill(fill: Callable[[Any, int], Coroutine[Any, Any, None]], where: Path | str, count: int) -> None:
    asyncio.run(fill(where, count))


def _read_through(file: Path) -> None:
    """Have the system hold of a store what it has room for, as it does after a day of work: not what was read last."""
    with file.open("rb", buffering=0) as opened:
        while opened.read(_READ):
            pass


def _place(home: Path) -> str:
    return load_settings(LedgerSettings, home / "log" / SETTINGS_FILE).store


async def _served(home: Path, scale: Scale, said: str, size: float, body: int) -> list[Figure]:
    figures = [Figure("growth.bytes", f"store of the ledger {said}, per certificate", "bytes", (size,))]
    few = replace(scale, certificates=STRETCHES * scale.stretch)
    async with served_log(home, visibility.witnesses) as log:
        async with log.client(body) as client:
            await client.submit_authority(Authority(today()).filing(body, name=f"性能测试评价机构 {body}（样本）"))
        appended = await append.measure(log, few, body)
        asked = await proofs.first_asked(log, _cert_keys(scale.grown, ASKED), scale)
        lasting = await sustained.measure(log, scale.minutes, scale.rate, body + 1) if scale.minutes else []
    taken = {figure.name: figure for figure in appended.figures}
    for key, label in (
        ("rate", "statements acknowledged"),
        ("p99", "a request at saturation, p99"),
        ("cpu", "CPU time of the ledger per statement"),
        ("memory_last", "memory of the ledger"),
    ):
        figures.append(replace(taken[f"append.{key}"], name=f"growth.{key}", text=f"{label} {said}", target=None))
    figures += [
        Figure("growth.evidence", f"evidence first asked {said}", "/s", asked.rates),
        Figure("growth.evidence_cpu", f"CPU time of the ledger per such answer {said}", "µs", asked.cpu),
        Figure("growth.evidence_p99", f"the same at {proofs.CALM}/s, p99 {said}", "ms", asked.calm, 20, True),
    ]
    figures += [
        replace(figure, name=f"growth.{figure.name}", text=f"{figure.text}, {said}", target=None) for figure in lasting
    ]
    set_toml(home / "log" / "ledger.toml", policy="")  # its witnesses have ended
    figures.append(
        Figure("growth.restart", f"restart {said}, until it is ready", "s", (await restart_s(log),), 10, True)
    )
    return figures


def _cert_keys(count: int, most: int) -> list[bytes]:
    """Of filled certificates all over the log, in no order."""
    serials = random.Random(2).sample(range(count), min(count, most))
    return [auditing.cert_key(serial) for serial in serials]


def depth_for(count: int) -> int:
    """Bits of the map's depth that keep its buckets at one or two certificates; at least the default."""
    return max(18, count.bit_length() - 1)


async def _audited(home: Path, said: str) -> list[Figure]:
    """Export the tiles of the served log and audit them."""
    tiles = home / "tiles"
    pins: dict[str, Any] = json.loads((home / "log" / "trust.json").read_text())
    async with served_log(home):
        began = time.perf_counter()
        run(["-m", "ledger", "export-tiles", str(home / "log"), "--to", str(tiles), "--quiet"], home)
        exported = time.perf_counter() - began
    port = free_port()
    async with started(
        ["-m", "benchmarks.static_log", str(tiles), str(port)], home / "static.log", port, "/checkpoint"
    ):
        report, peak, cpu = await asyncio.to_thread(
            auditing.audit, home / "audit", f"http://127.0.0.1:{port}", pins | {"origin": ORIGIN}
        )
    rate, cpu = float(report["run"]["entries_per_second"]), cpu / report["replayed"] * 1e6
    return [
        Figure("growth.export", f"export of its tiles {said}", "s", (exported,)),
        Figure("growth.audit", f"whole audit {said}, every signature", "entries/s", (rate,), 6_000),
        Figure("growth.audit_cpu", f"CPU of all its processes per entry {said}", "µs", (cpu,)),
        Figure("growth.audit_memory", f"memory of all its processes {said}", "MiB", (peak,), 300, True),
    ]  # fmt: skip

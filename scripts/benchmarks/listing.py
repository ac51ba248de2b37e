"""A hiring list through a running verifier: 10,000 rows with links of certificates on a ledger beside it, one API key.

The time is from the upload to the answered sheet; the personal data of every row comes from the ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import aiohttp

from benchmarks.figures import Figure
from benchmarks.machine import cpu_seconds
from benchmarks.processes import Failed, Scale, free_port, run, started
from benchmarks.workload import Parcel, RunningLog
from ledger.records.secret import format_secret

ROWS = 10_000
TARGET_S = 20


async def measure(log: RunningLog, parcels: Sequence[Parcel], scale: Scale) -> list[Figure]:
    """`parcels`: what is on the log; a smaller log makes a shorter list."""
    home = "verifier-lists"
    run(["-m", "verifier", "init", "--dir", home, *log.pins, "--base", "http://127.0.0.1:1"], log.folder)
    run(["-m", "verifier", "sync", "--dir", home, "--quiet"], log.folder)
    key = run(["-m", "verifier", "api-key", "add", "bench", "--dir", home], log.folder).output.split()[0]
    secrets = [secret for parcel in parcels for secret in parcel.secrets][:ROWS]
    sheet = "链接\n" + "".join(f"http://127.0.0.1:1/c/{format_secret(secret)}\n" for secret in secrets)
    port = free_port()
    serve = ["-m", "verifier", "serve", "--dir", home, "--port", str(port)]
    seconds, cpu, rows = [], [], f"a hiring list of {len(secrets):,} links"
    async with (
        started(serve, log.folder / "lists.log", port, "/readyz") as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}) as session,
    ):
        for _ in range(min(scale.runs, 3)):
            before, began = cpu_seconds(process), time.perf_counter()
            await _answered(session, sheet.encode(), len(secrets))
            seconds.append(time.perf_counter() - began)
            cpu.append(cpu_seconds(process) - before)
    target = TARGET_S if len(secrets) == ROWS else None
    return [
        Figure("lists.time", f"{rows}, upload to answered sheet", "s", tuple(seconds), target, True),
        Figure("lists.cpu", f"{rows}, CPU time of the verifier", "s", tuple(cpu)),
    ]


async def _answered(session: aiohttp.ClientSession, sheet: bytes, rows: int) -> None:
    async with session.post("/v1/hiring-lists", data=sheet, headers={"Content-Type": "text/csv"}) as sent:
        job = await sent.json()
    while job.get("state") not in ("done", "failed", None):
        await asyncio.sleep(0.1)
        async with session.get(f"/v1/hiring-lists/{job['id']}") as looked:
            job = await looked.json()
    counts = (job.get("summary") or {}).get("counts")
    if counts != {"valid": rows}:
        raise Failed(f"the list ends with {str(counts or job)[:300]}")
    async with session.get(job["result"]) as result:
        await result.read()

"""A payroll through a running verifier: 10,000 people with a certificate each, checked against its replica and paid
by the sample wage table; and the next one, compared with the first.

The time is from the upload to the answered sheet. No personal data is asked for: the rows have no names.
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

PEOPLE = 10_000
TARGET_S = 20
_HEAD = "工号,链接,现聘任的岗位等级,聘任开始日,所带徒弟人数\n"


async def measure(log: RunningLog, parcels: Sequence[Parcel], scale: Scale) -> list[Figure]:
    """`parcels`: what is on the log; a smaller log makes a shorter payroll."""
    home = "verifier-payroll"
    run(["-m", "verifier", "init", "--dir", home, *log.pins, "--base", "http://127.0.0.1:1"], log.folder)
    run(["-m", "verifier", "sync", "--dir", home, "--quiet"], log.folder)
    key = run(["-m", "verifier", "api-key", "add", "bench", "--dir", home], log.folder).output.split()[0]
    secrets = [secret for parcel in parcels for secret in parcel.secrets][:PEOPLE]
    sheet = _HEAD + "".join(
        f"e{at},http://127.0.0.1:1/c/{format_secret(secret)},初级工,2020-01-01,{at % 4}\n"
        for at, secret in enumerate(secrets)
    )
    port = free_port()
    serve = ["-m", "verifier", "serve", "--dir", home, "--port", str(port)]
    people = f"a payroll of {len(secrets):,}"
    async with (
        started(serve, log.folder / "payroll.log", port, "/readyz") as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}) as session,
    ):
        before, began = cpu_seconds(process), time.perf_counter()
        first = await _answered(session, sheet.encode(), None, len(secrets))
        seconds, cpu = time.perf_counter() - began, cpu_seconds(process) - before
        began = time.perf_counter()
        await _answered(session, sheet.encode(), first, len(secrets))
        next_one = time.perf_counter() - began
    target = TARGET_S if len(secrets) == PEOPLE else None
    return [
        Figure("payroll.time", f"{people}, upload to answered sheet", "s", (seconds,), target, True),
        Figure("payroll.cpu", f"{people}, CPU time of the verifier", "s", (cpu,)),
        Figure("payroll.next", f"{people}, the next one, compared with it", "s", (next_one,), target, True),
    ]


async def _answered(session: aiohttp.ClientSession, sheet: bytes, last: bytes | None, people: int) -> bytes:
    form = aiohttp.FormData({"pack": "wage-sample"})
    form.add_field("file", sheet, filename="staff.csv")
    if last is not None:
        form.add_field("previous", last, filename="last.csv")
    async with session.post("/v1/payroll-runs", data=form) as sent:
        job = await sent.json()
    while job.get("state") not in ("done", "failed", None):
        await asyncio.sleep(0.1)
        async with session.get(f"/v1/runs/{job['id']}") as looked:
            job = await looked.json()
    if job.get("counts") != {"eligible": people}:
        raise Failed(f"the payroll ends with {str(job)[:300]}")
    async with session.get(job["result"]) as result:
        return await result.read()

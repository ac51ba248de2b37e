"""A verifier over a filled log: how fast it copies and re-checks the log, and how fast it answers a scan.

`cert-verifier sync` starts from nothing; then `cert-verifier serve` answers /c/{secret} as a phone asks for it
(gzip, Chinese). A page "from memory" has its certificate's envelope in the verifier's 60 s cache; a "first scan" gets
it from the ledger.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import aiohttp

from benchmarks.figures import Figure, quantile
from benchmarks.http_load import Load, closed_loop, get_request, open_loop
from benchmarks.machine import cpu_seconds, tree_cpu_seconds
from benchmarks.processes import Failed, Finished, Scale, free_port, run, started
from benchmarks.workload import Parcel, RunningLog
from ledger.records.secret import format_secret

CONNECTIONS = 16
CALM = 100  # requests a second
_HEADERS = "Accept: text/html\r\nAccept-Encoding: gzip\r\nAccept-Language: zh-CN\r\n"


async def measure(log: RunningLog, parcels: Sequence[Parcel], scale: Scale) -> list[Figure]:
    """`parcels`: what is on the log."""
    entries = sum(len(parcel.entries) for parcel in parcels)
    syncs = [_sync(log, number) for number in range(3 if entries <= 20_000 else 2)]
    figures = [
        Figure(
            "replica.rate", f"replica: entries copied and checked, {entries:,}", "/s",
            tuple(entries / done.seconds for done in syncs), against="limits.ed25519_verify_2",
        ),
        Figure(
            "replica.memory", "memory of cert-verifier sync at its peak", "MiB",
            tuple(done.peak_mib for done in syncs), 300, True,
        ),
    ]  # fmt: skip
    return figures + await _pages(log, parcels, scale)


def _sync(log: RunningLog, number: int) -> Finished:
    home = f"verifier-{number}"
    run(["-m", "verifier", "init", "--dir", home, *log.pins, "--base", "http://127.0.0.1:1"], log.folder)
    return run(["-m", "verifier", "sync", "--dir", home, "--quiet"], log.folder)


async def _pages(log: RunningLog, parcels: Sequence[Parcel], scale: Scale) -> list[Figure]:
    port = free_port()
    serve = ["-m", "verifier", "serve", "--dir", "verifier-0", "--port", str(port)]
    host = f"127.0.0.1:{port}"
    fresh = _secrets(parcels)
    left = sum(len(parcel.secrets) for parcel in parcels) - 1 - scale.runs * scale.pages
    first_scans = min(scale.first, left // scale.runs)  # each of a certificate that nobody asked for
    if first_scans < CONNECTIONS:
        raise Failed(f"pages takes a log of {1 + scale.runs * (scale.pages + CONNECTIONS):,} certificates at least")
    async with started(serve, log.folder / "verifier.log", port, "/readyz") as process:
        await _expect_valid(f"http://{host}", next(fresh))

        def some(count: int) -> list[bytes]:
            return [get_request(f"/c/{next(fresh)}", host, _HEADERS) for _ in range(count)]

        rates, cpu, p99, calm, first = [], [], [], [], []
        for _ in range(scale.runs):
            requests = some(scale.pages)
            first.append(_good(await open_loop("127.0.0.1", port, requests, scale.pages / CALM, CALM)))
            before = cpu_seconds(process)
            load = _good(await closed_loop("127.0.0.1", port, requests, scale.seconds, CONNECTIONS))
            cpu.append((cpu_seconds(process) - before) / len(load.latencies) * 1e6)
            rates.append(load.rate)
            p99.append(quantile(load.latencies, 0.99) * 1000)
            calm.append(_good(await open_loop("127.0.0.1", port, requests, scale.seconds, CALM)))
        first_rate, own_cpu, ledger_cpu = [], [], []
        for _ in range(scale.runs):
            requests = some(first_scans)
            own, ledgers = cpu_seconds(process), tree_cpu_seconds(log.process)
            load = _good(await closed_loop("127.0.0.1", port, requests, scale.seconds, CONNECTIONS, once=True))
            done = len(load.latencies)
            first_rate.append(load.rate)
            own_cpu.append((cpu_seconds(process) - own) / done * 1e6)
            ledger_cpu.append((tree_cpu_seconds(log.process) - ledgers) / done * 1e6)
        memory = process.memory_info().rss / 2**20
    return [
        Figure("page.rate", "pages from memory, 1 process", "/s", tuple(rates), 2500, against="limits.aiohttp_hello"),
        Figure("page.cpu", "CPU time of the verifier per page", "µs", tuple(cpu)),
        Figure("page.p99", f"page at saturation, {CONNECTIONS} connections, p99", "ms", tuple(p99)),
        *_calm("page.calm", f"page from memory at {CALM}/s", calm),
        *_calm("page.first", f"first scan (envelope from the ledger) at {CALM}/s", first),
        Figure("page.first_rate", "first scans, 1 verifier and its ledger", "/s", tuple(first_rate)),
        Figure("page.first_cpu", "CPU time of the verifier per first scan", "µs", tuple(own_cpu)),
        Figure("page.first_ledger_cpu", "the same of the ledger, for the envelope", "µs", tuple(ledger_cpu)),
        Figure("page.memory", "memory of cert-verifier serve", "MiB", (memory,), 300, True),
    ]


def _calm(name: str, text: str, loads: Sequence[Load]) -> Iterator[Figure]:
    for share, label in ((0.5, "median"), (0.99, "p99")):
        runs = tuple(quantile(load.latencies, share) * 1000 for load in loads)
        yield Figure(f"{name}_p{round(share * 100)}", f"{text}, {label}", "ms", runs, 20 if share > 0.5 else None, True)


def _secrets(parcels: Sequence[Parcel]) -> Iterator[str]:
    """The secrets of logged certificates from all over the log, none twice."""
    secrets = [secret for parcel in parcels for secret in parcel.secrets]
    random.Random(1).shuffle(secrets)
    return map(format_secret, secrets)


async def _expect_valid(url: str, secret: str) -> None:
    """Fast wrong answers do not count."""
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/v1/verify", json={"text": secret}) as response:
            verdict = await response.json()
        async with session.get(f"{url}/c/{secret}") as response:
            page = await response.text()
    if verdict.get("code") != "valid" or "例" not in page:
        raise Failed(f"the verifier says {str(verdict)[:300]}")


def _good(load: Load) -> Load:
    if load.failures:
        raise Failed(f"{load.failures} pages failed")
    return load

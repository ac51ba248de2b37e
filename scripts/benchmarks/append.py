"""Statements through the whole ledger: HTTP, request signature, admission, fold, seal, fsync, checkpoint, receipt.

`cert-ledger serve` runs as its own process, on the embedded store or on PostgreSQL with real fsync, with two witnesses
of which both must cosign; this process sends certificates that were signed beforehand. An answer counts when it is a
receipt under a published checkpoint; one receipt of every run is then verified as an issuer would.

CPU time is that of the ledger with its examining processes, of what runs beside it (witnesses, database), and of this
process, which sends. At last far more is sent at once than the log may queue: each request is answered, with a receipt
or with 503.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from os import urandom

import aiohttp
import psutil

from benchmarks.figures import Figure, quantile
from benchmarks.machine import cpu_seconds, tree_cpu_seconds, watch_others
from benchmarks.processes import Failed, Scale
from benchmarks.workload import BATCH, Parcel, RunningLog, draw_parcels, request_key
from issuer.config import LogTrust
from issuer.receipt import verify_receipt
from ledger.request_signing import sign_request
from ledger.tlog.note import parse_vkey
from ledger.wire import Logged, receipt_of

CONNECTIONS = 24  # requests in flight at saturation: a batch is folded, one committed, one published and examined
SHARE = 0.7  # of the saturation rate, for the latency that users see
SINGLES = 100  # statements sent alone to an idle log
FLOOD = 80  # requests at once: 20,000 statements, several times what may wait
_PATH = "/v1/statements"


@dataclass(slots=True)
class Sent:
    """What one stretch of requests gave. Latencies in seconds, to the receipt, of one that was turned away from when it
    was first sent; by the clock from when it was due; of a flood to whichever answer."""

    elapsed: float = 0.0
    statements: int = 0
    latencies: list[float] = field(default_factory=list)
    turned_away: int = 0  # 503 answers, sent again
    longest: float = 0.0  # seconds from a request to its answer, whichever

    @property
    def rate(self) -> float:
        return self.statements / self.elapsed


@dataclass(slots=True)
class Appended:
    """The figures, and the parcels that are on the log now."""

    figures: list[Figure]
    parcels: list[Parcel]
    others: list[float]  # cores used by other processes, run by run


async def measure(log: RunningLog, scale: Scale, body: int = 0) -> Appended:
    """Fill the log with `scale.certificates` of a body, measuring each stretch."""
    rates, latencies, others = [], [], []
    cpu: dict[str, list[float]] = {"own": [], "beside": [], "sender": []}
    memory: list[tuple[int, float]] = []
    done: list[Parcel] = []
    stretches = max(3, scale.certificates // scale.stretch)
    async with log.client(body) as client, aiohttp.ClientSession(auto_decompress=False) as session:
        tracks: list[float] = []
        warm, rate = await draw_parcels(client, 0, scale.stretch, body=body)
        await closed(session, log, warm, CONNECTIONS)
        done += warm
        for number in range(1, stretches):
            parcels, rate = await draw_parcels(client, number * scale.stretch, scale.stretch, body=body)
            tracks.append(rate)
            with watch_others() as busy:
                before = _spent(log)
                sent = await closed(session, log, parcels, CONNECTIONS)
                spent = _spent(log)
            rates.append(sent.rate)
            latencies.append(sent.latencies)
            for name, seconds in spent.items():
                cpu[name].append((seconds - before[name]) / sent.statements * 1e6)
            others.append(busy.others)
            done += parcels
            memory.append((len(done) * BATCH, log.process.memory_info().rss / 2**20))
        middle = sorted(rates)[len(rates) // 2]
        drawn, _ = await draw_parcels(client, 300_000, scale.stretch, body=body)
        calm = await _calm(session, log, drawn, middle * SHARE)
        drawn, _ = await draw_parcels(client, 350_000, min(SINGLES, scale.stretch // 10), batch=1, body=body)
        single = (await closed(session, log, drawn, 1)).latencies
        floods = FLOOD if scale.runs >= 5 else FLOOD // 4
        drawn, _ = await draw_parcels(client, 400_000, floods * BATCH, body=body)
        sent = await flooded(log, drawn)
        flood, turned_away = sent.latencies, sent.turned_away
    figures = [
        Figure(
            "append.rate", f"statements acknowledged, {CONNECTIONS} requests of {BATCH} in flight", "/s",
            tuple(rates), 5000, against="limits.ed25519_verify_2",
        ),
        Figure("append.p50", "a request at saturation, median", "ms", _ms(latencies, 0.5)),
        Figure("append.p99", "a request at saturation, p99", "ms", _ms(latencies, 0.99)),
        Figure("append.calm_p50", "a request at 70 % load, median", "ms", _ms([calm.latencies], 0.5)),
        Figure("append.calm_p99", "a request at 70 % load, p99", "ms", _ms([calm.latencies], 0.99), 500, True),
        Figure("append.single_p50", "one statement alone, idle log, median", "ms", _ms([single], 0.5)),
        Figure("append.single_p99", "one statement alone, idle log, p99", "ms", _ms([single], 0.99)),
        Figure("append.cpu", "CPU time of the ledger per statement", "µs", tuple(cpu["own"]), 200, True),
        Figure("append.cpu_beside", "the same of what runs beside it", "µs", tuple(cpu["beside"])),
        Figure("append.cpu_sender", "the same of the load generator", "µs", tuple(cpu["sender"])),
        Figure(
            "append.flood", f"{floods} requests at once: longest wait, receipt or 503", "ms",
            _ms([flood], 1.0), 2000, True,
        ),
        Figure("append.flood_503", f"{floods} requests at once: answered 503", "", (float(turned_away),)),
        Figure("append.tracks", "tracks drawn (before signing), 1 connection", "/s", tuple(tracks)),
        Figure("append.memory_first", f"memory of the ledger at {memory[0][0]:,}", "MiB", (memory[0][1],)),
        Figure("append.memory_last", f"memory of the ledger at {memory[-1][0]:,}", "MiB", (memory[-1][1],), 300, True),
    ]  # fmt: skip
    store = log.folder / "log" / "log.db"
    if store.exists():  # without what is only in its write-ahead log yet
        size = store.stat().st_size / (len(done) * BATCH)
        figures.append(Figure("append.bytes", "store of the ledger, per certificate", "bytes", (size,)))
    return Appended(figures, done, others)


def _spent(log: RunningLog) -> dict[str, float]:
    """CPU seconds so far: of the ledger, of our other children, and of this process."""
    here, own = psutil.Process(), tree_cpu_seconds(log.process)
    return {"own": own, "beside": tree_cpu_seconds(here) - cpu_seconds(here) - own, "sender": cpu_seconds(here)}


async def closed(session: aiohttp.ClientSession, log: RunningLog, parcels: Sequence[Parcel], connections: int) -> Sent:
    """All parcels, `connections` at a time, each as soon as one before it is answered."""
    waiting, sent = list(reversed(parcels)), Sent()
    last: list[tuple[Parcel, bytes]] = []

    async def one() -> None:
        while waiting:
            parcel = waiting.pop()
            began = time.perf_counter()
            raw = await send(session, log, parcel, sent)
            sent.latencies.append(time.perf_counter() - began)
            last[:] = [(parcel, raw)]

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    sent.elapsed = time.perf_counter() - began
    _verify(log, *last[0])
    return sent


async def _calm(session: aiohttp.ClientSession, log: RunningLog, parcels: Sequence[Parcel], rate: float) -> Sent:
    """Requests by the clock, `rate` statements a second; latency counts from when one was due."""
    sent, pause = Sent(), BATCH / rate
    began = time.perf_counter()

    async def one(number: int, parcel: Parcel) -> None:
        due = began + number * pause
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await send(session, log, parcel, sent)
        sent.latencies.append(time.perf_counter() - due)

    await asyncio.gather(*(one(number, parcel) for number, parcel in enumerate(parcels)))
    sent.elapsed = time.perf_counter() - began
    return sent


async def flooded(log: RunningLog, parcels: Sequence[Parcel]) -> Sent:
    """Every request at once, each on a connection of its own and sent once; latency to whichever answer."""
    sent = Sent()
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(parcel: Parcel) -> None:
            began = time.perf_counter()
            await send(session, log, parcel, sent, again=False)
            sent.latencies.append(time.perf_counter() - began)

        await asyncio.gather(*map(one, parcels))
    return sent


async def send(
    session: aiohttp.ClientSession, log: RunningLog, parcel: Parcel, sent: Sent, *, again: bool = True
) -> bytes:
    """Send until it is answered with a receipt (or once); every certificate in it must have been logged."""
    url, body = log.url + _PATH, parcel.body
    while True:
        headers = {"Content-Type": "application/json", "Idempotency-Key": sha256(body).hexdigest()}
        headers |= sign_request(
            "POST", url, headers, body, signer=request_key(parcel.sender), now_s=int(time.time()), nonce=urandom(16)
        )
        began = time.perf_counter()
        async with session.post(url, data=body, headers=headers) as response:
            raw = await response.read()
        sent.longest = max(sent.longest, time.perf_counter() - began)
        if response.status == 503:
            sent.turned_away += 1
            if not again:
                return raw
            await asyncio.sleep(0.05)
            continue
        if response.status != 200 or raw.count(b'"answer":"logged"') != len(parcel.entries):
            raise Failed(f"the ledger answered {response.status}: {raw[:300]!r}")
        sent.statements += len(parcel.entries)
        return raw


def _verify(log: RunningLog, parcel: Parcel, raw: bytes) -> None:
    """The receipt as an issuer judges it: pinned keys, seal, inclusion of each statement."""
    receipt = receipt_of(raw)
    keys = tuple(map(parse_vkey, log.vkeys))
    trust = LogTrust(keys[0].name, keys, bytes.fromhex(log.genesis_sha256))
    verify_receipt(parcel.entries, receipt, trust, int(time.time() * 1000))
    assert all(isinstance(answer, Logged) for answer in receipt.answers)


def _ms(runs: Sequence[Sequence[float]], share: float) -> tuple[float, ...]:
    return tuple(quantile(run, share) * 1000 for run in runs)

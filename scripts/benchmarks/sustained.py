"""One load for many minutes: what short stretches leave out (a write-ahead log at its full length, copying it back
beside the commits, caches that are full, growth).

Requests are drawn beforehand and lie on disk; they are sent as in `append`, CONNECTIONS in flight, until the time is
over. Load generator and witnesses run on the same cores.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import aiohttp

from benchmarks.append import CONNECTIONS, Sent, send
from benchmarks.figures import Figure, quantile
from benchmarks.machine import tree_cpu_seconds
from benchmarks.processes import Failed
from benchmarks.workload import BATCH, Authority, Parcel, RunningLog, draw_parcels, today

DEPTH = 22  # of the map, for a log of some millions
_OF_A_BODY = 180_000  # of the 200,000 persons that one may name at once
_DRAWN = 90_000  # at a time
_FILE = 40  # requests in one file


def bodies_for(minutes: int, rate: int) -> int:
    """How many bodies it takes to draw for so many minutes."""
    return -(-minutes * 60 * rate // _OF_A_BODY)


async def measure(log: RunningLog, minutes: int, rate: int, first: int = 0) -> list[Figure]:
    """The bodies from `first` on send; body 0 is filed already."""
    files = await _draw(log, minutes * 60 * rate, range(first, first + bodies_for(minutes, rate)))
    sent, moments = Sent(), list[float]()
    before = tree_cpu_seconds(log.process)
    began = time.perf_counter()
    end = began + minutes * 60
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        aclosing(_parcels(files)) as parcels,
    ):
        lock = asyncio.Lock()

        async def one() -> None:
            while time.perf_counter() < end:
                async with lock:
                    parcel = await anext(parcels, None)
                if parcel is None:
                    raise Failed(f"fewer were drawn than the ledger took in {minutes} minutes")
                started = time.perf_counter()
                await send(session, log, parcel, sent)
                moments.append(time.perf_counter())
                sent.latencies.append(moments[-1] - started)

        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    cpu = (tree_cpu_seconds(log.process) - before) / sent.statements * 1e6
    rates = _each_minute(moments, began, minutes)
    said = f"for {minutes} minutes"
    return [
        Figure("sustained.rate", f"statements acknowledged {said}, minute by minute", "/s", rates, 5_000,
               against="limits.ed25519_verify_2"),
        Figure("sustained.last", f"the same in the last minute, at {sent.statements:,}", "/s", rates[-1:]),
        Figure("sustained.cpu", f"CPU time of the ledger per statement {said}", "µs", (cpu,), 200, True),
        Figure("sustained.p99", f"a request at saturation {said}, p99", "ms", (quantile(sent.latencies, 0.99) * 1000,)),
        Figure("sustained.answer", f"the longest answer {said}, receipt or 503", "ms",
               (sent.longest * 1000,), 2000, True),
        Figure("sustained.longest", f"the longest way to a receipt {said}, sent again after each 503", "ms",
               (max(sent.latencies) * 1000,)),
        Figure("sustained.503", f"answers of 503 {said}", "", (float(sent.turned_away),)),
        Figure("sustained.memory", f"memory of the ledger after {said[4:]}", "MiB",
               (log.process.memory_info().rss / 2**20,)),
    ]  # fmt: skip


def _each_minute(moments: Sequence[float], began: float, minutes: int) -> tuple[float, ...]:
    """Statements a second in each minute, by when their requests were answered."""
    counts = [0] * minutes
    for moment in moments:
        minute = int((moment - began) // 60)
        if minute < minutes:
            counts[minute] += BATCH
    return tuple(count / 60 for count in counts)


async def _draw(log: RunningLog, count: int, bodies: range) -> list[Path]:
    """`count` certificates in requests, on disk: of these bodies, their requests in turn."""
    share = -(-count // len(bodies))
    folder = log.folder / "drawn"
    folder.mkdir()
    by_body: list[list[Path]] = []
    for body in bodies:
        files: list[Path] = []
        async with log.client(body) as client:
            if body:
                await client.submit_authority(Authority(today()).filing(body, name=f"性能测试评价机构 {body}（样本）"))
            for first in range(0, share, _DRAWN):
                parcels, _ = await draw_parcels(client, first, min(_DRAWN, share - first), body=body)
                for at in range(0, len(parcels), _FILE):
                    files.append(folder / f"{body:03d}-{len(files):06d}")
                    _keep(files[-1], parcels[at : at + _FILE])
        by_body.append(files)
    return [file for files in zip(*by_body, strict=True) for file in files]


def _keep(file: Path, parcels: Sequence[Parcel]) -> None:
    """On disk alone: gigabytes of requests would take the place of the store in the system's memory, and those of a
    real load come over the network."""
    with file.open("wb") as opened:
        pickle.dump(parcels, opened)
        opened.flush()
        os.fdatasync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _parcels(files: Sequence[Path]) -> AsyncGenerator[Parcel, None]:
    """What `_draw` wrote, the next file read ahead."""
    ahead: asyncio.Task[list[Parcel]] | None = None
    for at in range(len(files) + 1):
        ready = [] if ahead is None else await ahead
        ahead = asyncio.create_task(asyncio.to_thread(_read, files[at])) if at < len(files) else None
        for parcel in ready:
            yield parcel
    if ahead is not None:
        ahead.cancel()


def _read(file: Path) -> list[Parcel]:
    found: list[Parcel] = pickle.loads(file.read_bytes())  # written by _draw a moment ago
    file.unlink()
    return found

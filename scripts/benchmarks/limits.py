"""What this machine can do at all, measured in the same run as the product."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.http_load import closed_loop, get_request
from benchmarks.processes import Scale, free_port, started
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer, verify_ed25519

_MESSAGE = bytes(500)


async def measure(folder: Path, scale: Scale) -> list[Figure]:
    """Signatures, hashing of nothing else, the disk, and the web server without anything behind it."""
    ed, ml = Ed25519Signer(bytes(32)), MlDsa44Signer(bytes(32))
    signature = ed.sign(_MESSAGE)

    def verify(count: int) -> None:
        for _ in range(count):
            verify_ed25519(ed.public, _MESSAGE, signature)

    def sign(count: int) -> None:
        for _ in range(count):
            ml.sign(_MESSAGE)

    runs, seconds = scale.runs, scale.seconds / 5
    return [
        Figure(
            "limits.ed25519_verify_1", "Ed25519 verifications, 1 thread", "/s", _rates(verify, 500, runs, seconds, 1)
        ),
        Figure(
            "limits.ed25519_verify_2", "Ed25519 verifications, 2 threads", "/s", _rates(verify, 500, runs, seconds, 2)
        ),
        Figure("limits.ml_dsa_44_sign", "ML-DSA-44 signatures, 1 thread", "/s", _rates(sign, 50, runs, seconds, 1)),
        Figure("limits.fsync", "4 KiB pwrite + fdatasync", "/s", _fsyncs(folder, runs, seconds)),
        Figure("limits.aiohttp_hello", "aiohttp hello world, 1 process, uvloop", "/s", await _hello(folder, scale)),
    ]


def _rates(work: Callable[[int], None], chunk: int, runs: int, seconds: float, threads: int) -> tuple[float, ...]:
    """Calls a second; with several threads, each does chunks of its own until the time is over."""

    def until(end: float) -> int:
        done = 0
        while time.perf_counter() < end:
            work(chunk)
            done += chunk
        return done

    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(runs):
            began = time.perf_counter()
            counts = list(pool.map(until, [began + seconds] * threads))
            rates.append(sum(counts) / (time.perf_counter() - began))
    return tuple(rates)


def _fsyncs(folder: Path, runs: int, seconds: float) -> tuple[float, ...]:
    path = folder / "fsync"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, bytes(1024 * 1024), 0)
        os.fsync(file)
        rates = []
        for _ in range(runs):
            began, done = time.perf_counter(), 0
            while time.perf_counter() < began + seconds:
                os.pwrite(file, os.urandom(4096), done % 256 * 4096)
                os.fdatasync(file)
                done += 1
            rates.append(done / (time.perf_counter() - began))
        return tuple(rates)
    finally:
        os.close(file)
        path.unlink()


async def _hello(folder: Path, scale: Scale) -> tuple[float, ...]:
    port = free_port()
    async with started(["-m", "benchmarks.hello", str(port)], folder / "hello.log", port, "/"):
        request = get_request("/", "127.0.0.1")
        await closed_loop("127.0.0.1", port, [request], 0.3, 64)  # warm
        rates = []
        for _ in range(scale.runs):
            load = await closed_loop("127.0.0.1", port, [request], scale.seconds / 5, 64)
            assert not load.failures
            rates.append(load.rate)
            await asyncio.sleep(0.05)
        return tuple(rates)

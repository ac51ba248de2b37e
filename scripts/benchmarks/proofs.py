"""Evidence over the same filled log: how fast the ledger proves a certificate's state, and how fast a reader checks it.

`first` asks for a different certificate each time, as hiring lists and bundles do: everything is computed. `again` asks
for the same few. The renewed signature of an idle log costs nothing of what is kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.figures import Figure, quantile
from benchmarks.http_load import Load, closed_loop, get_request, open_loop
from benchmarks.machine import cpu_seconds
from benchmarks.processes import Failed, Scale
from benchmarks.workload import ORIGIN, Parcel, RunningLog
from ledger.records.evidence import parse_evidence
from ledger.records.evidence_check import prove_under, verify_evidence
from ledger.records.secret import cert_key_of
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.note import parse_vkey
from ledger.tlog.policy import NO_WITNESSES

CONNECTIONS = 16
CALM = 100  # requests a second
KEPT = 500  # certificates that `again` asks for


@dataclass(frozen=True, slots=True)
class Asked:
    """Evidence of certificates that nobody asked for before: one figure for each run."""

    rates: tuple[float, ...]  # a second
    cpu: tuple[float, ...]  # µs of the ledger for an answer
    calm: tuple[float, ...]  # p99 at CALM requests a second, ms


async def first_asked(log: RunningLog, keys: Sequence[bytes], scale: Scale) -> Asked:
    """Other certificates of `keys` in each run, more than the ledger keeps: none is answered from memory."""
    host, port = _address(log)
    rates, cpu, calm = [], [], []
    for run in range(scale.runs):
        fresh = _questions(log, keys[run % 4 :: 4])
        before = cpu_seconds(log.process)
        load = _good(await closed_loop(host, port, fresh, scale.seconds, CONNECTIONS))
        cpu.append((cpu_seconds(log.process) - before) / len(load.latencies) * 1e6)
        rates.append(load.rate)
        calm.append(quantile(_good(await open_loop(host, port, fresh, scale.seconds, CALM)).latencies, 0.99) * 1000)
    return Asked(tuple(rates), tuple(cpu), tuple(calm))


async def measure(log: RunningLog, parcels: Sequence[Parcel], scale: Scale) -> list[Figure]:
    """`parcels`: what is on the log."""
    keys = [cert_key_of(secret) for parcel in parcels for secret in parcel.secrets]
    random.Random(2).shuffle(keys)
    host, port = _address(log)
    first = await first_asked(log, keys, scale)
    again, tiles, checkpoints = [], [], []
    fixed = [get_request(f"/tile/0/{at:03d}", f"{host}:{port}") for at in range(min(len(keys) >> 8, 400))]
    for _ in range(scale.runs):
        again.append(
            _good(await closed_loop(host, port, _questions(log, keys[:KEPT]), scale.seconds, CONNECTIONS)).rate
        )
        tiles.append(_good(await closed_loop(host, port, fixed, scale.seconds, CONNECTIONS)).rate)
        note = [get_request("/checkpoint", f"{host}:{port}")]
        checkpoints.append(_good(await closed_loop(host, port, note, scale.seconds, CONNECTIONS)).rate)
    return [
        Figure("tiles.rate", "tiles of hashes, 8 KiB each", "/s", tuple(tiles), 12_000, against="limits.aiohttp_hello"),
        Figure("tiles.checkpoint", "checkpoint", "/s", tuple(checkpoints), 12_000, against="limits.aiohttp_hello"),
        Figure("evidence.again", "evidence asked for again", "/s", tuple(again), 5000, against="limits.aiohttp_hello"),
        Figure(
            "evidence.first",
            "evidence of a certificate nobody asked for",
            "/s",
            first.rates,
            5000,
            against="limits.aiohttp_hello",
        ),
        Figure("evidence.cpu", "CPU time of the ledger per answer, first asked", "µs", first.cpu),
        Figure("evidence.calm_p99", f"evidence, first asked, at {CALM}/s, p99", "ms", first.calm, 20, True),
        *await _checked(log, keys[: 200 if scale.runs < 5 else 1000], scale),
    ]


def _address(log: RunningLog) -> tuple[str, int]:
    address = urlsplit(log.url)
    return address.hostname or "", address.port or 0


def _questions(log: RunningLog, keys: Sequence[bytes]) -> list[bytes]:
    host, port = _address(log)
    return [get_request(f"/v1/evidence/{key.hex()}", f"{host}:{port}") for key in keys]


async def _checked(log: RunningLog, keys: Sequence[bytes], scale: Scale) -> list[Figure]:
    """What a reader pays: all of it, and what is left when many answers share a checkpoint."""
    vkeys = tuple(parse_vkey(line) for line in log.vkeys)
    async with log.client() as client:
        answers = [await client.evidence(key) for key in keys]
    whole, shared = [], []
    for _ in range(scale.runs):
        began = time.perf_counter()
        for raw in answers:
            verify_evidence(parse_evidence(raw), ORIGIN, vkeys, NO_WITNESSES)
        between = time.perf_counter()
        opened = None
        for raw in answers:
            evidence = parse_evidence(raw)
            if opened is None or opened.note != evidence.checkpoint:
                opened = open_cosigned(evidence.checkpoint, ORIGIN, vkeys, NO_WITNESSES)
            prove_under(evidence, opened)
        whole.append((between - began) / len(answers) * 1000)
        shared.append((time.perf_counter() - between) / len(answers) * 1000)
    sizes = tuple(len(raw) / 1024 for raw in answers)
    return [
        Figure("evidence.check", "check of evidence, both log signatures", "ms", tuple(whole), 1, True),
        Figure("evidence.check_shared", "check of evidence under an opened checkpoint", "ms", tuple(shared), 1, True),
        Figure("evidence.size", "evidence, with the lines of the witnesses there are", "KiB", (max(sizes),)),
    ]


def _good(load: Load) -> Load:
    if load.failures:
        raise Failed(f"{load.failures} answers failed")
    return load

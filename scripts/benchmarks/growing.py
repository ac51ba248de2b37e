"""A ledger that holds many certificates already: its size, its start, what it still takes in, and its whole audit.

    1 make    `cert-ledger init`
    2 fill    the product's own fold, map, seals and rows, without HTTP, admission and fsync: one transaction
    3 serve   with two witnesses that both must cosign; a further filing; statements over HTTP as in `append`; evidence
              of certificates all over the log
    4 start   once more, until it is ready
    5 audit   its tiles, exported, by `cert-verifier audit`, every signature

What the private index and the envelopes of the filled certificates hold is random, of the length that real ones have:
they are rows to grow by, and nobody asks for them. Filling takes most of the time, so give --dir: a log that was filled
stays as it is and is used again; each run works on a copy of it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import append, auditing, proofs, visibility
from benchmarks.figures import Figure
from benchmarks.processes import Scale, free_port, run, started
from benchmarks.workload import (
    ORIGIN,
    Authority,
    certificate,
    make_log,
    record_key,
    restart_s,
    served_log,
    today,
)
from demonstration.settings import set_toml
from ledger.records.statements import parse_statement
from ledger.records.view import authenticate_authority, authenticated_elsewhere
from ledger.store.integrate import Integrator
from ledger.store.protocol import EnvelopeRow, IndexRow, PrivateRows, Purpose, Slot
from ledger.store.sqlite import SqliteStore
from ledger.tlog.keys import Ed25519Signer

BATCH = 2_000  # statements under one seal
ASKED = 60_000  # certificates that evidence is asked of, in turn
STRETCHES = 4  # of appended statements, the first of which only warms up
_PIECE = 4_000  # signed by one task
_AHEAD = 8  # such tasks
_CACHE_KIB = 10 * 1024 * 1024
_SEALED_LOOKUP = 12 + 32 + 16 + 32 + 16  # bytes: nonce, cert key, salt, leaf hash, tag


async def measure(folder: Path, scale: Scale) -> list[Figure]:
    kept, home = folder.parent / f"grown-{scale.grown}", folder / "grown"
    if not (kept / "filled").exists():
        shutil.rmtree(kept, ignore_errors=True)  # of a fill that was ended
        kept.mkdir(parents=True)
        make_log(kept, ["--map-depth", str(depth_for(scale.grown))])
        await _fill(kept / "log" / "log.db", scale.grown)
        (kept / "filled").touch()
    shutil.copytree(kept, home)
    said = f"at {scale.grown:,} certificates"
    size = ((home / "log" / "log.db").stat().st_size / scale.grown,)
    figures = [Figure("growth.bytes", f"store of the ledger {said}, per certificate", "bytes", size)]
    few = replace(scale, certificates=STRETCHES * scale.stretch)
    async with served_log(home, visibility.witnesses) as log:
        async with log.client() as client:
            await client.submit_authority(Authority(today()).filing())
        appended = await append.measure(log, few)
        asked = await proofs.first_asked(log, _cert_keys(scale.grown, ASKED), scale)
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
    set_toml(home / "log" / "ledger.toml", policy="")  # its witnesses have ended
    figures.append(
        Figure("growth.restart", f"restart {said}, until it is ready", "s", (await restart_s(log),), 10, True)
    )
    return figures + await _audited(home, said)


def _cert_keys(count: int, most: int) -> list[bytes]:
    """Of filled certificates all over the log, in no order."""
    serials = random.Random(2).sample(range(count), min(count, most))
    return [auditing.cert_key(serial) for serial in serials]


def depth_for(count: int) -> int:
    """Bits of the map's depth that keep its buckets at about ten certificates; the default up to a few millions."""
    return max(18, (count // 10).bit_length())


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


class _Bulk(SqliteStore):
    """One transaction from beginning to end, on one connection, without a journal: a crash leaves a file to delete."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, private=True)
        assert self._copier is not None
        self._copier.close()
        self._copier = None
        self._reader.close()
        self._reader = self._writer
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = DELETE",
            "journal_mode = OFF",
            "synchronous = OFF",
            f"cache_size = -{_CACHE_KIB}",
        ):
            self._writer.execute(f"PRAGMA {pragma}").fetchall()
        self._writer.execute("BEGIN")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        yield

    async def _written(self, pages: int) -> None:
        return

    def finish(self) -> None:
        """Write it all, leaving a store that the product opens."""
        self._writer.execute("COMMIT")
        self._writer.execute("PRAGMA locking_mode = NORMAL").fetchall()
        self._writer.execute("PRAGMA journal_mode = WAL").fetchall()
        self._thread.shutdown()
        self._writer.close()
        if self._lock is not None:
            os.close(self._lock)


async def _fill(path: Path, count: int) -> None:
    """`count` certificates of twenty bodies."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    store = _Bulk(path)
    integrator = await Integrator.open(store)
    by_kid = auditing.record_publics()
    head, authority = integrator.head, integrator.authority
    assert head is not None and authority is not None
    time_ms, day, sizes = head.time, today(), _envelope_sizes()
    statements = [parse_statement(entry) for entry in auditing.filings(Authority(day))]
    batch = await integrator.begin(statements, time_ms + 1)
    for statement in statements:
        batch.add(authenticate_authority(statement, authority))
    await integrator.commit(await batch.finish())
    began, done = time.monotonic(), 0
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for piece in _signed(pool, count, day):
            for at in range(0, len(piece), BATCH):
                statements = [parse_statement(entry) for entry in piece[at : at + BATCH]]
                head = integrator.head
                assert head is not None
                batch = await integrator.begin(statements, head.time + 1)
                for statement in statements:  # signed a moment ago by _sign
                    batch.add(authenticated_elsewhere(statement, by_kid[statement.kid]))
                await integrator.commit(await batch.finish(_private(done, len(statements), sizes)))
                done += len(statements)
            if done % 200_000 < _PIECE:
                rate = done / (time.monotonic() - began)
                print(f"filled {done:,} of {count:,}, {rate:,.0f}/s", file=sys.stderr, flush=True)
    store.finish()


def _signed(pool: ProcessPoolExecutor, count: int, day: int) -> Iterator[list[bytes]]:
    """The entries in order, signed on other cores a little ahead."""
    waiting: deque[Future[list[bytes]]] = deque()
    for at in range(0, count, _PIECE):
        waiting.append(pool.submit(_sign, at, min(at + _PIECE, count), day))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _sign(first: int, end: int, day: int) -> list[bytes]:
    return [_entry(serial, day) for serial in range(first, end)]


def _entry(serial: int, day: int) -> bytes:
    body = serial % auditing.BODIES
    signer = _signers(body)[serial // auditing.BODIES % auditing.KEYS]
    return auditing.signed_certificate(serial, serial, body, 2 + serial % 4, day, day - 7, signer)


def _signers(body: int) -> list[Ed25519Signer]:
    found = _SIGNERS.get(body)
    if found is None:
        found = _SIGNERS[body] = auditing.record_keys(body)
    return found


_SIGNERS: dict[int, list[Ed25519Signer]] = {}


def _private(first: int, count: int, sizes: tuple[int, int]) -> PrivateRows:
    """Rows of the private index and envelopes as `count` certificates have them: four and two each."""
    index: list[IndexRow] = []
    envelopes: list[EnvelopeRow] = []
    noise = os.urandom(max(*sizes, _SEALED_LOOKUP))
    for serial in range(first, first + count):
        index += (
            IndexRow(_octets(b"person", serial), Purpose.PERSON, 1, noise[:16]),
            IndexRow(_octets(b"number", serial), Purpose.NUMBER, 1, serial.to_bytes(8, "big")),
            IndexRow(_octets(b"match", serial), Purpose.MATCH, 1, b""),
            IndexRow(_octets(b"lookup", serial), Purpose.LOOKUP, 1, noise[:_SEALED_LOOKUP]),
        )
        locator = _octets(b"locator", serial)
        envelopes += (
            EnvelopeRow(locator, Slot.FACE, noise[: sizes[0]]),
            EnvelopeRow(locator, Slot.REST, noise[: sizes[1]]),
        )
    return PrivateRows(index, (), envelopes)


def _envelope_sizes() -> tuple[int, int]:
    """Bytes of the two envelopes of a certificate as `append` sends it."""
    _, submission = certificate(0, bytes(16), today(), record_key(0))
    return len(submission.face_envelope), len(submission.rest_envelope)


def _octets(label: bytes, serial: int) -> bytes:
    return sha256(b"cert-ledger growth %s %d" % (label, serial)).digest()

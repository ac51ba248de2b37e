"""Filling a ledger with certificates of twenty bodies: the product's own fold, map, seals and rows, without HTTP and
admission and, on the embedded store, without fsync.

What the private index and the envelopes of the filled certificates hold is random, of the length that real ones have,
and lies where theirs would: they are rows to grow by, and nobody asks for them.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from benchmarks import auditing
from benchmarks.workload import Authority, certificate, record_key, today
from ledger.records.statements import parse_statement
from ledger.records.view import authenticate_authority, authenticated_elsewhere
from ledger.service.private_index import (
    LOOKUP_BYTES,
    PrivateIndex,
    envelope_keys,
    lookup_keys,
    lookup_row,
    match_row,
    number_row,
)
from ledger.store.integrate import Integrator
from ledger.store.opening import Opened, open_store
from ledger.store.protocol import EnvelopeRow, IndexRow, PrivateRows, Purpose, Slot
from ledger.store.sqlite import SqliteStore
from ledger.store.track_places import TRACK_PLACES, TrackPlaces
from ledger.tlog.keys import Ed25519Signer
from tests.support.postgres import PATIENT

BATCH = 2_000  # statements under one seal
_PIECE = 4_000  # signed by one task
_AHEAD = 8  # such tasks
_CACHE_KIB = 10 * 1024 * 1024
_INDEX = PrivateIndex(bytes(32), os.urandom)  # of numbers that rise with the log, as those of a body do


async def fill_file(path: Path, count: int) -> None:
    """A log in a file, in one transaction."""
    store = _Bulk(path)
    await _fill(store, count)
    store.finish()


async def fill_database(place: str, count: int) -> None:
    """A log in PostgreSQL, batch by batch as the product commits them."""
    store = await open_store(place, Path(), private=True, deadlines=PATIENT)
    try:
        await _fill(store, count)
    finally:
        await store.close()


class _Bulk(SqliteStore):
    """One transaction from beginning to end, on one connection, without a journal: a crash leaves a file to delete."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, private=True)
        assert self._copier is not None
        self._copier.close()
        self._copier = None
        assert self._beside is not None
        self._beside.close()
        self._beside = None
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
        self._reading.shutdown()
        self._writer.close()
        if self._lock is not None:
            os.close(self._lock)


async def _fill(store: Opened, count: int) -> None:
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
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
        for piece in _signed(pool, count, day, await store.meta(TRACK_PLACES)):
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


def _signed(pool: ProcessPoolExecutor, count: int, day: int, kept: bytes | None) -> Iterator[list[bytes]]:
    """The entries in order, signed on other cores a little ahead. `kept`: where the store says tracks lie."""
    waiting: deque[Future[list[bytes]]] = deque()
    for at in range(0, count, _PIECE):
        waiting.append(pool.submit(_sign, at, min(at + _PIECE, count), day, kept))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _sign(first: int, end: int, day: int, kept: bytes | None) -> list[bytes]:
    tracks = TrackPlaces(kept).draw(first, end - first, os.urandom)
    return [_entry(serial, track_id, day) for serial, track_id in enumerate(tracks, first)]


def _entry(serial: int, track_id: bytes, day: int) -> bytes:
    body = serial % auditing.BODIES
    signer = _signers(body)[serial // auditing.BODIES % auditing.KEYS]
    return auditing.signed_certificate(serial, track_id, body, 2 + serial % 4, day, day - 7, signer)


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
    noise = os.urandom(max(*sizes, LOOKUP_BYTES))
    for serial in range(first, first + count):
        number = _INDEX.number_keys(f"{serial % auditing.BODIES:04d}{serial // auditing.BODIES:08d}")
        index += (
            IndexRow(_octets(b"person", serial), Purpose.PERSON, 1, noise[:16]),
            number_row(number[0], serial),
            match_row(_octets(b"match", serial), serial),
            lookup_row(lookup_keys(number, _octets(b"lookup", serial))[0], noise[:LOOKUP_BYTES]),
        )
        place, _ = envelope_keys(serial, _octets(b"locator", serial))
        envelopes += (
            EnvelopeRow(place, Slot.FACE, noise[: sizes[0]]),
            EnvelopeRow(place, Slot.REST, noise[: sizes[1]]),
        )
    return PrivateRows(index, (), envelopes)


def _envelope_sizes() -> tuple[int, int]:
    """Bytes of the two envelopes of a certificate as `append` sends it."""
    _, submission = certificate(0, bytes(16), today(), record_key(0))
    return len(submission.face_envelope), len(submission.rest_envelope)


def _octets(label: bytes, serial: int) -> bytes:
    return sha256(b"cert-ledger growth %s %d" % (label, serial)).digest()

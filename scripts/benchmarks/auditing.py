"""An audit of a whole log: `cert-verifier audit` over HTTP against files that were made beforehand.

The log is made by the product's own integrator, with statements of twenty bodies, one in ten of them an upgrade; then
it lies in files as C2SP tlog-tiles has it, and a small server of its own hands them out. Making it takes longer than
auditing it, so give --dir and keep the folder: a log of the same size is used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure
from benchmarks.processes import Failed, Scale, environment, free_port, started
from benchmarks.workload import OCCUPATION, Authority
from ledger.records.authority import FiledKey, FilingRow
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, Route
from ledger.records.statements import issue_entry, parse_statement
from ledger.records.view import authenticate_authority, authenticate_record
from ledger.store.integrate import Integrator
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer, kid
from ledger.tlog.tiles import EntriesTile, Tile, format_entries, format_tile_path
from verifier.audit.statistics import Statistics
from verifier.audit.store import create_audit_store

ORIGIN = "bench.cert-ledger.example/1"
DAY = 20_300
BODIES = 20
BATCH = 1_000
KEYS = 16  # record keys of a body, so that no cap is met at a million
_PIECE = 5_000
_WATCH_S = 0.5


async def measure(folder: Path, scale: Scale) -> list[Figure]:
    """Rate of a whole audit, all signatures included, and the memory of all its processes."""
    log = folder.parent / f"audited-{scale.audited}"
    if not (log / "checkpoint").exists():
        await _make(log, scale.audited)
    pins = json.loads((log / "pins.json").read_text())
    port = free_port()
    serve = ["-m", "benchmarks.static_log", str(log), str(port)]
    rates, peaks = [], []
    async with started(serve, folder / "static.log", port, "/checkpoint"):
        for number in range(max(1, scale.runs // 2)):
            report, peak, _ = await asyncio.to_thread(
                audit, folder / f"audit-{number}", f"http://127.0.0.1:{port}", pins
            )
            if report["result"] != "sound" or report["replayed"] != pins["size"]:
                raise Failed(f"the audit came to {report['result']} at {report['replayed']}")
            rates.append(float(report["run"]["entries_per_second"]))
            peaks.append(peak)
    said = f"of {scale.audited:,} certificates"
    return [
        Figure("audit.rate", f"whole audit {said}, every signature", "entries/s", tuple(rates), target=6_000),
        Figure("audit.memory", f"memory of all its processes {said}", "MiB", tuple(peaks), target=300, at_most=True),
    ]


def audit(folder: Path, url: str, pins: dict[str, Any]) -> tuple[dict[str, Any], float, float]:
    """Audit the log at `url` into `folder`: the report, the peak of memory in MiB, and CPU seconds of all processes."""
    keys = [part for key in pins["log_keys"] for part in ("--vkey", key)]
    command = [sys.executable, "-m", "verifier", "audit", url, "--dir", str(folder), "--quiet"]
    command += ["--origin", pins["origin"], *keys, "--genesis", pins["genesis"]]
    peak, before = 0.0, _children_s()
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, cwd=folder.parent) as child:
        while child.poll() is None:
            peak = max(peak, _memory_mib(child.pid))
            time.sleep(_WATCH_S)
    if child.returncode != 0:
        raise Failed(f"audit: exit {child.returncode}")
    return json.loads((folder / "report.json").read_bytes()), peak, _children_s() - before


def _children_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _memory_mib(pid: int) -> float:
    """Proportional set size of a process and its children: pages that they share count once."""
    total = 0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 2**20


async def _make(log: Path, count: int) -> None:
    """A log of `count` certificates as files below `log`; the checkpoint is written last."""
    log.mkdir(parents=True, exist_ok=True)
    (log / "making.db").unlink(missing_ok=True)
    store = create_audit_store(log / "making.db")
    integrator = await Integrator.open(store)
    authority = Authority(DAY)
    by_kid = record_publics()
    tiles = _Tiles(log)

    async def batch(entries: Sequence[bytes], time_ms: int) -> None:
        statements = [parse_statement(entry) for entry in entries]
        begun = await integrator.begin(statements, time_ms)
        for statement in statements:
            if statement.envelope.single:
                begun.add(authenticate_record(statement, by_kid[statement.kid]))
            else:
                begun.add(authenticate_authority(statement, genesis))
        prepared = await begun.finish()
        await integrator.commit(prepared)
        tiles.add([*entries, prepared.seal], prepared.completed)

    first = parse_statement(authority.genesis())
    genesis: Any = first.body
    await batch([first.entry, *filings(authority)], DAY * 86_400_000)
    time_ms = DAY * 86_400_000
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for number, entries in enumerate(_in_batches(pool, count), 1):
            time_ms = max(time_ms + 1, logged_ms(min(number * BATCH, count), count))
            await batch(entries, time_ms)
            if number % 32 == 0:
                store.flush(0, Statistics().encode())
    tiles.close()
    head = integrator.head
    assert head is not None
    signer = CheckpointSigner(ORIGIN, Ed25519Signer(_octets("log ed")), MlDsa44Signer(_octets("log ml")))
    keys = [key.format_vkey() for key in signer.vkeys]
    pins = {"origin": ORIGIN, "log_keys": keys, "genesis": sha256(first.entry).hexdigest(), "size": head.size}
    (log / "pins.json").write_text(json.dumps(pins))
    (log / "checkpoint").write_bytes(signer.sign(Checkpoint(ORIGIN, head.size, head.root), time_ms // 1000))
    await store.close()
    (log / "making.db").unlink()


class _Tiles:
    """The log's files, written as they become complete; the partial ones at the end."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._entries: list[bytes] = []
        self._bundle = 0
        self._rows: dict[tuple[int, int], list[bytes]] = {}

    def add(self, entries: Sequence[bytes], completed: Mapping[tuple[int, int], bytes]) -> None:
        self._entries += entries
        while len(self._entries) >= 256:
            self._put(EntriesTile(self._bundle, 256), format_entries(self._entries[:256]))
            del self._entries[:256]
            self._bundle += 1
        for (level, index), node in sorted(completed.items()):
            if level % 8 == 0:
                row = self._rows.setdefault((level // 8, index // 256), [])
                row.append(node)
                if len(row) == 256:
                    self._put(Tile(level // 8, index // 256, 256), b"".join(row))
                    del self._rows[level // 8, index // 256]

    def close(self) -> None:
        if self._entries:
            self._put(EntriesTile(self._bundle, len(self._entries)), format_entries(self._entries))
        for (level, index), row in self._rows.items():
            self._put(Tile(level, index, len(row)), b"".join(row))

    def _put(self, tile: Tile | EntriesTile, body: bytes) -> None:
        path = self._log / format_tile_path(tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def record_publics() -> dict[bytes, bytes]:
    """The record keys of every body, by kid."""
    return {kid(key.public): key.public for body in range(BODIES) for key in record_keys(body)}


def filings(authority: Authority) -> list[bytes]:
    """The statements that file the bodies."""
    return [_filing(authority, body) for body in range(BODIES)]


def certificates(count: int) -> list[bytes]:
    """All the certificates of a log of `count`, signed here and now."""
    return _sign((0, count, count))


def logged_ms(number: int, count: int) -> int:
    """The earliest log time of a batch that ends with certificate `number` of `count`."""
    return DAY * 86_400_000 + number * _span(count) * 86_400_000 // count + 4 * 3_600_000


def _in_batches(pool: ProcessPoolExecutor, count: int) -> Iterator[list[bytes]]:
    ends = [(at, min(at + _PIECE, count), count) for at in range(0, count, _PIECE)]
    for entries in pool.map(_sign, ends):
        for at in range(0, len(entries), BATCH):
            yield entries[at : at + BATCH]


def _sign(span: tuple[int, int, int]) -> list[bytes]:
    first, end, count = span
    keys = [record_keys(body) for body in range(BODIES)]
    return [_entry(serial, count, keys) for serial in range(first, end)]


def _entry(serial: int, count: int, keys: list[list[Ed25519Signer]]) -> bytes:
    """Certificate `serial`: one in ten is the next grade of an earlier holder."""
    upgrade = serial % 10 == 9 and serial > 5_000
    holder = serial - 5_000 if upgrade else serial
    body, grade = holder * 7 % BODIES, 2 + holder % 3 + upgrade
    day = DAY + serial * _span(count) // count
    signer = keys[body][serial // BODIES % KEYS]
    track_id = _octets(f"t{holder}")[:16]
    return signed_certificate(serial, track_id, body, grade, day - serial * 31 % 18, day - 25, signer)


def cert_key(serial: int) -> bytes:
    return _octets(f"c{serial}")


def signed_certificate(
    serial: int, track_id: bytes, body: int, grade: int, issue_day: int, assessment_day: int, signer: Ed25519Signer
) -> bytes:
    """The entry of certificate `serial`."""
    issue = Issue(
        cert_key=cert_key(serial),
        filing_number=_number(body),
        occupation=OCCUPATION,
        trade="",
        grade=grade,
        level=7 - grade,
        issue_day=issue_day,
        assessment_day=assessment_day,
        route=Route.EXAM,
        standard=f"GZB-{OCCUPATION}",
        audience=Audience.PUBLIC,
        track_id=track_id,
        face=_octets(f"f{serial}"),
        rest=_octets(f"x{serial}"),
    )
    return issue_entry(issue, signer)


def _filing(authority: Authority, body: int) -> bytes:
    since = DAY - 90
    return authority.filing(
        number=_number(body),
        name=f"性能测试评价机构{body}（样本）",
        first_day=since,
        last_day=DAY + 900,
        rows=(FilingRow(OCCUPATION, "", (2, 3, 4, 5, 6), Audience.PUBLIC, since),),
        record_keys=tuple(FiledKey(key.public, since) for key in record_keys(body)),
        request_keys=(FiledKey(Ed25519Signer(_octets(f"request {body}")).public, since),),
    )


def _span(count: int) -> int:
    """Days over which the log grew: a batch never spans more than two."""
    return min(300, count // 500)


def _number(body: int) -> str:
    return f"S{body + 1:04d}51000001"


def record_keys(body: int) -> list[Ed25519Signer]:
    return [Ed25519Signer(_octets(f"record {body}/{number}")) for number in range(KEYS)]


def _octets(label: str) -> bytes:
    return sha256(f"cert-ledger audit bench {label}".encode()).digest()

"""A real ledger process on a loopback port, in a folder of its own, with cheap key stretching.

    live = LiveLedger.create(tmp_path / "log")      keys, genesis; nothing runs yet
    live.start() ... live.stop() or live.kill()     SIGTERM or SIGKILL, by pid
    async with live.client(body) as client: ...     signs with the body's request key
    await live.file(body)                           the authority files a body
    await drafted(client, body, "a", "b")           certificates with the tracks that the ledger drew

Dates are near today, because the ledger's clock is the real one; nothing here depends on how near.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from ledger.client import LedgerClient
from ledger.keystore import LIGHT_COST
from ledger.records.authority import FiledKey, FilingRow
from ledger.records.dates import batch_day
from ledger.records.documents import CITIZEN
from ledger.records.kinds import Audience
from ledger.records.seal import parse_seal
from ledger.records.statements import Statement
from ledger.service.config import LedgerSettings
from ledger.service.enquirers import format_verifier
from ledger.service.run import create
from ledger.tlog.checkpoint import OpenedCheckpoint, open_checkpoint
from ledger.tlog.merkle import leaf_hash, verify_inclusion
from ledger.tlog.note import VerifierKey, parse_vkey
from ledger.wire import Logged, PersonLineage, Receipt
from tests.support.builders import (
    OCCUPATION,
    Authority,
    Body,
    Certificate,
    id_number,
    make_authority,
    make_body,
    octets,
)
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = b"a passphrase of the tests"
LOOKUP_TOKEN = "5e" * 32  # of the verifier "lab", wherever a test puts `LAB` into a ledger's settings
LAB = format_verifier("lab", LOOKUP_TOKEN)
MAP_DEPTH = 8
START_S = PATIENCE_S  # how long a start may take before the test gives up
GRADES = (2, 3, 4, 5, 6)


def today() -> int:
    """The batch day, as the ledger sees it."""
    return batch_day(time.time_ns() // 1_000_000)


def live_body(seed: str = "", **changes: Any) -> Body:
    """A body whose filing covers the days around today."""
    body, day = make_body(seed), today() - 400
    dates = {
        "first_day": day,
        "last_day": today() + 400,
        "rows": (FilingRow(OCCUPATION, "", GRADES, Audience.OWN_STAFF, day),),
        "record_keys": (FiledKey(body.record.public, day),),
        "request_keys": (FiledKey(body.request.public, day),),
    }
    return replace(body, filing=replace(body.filing, **{**dates, **changes}))


def distinct(prefix: str, count: int) -> list[str]:
    """Labels whose certificates have serial numbers and ID numbers of their own: by chance, some labels share one."""
    found: list[str] = []
    serials: set[int] = set()
    persons: set[str] = set()
    for at in itertools.count():
        if len(found) == count:
            break
        label = f"{prefix} {at}"
        serial, person = int.from_bytes(octets("serial " + label, 4), "big") % 999_999, id_number(label)
        if serial not in serials and person not in persons:
            found.append(label)
            serials.add(serial)
            persons.add(person)
    return found


async def tracks_of(client: LedgerClient, persons: Sequence[str], lineage: str = OCCUPATION) -> dict[str, bytes]:
    """The track of each invented person (see builders.id_number)."""
    wanted = [PersonLineage(CITIZEN, "CHN", id_number(person), lineage) for person in persons]
    return dict(zip(persons, await client.tracks(wanted), strict=True))


async def drafted(
    client: LedgerClient, body: Body, *labels: str, day: int | None = None, **changes: Any
) -> list[Certificate]:
    """One certificate for each label, for a person of that name, issued a few days ago."""
    tracks = await tracks_of(client, labels)
    day = today() - 3 if day is None else day
    return [body.certificate(label, day=day, track=tracks[label], **changes) for label in labels]


@dataclass
class LiveLedger:
    """One log: its folder, what pins it, and its process while it runs."""

    folder: Path
    authority: Authority
    url: str
    keys: tuple[VerifierKey, ...]
    process: subprocess.Popen[bytes] | None = None
    program: tuple[str, ...] = ("ledger",)  # the module that is run, and words before `serve`
    stderr: Path = field(init=False)

    def __post_init__(self) -> None:
        self.stderr = self.folder.parent / f"{self.folder.name}.stderr"

    @classmethod
    def create(
        cls,
        folder: Path,
        seed: str = "live",
        store_owner: str = "",
        guard_owner: str = "",
        map_depth: int = MAP_DEPTH,
        **settings: Any,
    ) -> LiveLedger:
        """`init` without its console. Works inside and outside of a running loop."""
        authority = make_authority(seed, origin=f"log.test.example/{seed}")
        port = free_port()
        patient = {"answer_wait_ms": 30_000, "witness_timeout_ms": 30_000}  # no machine is too slow for an answer
        chosen = LedgerSettings(origin=authority.origin, port=port, **{**patient, **settings})
        genesis = authority.sign(authority.genesis).entry
        made = create(
            folder,
            chosen,
            genesis,
            PASSPHRASE,
            cost=LIGHT_COST,
            now_ms=time.time_ns() // 1_000_000,
            map_depth=map_depth,
            store_owner=store_owner,
            guard_owner=guard_owner,
        )
        with ThreadPoolExecutor(1) as elsewhere:
            vkeys = elsewhere.submit(asyncio.run, made).result()
        keys = tuple(parse_vkey(line) for line in vkeys)
        return cls(folder, authority, f"http://127.0.0.1:{port}", keys)

    def start(self, *words: str) -> LiveLedger:
        """Run `python -m ledger serve` and wait until it says that it serves, or stands by."""
        process = self.spawn(*words)
        assert process.stdout is not None
        saying = select.poll()
        saying.register(process.stdout, select.POLLIN)
        line = process.stdout.readline() if saying.poll(START_S * 1000) else b""
        if not line.startswith(self.authority.origin.encode()):
            process.kill()
            process.wait()
            raise AssertionError(f"the ledger did not start: {self.stderr.read_text('utf-8')[-2000:]}")
        return self

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        """Start the process without waiting for anything."""
        assert self.process is None or self.process.returncode is not None, "it runs already"
        with self.stderr.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.program, "serve", "--dir", str(self.folder), *words],
                cwd=ROOT,
                env=os.environ | {"CERT_LEDGER_PASSPHRASE": PASSPHRASE.decode()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        return self.process

    def end(self, number: signal.Signals) -> int:
        """Send a signal to this process, by its pid, and wait for its end; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(START_S)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def stop(self) -> int:
        return self.end(signal.SIGTERM)

    def kill(self) -> int:
        return self.end(signal.SIGKILL)

    def client(self, body: Body | None = None, **changes: Any) -> LedgerClient:
        return LedgerClient(self.url, signer=body.request if body else None, **changes)

    async def file(self, body: Body) -> Statement:
        statement = self.authority.sign(body.filing)
        async with self.client() as client:
            receipt = await client.submit_authority(statement.entry)
        assert isinstance(receipt.answers[0], Logged), receipt.answers[0]
        return statement

    async def fetch(self, path: str, **changes: Any) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of one plain request."""
        method = changes.pop("method", "GET")
        plain = path.isascii() and path.isprintable() and " " not in path and "#" not in path
        url = URL(self.url + path, encoded=plain)  # sent as it stands: no dots resolved, nothing decoded
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, url, allow_redirects=False, **changes) as answer,
        ):
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()

    def open(self, note: bytes) -> OpenedCheckpoint:
        """A checkpoint under both pinned keys."""
        return open_checkpoint(note, self.authority.origin, self.keys)

    def check(self, receipt: Receipt, entries: Sequence[bytes]) -> OpenedCheckpoint:
        """Verify a receipt as a stranger would: signatures, seal (R1), an inclusion proof for each logged entry."""
        opened = self.open(receipt.checkpoint)
        size, root = opened.checkpoint.size, opened.checkpoint.root
        verify_inclusion(leaf_hash(receipt.seal), size - 1, size, receipt.seal_inclusion, root)
        assert parse_seal(receipt.seal).covered == size - 1
        for answer, entry in zip(receipt.answers, entries, strict=True):
            if isinstance(answer, Logged):
                verify_inclusion(leaf_hash(entry), answer.index, size, answer.inclusion, root)
        return opened

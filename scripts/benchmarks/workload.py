"""The things measured with: an authority, a log folder, a filing, and certificates that are signed beforehand."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import psutil

from benchmarks.processes import free_port, run, started
from ledger import wire
from ledger.client import LedgerClient
from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest, rest_digests
from ledger.records.cose import sign_part
from ledger.records.dates import date_of, day_of
from ledger.records.documents import CITIZEN, UNKNOWN_COUNTRY, check_digit
from ledger.records.envelope import FaceContent, RestContent, seal_face, seal_rest
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, IssuerKind, Route
from ledger.records.number import build_number
from ledger.records.secret import cert_key_of, locator_of
from ledger.records.statements import issue_entry, propose
from ledger.service.config import LedgerSettings
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.merkle import leaf_hash
from ledger.wire import PersonLineage, Submission

ORIGIN = "bench.cert-ledger.example/1"
OCCUPATION = "4-10-01-05"
BATCH = 250  # statements of one request
_TRACKS = 1_000  # persons of one request
_CAP = 100_000
SECRET = {"CERT_LEDGER_PASSPHRASE": "a benchmark has no secrets"}
_SPARE_KEYS = 14  # record keys, so that the cap of one is never met; a filing has 16 at most


@dataclass(frozen=True, slots=True)
class Authority:
    """Everybody who signs in a benchmark. Fixed seeds: the log is thrown away."""

    day: int

    @property
    def people(self) -> list[Ed25519Signer]:
        signers = [Ed25519Signer(_seed(f"authority {number}")) for number in range(3)]
        return sorted(signers, key=lambda signer: signer.public)

    def genesis(self) -> bytes:
        return self._signed(Genesis(ORIGIN, tuple(person.public for person in self.people), 2, self.day - 100))

    def filing(self, body: int = 0, **changes: Any) -> bytes:
        """The filing of an assessment body; the append part submits under that of body 0."""
        since = self.day - 400
        return self._signed(
            replace(
                Filing(
                    number=filing_number(body),
                    name="性能测试评价机构（样本）",
                    kind=IssuerKind.SOCIAL_BODY,
                    first_day=since,
                    last_day=self.day + 400,
                    rows=(FilingRow(OCCUPATION, "", (2, 3, 4, 5), Audience.PUBLIC, since),),
                    record_keys=tuple(
                        FiledKey(record_key(number, body).public, since) for number in range(_SPARE_KEYS)
                    ),
                    request_keys=(FiledKey(request_key(body).public, since),),
                    cap=_CAP,
                ),
                **changes,
            )
        )

    def _signed(self, body: Genesis | Filing) -> bytes:
        proposal = propose(ORIGIN, body)
        return proposal.signed(tuple(sign_part(proposal.protected, proposal.payload, who) for who in self.people[:2]))


@dataclass(frozen=True, slots=True)
class RunningLog:
    """A `cert-ledger serve` with one filing on it."""

    folder: Path
    url: str
    process: psutil.Process
    vkeys: tuple[str, ...]
    genesis_sha256: str

    @property
    def pins(self) -> list[str]:
        """As the programs that follow this log take them."""
        keys = [argument for key in self.vkeys for argument in ("--vkey", key)]
        return ["--ledger", self.url, "--origin", ORIGIN, *keys, "--genesis", self.genesis_sha256]

    def client(self, body: int = 0) -> LedgerClient:
        return LedgerClient(self.url, signer=request_key(body), total_s=120)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request, ready to send: its JSON body, the entries in it, the secrets of its certificates, and who sends."""

    body: bytes
    entries: tuple[bytes, ...]
    secrets: tuple[bytes, ...]
    sender: int = 0


def filing_number(body: int = 0) -> str:
    return f"Y{body:04d}51990002"


def record_key(number: int, body: int = 0) -> Ed25519Signer:
    return Ed25519Signer(_seed(f"record {number} of {body}"))


def request_key(body: int = 0) -> Ed25519Signer:
    return Ed25519Signer(_seed(f"request of {body}"))


def today() -> int:
    return day_of(datetime.now(timezone(timedelta(hours=8))).date())


Beside: TypeAlias = Callable[[Path, Sequence[str]], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def nobody(_folder: Path, _vkeys: Sequence[str]) -> AsyncIterator[None]:
    """A log that runs alone."""
    yield


@asynccontextmanager
async def running_log(folder: Path, beside: Beside = nobody, store: Sequence[str] = ()) -> AsyncIterator[RunningLog]:
    """Make a log in `folder` with the product's own commands and run it. `beside` runs what it needs, and gets its
    vkeys before it serves; `store` are the arguments of `init` for another store than the embedded one."""
    make_log(folder, store)
    async with served_log(folder, beside) as log:
        async with log.client() as client:
            await client.submit_authority(Authority(today()).filing())
        yield log


def make_log(folder: Path, options: Sequence[str] = ()) -> None:
    """`cert-ledger init` in `folder`, with these arguments more. Raises Failed."""
    genesis = folder / "genesis.cose"
    genesis.write_bytes(Authority(today()).genesis())
    run(
        ["-m", "ledger", "init", "--dir", str(folder / "log"), "--origin", ORIGIN, "--genesis", str(genesis), "--light",
         "--port", str(free_port()), *options],
        folder, SECRET,
    )  # fmt: skip


@asynccontextmanager
async def served_log(folder: Path, beside: Beside = nobody) -> AsyncIterator[RunningLog]:
    """Run the log that lies in `folder`; requests may be signed at once. Raises Failed."""
    vkeys, genesis = pins_of(folder)
    port = load_settings(LedgerSettings, folder / "log" / SETTINGS_FILE).port
    async with (
        beside(folder, vkeys),
        started(_serve(folder), folder / "ledger.log", port, "/readyz", SECRET) as process,
    ):
        await asyncio.sleep(1.1)  # a request signed in the second of the start is refused
        yield RunningLog(folder, f"http://127.0.0.1:{port}", process, vkeys, genesis)


def pins_of(folder: Path) -> tuple[tuple[str, ...], str]:
    """The vkeys of the log in `folder`, and the SHA-256 of its first entry in hex."""
    pins = json.loads((folder / "log" / "trust.json").read_bytes())
    return tuple(pins["log_keys"]), pins["genesis"]


async def restart_s(log: RunningLog) -> float:
    """Seconds from the start of a log that has been stopped until it is ready."""
    port = urlsplit(log.url).port or 0
    began = time.perf_counter()
    async with started(_serve(log.folder), log.folder / "again.log", port, "/readyz", SECRET):
        return time.perf_counter() - began


async def draw_parcels(
    client: LedgerClient, first: int, count: int, batch: int = BATCH, body: int = 0
) -> tuple[list[Parcel], float]:
    """`count` new certificates of a body (its `client`) from serial `first` on, in requests of `batch`; and tracks a
    second of the ledger."""
    people = [_person(serial, body) for serial in range(first, first + count)]
    tracks: list[bytes] = []
    began = time.perf_counter()
    for at in range(0, count, _TRACKS):
        tracks += await client.tracks(people[at : at + _TRACKS])
    rate = count / (time.perf_counter() - began)
    day = today()
    jobs = [(first + at, tracks[at : at + batch], day, body) for at in range(0, count, batch)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        parcels = await asyncio.gather(*(loop.run_in_executor(pool, _draw, *job) for job in jobs))
    return parcels, rate


def _draw(first: int, tracks: Sequence[bytes], day: int, sender: int) -> Parcel:
    signer = record_key(first // (_CAP // 2) % _SPARE_KEYS, sender)
    drawn = [certificate(first + at, track, day, signer, sender) for at, track in enumerate(tracks)]
    body = wire.encode(wire.SubmitRequest([wire.submission_body(submission) for _, submission in drawn]))
    return Parcel(body, tuple(s.entry for _, s in drawn), tuple(secret for secret, _ in drawn), sender)


def certificate(serial: int, track: bytes, day: int, signer: Ed25519Signer, body: int = 0) -> tuple[bytes, Submission]:
    """As an issuer draws it: a name, an ID document, an employer and a birth year; no photo."""
    secret, holder_code = os.urandom(16), os.urandom(16)
    grade = 2 + serial % 4
    number = build_number(filing_number(body), date_of(day).year, 7 - grade, serial // 4 + 1)  # unique with its level
    face = FaceOpening(os.urandom(16), number, f"例{chr(0x4E00 + serial % 5000)}")
    person = _person(serial, body)
    openings = {
        Field.ID_DOCUMENT: FieldOpening(
            Field.ID_DOCUMENT, os.urandom(16), [person.document_type, person.country, person.number]
        ),
        Field.EMPLOYER: FieldOpening(Field.EMPLOYER, os.urandom(16), "示例制造有限公司（样本）"),
        Field.BIRTH_YEAR: FieldOpening(Field.BIRTH_YEAR, os.urandom(16), 1980),
    }
    digests = rest_digests(openings, {place: os.urandom(32) for place in Field if place not in openings})
    issue = Issue(
        cert_key=cert_key_of(secret),
        filing_number=filing_number(body),
        occupation=OCCUPATION,
        trade="",
        grade=grade,
        level=7 - grade,
        issue_day=day,
        assessment_day=day - 7,
        route=Route.EXAM,
        standard=f"GZB-{OCCUPATION}",
        audience=Audience.PUBLIC,
        track_id=track,
        face=face.digest(),
        rest=rest_digest(digests),
    )
    entry = issue_entry(issue, signer)
    leaf = leaf_hash(entry)
    rest = RestContent(digests, (openings[Field.EMPLOYER], openings[Field.BIRTH_YEAR]))
    submission = Submission(
        entry, face, openings[Field.ID_DOCUMENT], digests, locator_of(secret),
        seal_face(secret, leaf, os.urandom(12), FaceContent(face)),
        seal_rest(holder_code, leaf, os.urandom(12), rest),
    )  # fmt: skip
    return secret, submission


def _person(serial: int, body: int) -> PersonLineage:
    """Nobody: region 000000 is assigned to nowhere. Another one for each serial of each body."""
    serial += body * 1_000_000
    first17 = f"000000{1950 + serial // 1000 // 300:04d}{serial // 1000 % 12 + 1:02d}"
    first17 += f"{serial // 12_000 % 28 + 1:02d}{serial % 1000:03d}"
    return PersonLineage(CITIZEN, UNKNOWN_COUNTRY, first17 + check_digit(first17), OCCUPATION)


def _serve(folder: Path) -> list[str]:
    return ["-m", "ledger", "serve", "--dir", str(folder / "log")]


def _seed(label: str) -> bytes:
    return sha256(b"cert-ledger bench " + label.encode()).digest()

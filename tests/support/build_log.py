"""A small real log for the verifier's tests: statements, seals, checkpoints, bundles, and a client that serves it.

Everything is made by the product's own code from fixed seeds; nothing here is random, and time is passed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from ledger.errors import Unavailable
from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis
from ledger.records.bundle import Bundle, LogProof
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest, rest_digests
from ledger.records.cose import sign_part
from ledger.records.envelope import FaceContent, holder_tag, seal_face
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, IssuerKind, Route
from ledger.records.qr import Code, format_fragment
from ledger.records.secret import cert_key_of, locator_of
from ledger.records.statements import Statement, issue_entry, parse_statement, propose
from ledger.records.status import authenticate_authority, authenticate_record
from ledger.reference_data import load_catalogue, load_ladder
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.protocol import Store
from ledger.store.sqlite import create_sqlite
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.tiles import EntriesTile, format_entries, parse_tile_path
from verifier.lookup import read_logged
from verifier.trust import Trust
from verifier.verify import Register

ORIGIN = "log.test.example/2026"
BASE = "https://cert.test.example"
FILING = "Y000051000001"
ISSUE_DAY = 20_600  # 2026-05-27
TIME = (ISSUE_DAY + 1) * 86_400_000  # ms: the first batch
OCCUPATION = "6-18-01-01"
MAP_DEPTH = 4


def octets(label: str, count: int = 32) -> bytes:
    """Fixed bytes that look random."""
    return (sha256(label.encode()).digest() * 2)[:count]


@dataclass(frozen=True)
class Certificate:
    """One certificate with everything its issuer and holder know."""

    secret: bytes
    holder_code: bytes
    statement: Statement
    issue: Issue
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]

    def code(self, index: int | None = None, base: str = BASE) -> Code:
        """The QR code: with a fragment when the log index is given."""
        fragment = b"" if index is None else format_fragment(self.statement, self.face, index)
        return Code(base, self.secret, fragment)

    def envelope(self) -> bytes:
        return seal_face(self.secret, self.statement.leaf_hash, bytes(12), FaceContent(self.face, b"thumbnail"))


@dataclass
class LogBuilder:
    """Builds one log on a real store, batch by batch."""

    store: Store
    integrator: Integrator
    origin: str = ORIGIN
    seed: str = ""
    time: int = TIME
    envelopes: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    async def create(cls, path: Path, *, origin: str = ORIGIN, seed: str = "", filed: bool = True) -> LogBuilder:
        """A log with its genesis and, unless `filed` is false, one filing, in one batch."""
        store = create_sqlite(path, private=False)
        await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
        builder = cls(store, await Integrator.open(store), origin, seed)
        entries = [builder.genesis_entry()]
        if filed:
            entries.append(builder.filing_entry())
        await builder.batch(entries)
        return builder

    @property
    def signer(self) -> CheckpointSigner:
        return CheckpointSigner(
            self.origin, Ed25519Signer(octets("log ed" + self.seed)), MlDsa44Signer(octets("log ml" + self.seed))
        )

    @property
    def record_key(self) -> Ed25519Signer:
        return Ed25519Signer(octets("record" + self.seed))

    @property
    def people(self) -> list[Ed25519Signer]:
        return sorted((Ed25519Signer(octets(f"authority {n}" + self.seed)) for n in range(3)), key=lambda s: s.public)

    def genesis(self) -> Genesis:
        return Genesis(self.origin, tuple(person.public for person in self.people), 2, ISSUE_DAY - 100)

    def filing(self, **changes: object) -> Filing:
        filing = Filing(
            number=FILING,
            name="示例机械有限公司",
            kind=IssuerKind.EMPLOYER,
            first_day=ISSUE_DAY - 90,
            last_day=ISSUE_DAY + 900,
            rows=(FilingRow(OCCUPATION, "", (2, 3, 4, 5), Audience.OWN_STAFF, ISSUE_DAY - 90),),
            record_keys=(FiledKey(self.record_key.public, ISSUE_DAY - 90),),
            request_keys=(FiledKey(Ed25519Signer(octets("request" + self.seed)).public, ISSUE_DAY - 90),),
        )
        return replace(filing, **changes)  # type: ignore[arg-type]

    def genesis_entry(self) -> bytes:
        return self._authority(self.genesis())

    def filing_entry(self, **changes: object) -> bytes:
        return self._authority(self.filing(**changes))

    def _authority(self, body: Genesis | Filing) -> bytes:
        proposal = propose(self.origin, body)
        parts = tuple(sign_part(proposal.protected, proposal.payload, person) for person in self.people[:2])
        return proposal.signed(parts)

    def certificate(
        self,
        label: str,
        *,
        grade: int = 4,
        track: str | None = None,
        name: str = "例小明",
        signer: Ed25519Signer | None = None,
        **changes: object,
    ) -> Certificate:
        """A signed certificate; `label` decides secret, salts and number."""
        secret = octets("secret " + label, 16)
        serial = int.from_bytes(octets("serial " + label, 4), "big") % 1_000_000
        face = FaceOpening(octets("face " + label, 16), f"{FILING}26{7 - grade}{serial:06}", name)
        openings = {
            f: FieldOpening(f, octets(f"field {f} {label}", 16), value)
            for f, value in ((Field.ID_DOCUMENT, ["111", "CHN", "990000200001010000"]), (Field.EMPLOYER, name + "厂"))
        }
        absent = {f: octets(f"absent {f} {label}") for f in Field if f not in openings}
        digests = rest_digests(openings, absent)
        issue = Issue(
            cert_key=cert_key_of(secret),
            filing_number=FILING,
            occupation=OCCUPATION,
            trade="",
            grade=grade,
            level=7 - grade,
            issue_day=ISSUE_DAY,
            assessment_day=ISSUE_DAY - 7,
            route=Route.EXAM,
            standard="6-18-01-01(2018)",
            audience=Audience.OWN_STAFF,
            track_id=octets("track " + (track or label), 16),
            face=face.digest(),
            rest=rest_digest(digests),
        )
        issue = replace(issue, **changes)  # type: ignore[arg-type]
        statement = parse_statement(issue_entry(issue, signer or self.record_key))
        return Certificate(
            secret, octets("holder " + label, 16), statement, issue, face, digests, tuple(openings.values())
        )

    async def batch(self, entries: Sequence[bytes], *, time: int | None = None) -> list[int]:
        """Admit the entries as one sealed batch; their indexes."""
        self.time = self.time + 1000 if time is None else time
        statements = [parse_statement(entry) for entry in entries]
        batch = await self.integrator.begin(statements, self.time)
        indexes = []
        for statement in statements:
            if statement.envelope.single:
                authentic = authenticate_record(statement, self.record_key.public)
            else:
                authentic = authenticate_authority(statement, self.genesis())
            indexes.append(batch.add(authentic))
        await self.integrator.commit(await batch.finish())
        return indexes

    async def issue(self, *certificates: Certificate) -> list[int]:
        """Admit certificates as one batch and keep their face envelopes."""
        for certificate in certificates:
            self.envelopes[locator_of(certificate.secret)] = certificate.envelope()
        return await self.batch([certificate.statement.entry for certificate in certificates])

    def checkpoint(self, time_ms: int | None = None) -> bytes:
        """The signed note of the current size."""
        head = self.integrator.head
        assert head is not None
        return self.signer.sign(Checkpoint(self.origin, head.size, head.root), (time_ms or self.time) // 1000)

    async def bundle(self, certificate: Certificate, index: int, time_ms: int | None = None) -> Bundle:
        head = self.integrator.head
        assert head is not None
        inclusion, seal_inclusion = await Hashes(self.store).inclusion([index, head.size - 1], head.size)
        (seal,) = await self.store.entries(head.size - 1, head.size)
        return Bundle(
            certificate.secret,
            certificate.holder_code,
            holder_tag(certificate.holder_code, certificate.statement.leaf_hash),
            certificate.statement.entry,
            certificate.face,
            certificate.digests,
            certificate.openings,
            LogProof(index, inclusion, self.checkpoint(time_ms), seal, seal_inclusion),
        )

    def trust(self, **changes: object) -> Trust:
        trust = Trust(
            origin=self.origin,
            keys=self.signer.vkeys,
            genesis=sha256(self.genesis_entry()).digest(),
            bases=(BASE,),
            freshness_ms=300_000,
            max_skew_ms=60_000,
            ladder=load_ladder(),
            catalogue=load_catalogue(),
        )
        return replace(trust, **changes)  # type: ignore[arg-type]


@dataclass
class FakeLedger:
    """Serves a built log as the ledger's HTTP client would. `altered` replaces single answers by path."""

    log: LogBuilder
    time_ms: int | None = None  # of the checkpoint; None: of the last batch
    altered: dict[str, bytes] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)

    async def checkpoint(self) -> bytes:
        self._ask("checkpoint")
        return self.altered.get("checkpoint") or self.log.checkpoint(self.time_ms)

    async def tile(self, path: str) -> bytes:
        self._ask(path)
        if path in self.altered:
            return self.altered[path]
        tile = parse_tile_path(path)
        if isinstance(tile, EntriesTile):
            start = tile.index * 256
            entries = await self.log.store.entries(start, start + tile.width)
            return format_entries(entries)
        body = await self.log.store.tile(tile.level, tile.index)
        assert body is not None
        return body[: tile.width * 32]

    async def envelope(self, locator: bytes, slot: str) -> bytes | None:
        self._ask("envelope")
        return self.log.envelopes.get(locator) if slot == "face" else None

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise Unavailable("the ledger does not answer")


async def register_of(
    log: LogBuilder, certificate: Certificate, *, time_ms: int | None = None, halted: bool = False
) -> Register:
    """What a replica that has followed `log` to its end would answer about `certificate`."""
    head = log.integrator.head
    assert head is not None
    state = await log.integrator.certificate(certificate.issue.cert_key)
    logged = None if state is None else await read_logged(log.integrator, state)
    filing = await log.integrator.filing(certificate.issue.filing_number)
    return Register(head.size, head.root, time_ms or log.time, logged, filing, halted)


@asynccontextmanager
async def served(ledger: FakeLedger) -> AsyncIterator[str]:
    """`ledger` over real HTTP on loopback; its address."""

    async def checkpoint(_: web.Request) -> web.Response:
        return await _answer(ledger.checkpoint())

    async def tile(request: web.Request) -> web.Response:
        return await _answer(ledger.tile("tile/" + request.match_info["path"]))

    async def envelope(request: web.Request) -> web.Response:
        info = request.match_info
        return await _answer(ledger.envelope(bytes.fromhex(info["locator"]), info["slot"]))

    app = web.Application()
    app.router.add_get("/checkpoint", checkpoint)
    app.router.add_get("/tile/{path:.+}", tile)
    app.router.add_get("/v1/envelopes/{locator}/{slot}", envelope)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _answer(content: Awaitable[bytes | None]) -> web.Response:
    try:
        body = await content
    except Unavailable:
        return web.Response(status=503)
    return web.Response(status=404) if body is None else web.Response(body=body)

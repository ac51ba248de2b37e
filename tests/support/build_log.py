"""A small real log for the verifier's tests: statements, seals, checkpoints, bundles, and a client that serves it.

Everything is made by the product's own code from fixed seeds; nothing here is random, and time is passed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web

from ledger.errors import Refused, Unavailable
from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis
from ledger.records.bundle import Bundle
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest, rest_digests
from ledger.records.cose import sign_part
from ledger.records.envelope import FaceContent, holder_tag, seal_face
from ledger.records.evidence import Evidence, format_evidence, parse_evidence
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, IssuerKind, Kind, Reason, Route
from ledger.records.life import Correct, Listed, Ruling
from ledger.records.qr import Code, format_fragment
from ledger.records.secret import cert_key_of, correction_locator, locator_of
from ledger.records.staple import Staple, compact
from ledger.records.statements import AuthorityBody, Statement, issue_entry, issuer_entry, parse_statement, propose
from ledger.records.status import authenticate_authority, authenticate_record
from ledger.reference_data import load_catalogue, load_ladder
from ledger.store.evidence import Basis, Prover
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.protocol import Store
from ledger.store.serving import Serving
from ledger.store.sqlite import create_sqlite
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner, add_cosignatures, format_checkpoint
from ledger.tlog.cosignature import ED25519_COSIGNATURE, cosign_ed25519
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import NoteSignature, VerifierKey
from ledger.tlog.policy import Policy, Witness
from ledger.tlog.tiles import EntriesTile, format_entries, parse_tile_path
from ledger.wire import evidence_question
from verifier.known_log import read_logged
from verifier.register import FiledTerms, Register
from verifier.trust import Trust

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


def _cosigner(name: str) -> tuple[VerifierKey, Ed25519Signer]:
    signer = Ed25519Signer(octets("cosigner " + name))
    return VerifierKey(name, ED25519_COSIGNATURE, signer.public), signer


WITNESS, AUDITOR = "witness.test.example", "auditor.test.example"
COSIGNERS = (_cosigner(WITNESS), _cosigner(AUDITOR))
POLICY = Policy((), (Witness("w", COSIGNERS[0][0]),), (), "w")
AUDITORS = (COSIGNERS[1][0],)


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
    thumbnail: bytes = b"thumbnail"

    def code(self, index: int | None = None, base: str = BASE) -> Code:
        """The QR code: with a fragment when the log index is given."""
        fragment = b"" if index is None else format_fragment(self.statement, self.face, index)
        return Code(base, self.secret, fragment)

    def envelope(self) -> bytes:
        return seal_face(self.secret, self.statement.leaf_hash, bytes(12), FaceContent(self.face, self.thumbnail))


@dataclass
class LogBuilder:
    """Builds one log on a real store, batch by batch."""

    store: Store
    integrator: Integrator
    origin: str = ORIGIN
    seed: str = ""
    time: int = TIME
    envelopes: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)  # locator -> cert key, sealed face
    cosigned_by: tuple[str, ...] = ()  # names of COSIGNERS that cosign every checkpoint
    pair: str = ""  # another one: the log has changed its keys

    @classmethod
    async def create(
        cls, path: Path, *, origin: str = ORIGIN, seed: str = "", filed: bool = True, store: Store | None = None
    ) -> LogBuilder:
        """A log with its genesis and, unless `filed` is false, one filing, in one batch. `store` is an empty one to use
        instead of a new file at `path`."""
        store = store or create_sqlite(path, private=False)
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
            self.origin,
            Ed25519Signer(octets("log ed" + self.seed + self.pair)),
            MlDsa44Signer(octets("log ml" + self.seed + self.pair)),
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
        return self.by_authority(self.genesis())

    def filing_entry(self, **changes: object) -> bytes:
        return self.by_authority(self.filing(**changes))

    def by_authority(self, body: AuthorityBody) -> bytes:
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
        photo: bytes = b"",
        **changes: object,
    ) -> Certificate:
        """A signed certificate; `label` decides secret, salts and number. A `photo` is committed to."""
        secret = octets("secret " + label, 16)
        serial = int.from_bytes(octets("serial " + label, 4), "big") % 1_000_000
        face = FaceOpening(octets("face " + label, 16), f"{FILING}26{7 - grade}{serial:06}", name)
        openings = {
            f: FieldOpening(f, octets(f"field {f} {label}", 16), value)
            for f, value in ((Field.ID_DOCUMENT, ["111", "CHN", "990000200001010000"]), (Field.EMPLOYER, name + "厂"))
        }
        if photo:
            openings[Field.PHOTO] = FieldOpening(Field.PHOTO, octets(f"photo {label}", 16), sha256(photo).digest())
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
            secret,
            octets("holder " + label, 16),
            statement,
            issue,
            face,
            digests,
            tuple(openings[f] for f in sorted(openings)),
            photo or b"thumbnail",
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
            self.keep(certificate)
        return await self.batch([certificate.statement.entry for certificate in certificates])

    def keep(self, certificate: Certificate, sealed: bytes | None = None, *, correction: bytes = b"") -> None:
        """Keep a face envelope, by default the certificate's own; or that of a correction with this leaf hash."""
        secret = certificate.secret
        locator = correction_locator(secret, correction) if correction else locator_of(secret)
        self.envelopes[locator] = certificate.issue.cert_key, certificate.envelope() if sealed is None else sealed

    async def rule(self, kind: Kind, *certificates: Certificate, reason: Reason = Reason.UNDER_REVIEW) -> int:
        """Suspend, restore or revoke certificates, in a batch of its own; its index."""
        whom = Listed(tuple(sorted(certificate.issue.cert_key for certificate in certificates)))
        (index,) = await self.batch([issuer_entry(Ruling(kind, whom, reason, ISSUE_DAY, FILING), self.record_key)])
        return index

    async def correct(self, certificate: Certificate, name: str) -> FaceOpening:
        """Correct the name of a certificate; the opening that counts from then on."""
        face = replace(certificate.face, salt=octets("corrected " + name, 16), name=name)
        said = Correct(
            certificate.issue.cert_key,
            Reason.DATA_ERROR,
            ISSUE_DAY,
            face.digest(),
            certificate.issue.rest,
            issuer=FILING,
        )
        entry = issuer_entry(said, self.record_key)
        await self.batch([entry])
        leaf = parse_statement(entry).leaf_hash
        sealed = seal_face(certificate.secret, leaf, bytes(12), FaceContent(face))
        self.keep(certificate, sealed, correction=leaf)
        return face

    def checkpoint(self, time_ms: int | None = None) -> bytes:
        """The signed note of the current size."""
        head = self.integrator.head
        assert head is not None
        checkpoint, time_s = Checkpoint(self.origin, head.size, head.root), (time_ms or self.time) // 1000
        note = self.signer.sign(checkpoint, time_s)
        text = format_checkpoint(checkpoint)
        lines = [
            NoteSignature(key.name, key.key_id, cosign_ed25519(signer, text, time_s))
            for key, signer in COSIGNERS
            if key.name in self.cosigned_by
        ]
        return add_cosignatures(note, lines)

    def prover(self) -> Prover:
        """Who gives evidence under the present head."""
        return Prover(self.integrator, Hashes(self.store), Serving(self.integrator))

    async def evidence(
        self, cert_key: bytes, *, time_ms: int | None = None, note: bytes | None = None, **asked: int
    ) -> Evidence:
        """Evidence under the present checkpoint, or under `note` of the same size."""
        checkpoint = self.checkpoint(time_ms) if note is None else note
        basis = Basis(self.integrator.size, checkpoint, time_ms or self.time)
        if "size" in asked:
            return parse_evidence(await self.prover().at_size(cert_key, asked["size"], basis))
        if "day" in asked:
            return parse_evidence(await self.prover().at_day(cert_key, asked["day"], basis))
        return parse_evidence(await self.prover().current(cert_key, basis))

    async def bundle(self, certificate: Certificate, **how: Any) -> Bundle:
        evidence = await self.evidence(certificate.issue.cert_key, **how)
        return Bundle(
            certificate.secret,
            certificate.holder_code,
            holder_tag(certificate.holder_code, certificate.statement.leaf_hash),
            certificate.face,
            certificate.digests,
            certificate.openings,
            evidence,
        )

    async def staple(self, certificate: Certificate, **how: Any) -> Staple:
        evidence = await self.evidence(certificate.issue.cert_key, **how)
        return Staple(certificate.secret, certificate.face, compact(evidence))

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

    async def envelope(self, issued: int, locator: bytes, slot: str) -> bytes | None:
        self._ask("envelope")
        cert_key, sealed = self.log.envelopes.get(locator, (b"", b""))
        state = await self.log.integrator.certificate(cert_key)
        return sealed if state is not None and state.issue_index == issued and slot == "face" else None

    async def evidence(
        self, cert_key: bytes, *, size: int | None = None, day: int | None = None, cosigned: Sequence[VerifierKey] = ()
    ) -> bytes:
        """Always under the newest head, whose line ever is asked for."""
        self._ask("evidence")
        if "evidence" in self.altered:
            return self.altered["evidence"]
        asked = {name: value for name, value in (("size", size), ("day", day)) if value is not None}
        note = await self.checkpoint()
        return format_evidence(await self.log.evidence(cert_key, note=note, time_ms=self.time_ms, **asked))

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise Unavailable(Text("没有应答", "the ledger does not answer"))


async def register_of(
    log: LogBuilder, certificate: Certificate, *, time_ms: int | None = None, halted: bool = False
) -> Register:
    """What a replica that has followed `log` to its end would answer about `certificate`."""
    head = log.integrator.head
    assert head is not None
    state = await log.integrator.certificate(certificate.issue.cert_key)
    logged = None if state is None else await read_logged(log.integrator, state)
    filing = await log.integrator.filing(certificate.issue.filing_number)
    terms = None if filing is None else FiledTerms(filing.terms, filing.terms_leaf)
    return Register(head.size, head.root, time_ms or log.time, logged, terms, halted)


@asynccontextmanager
async def served(ledger: FakeLedger) -> AsyncIterator[str]:
    """`ledger` over real HTTP on loopback; its address."""

    async def checkpoint(_: web.Request) -> web.Response:
        return await _answer(ledger.checkpoint())

    async def tile(request: web.Request) -> web.Response:
        return await _answer(ledger.tile("tile/" + request.match_info["path"]))

    async def envelope(request: web.Request) -> web.Response:
        info = request.match_info
        return await _answer(ledger.envelope(int(info["issued"]), bytes.fromhex(info["locator"]), info["slot"]))

    async def evidence(request: web.Request) -> web.Response:
        size, day = evidence_question({name: value for name, value in request.query.items() if name != "cosigned"})
        return await _answer(ledger.evidence(bytes.fromhex(request.match_info["cert_key"]), size=size, day=day))

    app = web.Application()
    app.router.add_get("/v1/evidence/{cert_key}", evidence)
    app.router.add_get("/checkpoint", checkpoint)
    app.router.add_get("/tile/{path:.+}", tile)
    app.router.add_get("/v1/envelopes/{issued}/{locator}/{slot}", envelope)
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
    except Refused as refusal:
        words = {"zh": refusal.text.zh, "en": refusal.text.en}
        return web.json_response({"error": {"code": refusal.code, "field": refusal.field, **words}}, status=422)
    return web.Response(status=404) if body is None else web.Response(body=body)

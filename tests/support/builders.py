"""An authority, assessment bodies and certificates for tests: pure, and the same bytes for the same seed.

authority = make_authority()                          three people, threshold 2
body = make_body()                                    filing, record key, request key
certificate = body.certificate("a", grade=4)          signed, with every opening; `.submission()` for the ledger
authority.sign(body.filing)                           a Statement; `by=(0, 2)` picks who signs
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis
from ledger.records.bundle import Bundle, LogProof
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest, rest_digests
from ledger.records.cose import sign_part
from ledger.records.dates import date_of
from ledger.records.documents import CITIZEN, check_digit
from ledger.records.envelope import FaceContent, RestContent, holder_tag, seal_face, seal_rest
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, IssuerKind, Route
from ledger.records.secret import cert_key_of, locator_of
from ledger.records.statements import AuthorityBody, Statement, issue_entry, parse_statement, propose
from ledger.tlog.keys import Ed25519Signer
from ledger.wire import Submission

ORIGIN = "log.test.example/2026"
NUMBER = "Y000051000001"  # filing number
OCCUPATION = "6-18-01-01"
TRADE = "数控车工"
DAY = 20_600  # 2026-05-27: issue date of every certificate unless said otherwise
TIME = DAY * 86_400_000 + 4 * 3_600_000  # ms: noon of that day in Asia/Shanghai
WINDOW = (DAY - 400, DAY + 900)


def octets(label: str, count: int = 32) -> bytes:
    """Up to 64 fixed bytes that look random."""
    return (sha256(label.encode()).digest() + sha256(b"\n" + label.encode()).digest())[:count]


def key(label: str) -> Ed25519Signer:
    return Ed25519Signer(octets("key " + label))


@dataclass(frozen=True, slots=True)
class Authority:
    """The people who file bodies. `people` are in the order of their public keys, as genesis lists them."""

    origin: str
    people: tuple[Ed25519Signer, ...]
    threshold: int

    @property
    def genesis(self) -> Genesis:
        return Genesis(self.origin, tuple(person.public for person in self.people), self.threshold, WINDOW[0])

    def sign(self, what: AuthorityBody, *, by: tuple[int, ...] = (0, 1), origin: str = "") -> Statement:
        proposal = propose(origin or self.origin, what)
        parts = tuple(sign_part(proposal.protected, proposal.payload, self.people[who]) for who in by)
        return parse_statement(proposal.signed(parts))


@dataclass(frozen=True, slots=True)
class Certificate:
    """One signed certificate with everything that its issuer and its holder know."""

    secret: bytes
    holder_code: bytes
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]  # the ID document's first
    issue: Issue
    statement: Statement

    def face_envelope(self, thumbnail: bytes = b"thumbnail") -> bytes:
        return seal_face(self.secret, self.statement.leaf_hash, bytes(12), FaceContent(self.face, thumbnail))

    def rest_envelope(self) -> bytes:
        content = RestContent(self.digests, self.openings[1:])
        return seal_rest(self.holder_code, self.statement.leaf_hash, bytes(12), content)

    def submission(self) -> Submission:
        """What the issuer sends to the ledger."""
        return Submission(
            self.statement.entry,
            self.face,
            self.openings[0],
            self.digests,
            locator_of(self.secret),
            self.face_envelope(),
            self.rest_envelope(),
        )

    def bundle(self, proof: LogProof) -> Bundle:
        """What the holder carries."""
        tag = holder_tag(self.holder_code, self.statement.leaf_hash)
        return Bundle(
            self.secret,
            self.holder_code,
            tag,
            self.statement.entry,
            self.face,
            self.digests,
            self.openings,
            proof,
        )


@dataclass(frozen=True, slots=True)
class Body:
    """An assessment body: its filing and its keys."""

    filing: Filing
    record: Ed25519Signer
    request: Ed25519Signer

    def certificate(
        self,
        label: str,
        *,
        grade: int = 4,
        day: int = DAY,
        name: str = "例小明",
        person: str = "",
        track: bytes = b"",
        signer: Ed25519Signer | None = None,
        **changes: Any,
    ) -> Certificate:
        """Sign a certificate. `label` decides secret, salts and serial; `person` (default: the label) the ID
        document and, unless `track` is given, the track. `changes` replace fields of the Issue before signing.
        """
        person = person or label
        secret = octets("secret " + label, 16)
        serial = int.from_bytes(octets("serial " + label, 4), "big") % 999_999 + 1
        number = f"{self.filing.number}{date_of(day).year % 100:02}{7 - grade}{serial:06}"
        face = FaceOpening(octets("face " + label, 16), number, name)
        values = {Field.ID_DOCUMENT: [CITIZEN, "CHN", id_number(person)], Field.EMPLOYER: "示例机械有限公司"}
        openings = {f: FieldOpening(f, octets(f"field {f} {label}", 16), value) for f, value in values.items()}
        digests = rest_digests(openings, {f: octets(f"absent {f} {label}") for f in Field if f not in openings})
        issue = Issue(
            cert_key=cert_key_of(secret),
            filing_number=self.filing.number,
            occupation=OCCUPATION,
            trade="",
            grade=grade,
            level=7 - grade,
            issue_day=day,
            assessment_day=day - 7,
            route=Route.EXAM,
            standard="6-18-01-01(2018)",
            audience=Audience.OWN_STAFF,
            track_id=track or octets("track " + person, 16),
            face=face.digest(),
            rest=rest_digest(digests),
        )
        issue = replace(issue, **changes)
        statement = parse_statement(issue_entry(issue, signer or self.record))
        code = octets("holder " + label, 16)
        return Certificate(secret, code, face, digests, tuple(openings.values()), issue, statement)


def make_authority(seed: str = "", *, people: int = 3, threshold: int = 2, origin: str = ORIGIN) -> Authority:
    signers = sorted((key(f"authority {at} {seed}") for at in range(people)), key=lambda person: person.public)
    return Authority(origin, tuple(signers), threshold)


def make_body(seed: str = "", **changes: Any) -> Body:
    """A body filed for every certificate grade of one occupation. `changes` replace fields of its Filing."""
    record, request = key("record " + seed), key("request " + seed)
    filing = Filing(
        number=NUMBER,
        name="示例机械有限公司",
        kind=IssuerKind.EMPLOYER,
        first_day=WINDOW[0],
        last_day=WINDOW[1],
        rows=(FilingRow(OCCUPATION, "", (2, 3, 4, 5, 6), Audience.OWN_STAFF, WINDOW[0]),),
        record_keys=(FiledKey(record.public, WINDOW[0]),),
        request_keys=(FiledKey(request.public, WINDOW[0]),),
    )
    return Body(replace(filing, **changes), record, request)


def id_number(person: str) -> str:
    """An invented resident identity number: region 009900 is not assigned, the check digit is right."""
    draw = int.from_bytes(octets("id " + person, 8), "big")
    born = f"{1960 + draw % 40}{draw // 40 % 12 + 1:02}{draw // 480 % 28 + 1:02}"
    first17 = f"009900{born}{draw // 13_440 % 1000:03}"
    return first17 + check_digit(first17)

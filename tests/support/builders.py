"""An authority, assessment bodies and certificates for tests: pure, and the same bytes for the same seed.

authority = make_authority()                          three people, threshold 2
body = make_body()                                    filing, record key, request key
certificate = body.certificate("a", grade=4)          signed, with every opening; `.submission()` for the ledger
post = body.post("t", grade=7, on=certificate)        an appointment; `body.reissue("b", certificate)` a reissue
authority.sign(body.filing)                           a Statement; `by=(0, 2)` picks who signs
body.sign(ruling(Kind.SUSPEND, certificate))          a Statement; `authority.sign(…)` of the same for the authority
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeAlias

from ledger.records.appointment import Appoint
from ledger.records.authority import FiledKey, Filing, FilingRow, Genesis
from ledger.records.bundle import Bundle
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest, rest_digests
from ledger.records.cose import sign_part
from ledger.records.dates import date_of
from ledger.records.documents import CITIZEN, check_digit
from ledger.records.envelope import FaceContent, RestContent, holder_tag, seal_face, seal_rest
from ledger.records.evidence import Evidence
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, FilingStatus, IssuerKind, KeyStatus, Kind, Reason, Route
from ledger.records.life import Correct, EndAppointment, Listed, Range, Ruling
from ledger.records.pack import Pack
from ledger.records.permit import LatePermit, permit_root, permitted_hash, prove_permitted
from ledger.records.secret import cert_key_of, locator_of
from ledger.records.staple import Staple
from ledger.records.statements import (
    AuthorityBody,
    Statement,
    issue_entry,
    issuer_entry,
    parse_statement,
    propose,
)
from ledger.records.supervision import FilingStanding, KeyStanding
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
        return sign_together(what, [self.people[who] for who in by], origin or self.origin)


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

    def bundle(self, evidence: Evidence) -> Bundle:
        """What the holder carries."""
        tag = holder_tag(self.holder_code, self.statement.leaf_hash)
        return Bundle(self.secret, self.holder_code, tag, self.face, self.digests, self.openings, evidence)

    def staple(self, evidence: Evidence) -> Staple:
        """What goes with the printed certificate."""
        return Staple(self.secret, self.face, evidence)


@dataclass(frozen=True, slots=True)
class Post:
    """One signed appointment with everything that employer and holder know."""

    secret: bytes
    holder_code: bytes
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]
    appoint: Appoint
    statement: Statement


Named: TypeAlias = Certificate | Post | bytes  # what a statement names by its cert key


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
        face, openings, digests = self._openings(label, str(7 - grade), day, name, person)
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
        return Certificate(secret, code, face, digests, openings, issue, statement)

    def with_number_of(self, other: Certificate) -> Certificate:
        """For the same person, in a trade of that occupation, under the same number: the log refuses it."""
        secret = octets("twin " + other.secret.hex(), 16)
        face = replace(other.face, salt=octets("face " + secret.hex(), 16))
        issue = replace(other.issue, cert_key=cert_key_of(secret), face=face.digest(), trade=TRADE)
        statement = parse_statement(issue_entry(issue, self.record))
        return replace(other, secret=secret, face=face, issue=issue, statement=statement)

    def reissue(
        self, label: str, old: Certificate, *, signer: Ed25519Signer | None = None, **changes: Any
    ) -> Certificate:
        """The same certificate under a new secret; number, name and ID document stay."""
        secret = octets("secret " + label, 16)
        face = replace(old.face, salt=octets("face " + label, 16))
        issue = replace(
            old.issue, cert_key=cert_key_of(secret), replaces=old.issue.cert_key, permit=None, face=face.digest()
        )
        issue = replace(issue, **changes)
        statement = parse_statement(issue_entry(issue, signer or self.record))
        return Certificate(secret, octets("holder " + label, 16), face, old.digests, old.openings, issue, statement)

    def post(
        self,
        label: str,
        *,
        grade: int = 7,
        on: Certificate | Post | None = None,
        day: int = DAY,
        name: str = "例小明",
        person: str = "",
        signer: Ed25519Signer | None = None,
        **changes: Any,
    ) -> Post:
        """Sign an appointment that builds `on` another certificate, whose person and track it takes."""
        person = person or label
        secret = octets("secret " + label, 16)
        face, openings, digests = self._openings(label, "T", day, name, person)
        base = on.issue if isinstance(on, Certificate) else on.appoint if on else None
        appoint = Appoint(
            cert_key=cert_key_of(secret),
            filing_number=self.filing.number,
            occupation=OCCUPATION,
            trade="",
            grade=grade,
            issue_day=day,
            first_day=day,
            last_day=0,
            basis="示例聘〔2026〕1号",
            track_id=base.track_id if base else octets("track " + person, 16),
            face=face.digest(),
            rest=rest_digest(digests),
            prerequisite=base.cert_key if base else octets("no prerequisite"),
        )
        appoint = replace(appoint, **changes)
        statement = parse_statement(issue_entry(appoint, signer or self.record))
        return Post(secret, octets("holder " + label, 16), face, digests, openings, appoint, statement)

    def sign(
        self, what: Ruling | Correct | EndAppointment | KeyStanding | Pack, *, signer: Ed25519Signer | None = None
    ) -> Statement:
        """What the body states about its own certificates and keys, and the pack of its wages."""
        if not isinstance(what, KeyStanding):
            what = replace(what, issuer=self.filing.number)
        return parse_statement(issuer_entry(what, signer or self.record))

    def _openings(
        self, label: str, mark: str, day: int, name: str, person: str
    ) -> tuple[FaceOpening, tuple[FieldOpening, ...], tuple[bytes, ...]]:
        serial = int.from_bytes(octets("serial " + label, 4), "big") % 999_999 + 1
        number = f"{self.filing.number}{date_of(day).year % 100:02}{mark}{serial:06}"
        face = FaceOpening(octets("face " + label, 16), number, name)
        values = {Field.ID_DOCUMENT: [CITIZEN, "CHN", id_number(person)], Field.EMPLOYER: "示例机械有限公司"}
        openings = {f: FieldOpening(f, octets(f"field {f} {label}", 16), value) for f, value in values.items()}
        digests = rest_digests(openings, {f: octets(f"absent {f} {label}") for f in Field if f not in openings})
        return face, tuple(openings.values()), digests


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


SECOND = key("second record")


def two_keys(**changes: Any) -> Body:
    """The standard body with a second record key, SECOND."""
    body = make_body()
    keys = (*body.filing.record_keys, FiledKey(SECOND.public, WINDOW[0]))
    return replace(body, filing=replace(body.filing, record_keys=keys, **changes))


def id_number(person: str) -> str:
    """An invented resident identity number: regions 0099xx are not assigned, the check digit is right. There are more
    than a billion, so that no two of a log's thousands are the same."""
    draw = int.from_bytes(octets("id " + person, 8), "big")
    born = f"{1960 + draw % 40}{draw // 40 % 12 + 1:02}{draw // 480 % 28 + 1:02}"
    first17 = f"0099{draw // 13_440_000 % 100:02}{born}{draw // 13_440 % 1000:03}"
    return first17 + check_digit(first17)


def sign_together(what: AuthorityBody, signers: Sequence[Ed25519Signer], origin: str = ORIGIN) -> Statement:
    """A statement of the authority, signed by exactly these people."""
    proposal = propose(origin, what)
    parts = tuple(sign_part(proposal.protected, proposal.payload, signer) for signer in signers)
    return parse_statement(proposal.signed(parts))


def cert_key(named: Named) -> bytes:
    if isinstance(named, bytes):
        return named
    return named.issue.cert_key if isinstance(named, Certificate) else named.appoint.cert_key


def ruling(kind: Kind, *whom: Named | Range, day: int = DAY, reason: Reason = Reason.UNDER_REVIEW) -> Ruling:
    """Suspend, restore or revoke: one certificate, several, or one range."""
    first = whom[0]
    if isinstance(first, Range):
        return Ruling(kind, first, reason, day)
    return Ruling(kind, Listed(tuple(sorted(cert_key(one) for one in whom if not isinstance(one, Range)))), reason, day)


def correct(named: Named, label: str = "corrected", *, track: bytes = b"", day: int = DAY) -> Correct:
    """New commitments that nobody opens; `track` moves the certificate."""
    face, rest = octets("face " + label), octets("rest " + label)
    return Correct(cert_key(named), Reason.NAME_CHANGED, day, face, rest, track)


def end(post: Named, *, day: int = DAY) -> EndAppointment:
    return EndAppointment(cert_key(post), Reason.POST_ENDED, day, NUMBER)


def filing_standing(status: FilingStatus, *, day: int = DAY, number: str = NUMBER) -> FilingStanding:
    return FilingStanding(number, status, Reason.AUTHORITY_DECISION, day)


def key_standing(
    public: bytes, status: KeyStatus = KeyStatus.COMPROMISED, *, void_from: int | None = None, number: str = NUMBER
) -> KeyStanding:
    return KeyStanding(number, public, status, DAY, void_from)


def late(
    authority: Authority, body: Body, *labels: str, day: int, window: tuple[int, int] | None = None, **changes: Any
) -> tuple[Statement, list[Certificate]]:
    """A late permit for these certificates, issued on `day`, and the certificates with their proofs."""
    plain = [body.certificate(label, day=day, **changes).issue for label in labels]
    hashes = [permitted_hash(issue.filing_number, issue.cert_key, issue.as_map()) for issue in plain]
    first, last = window or (day, day)
    number = body.filing.number
    permit = LatePermit(number, Reason.AUTHORITY_DECISION, first, last, permit_root(hashes), len(hashes))
    signed = authority.sign(permit)
    proofs = [prove_permitted(hashes, at, signed.leaf_hash) for at in range(len(hashes))]
    return signed, [
        body.certificate(label, day=day, permit=proof, **changes) for label, proof in zip(labels, proofs, strict=True)
    ]

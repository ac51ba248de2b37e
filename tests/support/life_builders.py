"""What is stated about certificates after they were issued, for tests: signed, and the same bytes for the same seed.

ruling(body, Kind.SUSPEND, a, b)              a Statement by the body's record key
correction(body, a, name="例小红")              signed, with its new openings; `.submission()` for the ledger
reissue(body, a, "again")                     a Certificate in place of another
post(body, "p", track=…, prerequisite=…)      a 特级技师 or 首席技师
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ledger.records.appointment import Appoint
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest, rest_digests
from ledger.records.dates import date_of
from ledger.records.documents import CITIZEN
from ledger.records.envelope import FaceContent, RestContent, seal_face, seal_rest
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Correct, EndAppointment, Listed, Ruling
from ledger.records.secret import cert_key_of, correction_locator
from ledger.records.statements import Statement, issue_entry, issuer_entry, parse_statement
from ledger.wire import BareSubmission, Submission
from tests.support.builders import DAY, OCCUPATION, Authority, Body, Certificate, id_number, octets


def ruling(
    body: Body, kind: Kind, *certificates: Certificate, day: int = DAY, reason: Reason = Reason.OTHER, **changes: Any
) -> Statement:
    """Suspend, restore or revoke, one or a list. `changes` replace fields of the Ruling before signing."""
    whom = Listed(tuple(sorted(certificate.issue.cert_key for certificate in certificates)))
    said = replace(Ruling(kind, whom, reason, day, body.filing.number), **changes)
    return parse_statement(issuer_entry(said, body.record))


def end(body: Body, cert_key: bytes, *, day: int = DAY) -> Statement:
    said = EndAppointment(cert_key, Reason.POST_ENDED, day, body.filing.number)
    return parse_statement(issuer_entry(said, body.record))


def bare(statement: Statement) -> BareSubmission:
    return BareSubmission(statement.entry)


@dataclass(frozen=True, slots=True)
class Correction:
    """A signed correction with everything that the issuer knows of it."""

    certificate: Certificate  # as issued
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]
    said: Correct
    statement: Statement

    def submission(self) -> Submission:
        secret, leaf = self.certificate.secret, self.statement.leaf_hash
        rest = RestContent(self.digests, self.openings[1:])
        return Submission(
            self.statement.entry,
            self.face,
            self.openings[0],
            self.digests,
            correction_locator(secret, leaf),
            seal_face(secret, leaf, bytes(12), FaceContent(self.face)),
            seal_rest(self.certificate.holder_code, leaf, bytes(12), rest),
        )


def correction(
    body: Body,
    certificate: Certificate,
    label: str = "corrected",
    *,
    name: str = "",
    person: str = "",
    number: str = "",
    track: bytes = b"",
    day: int = DAY,
    authority: Authority | None = None,
    **changes: Any,
) -> Correction:
    """A correction by the body, or with `authority` by two of its people. `person` names another ID document and
    `track` where it moves; `changes` replace fields of the Correct before signing.
    """
    old = certificate.face
    face = FaceOpening(octets(f"face {label}", 16), number or old.number, name or old.name)
    opened = {opening.field: opening for opening in certificate.openings}
    if person:
        value = [CITIZEN, "CHN", id_number(person)]
        opened[Field.ID_DOCUMENT] = FieldOpening(Field.ID_DOCUMENT, octets(f"document {label}", 16), value)
    digests = rest_digests(opened, {f: octets(f"absent {f} {label}") for f in Field if f not in opened})
    said = Correct(
        certificate.issue.cert_key,
        Reason.DATA_ERROR,
        day,
        face.digest(),
        rest_digest(digests),
        track,
        "" if authority else body.filing.number,
    )
    said = replace(said, **changes)
    statement = authority.sign(said) if authority else parse_statement(issuer_entry(said, body.record))
    return Correction(certificate, face, digests, tuple(opened.values()), said, statement)


def reissue(body: Body, certificate: Certificate, label: str, **changes: Any) -> Certificate:
    """The same certificate again under another secret. `changes` replace fields of the Issue before signing."""
    secret = octets("secret " + label, 16)
    face = replace(certificate.face, salt=octets("face " + label, 16))
    issue = replace(
        certificate.issue,
        cert_key=cert_key_of(secret),
        face=face.digest(),
        replaces=certificate.issue.cert_key,
        permit=None,
    )
    issue = replace(issue, **changes)
    statement = parse_statement(issue_entry(issue, body.record))
    return replace(certificate, secret=secret, face=face, issue=issue, statement=statement)


@dataclass(frozen=True, slots=True)
class Post:
    """A signed appointment. `certificate` has its openings; its `issue` is that of the draft, and means nothing."""

    certificate: Certificate
    said: Appoint

    def submission(self) -> Submission:
        return self.certificate.submission()


def post(
    body: Body, label: str, *, grade: int = 7, person: str = "", track: bytes, day: int = DAY, **changes: Any
) -> Post:
    """An appointment; its number has a letter where grades have a digit. `changes` replace fields of the Appoint."""
    draft = body.certificate(label, person=person, day=day, track=track)
    serial = draft.face.number[16:]
    number = f"{body.filing.number}{date_of(day).year % 100:02}T{serial}"
    face = replace(draft.face, number=number)
    said = Appoint(
        cert_key=draft.issue.cert_key,
        filing_number=body.filing.number,
        occupation=OCCUPATION,
        trade="",
        grade=grade,
        issue_day=day,
        first_day=day,
        last_day=0,
        basis="示例聘字〔2026〕1号",
        track_id=track,
        face=face.digest(),
        rest=draft.issue.rest,
        prerequisite=bytes(32),
    )
    said = replace(said, **changes)
    statement = parse_statement(issue_entry(said, body.record))
    return Post(replace(draft, face=face, statement=statement), said)

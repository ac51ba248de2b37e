"""From a checked roster row to a certificate that is ready to sign: everything random is drawn here, once.

    RosterRow → Draft → SignedCertificate (issue.py) → logged with a verified receipt (receipt.py)

A draft fixes secret, holder code, salts and nonces, so that signing it twice gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from issuer.photos import Photo
from issuer.roster.rows import RosterRow
from ledger.records import canonical
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest, rest_digests
from ledger.records.dates import date_of
from ledger.records.envelope import NONCE_BYTES
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, Route
from ledger.records.secret import SECRET_BYTES, cert_key_of
from ledger.wire import PersonLineage

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a row does not say itself: under which filing, by which route, for whom, to which standard."""

    filing_number: str
    route: Route
    audience: Audience
    standard: str


@dataclass(frozen=True, slots=True)
class Draft:
    """One certificate before the signature. Secrets have 16 bytes, nonces 12."""

    row: int  # as in the sheet
    secret: bytes
    holder_code: bytes
    face: FaceOpening
    openings: tuple[FieldOpening, ...]  # in order of their fields; the ID document is always the first
    digests: tuple[bytes, ...]  # the eight of `rest`
    thumbnail: bytes  # JPEG, empty without a photo
    face_nonce: bytes
    rest_nonce: bytes
    issue: Issue

    def __post_init__(self) -> None:
        assert len(self.secret) == len(self.holder_code) == SECRET_BYTES
        assert len(self.face_nonce) == len(self.rest_nonce) == NONCE_BYTES
        assert self.openings[0].field is Field.ID_DOCUMENT, "every certificate names a person"
        assert self.issue.cert_key == cert_key_of(self.secret), "the cert key follows from the secret"


def person_lineage(row: RosterRow) -> PersonLineage:
    """Whose track this certificate joins: the person by document identity, in the occupation's lineage."""
    return PersonLineage(*row.document.identity, row.occupation.lineage)


def draw_draft(row: RosterRow, terms: Terms, track_id: bytes, photo: Photo | None, random_bytes: RandomBytes) -> Draft:
    """Draw everything random for one row. Raises Malformed when a value does not fit its place in a statement."""
    secret, holder_code = random_bytes(SECRET_BYTES), random_bytes(SECRET_BYTES)
    face = FaceOpening(random_bytes(16), row.number.text, row.name)
    openings = {field: FieldOpening(field, random_bytes(16), value) for field, value in _values(row, photo).items()}
    absent = {field: random_bytes(32) for field in Field if field not in openings}
    digests = rest_digests(openings, absent)
    assert row.grade.national_level is not None, "the check lets only certificates through"
    issue = Issue(
        cert_key=cert_key_of(secret),
        filing_number=terms.filing_number,
        occupation=row.occupation.code,
        trade=row.trade,
        grade=row.grade.ordinal,
        level=row.grade.national_level,
        issue_day=row.issue_day,
        assessment_day=row.assessment_day,
        route=terms.route,
        standard=terms.standard,
        audience=terms.audience,
        track_id=track_id,
        face=face.digest(),
        rest=rest_digest(digests),
    )
    return Draft(
        row=row.row,
        secret=secret,
        holder_code=holder_code,
        face=face,
        openings=tuple(openings[field] for field in Field if field in openings),
        digests=digests,
        thumbnail=photo.thumbnail if photo else b"",
        face_nonce=random_bytes(NONCE_BYTES),
        rest_nonce=random_bytes(NONCE_BYTES),
        issue=issue,
    )


def _values(row: RosterRow, photo: Photo | None) -> dict[Field, canonical.Value]:
    """The fields of `rest` that this row fills."""
    document = row.document
    values: dict[Field, canonical.Value] = {Field.ID_DOCUMENT: [document.type_code, document.country, document.number]}
    if photo is not None:
        values[Field.PHOTO] = photo.digest
    if row.scores:
        values[Field.SCORES] = [list(score) for score in row.scores]
    if row.employer:
        values[Field.EMPLOYER] = row.employer
    if document.birth_day is not None:
        values[Field.BIRTH_YEAR] = date_of(document.birth_day).year
    return values

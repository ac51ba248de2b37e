"""New openings for a certificate that is there: everything random is drawn here, once (see draft.py)."""

from __future__ import annotations

from dataclasses import dataclass

from issuer.draft import RandomBytes
from issuer.issue import SignedCertificate
from issuer.register import Held
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digest
from ledger.records.dates import date_of
from ledger.records.documents import IdDocument
from ledger.records.envelope import NONCE_BYTES, open_face
from ledger.records.secret import SECRET_BYTES
from ledger.reference_data import load_catalogue
from ledger.tlog.merkle import leaf_hash
from ledger.wire import PersonLineage


@dataclass(frozen=True, slots=True)
class Redrawn:
    """Openings, secret and nonces for one statement. Has the form that `issue.seal` takes."""

    row: int
    secret: bytes
    holder_code: bytes
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]
    thumbnail: bytes
    face_nonce: bytes
    rest_nonce: bytes

    @property
    def rest(self) -> bytes:
        return rest_digest(self.digests)


def redraw_corrected(
    row: int, held: Held, name: str, document: IdDocument | None, random_bytes: RandomBytes
) -> Redrawn:
    """The same certificate with another name ("": the same) or another ID document (None: the same)."""
    current = held.current
    openings = {opening.field: opening for opening in current.openings}
    digests = list(current.digests)

    def put(field: Field, opening: FieldOpening | None) -> None:
        openings.pop(field, None)
        if opening is not None:
            openings[field] = opening
        digests[field - 1] = opening.digest() if opening is not None else random_bytes(32)

    if document is not None:
        value = [document.type_code, document.country, document.number]
        put(Field.ID_DOCUMENT, FieldOpening(Field.ID_DOCUMENT, random_bytes(16), value))
        born = document.birth_day
        put(
            Field.BIRTH_YEAR,
            None if born is None else FieldOpening(Field.BIRTH_YEAR, random_bytes(16), date_of(born).year),
        )
    face = FaceOpening(random_bytes(16), held.number, name or current.face.name)
    kept = tuple(openings[field] for field in Field if field in openings)
    return _redrawn(row, current, current.secret, current.holder_code, face, tuple(digests), kept, random_bytes)


def redraw_reissued(row: int, held: Held, random_bytes: RandomBytes) -> Redrawn:
    """The same certificate under a new secret and holder code: every salt and random digest is new."""
    current = held.current
    openings = {
        opening.field: FieldOpening(opening.field, random_bytes(16), opening.value) for opening in current.openings
    }
    digests = tuple(openings[field].digest() if field in openings else random_bytes(32) for field in Field)
    face = FaceOpening(random_bytes(16), held.number, current.face.name)
    secret, code = random_bytes(SECRET_BYTES), random_bytes(SECRET_BYTES)
    return _redrawn(row, current, secret, code, face, digests, tuple(openings.values()), random_bytes)


def person_of(held: Held, document: IdDocument | None) -> PersonLineage:
    """Whose track the certificate belongs to, under another document when one is given."""
    if document is not None:
        identity = document.identity
    else:
        match held.current.openings[0].value:
            case [str(kind), str(country), str(number)]:
                identity = IdDocument(kind, country, number).identity
            case _:
                raise AssertionError("the first opening is the ID document's")
    code = held.body.occupation
    found = load_catalogue().find(code)
    return PersonLineage(*identity, found.lineage if found else code)


def _redrawn(
    row: int,
    current: SignedCertificate,
    secret: bytes,
    holder_code: bytes,
    face: FaceOpening,
    digests: tuple[bytes, ...],
    openings: tuple[FieldOpening, ...],
    random_bytes: RandomBytes,
) -> Redrawn:
    thumbnail = open_face(current.secret, leaf_hash(current.entry), current.face_envelope).thumbnail
    nonces = random_bytes(NONCE_BYTES), random_bytes(NONCE_BYTES)
    return Redrawn(row, secret, holder_code, face, digests, openings, thumbnail, *nonces)

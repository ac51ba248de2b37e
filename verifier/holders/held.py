"""One certificate as its holder has it here: what opens its envelopes, and every opening. Pure.

It is kept as canonical CBOR, sealed under the vault of the account:

    ["certledger/held/v1", secret, holder code, [salt, number, name], [8 digests], [[field, salt, value] …], leaf hash]

`leaf` is the statement whose commitments the openings belong to: the issuing one, or the newest correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.commitments import (
    FaceOpening,
    Field,
    FieldOpening,
    parse_face_opening,
    parse_field_opening,
    parse_hashes,
    rest_digest,
    verify_opening,
)
from ledger.records.secret import SECRET_BYTES, cert_key_of

LABEL: Final = "certledger/held/v1"
_LIMIT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """Whoever has it can show all of it."""

    secret: bytes
    holder_code: bytes
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]  # in order of their fields; the ID document's only out of a bundle
    leaf: bytes  # 32 bytes

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES or len(self.holder_code) != SECRET_BYTES or len(self.leaf) != 32:
            raise Malformed("held certificate: secret and holder code have 16 bytes, a leaf hash 32")
        fields = [opening.field for opening in self.openings]
        if len(self.digests) != len(Field) or fields != sorted(set(fields)):
            raise Malformed("held certificate: eight digests, and openings in order of their fields, one each")

    @property
    def cert_key(self) -> bytes:
        return cert_key_of(self.secret)

    def opening(self, field: Field) -> FieldOpening | None:
        return next((opening for opening in self.openings if opening.field is field), None)

    def check(self, face: bytes, rest: bytes) -> None:
        """Raises Unverified unless every opening leads to what was signed: the digests `face` and `rest`."""
        if self.face.digest() != face or rest_digest(self.digests) != rest:
            raise Unverified("number, name or field digests are not those that were signed")
        for opening in self.openings:
            verify_opening(opening, self.digests)


def format_held(held: Held) -> bytes:
    face = held.face
    return canonical.encode(
        [
            LABEL,
            held.secret,
            held.holder_code,
            [face.salt, face.number, face.name],
            list(held.digests),
            [opening.as_value() for opening in held.openings],
            held.leaf,
        ]
    )


def parse_held(raw: bytes) -> Held:
    """Raises Malformed."""
    match canonical.decode(raw, limit=_LIMIT):
        case [str(label), bytes(secret), bytes(code), [*face], [*digests], [*openings], bytes(leaf)] if label == LABEL:
            return Held(
                secret,
                code,
                parse_face_opening(face),
                parse_hashes(digests),
                tuple(parse_field_opening(opening) for opening in openings),
                leaf,
            )
    raise Malformed("not a held certificate of this version")

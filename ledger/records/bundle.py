"""What a holder carries: the certificate with every opening, and the proof of its state.

A bundle is one canonical CBOR array; the format of a file is its label:

    ["certledger/bundle/v2", secret, holder code, holder tag, [salt, number, name], [eight digests of rest],
     [[field, salt, value] ...], evidence, check]

`evidence` is the bytes of evidence.py, of a certificate that was issued; the statement is in it. `check` = SHA-256 of
"certledger/bundle/v2\\n" and the array without it: a damaged file is malformed, also where the damage is in a signature
line that its reader does not know. It verifies offline for as long as a reader takes its checkpoint for recent, and is
refreshed by putting newer evidence in. It holds every opening, the ID document's too: keep it like a key. What may be
given away is a staple.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.commitments import (
    FaceOpening,
    Field,
    FieldOpening,
    parse_face_opening,
    parse_field_opening,
    parse_hashes,
)
from ledger.records.evidence import MAX_EVIDENCE, Evidence, Placed, format_evidence, parse_evidence

LABEL: Final = "certledger/bundle/v2"
FIRST_BYTE: Final = b"\x89"  # a CBOR array of nine
MAX_BUNDLE: Final = MAX_EVIDENCE + 32 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything about one certificate. Whoever has it can show all of it; keep it like a key."""

    secret: bytes
    holder_code: bytes
    holder_tag: bytes
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]
    evidence: Evidence

    def __post_init__(self) -> None:
        if len(self.secret) != 16 or len(self.holder_code) != 16 or len(self.holder_tag) != 32:
            raise Malformed("bundle: secret and holder code have 16 bytes, the holder tag 32")
        if len(self.digests) != len(Field):
            raise Malformed("bundle: the eight digests of rest")
        fields = [opening.field for opening in self.openings]
        if fields != sorted(set(fields)):
            raise Malformed("bundle: openings in order of their fields, one each")
        if self.evidence.issued is None:
            raise Malformed("bundle: evidence of a certificate that was never issued")

    @property
    def entry(self) -> bytes:
        """The statement that issued the certificate."""
        return self._issued.entry

    @property
    def _issued(self) -> Placed:
        assert self.evidence.issued is not None
        return self.evidence.issued


def format_bundle(bundle: Bundle) -> bytes:
    """The bytes of a bundle file. Raises Malformed when they would be more than 192 KiB."""
    face = bundle.face
    parts: list[canonical.Value] = [
        LABEL,
        bundle.secret,
        bundle.holder_code,
        bundle.holder_tag,
        [face.salt, face.number, face.name],
        list(bundle.digests),
        [opening.as_value() for opening in bundle.openings],
        format_evidence(bundle.evidence),
    ]
    raw = canonical.encode([*parts, check_of(LABEL, parts)])
    if len(raw) > MAX_BUNDLE:
        raise Malformed("bundle of more than 192 KiB")
    return raw


def parse_bundle(raw: bytes) -> Bundle:
    """Read a bundle file of at most 192 KiB. Raises Malformed; nothing is verified yet."""
    match canonical.decode(raw, limit=MAX_BUNDLE):
        case [str(label), bytes(secret), bytes(holder_code), bytes(holder_tag), [*face], [*digests], [*openings],
              bytes(evidence), bytes(check)] if label == LABEL:  # fmt: skip
            parts: list[canonical.Value] = [
                label, secret, holder_code, holder_tag, face, digests, openings, evidence,
            ]  # fmt: skip
            if check != check_of(LABEL, parts):
                raise Malformed("bundle: damaged; its check does not fit")
            return Bundle(
                secret,
                holder_code,
                holder_tag,
                parse_face_opening(face),
                parse_hashes(digests),
                tuple(parse_field_opening(opening) for opening in openings),
                parse_evidence(evidence),
            )
    raise Malformed("not a bundle of this version")


def check_of(label: str, parts: list[canonical.Value]) -> bytes:
    """SHA-256 over everything that stands before the check in a file that people carry."""
    return sha256(label.encode() + b"\n" + canonical.encode(parts)).digest()

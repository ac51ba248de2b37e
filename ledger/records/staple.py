"""A certificate with the proof of its state, to be given away: beside the PDF, or inside it.

    ["certledger/staple/v1", secret, [salt, number, name], evidence, check]

It says what the QR code says anyway, and what the public log says; never the holder code, nor any opening but that of
the face. To be small, its checkpoint keeps the Ed25519 lines only (`compact`); any evidence is allowed.
`check` = SHA-256 of "certledger/staple/v1\\n" and the array without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.bundle import check_of
from ledger.records.commitments import FaceOpening, parse_face_opening
from ledger.records.evidence import MAX_EVIDENCE, Evidence, format_evidence, parse_evidence
from ledger.tlog.note import Note, format_note, parse_note

LABEL: Final = "certledger/staple/v1"
FIRST_BYTE: Final = b"\x85"  # a CBOR array of five
MAX_STAPLE: Final = MAX_EVIDENCE + 1024
_SHORT: Final = 72  # bytes of an Ed25519 signature with its time, the longest line that is kept


@dataclass(frozen=True, slots=True)
class Staple:
    """What page 1 of a certificate shows, and its proof."""

    secret: bytes
    face: FaceOpening
    evidence: Evidence

    def __post_init__(self) -> None:
        if len(self.secret) != 16 or self.evidence.issued is None:
            raise Malformed("staple: a secret of 16 bytes, and evidence of a certificate that was issued")

    @property
    def entry(self) -> bytes:
        """The statement that issued the certificate."""
        assert self.evidence.issued is not None
        return self.evidence.issued.entry


def format_staple(staple: Staple) -> bytes:
    """The bytes of a staple file."""
    face = staple.face
    parts: list[canonical.Value] = [
        LABEL, staple.secret, [face.salt, face.number, face.name], format_evidence(staple.evidence),
    ]  # fmt: skip
    return canonical.encode([*parts, check_of(LABEL, parts)])


def parse_staple(raw: bytes) -> Staple:
    """Read a staple file. Raises Malformed; nothing is verified yet."""
    match canonical.decode(raw, limit=MAX_STAPLE):
        case [str(label), bytes(secret), [*face], bytes(evidence), bytes(check)] if label == LABEL:
            parts: list[canonical.Value] = [label, secret, face, evidence]
            if check != check_of(LABEL, parts):
                raise Malformed("staple: damaged; its check does not fit")
            return Staple(secret, parse_face_opening(face), parse_evidence(evidence))
    raise Malformed("not a staple of this version")


def compact(evidence: Evidence) -> Evidence:
    """The same in less: under a checkpoint that keeps only its Ed25519 lines, the log's and the cosigners', and
    without the statement behind the track's highest grade, which says since when.

    Whoever needs an ML-DSA-44 line finds it missing: check the result before it is given away.
    """
    note = parse_note(evidence.checkpoint)
    kept = tuple(line for line in note.signatures if len(line.blob) <= _SHORT)
    if not kept:
        raise Malformed("staple: a checkpoint without Ed25519 lines")
    return replace(evidence, checkpoint=format_note(Note(note.text, kept)), highest=None)

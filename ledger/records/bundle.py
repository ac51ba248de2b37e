"""What a holder carries, and the proof that a statement stands in the log (design 6).

A bundle is one canonical CBOR array; the format of a file is its label:

    ["certledger/bundle/v1", secret, holder code, holder tag, statement, [salt, number, name],
     [eight digests of rest], [[field, salt, value] ...], index, [inclusion hashes], checkpoint (signed note),
     seal, [inclusion hashes of the seal]]

It verifies offline up to the moment of its checkpoint, and it holds every opening, the ID document's too, so that
other credential formats can be signed from it later.
"""

from __future__ import annotations

from dataclasses import dataclass
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

LABEL: Final = "certledger/bundle/v1"
MAX_BUNDLE: Final = 64 * 1024
_MAX_PROOF: Final = 63  # hashes of an inclusion proof


@dataclass(frozen=True, slots=True)
class LogProof:
    """A statement's place in the log under one signed checkpoint, and the seal that ends that checkpoint."""

    index: int
    inclusion: tuple[bytes, ...]  # leaf-sibling upward
    checkpoint: bytes  # signed note
    seal: bytes  # leaf size-1
    seal_inclusion: tuple[bytes, ...]

    def __post_init__(self) -> None:
        for proof in (self.inclusion, self.seal_inclusion):
            if len(proof) > _MAX_PROOF or any(len(item) != 32 for item in proof):
                raise Malformed("log proof: at most 63 hashes of 32 bytes")
        if self.index < 0 or len(self.checkpoint) > 16 * 1024 or len(self.seal) > 256:
            raise Malformed("log proof: index, checkpoint or seal out of range")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything about one certificate. Whoever has it can show all of it; keep it like a key."""

    secret: bytes
    holder_code: bytes
    holder_tag: bytes
    entry: bytes
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]
    proof: LogProof

    def __post_init__(self) -> None:
        if len(self.secret) != 16 or len(self.holder_code) != 16 or len(self.holder_tag) != 32:
            raise Malformed("bundle: secret and holder code have 16 bytes, the holder tag 32")
        if len(self.digests) != len(Field):
            raise Malformed("bundle: the eight digests of rest")
        fields = [opening.field for opening in self.openings]
        if fields != sorted(set(fields)):
            raise Malformed("bundle: openings in order of their fields, one each")


def format_bundle(bundle: Bundle) -> bytes:
    """The bytes of a bundle file. Raises Malformed when they would be more than 64 KiB."""
    face, proof = bundle.face, bundle.proof
    raw = canonical.encode(
        [
            LABEL,
            bundle.secret,
            bundle.holder_code,
            bundle.holder_tag,
            bundle.entry,
            [face.salt, face.number, face.name],
            list(bundle.digests),
            [opening.as_value() for opening in bundle.openings],
            proof.index,
            list(proof.inclusion),
            proof.checkpoint,
            proof.seal,
            list(proof.seal_inclusion),
        ]
    )
    if len(raw) > MAX_BUNDLE:
        raise Malformed("bundle of more than 64 KiB")
    return raw


def parse_bundle(raw: bytes) -> Bundle:
    """Read a bundle file of at most 64 KiB. Raises Malformed; nothing is verified yet."""
    match canonical.decode(raw, limit=MAX_BUNDLE):
        case [str(label), bytes(secret), bytes(holder_code), bytes(holder_tag), bytes(entry), [*face],
              [*digests], [*openings], int(index), [*inclusion], bytes(checkpoint), bytes(seal),
              [*seal_inclusion]] if label == LABEL:  # fmt: skip
            return Bundle(
                secret,
                holder_code,
                holder_tag,
                entry,
                parse_face_opening(face),
                parse_hashes(digests),
                tuple(parse_field_opening(opening) for opening in openings),
                LogProof(index, parse_hashes(inclusion), checkpoint, seal, parse_hashes(seal_inclusion)),
            )
    raise Malformed("not a bundle of this version")

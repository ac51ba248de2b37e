"""What the public log knows about a person: two salted digests.

    face = SHA-256(CBOR[salt16, number, name])                        what the paper shows
    rest = SHA-256(CBOR[d1 .. d8]),  d = SHA-256(CBOR[field id, salt16, value])

An absent field has a random digest, so nobody learns which fields exist; each can be disclosed alone.
Nothing about a person is ever hashed without a salt of 16 random bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final, cast

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.canonical import text_item

SALT_BYTES: Final = 16
_SALTED: Final = b"\x83\x50"  # an array of three, which begins with 16 bytes
NUMBER_CHARS: Final = 64  # certificate numbers have 22; legacy schemes are opaque
NAME_CHARS: Final = 50  # 民委发〔2016〕33号: name fields hold at least 50 characters


class Field(IntEnum):
    """The eight places of `rest`, in their fixed order."""

    ID_DOCUMENT = 1  # [type code, country, normalised number]
    PHOTO = 2  # SHA-256 of the thumbnail in the face envelope
    SCORES = 3
    EMPLOYER = 4
    BIRTH_YEAR = 5
    TRAINING = 6
    RESERVED_7 = 7
    RESERVED_8 = 8


_LENGTHS: Final = [32] * len(Field)


@dataclass(frozen=True, slots=True)
class FaceOpening:
    """Opens `face`: the number and the name as printed."""

    salt: bytes  # 16 bytes
    number: str
    name: str

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_BYTES:
            raise Malformed("face opening: salt has 16 bytes")
        if not 1 <= len(self.number) <= NUMBER_CHARS or not 1 <= len(self.name) <= NAME_CHARS:
            raise Malformed("face opening: number or name missing or too long")

    def digest(self) -> bytes:
        return sha256(_SALTED + self.salt + text_item(self.number) + text_item(self.name)).digest()


@dataclass(frozen=True, slots=True)
class FieldOpening:
    """Opens one place of `rest`."""

    field: Field
    salt: bytes  # 16 bytes
    value: canonical.Value

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_BYTES:
            raise Malformed("field opening: salt has 16 bytes")

    def digest(self) -> bytes:
        return sha256(b"\x83" + bytes((self.field,)) + b"\x50" + self.salt + _value_item(self.value)).digest()

    def as_value(self) -> list[canonical.Value]:
        return [int(self.field), self.salt, self.value]


def rest_digest(digests: Sequence[bytes]) -> bytes:
    """The digest over all eight places. Raises Malformed unless there are exactly eight of 32 bytes."""
    if list(map(len, digests)) != _LENGTHS:
        raise Malformed("rest: exactly 8 digests of 32 bytes")
    return sha256(b"\x88\x58\x20" + b"\x58\x20".join(digests)).digest()


def rest_digests(openings: Mapping[Field, FieldOpening], absent: Mapping[Field, bytes]) -> tuple[bytes, ...]:
    """The eight digests in order; `absent` holds 32 random bytes for every field without an opening."""
    return tuple(openings[field].digest() if field in openings else absent[field] for field in Field)


def _value_item(value: canonical.Value) -> bytes:
    """An ID document's value is a few texts, and is asked for with every certificate."""
    if type(value) is list and len(value) < 24 and all(type(item) is str for item in value):
        return bytes((0x80 + len(value),)) + b"".join([text_item(item) for item in value])
    return canonical.encode(value)


def verify_opening(opening: FieldOpening, digests: Sequence[bytes]) -> None:
    """Raises Unverified unless `opening` is what stands at its place of `digests`."""
    if len(digests) != len(Field) or digests[opening.field - 1] != opening.digest():
        raise Unverified(f"the opening of field {opening.field.name} does not match its digest")


def parse_field_opening(value: object) -> FieldOpening:
    """Read [field id, salt, value] as decoded from canonical CBOR."""
    match value:
        case [int(field), bytes(salt), opened] if 1 <= field <= len(Field):
            return FieldOpening(Field(field), salt, cast("canonical.Value", opened))
    raise Malformed("field opening: [field id, salt, value]")


def parse_face_opening(value: object) -> FaceOpening:
    """Read [salt, number, name] as decoded from canonical CBOR."""
    match value:
        case [bytes(salt), str(number), str(name)]:
            return FaceOpening(salt, number, name)
    raise Malformed("face opening: [salt, number, name]")


def parse_hashes(values: Sequence[object]) -> tuple[bytes, ...]:
    """A decoded list in which every item is a digest of 32 bytes. Raises Malformed."""
    hashes = tuple(value for value in values if isinstance(value, bytes) and len(value) == 32)
    if len(hashes) != len(values):
        raise Malformed("a digest has 32 bytes")
    return hashes

"""Personal data that the ledger stores without being able to read it (design 6).

    ciphertext = nonce (12 random bytes) ‖ AES-256-GCM(key, nonce, CBOR content, AAD = leaf hash of the statement)
    key        = HKDF-SHA-256(secret or holder code, salt = none, info = "certledger/face-envelope/v1\\n" or "…/rest-…")

The face envelope opens with the secret in the QR code: salt, number, name, thumbnail. The rest envelope opens
with the holder code: the eight digests and every opening but that of the ID document, which lives only with the
issuer and in the holder's bundle. A missing or unreadable envelope means "personal data unavailable", never tampered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.errors import Malformed, Unavailable
from ledger.records import canonical
from ledger.records.commitments import (
    FaceOpening,
    Field,
    FieldOpening,
    parse_field_opening,
    parse_hashes,
)

NONCE_BYTES: Final = 12
MAX_THUMBNAIL: Final = 12 * 1024
MAX_ENVELOPE: Final = 24 * 1024
_FACE: Final = b"certledger/face-envelope/v1\n"
_REST: Final = b"certledger/rest-envelope/v1\n"
_FACE_TYPES: Final = (bytes, str, str, bytes)


@dataclass(frozen=True, slots=True)
class FaceContent:
    """What a scan may show once the secret is known."""

    opening: FaceOpening
    thumbnail: bytes = b""  # JPEG or PNG, at most 12 KiB; empty when there is none

    def __post_init__(self) -> None:
        if len(self.thumbnail) > MAX_THUMBNAIL:
            raise Malformed("face envelope: thumbnail of more than 12 KiB")


@dataclass(frozen=True, slots=True)
class RestContent:
    """What the holder can disclose, field by field."""

    digests: tuple[bytes, ...]  # all eight
    openings: tuple[FieldOpening, ...]  # never that of the ID document

    def __post_init__(self) -> None:
        fields = [opening.field for opening in self.openings]
        if len(self.digests) != len(Field) or fields != sorted(set(fields)):
            raise Malformed("rest envelope: eight digests, and openings in order of their fields, one each")
        if Field.ID_DOCUMENT in fields:
            raise Malformed("rest envelope: the ID document's opening does not go in")


def seal_face(secret: bytes, leaf: bytes, nonce: bytes, content: FaceContent) -> bytes:
    opening = content.opening
    return _seal(_FACE, secret, leaf, nonce, [opening.salt, opening.number, opening.name, content.thumbnail])


def open_face(secret: bytes, leaf: bytes, ciphertext: bytes) -> FaceContent:
    """Raises Unavailable when it does not open or does not have the form: personal data unavailable."""
    value = _open(_FACE, secret, leaf, ciphertext)
    # Not by class patterns, which take as long as the decryption: every scan comes here.
    if type(value) is list and tuple(map(type, value)) == _FACE_TYPES:
        salt, number, name, thumbnail = value
        try:
            return FaceContent(FaceOpening(salt, number, name), thumbnail)
        except Malformed as error:
            raise Unavailable("face envelope: unexpected content") from error
    raise Unavailable("face envelope: unexpected content")


def seal_rest(holder_code: bytes, leaf: bytes, nonce: bytes, content: RestContent) -> bytes:
    value: list[canonical.Value] = [list(content.digests), [opening.as_value() for opening in content.openings]]
    return _seal(_REST, holder_code, leaf, nonce, value)


def open_rest(holder_code: bytes, leaf: bytes, ciphertext: bytes) -> RestContent:
    """Raises Unavailable when it does not open or does not have the form."""
    try:
        match _open(_REST, holder_code, leaf, ciphertext):
            case [[*digests], [*openings]]:
                return RestContent(parse_hashes(digests), tuple(parse_field_opening(item) for item in openings))
    except Malformed as error:
        raise Unavailable("rest envelope: unexpected content") from error
    raise Unavailable("rest envelope: unexpected content")


def holder_tag(holder_code: bytes, leaf: bytes) -> bytes:
    """Ties a holder code to its certificate inside a bundle; 32 bytes that reveal neither."""
    return sha256(b"certledger/holder-tag/v1\n" + holder_code + leaf).digest()


def _key(info: bytes, secret: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)


def _seal(info: bytes, secret: bytes, leaf: bytes, nonce: bytes, value: Sequence[canonical.Value]) -> bytes:
    assert len(nonce) == NONCE_BYTES and len(secret) == 16 and len(leaf) == 32
    sealed = nonce + AESGCM(_key(info, secret)).encrypt(nonce, canonical.encode(value), leaf)
    if len(sealed) > MAX_ENVELOPE:
        raise Malformed("envelope of more than 24 KiB")
    return sealed


def _open(info: bytes, secret: bytes, leaf: bytes, ciphertext: bytes) -> object:
    if not NONCE_BYTES + 16 <= len(ciphertext) <= MAX_ENVELOPE:
        raise Unavailable("envelope of an impossible size")
    nonce, sealed = ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:]
    try:
        return canonical.decode(AESGCM(_key(info, secret)).decrypt(nonce, sealed, leaf), limit=MAX_ENVELOPE)
    except (InvalidTag, Malformed) as error:
        raise Unavailable("the envelope does not open for this certificate") from error

"""Personal data that the ledger stores without being able to read it (docs/formats.md 5).

    ciphertext = nonce (12 random bytes) ‖ AES-256-GCM(key, nonce, CBOR content, AAD = leaf hash of the statement)
    key        = HKDF-SHA-256(secret or holder code, salt = none, info = "certledger/face-envelope/v1\\n" or "…/rest-…")

The face envelope opens with the secret in the QR code: salt, number, name, thumbnail. The rest envelope opens
with the holder code: the eight digests and every opening but that of the ID document, which lives only with the
issuer and in the holder's bundle. A missing or unreadable envelope means "personal data unavailable", never tampered.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import Malformed, Unavailable
from ledger.records import canonical
from ledger.records.commitments import (
    FaceOpening,
    Field,
    FieldOpening,
    parse_field_opening,
    parse_hashes,
)
from ledger.text import Text

NONCE_BYTES: Final = 12
MAX_THUMBNAIL: Final = 12 * 1024
MAX_ENVELOPE: Final = 24 * 1024
_FACE: Final = b"certledger/face-envelope/v1\n"
_NO_SALT: Final = bytes(32)
_REST: Final = b"certledger/rest-envelope/v1\n"
_FACE_START: Final = b"\x84\x50"  # an array of four, which begins with 16 bytes
_BYTES, _TEXT = 0x40, 0x60  # first bytes of the shortest byte string and text (RFC 8949 3.1)


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
    try:
        return _parse_face(_opened(_FACE, secret, leaf, ciphertext))
    except Malformed as error:
        raise Unavailable(Text("证面信封的内容不符合格式", "face envelope: unexpected content")) from error


def _parse_face(raw: bytes) -> FaceContent:
    """Read [salt, number, name, thumbnail], in its one encoding. Every scan comes here, so this form is read by itself:
    `canonical.decode` takes three times as long, since it writes again what it has read. Raises Malformed."""
    if raw[:2] != _FACE_START:
        raise Malformed("face envelope: begins with a salt of 16 bytes")
    number, at = _item(raw, 18, _TEXT)
    name, at = _item(raw, at, _TEXT)
    thumbnail, at = _item(raw, at, _BYTES)
    if at != len(raw):
        raise Malformed("face envelope: more than four items")
    return FaceContent(FaceOpening(raw[2:18], _text(number), _text(name)), thumbnail)


def _item(raw: bytes, at: int, kind: int) -> tuple[bytes, int]:
    """The content of the byte string or text that begins at `at`, with its length in the shortest form, and its end."""
    head = raw[at : at + 1]
    size = head[0] - kind if head else -1
    if 0 <= size < 24:
        start = at + 1
    elif size == 24:
        start, size = at + 2, int.from_bytes(raw[at + 1 : at + 2])
        if size < 24:
            raise Malformed("face envelope: a length that is not the shortest")
    elif size == 25:  # a longer one is longer than any envelope
        start, size = at + 3, int.from_bytes(raw[at + 1 : at + 3])
        if size < 256:
            raise Malformed("face envelope: a length that is not the shortest")
    else:
        raise Malformed("face envelope: an item of another kind")
    if start + size > len(raw):
        raise Malformed("face envelope: ends within an item")
    return raw[start : start + size], start + size


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Malformed("face envelope: not UTF-8") from error
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        raise Malformed("face envelope: text that NFC would change")
    return text


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
        raise Unavailable(Text("其余信息信封的内容不符合格式", "rest envelope: unexpected content")) from error
    raise Unavailable(Text("其余信息信封的内容不符合格式", "rest envelope: unexpected content"))


def holder_tag(holder_code: bytes, leaf: bytes) -> bytes:
    """Ties a holder code to its certificate inside a bundle; 32 bytes that reveal neither."""
    return sha256(b"certledger/holder-tag/v1\n" + holder_code + leaf).digest()


def _key(info: bytes, secret: bytes) -> bytes:
    """HKDF-SHA-256 of one block without a salt (RFC 5869 2.2, 2.3): two HMACs. `cryptography` takes half as long again,
    most of it to ask whether SHA-256 is a hash."""
    return hmac.digest(hmac.digest(_NO_SALT, secret, "sha256"), info + b"\x01", "sha256")


def _seal(info: bytes, secret: bytes, leaf: bytes, nonce: bytes, value: Sequence[canonical.Value]) -> bytes:
    assert len(nonce) == NONCE_BYTES and len(secret) == 16 and len(leaf) == 32
    sealed = nonce + AESGCM(_key(info, secret)).encrypt(nonce, canonical.encode(value), leaf)
    if len(sealed) > MAX_ENVELOPE:
        raise Malformed("envelope of more than 24 KiB")
    return sealed


def _open(info: bytes, secret: bytes, leaf: bytes, ciphertext: bytes) -> object:
    try:
        return canonical.decode(_opened(info, secret, leaf, ciphertext), limit=MAX_ENVELOPE)
    except Malformed as error:
        raise Unavailable(Text("信封不能用这张证书打开", "the envelope does not open for this certificate")) from error


def _opened(info: bytes, secret: bytes, leaf: bytes, ciphertext: bytes) -> bytes:
    if not NONCE_BYTES + 16 <= len(ciphertext) <= MAX_ENVELOPE:
        raise Unavailable(Text("信封的大小不合规格", "envelope of an impossible size"))
    nonce, sealed = ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:]
    try:
        return AESGCM(_key(info, secret)).decrypt(nonce, sealed, leaf)
    except InvalidTag as error:
        raise Unavailable(Text("信封不能用这张证书打开", "the envelope does not open for this certificate")) from error

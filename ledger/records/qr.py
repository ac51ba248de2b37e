"""The text of the QR code: a link that any camera opens, and behind `#` the certificate itself (docs/formats.md 10).

    https://HOST/c/SECRET                 link only: small, needs the network
    https://HOST/c/SECRET#q<digits>       digits pack the fragment bytes, 7 bytes to 17 digits (tails 3 5 8 10 13 15)
    https://HOST/c/SECRET#u<base64url>    the same bytes for links that people paste

Fragment = CBOR [kid, issuer id or "" when it is the number's first 13 characters, payload map without key 12,
signature, salt, number, name, log index]. The reader computes the cert key from SECRET and the face digest from
the opening, and so rebuilds the exact signed bytes; a changed letter breaks the signature.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from ledger.errors import Malformed
from ledger.records import canonical, cose
from ledger.records.commitments import FaceOpening
from ledger.records.issue import FACE_KEY
from ledger.records.kinds import CERTIFICATE_KINDS
from ledger.records.secret import cert_key_of, format_secret, parse_secret, subject_of
from ledger.records.statements import Statement, parse_statement

MAX_TEXT: Final = 2048  # characters; the largest QR code we print holds about 1,000
MAX_FRAGMENT: Final = 640  # bytes
_TAIL: Final = {0: 0, 1: 3, 2: 5, 3: 8, 4: 10, 5: 13, 6: 15}  # bytes to digits
_TAIL_BYTES: Final = {digits: count for count, digits in _TAIL.items()}
_URL: Final = re.compile(r"(https?)://([^/?#]+)([^#]*)(?:#(.*))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fragment:
    """The certificate as the code carries it: a statement, the opening of its face, and where it stands."""

    entry: bytes  # the exact signed bytes
    face: FaceOpening
    index: int


@dataclass(frozen=True, slots=True)
class Code:
    """A QR text of ours: which base it links to, the secret, and the fragment bytes when it has any."""

    base: str  # scheme://host[:port]
    secret: bytes
    fragment: bytes = b""

    @property
    def link(self) -> str:
        return f"{self.base}/c/{format_secret(self.secret)}"


@dataclass(frozen=True, slots=True)
class ForeignLink:
    """A well-formed link that leads somewhere else. `host` stands between `://` and the path; only for showing."""

    host: str


def format_code(code: Code, *, form: str = "q") -> str:
    """The text to print ("q") or to paste ("u"); without a fragment, the bare link."""
    if not code.fragment:
        return code.link
    if form == "u":
        return f"{code.link}#u{base64.urlsafe_b64encode(code.fragment).rstrip(b'=').decode()}"
    return f"{code.link}#q{format_digits(code.fragment)}"


def parse_code(text: str, bases: tuple[str, ...]) -> Code | ForeignLink:
    """Read a scanned or pasted text. `bases` are the official addresses from the trust configuration.

    The host in a code is only ever compared, never visited. Raises Malformed for what is no link at all, is over
    2,048 characters, or is on an official host but not in the one spelling of ours.
    """
    if len(text) > MAX_TEXT:
        raise Malformed("QR text of more than 2048 characters")
    text = text.strip(" \t\r\n")
    match = _URL.fullmatch(text)
    if match is None:
        raise Malformed("not a link")
    scheme, host, path, fragment = match.groups()
    base = f"{scheme}://{host}"
    if base not in bases:
        return ForeignLink(host)
    if not path.startswith("/c/"):
        raise Malformed("not the link of a certificate")
    secret = parse_secret(path[3:])
    return Code(base, secret, _parse_fragment_text(fragment) if fragment else b"")


def format_fragment(statement: Statement, face: FaceOpening, index: int) -> bytes:
    """Pack the logged statement of a certificate or post (issue, reissue, appoint) and its face opening."""
    assert statement.kind in CERTIFICATE_KINDS, "a code stands on a certificate"
    envelope = statement.envelope
    payload: dict[int, canonical.Value] = dict(canonical.decode(envelope.payload))
    del payload[FACE_KEY]
    signature = envelope.signatures[0]
    issuer = "" if envelope.issuer == face.number[:13] else envelope.issuer
    return canonical.encode(
        [signature.kid, issuer, payload, signature.signature, face.salt, face.number, face.name, index]
    )


def open_fragment(secret: bytes, fragment: bytes) -> tuple[Statement, Fragment]:
    """Rebuild the signed bytes. Raises Malformed unless packing them again gives the same fragment."""
    match canonical.decode(fragment, limit=MAX_FRAGMENT):
        case [
            bytes(kid),
            str(issuer),
            {**payload},
            bytes(signature),
            bytes(salt),
            str(number),
            str(name),
            int(index),
        ]:
            face = FaceOpening(salt, number, name)
            entry = _rebuild(secret, kid, issuer or number[:13], cast("dict[int, Any]", payload), signature, face)
            statement = parse_statement(entry)
            if statement.kind not in CERTIFICATE_KINDS:  # a correction has a face too, but says no grade
                raise Malformed("QR fragment: not the statement of a certificate")
            if index < 0 or format_fragment(statement, face, index) != fragment:
                raise Malformed("QR fragment: not the one packing of its statement")
            return statement, Fragment(entry, face, index)
    raise Malformed("QR fragment: not the array of this version")


def format_digits(raw: bytes) -> str:
    """Bytes as decimal digits for numeric mode: 7 bytes to 17 digits, the tail shorter."""
    parts = []
    for start in range(0, len(raw), 7):
        chunk = raw[start : start + 7]
        parts.append(str(int.from_bytes(chunk, "big")).zfill(_TAIL.get(len(chunk), 17)))
    return "".join(parts)


def parse_digits(digits: str) -> bytes:
    """The bytes of `format_digits`. Raises Malformed for other lengths, characters, or groups too large."""
    if not digits.isascii() or not digits.isdigit():
        raise Malformed("QR fragment: digits only")
    whole, tail = divmod(len(digits), 17)
    if tail not in _TAIL_BYTES:
        raise Malformed("QR fragment: an impossible number of digits")
    sizes = [(17, 7)] * whole + ([(tail, _TAIL_BYTES[tail])] if tail else [])
    raw, at = bytearray(), 0
    for length, count in sizes:
        value = int(digits[at : at + length])
        if value >> (8 * count):
            raise Malformed("QR fragment: a group of digits out of range")
        raw += value.to_bytes(count, "big")
        at += length
    return bytes(raw)


def _parse_fragment_text(text: str) -> bytes:
    form, body = text[:1], text[1:]
    if form == "q":
        raw = parse_digits(body)
    elif form == "u":
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise Malformed("QR fragment: not base64url") from error
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != body:
            raise Malformed("QR fragment: not the one base64url spelling")
    else:
        raise Malformed("QR fragment: begins with q or u")
    if not 0 < len(raw) <= MAX_FRAGMENT:
        raise Malformed("QR fragment: empty or too long")
    return raw


def _rebuild(
    secret: bytes, kid: bytes, issuer: str, payload: dict[int, Any], signature: bytes, face: FaceOpening
) -> bytes:
    subject = subject_of(cert_key_of(secret))
    protected = canonical.encode({1: cose.ALG_EDDSA, 3: cose.CONTENT_CBOR, 4: kid, 15: {1: issuer, 2: subject}})
    if FACE_KEY in payload:
        raise Malformed("QR fragment: carries a face digest")
    return cose.format_one(protected, canonical.encode({**payload, FACE_KEY: face.digest()}), signature)

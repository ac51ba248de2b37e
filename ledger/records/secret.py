"""The certificate's secret and the names derived from it.

The secret is 16 random bytes that live in the QR code, the issuer's files and the holder's bundle; the log knows
only the cert key. Text form: 26 characters of upper-case Crockford base 32, the two pad bits at the end zero, so
that each secret has one spelling. No look-alike is folded (I, L, O are refused, not read as 1, 1, 0).
"""

from __future__ import annotations

import binascii
import re
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed

SECRET_BYTES: Final = 16
SECRET_CHARS: Final = 26
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FORM: Final = re.compile(f"[{_ALPHABET}]{{{SECRET_CHARS}}}")
_DIGITS: Final = str.maketrans(_ALPHABET, "0123456789ABCDEFGHIJKLMNOPQRSTUV")  # as `int` reads base 32
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")  # RFC 4648 section 5
_TO_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/-_")  # + and / become what base64 does not write


def format_secret(secret: bytes) -> str:
    """26 characters for 16 bytes; also the text form of a holder code."""
    assert len(secret) == SECRET_BYTES, "a secret has 16 bytes"
    bits = int.from_bytes(secret, "big") << 2
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(125, -1, -5))


def parse_secret(text: str) -> bytes:
    """The 16 bytes of a text form. Raises Malformed for any other length, letter, case or pad."""
    if len(text) != SECRET_CHARS:
        raise Malformed("a secret has 26 characters")
    if _FORM.fullmatch(text) is None:
        raise Malformed("a secret is written in upper-case Crockford base 32")
    bits = int(text.translate(_DIGITS), 32)
    if bits & 3:
        raise Malformed("the last two bits of a secret's text are zero")
    return (bits >> 2).to_bytes(SECRET_BYTES, "big")


def cert_key_of(secret: bytes) -> bytes:
    """The certificate's public name, 32 bytes."""
    assert len(secret) == SECRET_BYTES
    return sha256(b"certledger/cert-key/v1\n" + secret).digest()


def locator_of(secret: bytes) -> bytes:
    """The name under which the ledger keeps the certificate's envelopes, 32 bytes."""
    assert len(secret) == SECRET_BYTES
    return sha256(b"certledger/locator/v1\n" + secret).digest()


def correction_locator(secret: bytes, leaf: bytes) -> bytes:
    """The name under which the envelopes of a correction with this leaf hash are kept, 32 bytes: nobody can put
    others in their place, as the name is not known before the correction is."""
    assert len(secret) == SECRET_BYTES and len(leaf) == 32
    return sha256(b"certledger/locator/v1\n" + secret + leaf).digest()


def subject_of(cert_key: bytes) -> str:
    """The cert key as COSE subject: base64url without padding, 43 characters."""
    assert len(cert_key) == 32
    return binascii.b2a_base64(cert_key, newline=False)[:43].translate(_TO_URL).decode()


def parse_subject(text: str) -> bytes:
    """The cert key of a subject; raises Malformed for any other spelling."""
    return read_subject(text.encode(errors="replace"))


def read_subject(raw: bytes) -> bytes:
    """`parse_subject` of the text's bytes."""
    standard = raw.translate(_TO_STANDARD)
    try:
        cert_key = binascii.a2b_base64(standard + b"=")
    except ValueError as error:
        raise Malformed("subject is not base64url of a cert key") from error
    # Read leniently and written again: whatever is not the one spelling differs here.
    if len(cert_key) != 32 or binascii.b2a_base64(cert_key, newline=False) != standard + b"=":
        raise Malformed("subject is not the one base64url spelling of a cert key")
    return cert_key

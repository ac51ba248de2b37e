"""Bytes as text, as the export formats spell them: base58btc and base64url, each with its Multibase letter.

z + base58btc    signatures and keys (VC Data Integrity 2.4)      u + base64url    bit lists
"""

from __future__ import annotations

import base64
from typing import Final

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519: Final = b"\xed\x01"  # Multicodec ed25519-pub as a varint


def base58btc(raw: bytes) -> str:
    """Multibase base58btc, with its leading z."""
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _ALPHABET[rest] + digits
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "z" + _ALPHABET[0] * zeros + digits


def base64url(raw: bytes) -> str:
    """Base64url without padding, as JOSE spells bytes (no Multibase letter)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def multikey(public: bytes) -> str:
    """An Ed25519 public key of 32 bytes as a Multikey (Controlled Identifiers 1.0, 2.2.2)."""
    assert len(public) == 32
    return base58btc(_ED25519 + public)

"""One spelling per value: the decimals, base64 and names shared by the C2SP text formats.

Every parser here re-formats what it read and compares, so a value has exactly one text.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from ledger.errors import Malformed

MAX_DECIMAL = 2**63 - 1
NAME_CEILING = 255  # bytes of UTF-8; the length prefix of tlog-cosignature is one byte
_NOT_IN_NAMES: Final = re.compile(r"[\x00-\x1f+\s]")  # \s: what str.isspace says


def parse_decimal(text: str, what: str) -> int:
    """ASCII digits without sign, space or leading zero, at most 2**63 - 1; otherwise Malformed."""
    if not 0 < len(text) <= 19 or not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0"):
        raise Malformed(f"{what} is not a plain decimal number")
    value = int(text)
    if value > MAX_DECIMAL:
        raise Malformed(f"{what} is larger than 2**63 - 1")
    return value


def format_base64(raw: bytes) -> str:
    """Standard base64 with padding (RFC 4648 section 4)."""
    return binascii.b2a_base64(raw, newline=False).decode()


def parse_base64(text: str, what: str) -> bytes:
    """Inverse of `format_base64`; any other spelling (alphabet, padding, stray bits) is Malformed."""
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error, and characters outside ASCII
        raise Malformed(f"{what} is not base64") from None
    if format_base64(raw) != text:
        raise Malformed(f"{what} is base64 in another spelling")
    return raw


def parse_hash(text: str, what: str) -> bytes:
    """One base64 line of a SHA-256 hash (32 bytes)."""
    raw = parse_base64(text, what)
    if len(raw) != 32:
        raise Malformed(f"{what} is not 32 bytes")
    return raw


def check_name(name: str, what: str) -> None:
    """Key names and origins (C2SP signed-note): 1-255 bytes, no Unicode space, no control character, no
    plus sign.
    """
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        raise Malformed(f"{what} is not Unicode text") from None
    if not 0 < len(raw) <= NAME_CEILING:
        raise Malformed(f"{what} is not 1-255 bytes long")
    if _NOT_IN_NAMES.search(name):
        raise Malformed(f"{what} holds a space, a control character or a plus sign")

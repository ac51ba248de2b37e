"""Deterministic CBOR (RFC 8949 4.2.1) for everything that is signed or hashed: one value, one encoding.

The profile is small on purpose: integers of at most 64 bits, byte strings, NFC-stable text, arrays, and maps
whose keys are small non-negative integers. No tags, floats, null, booleans or indefinite lengths. Readers
decode, check the profile, encode again and compare the bytes, so that a lenient decoder cannot create a
second truth.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import cbor2

from ledger.errors import Malformed
from ledger.records.printable import is_printable

Value: TypeAlias = int | str | bytes | Sequence["Value"] | Mapping[int, "Value"]

MAX_BYTES: Final = 8192  # of any document read here; an entry of the log is at most this long
MAX_DEPTH: Final = 8
_INT_MIN: Final = -(2**64)  # the range of CBOR major types 0 and 1
_INT_MAX: Final = 2**64 - 1


def _refuse_tag(decoder: Any, *_: Any) -> Any:
    raise cbor2.CBORDecodeError("tags are not part of the profile")


# Every tag that cbor2 would turn into an object of its own. Others arrive as CBORTag and fail the type check.
_TAGS: Final = dict.fromkeys(
    (*range(6), 25, 28, 29, 30, 35, 36, 37, 43000, 52, 54, 100, 256, 258, 260, 261, 1004, 55799), _refuse_tag
)

# The bytes before a text of each length below 256 (RFC 8949 3.1: major type 3).
_TEXT_HEADS: Final = tuple(bytes([0x60 + n] if n < 24 else [0x78, n]) for n in range(256))


def encode(value: Value) -> bytes:
    """The one encoding of `value`. Raises Malformed for a value outside the profile (unpaired surrogates too)."""
    try:
        return cbor2.dumps(_checked(value, sort=True))
    except (cbor2.CBORError, ValueError) as error:
        raise Malformed("CBOR: text that UTF-8 cannot carry") from error


def encode_bytes(value: bytes) -> bytes:
    """`encode` of a byte string of less than 64 KiB, where many are put together."""
    length = len(value)
    if length < 24:
        return bytes((0x40 | length,)) + value
    return (bytes((0x58, length)) if length < 256 else b"\x59" + length.to_bytes(2, "big")) + value


def decode(raw: bytes, *, limit: int = MAX_BYTES) -> Any:
    """Read one document of at most `limit` bytes.

    Raises Malformed for anything that `encode` would not have written: longer integers, unsorted or
    duplicate keys, trailing bytes, tags, floats, null, booleans, text that NFC changes.
    """
    if len(raw) > limit:
        raise Malformed(f"CBOR document of more than {limit} bytes")
    try:
        value = cbor2.loads(
            raw,
            semantic_decoders=_TAGS,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise Malformed("not CBOR of this profile") from error
    checked = _checked(value, sort=False)
    if cbor2.dumps(checked) != raw:
        raise Malformed("not the deterministic encoding of its value")
    return checked


def read_own(raw: bytes) -> Any:
    """Read a document whose digest says that this program wrote it: there is no second spelling to look for, which is
    most of `decode`. Raises Malformed for what is no CBOR."""
    try:
        return cbor2.loads(raw)
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise Malformed("not CBOR of this profile") from error


def text_item(text: str) -> bytes:
    """What `encode` writes for a text, where many are put together. Raises Malformed as it does."""
    if text.isascii():
        raw = text.encode()
    else:
        _check_plain(text, str)
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise Malformed("CBOR: text that UTF-8 cannot carry") from error
    return _TEXT_HEADS[len(raw)] + raw if len(raw) < 256 else encode(text)


@lru_cache(1024)  # the same few names, over and over
def is_plain(text: str) -> bool:
    """Whether public text has one spelling: printable, no blanks at the ends, none doubled, no bidi controls."""
    return is_printable(text) and not (text.startswith(" ") or text.endswith(" ") or "  " in text)


def _checked(value: Any, *, sort: bool) -> Any:
    """`value` itself when it is in the profile; with `sort`, a copy in order where a map is not."""
    if _in_order(value, MAX_DEPTH):
        return value
    if not sort:
        raise Malformed("CBOR: map keys out of order")
    return _sorted(value)


def _in_order(value: Any, depth: int) -> bool:
    """Whether every map lists its keys rising. Raises Malformed for anything outside the profile."""
    kind = type(value)
    if kind is not list and kind is not tuple and kind is not dict:
        _check_plain(value, kind)
        return True
    if depth == 0:
        raise Malformed("CBOR: nested too deeply")
    ordered = True
    items = value
    if kind is dict:
        last = -1
        for key in value:
            if type(key) is not int or not 0 <= key < 65536:
                raise Malformed("CBOR: map keys are small integers")
            ordered = ordered and key > last
            last = key
        items = value.values()
    for item in items:
        inner = type(item)
        if inner is bytes or (inner is int and 0 <= item <= _INT_MAX) or (inner is str and item.isascii()):
            continue  # nearly every item; spelled out, because a call costs as much as all the rest here
        if inner is list or inner is tuple or inner is dict:
            ordered = _in_order(item, depth - 1) and ordered
        else:
            _check_plain(item, inner)
    return ordered


def _check_plain(value: Any, kind: type) -> None:
    if kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise Malformed("CBOR: integer beyond 64 bits")
    elif kind is str:
        if not value.isascii() and not unicodedata.is_normalized("NFC", value):
            raise Malformed("CBOR: text that NFC would change")
    elif kind is not bytes:
        raise Malformed("CBOR: a type outside the profile")


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value

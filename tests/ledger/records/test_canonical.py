from __future__ import annotations

import struct
import unicodedata
from enum import IntEnum
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records import canonical

INTS = st.integers(-(2**64), 2**64 - 1)
TEXTS = st.text(max_size=12).map(lambda text: unicodedata.normalize("NFC", text))
VALUES = st.recursive(
    INTS | TEXTS | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 65535), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_encode_and_decode_are_inverses(value: Any) -> None:
    raw = canonical.encode([value])
    assert canonical.decode(raw) == canonical.read_own(raw) == [value]
    assert canonical.encode(canonical.decode(raw)) == raw


@given(VALUES)
def test_the_encoding_is_that_of_rfc_8949(value: Any) -> None:
    assert canonical.encode([value]) == cbor2.dumps([value], canonical=True)


@settings(max_examples=400)
@given(st.binary(max_size=24))
def test_any_bytes_are_malformed_or_come_back_unchanged(raw: bytes) -> None:
    try:
        value = canonical.decode(raw)
    except Malformed:
        return
    assert canonical.encode(value) == raw


@given(st.dictionaries(st.integers(0, 65535), INTS, min_size=1))
def test_maps_are_sorted_whatever_order_they_are_given_in(fields: dict[int, int]) -> None:
    backwards = dict(sorted(fields.items(), reverse=True))
    assert canonical.encode(backwards) == canonical.encode(fields)
    assert list(canonical.decode(canonical.encode(backwards))) == sorted(fields)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ("", "nothing"),
        ("1800", "0 in two bytes"),
        ("190017", "23 in three bytes"),
        ("1a000000ff", "255 in five bytes"),
        ("1b00000000ffffffff", "2**32-1 in nine bytes"),
        ("3800", "-1 in two bytes"),
        ("580161", "length of a byte string in two bytes"),
        ("780161", "length of a text in two bytes"),
        ("980100", "length of an array in two bytes"),
        ("b8010000", "length of a map in two bytes"),
        ("9f00ff", "indefinite array"),
        ("bf0000ff", "indefinite map"),
        ("5f4100ff", "indefinite bytes"),
        ("7f6161ff", "indefinite text"),
        ("a200000000", "the same key twice"),
        ("a2000000 01".replace(" ", ""), "the same key twice, other value"),
        ("a201000000", "keys out of order"),
        ("a1616100", "a text key"),
        ("a1410000", "a byte key"),
        ("a12000", "a negative key"),
        ("a11a0001000000", "a key of 65536"),
        ("a1800000", "an array as key"),
        ("f4", "false"),
        ("f5", "true"),
        ("f6", "null"),
        ("f7", "undefined"),
        ("e0", "simple 0"),
        ("f820", "simple 32"),
        ("f90000", "0.0"),
        ("f98000", "-0.0"),
        ("f97e00", "NaN"),
        ("f97c00", "infinity"),
        ("fa3f800000", "1.0 single"),
        ("fb3ff0000000000000", "1.0 double"),
        ("c000", "tag 0"),
        ("c100", "tag 1"),
        ("c24100", "bignum 0"),
        ("c249010000000000000000", "bignum 2**64"),
        ("c349010000000000000000", "bignum -2**64-1"),
        ("d81c80", "shareable"),
        ("81d81d00", "shared reference"),
        ("d9010080", "string references"),
        ("d9010280", "set"),
        ("d9d9f700", "self-described"),
        ("d2f6", "tag 18"),
        ("d9fffe00", "an unknown tag"),
        ("0000", "a second value behind"),
        ("8000", "a byte behind an array"),
        ("81", "an array cut off"),
        ("4261", "bytes cut off"),
        ("6261", "text cut off"),
        ("a100", "a map cut off"),
        ("1c", "reserved length 28"),
        ("5b7fffffffffffffff", "bytes of 2**63-1"),
        ("9b7fffffffffffffff", "an array of 2**63-1"),
        ("bb7fffffffffffffff", "a map of 2**63-1"),
        ("61ff", "not UTF-8"),
        ("62c080", "overlong UTF-8"),
        ("63eda080", "a surrogate in UTF-8"),
        ("ff", "a break alone"),
    ],
)
def test_other_spellings_and_types_are_malformed(raw: str, what: str) -> None:
    for document in (bytes.fromhex(raw), b"\x81" + bytes.fromhex(raw), b"\xa1\x01" + bytes.fromhex(raw)):
        with pytest.raises(Malformed):
            canonical.decode(document)


@pytest.mark.parametrize("text", ["A\u030a", "\uf9fd", "\u0344", "\u2126", "\u1100\u1161"])
def test_text_that_nfc_changes_is_malformed_both_ways(text: str) -> None:
    assert unicodedata.normalize("NFC", text) != text
    with pytest.raises(Malformed):
        canonical.encode([text])
    with pytest.raises(Malformed):
        canonical.decode(cbor2.dumps([text]))


def test_kangxi_radicals_survive_because_nfc_keeps_them() -> None:
    assert canonical.decode(canonical.encode("\u2f42")) == "\u2f42"


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        1.0,
        -0.0,
        float("nan"),
        2**64,
        -(2**64) - 1,
        {"a": 1},
        {-1: 1},
        {True: 1},
        {65536: 1},
        {b"": 1},
        {1, 2},
        object(),
        "\ud800",
        Number.ONE,
        bytearray(b"a"),
        range(3),
    ],
)
def test_values_outside_the_profile_are_not_written(value: Any) -> None:
    for wrapped in (value, [value], {1: value}):
        with pytest.raises(Malformed):
            canonical.encode(wrapped)


def nested(depth: int, inner: Any = 0) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


def test_nesting_ends_at_the_same_depth_both_ways() -> None:
    deepest = nested(canonical.MAX_DEPTH)
    assert canonical.decode(canonical.encode(deepest)) == deepest
    with pytest.raises(Malformed):
        canonical.encode(nested(canonical.MAX_DEPTH + 1))
    for depth in (canonical.MAX_DEPTH + 1, 100, 8000):
        with pytest.raises(Malformed):
            canonical.decode(b"\x81" * depth + b"\x00")
    with pytest.raises(Malformed):
        canonical.decode(b"\x81" * 200_000 + b"\x00", limit=10**6)


def test_the_size_is_looked_at_before_anything_else() -> None:
    fits = canonical.encode(bytes(canonical.MAX_BYTES - 3))
    assert len(fits) == canonical.MAX_BYTES
    assert canonical.decode(fits) == bytes(canonical.MAX_BYTES - 3)
    with pytest.raises(Malformed, match="more than 8192"):
        canonical.decode(b"\xff" * (canonical.MAX_BYTES + 1))
    with pytest.raises(Malformed, match="more than 3"):
        canonical.decode(fits, limit=3)


@pytest.mark.parametrize("value", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
def test_integers_at_each_border_have_one_length(value: int) -> None:
    for number in (value, -1 - value):
        raw = canonical.encode(number)
        assert canonical.decode(raw) == number
        magnitude = struct.pack(">Q", value).lstrip(b"\0") or b"\0"
        for width, head in ((1, 24), (2, 25), (4, 26), (8, 27)):
            if width >= len(magnitude):
                spelled = bytes([(raw[0] & 0xE0) | head]) + magnitude.rjust(width, b"\0")
                if spelled != raw:
                    with pytest.raises(Malformed):
                        canonical.decode(spelled)


@pytest.mark.parametrize("length", [0, 1, 23, 24, 32, 255, 256, 8192, 65_535])
def test_a_byte_string_alone_is_encoded_as_always(length: int) -> None:
    assert canonical.encode_bytes(b"x" * length) == canonical.encode(b"x" * length)


@given(st.text(max_size=300) | st.text("例小红", max_size=100) | st.text("ab", max_size=300))
def test_a_text_alone_is_written_as_in_an_array(text: str) -> None:
    try:
        expected = canonical.encode([text])[1:]
    except Malformed:
        with pytest.raises(Malformed):
            canonical.text_item(text)
    else:
        assert canonical.text_item(text) == expected


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65_535])
def test_byte_strings_of_each_length_alone(length: int) -> None:
    assert canonical.encode_bytes(bytes(length)) == canonical.encode(bytes(length))
    assert canonical.text_item("x" * length) == canonical.encode("x" * length)


def test_what_cannot_be_text_is_not_written() -> None:
    for text in ("e\u0301", "\ud800", "x\ud800"):
        with pytest.raises(Malformed):
            canonical.text_item(text)

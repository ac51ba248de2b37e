from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.tlog.spelling import check_name, format_base64, parse_base64, parse_decimal, parse_hash


@given(st.integers(0, 2**63 - 1))
def test_decimals_round_trip(value: int) -> None:
    assert parse_decimal(str(value), "n") == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        "01",
        "+1",
        "-0",
        "-1",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "0x1",
        "1.0",
        "1e3",
        "１",
        "٣",
        "²",
        "9" * 19,
        str(2**63),
        "1" * 20,
        "1" * 5000,
    ],
)
def test_other_decimals_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_decimal(text, "n")


@given(st.binary(max_size=100))
def test_base64_round_trips(raw: bytes) -> None:
    assert parse_base64(format_base64(raw), "b") == raw


@pytest.mark.parametrize(
    "text", ["AA", "AA=", "AA===", "AB==", "AAB=", "A A=", "AA==\n", "AA==AA==", "-_8=", "=", "====", "ＡＡ==", "AA\r="]
)
def test_other_base64_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_base64(text, "b")


@given(st.text(max_size=12))
def test_any_text_is_refused_or_the_only_spelling(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert format_base64(parse_base64(text, "b")) == text


def test_a_hash_is_32_bytes() -> None:
    assert parse_hash(format_base64(bytes(32)), "h") == bytes(32)
    for length in (0, 31, 33):
        with pytest.raises(Malformed):
            parse_hash(format_base64(bytes(length)), "h")


@pytest.mark.parametrize("name", ["example.com/log", "见证.example", "a", "x" * 255, "技" * 85])
def test_names(name: str) -> None:
    check_name(name, "n")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a+b",
        "a\nb",
        "a\tb",
        "a\0",
        "a\u00a0",
        "a\u3000b",
        "a\u2028",
        "a\x85",
        "\ud800",
        "x" * 256,
        "技" * 86,
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Malformed):
        check_name(name, "n")

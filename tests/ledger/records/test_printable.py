"""The characters of public text are written down, and no later Python changes them."""

from __future__ import annotations

import unicodedata
from hashlib import sha256

import pytest

from ledger.records.canonical import is_plain
from ledger.records.printable import is_printable

EVERY = range(0x110000)
IDEOGRAPHS = {*range(0x20000, 0x2FFFE), *range(0x30000, 0x3FFFE)}
# Of one byte for each code point. It may never change: a log that was sound would not be any more.
DIGEST = "b2f50f5d46bc0e7de43e60aa5894942e712acfba13585dec69a787e91639cc7e"


def test_no_python_changes_it() -> None:
    assert sha256(bytes(is_printable(chr(code)) for code in EVERY)).hexdigest() == DIGEST


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="this Python has the tables of another Unicode")
def test_outside_of_ideographs_it_is_what_unicode_14_says() -> None:
    assert [
        code for code in EVERY if code not in IDEOGRAPHS and is_printable(chr(code)) != chr(code).isprintable()
    ] == []


def test_ideographs_of_later_versions_may_stand_in_names() -> None:
    # U+31350 and U+2EBF0 begin CJK extensions H (Unicode 15.0) and I (15.1); U+323B0 begins J (17.0).
    for text in ("\U00031350", "例\U0002ebf0技术学校", "\U000323b0", "𠮷野家"):
        assert is_plain(text), ascii(text)
    for text in (
        "\U0002fffe",
        "\U0003ffff",
        "\U00040000",
        "\u0378",
        "\u202e例",
        "\ue000",
        "\U000f0000",
        "\ud800",
        "\u3000",
    ):
        assert not is_plain(text), ascii(text)


def test_what_it_lets_in_has_one_normal_form_already() -> None:
    """Of ideographs only the compatibility ones have another, and always had."""
    other = [code for code in IDEOGRAPHS if unicodedata.normalize("NFC", chr(code)) != chr(code)]
    assert sorted(other) == list(range(0x2F800, 0x2FA1E))


def test_blanks() -> None:
    assert is_plain("") and is_plain("a b") and is_plain("例 明")
    for text in (" a", "a ", "a  b", "a\tb", "a\u00a0b", "例\n明"):
        assert not is_plain(text), ascii(text)

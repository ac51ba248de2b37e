from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.secret import cert_key_of, format_secret, locator_of, parse_secret, parse_subject, subject_of

SECRETS = st.binary(min_size=16, max_size=16)
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@given(SECRETS)
def test_format_and_parse_are_inverses(secret: bytes) -> None:
    text = format_secret(secret)
    assert len(text) == 26 and set(text) <= set(LETTERS)
    assert parse_secret(text) == secret


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (bytes(16), "0" * 26),
        (b"\xff" * 16, "Z" * 25 + "W"),
        (bytes(range(16)), "000G40R40M30E209185GR38E1W"),
    ],
)
def test_texts_are_fixed(secret: bytes, text: str) -> None:
    assert format_secret(secret) == text
    assert parse_secret(text) == secret


@given(SECRETS, st.integers(0, 25), st.characters())
def test_one_other_character_is_another_secret_or_malformed(secret: bytes, at: int, letter: str) -> None:
    text = format_secret(secret)
    changed = text[:at] + letter + text[at + 1 :]
    try:
        assert (parse_secret(changed) == secret) == (changed == text)
        assert format_secret(parse_secret(changed)) == changed
    except Malformed:
        assert changed != text


def test_every_prefix_and_extension_is_malformed() -> None:
    text = format_secret(b"\xa5" * 16)
    for other in [text[:end] for end in range(26)] + [text + "0", " " + text, text + "\n", text + "=", "0" * 10**7]:
        with pytest.raises(Malformed):
            parse_secret(other)


@pytest.mark.parametrize("letter", [*"ILOUilou", *string.ascii_lowercase, "-", " ", "０", "Ａ", "٣", "\0"])
def test_look_alikes_and_lower_case_are_refused_and_not_folded(letter: str) -> None:
    with pytest.raises(Malformed):
        parse_secret(letter + "0" * 25)


@pytest.mark.parametrize("letter", [letter for at, letter in enumerate(LETTERS) if at % 4])
def test_the_pad_bits_are_zero(letter: str) -> None:
    with pytest.raises(Malformed):
        parse_secret("0" * 25 + letter)


@given(SECRETS)
def test_cert_key_and_locator_differ_and_follow_from_the_secret(secret: bytes) -> None:
    assert len(cert_key_of(secret)) == len(locator_of(secret)) == 32
    assert cert_key_of(secret) != locator_of(secret)
    assert cert_key_of(secret) != cert_key_of(bytes([secret[0] ^ 1]) + secret[1:])


@given(st.binary(min_size=32, max_size=32))
def test_subjects_have_one_spelling(cert_key: bytes) -> None:
    text = subject_of(cert_key)
    assert parse_subject(text) == cert_key
    assert text == base64.urlsafe_b64encode(cert_key).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 42,
        "A" * 44,
        "A" * 43 + "=",
        "A" * 42 + "B",  # stray bits
        "A" * 42 + "+",
        "A" * 41 + "//",
        " " + "A" * 42,
        "A" * 42 + "\n",
        "例" * 43,
        "A" * 85,
    ],
)
def test_other_spellings_of_a_subject_are_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_subject(text)

"""A foreign host never looks like another one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.hosts import shown_host


@pytest.mark.parametrize(
    ("netloc", "shown"),
    [
        ("EVIL.example:8443", "evil.example:8443"),
        ("verify.example@evil.example", "evil.example"),
        ("验证.example", "xn--td3a740a.example"),
        ("verify.example." + "a" * 60 + ".evil.example", "verify.e…" + "a" * 26 + ".evil.example"),
        ("<b>.example", "?b?.example"),
        ("", "?"),
    ],
)
def test_a_foreign_host_is_shown_safely(netloc: str, shown: str) -> None:
    assert shown_host(netloc) == shown


@given(st.text(max_size=200))
def test_a_shown_host_is_short_plain_and_stays_the_same(netloc: str) -> None:
    shown = shown_host(netloc)
    assert 0 < len(shown) <= 400 and shown_host(shown) == shown
    assert set(shown) <= set(string.ascii_lowercase + string.digits + "-_:[]?.…")

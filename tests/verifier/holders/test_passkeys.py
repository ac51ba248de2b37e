"""Where there can be passkeys, and what no device has answered."""

from __future__ import annotations

import pytest

from ledger.errors import Malformed
from verifier.holders.passkeys import MAX_ANSWER, challenge_of, parse_assertion, relying_party


@pytest.mark.parametrize(
    ("base", "id_"),
    [
        ("https://cert.example", "cert.example"),
        ("https://cert.example:8443", "cert.example"),
        ("http://localhost:8800", "localhost"),
        ("http://127.0.0.1:8800", None),
        ("https://[2001:db8::1]", None),
    ],
)
def test_a_site_is_known_by_its_host_name(base: str, id_: str | None) -> None:
    party = relying_party(base, "name")
    assert (None if party is None else party.id) == id_
    assert party is None or party.origin == base


@pytest.mark.parametrize("body", [b"", b"7", b"{}", b"[" * MAX_ANSWER, b'{"a":' * (MAX_ANSWER // 5), b"\xff", b"{}x"])
def test_what_no_device_answered(body: bytes) -> None:
    for read in (challenge_of, parse_assertion):
        with pytest.raises(Malformed):
            read(body)

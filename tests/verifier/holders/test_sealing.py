"""What opens what: nothing without the thing that the database does not have."""

from __future__ import annotations

import pytest

from ledger.errors import Unverified
from tests.support.builders import octets
from verifier.holders.sealing import Box, account_of, name_of, vault_of


def draw(count: int) -> bytes:
    return octets("nonce", count)


def test_a_box_opens_for_the_same_key_purpose_and_row_only() -> None:
    box = Box(octets("key"), "vault")
    sealed = box.seal(b"something", draw, row=b"row")
    assert box.open(sealed, row=b"row") == b"something"
    for other, row in (
        (Box(octets("other"), "vault"), b"row"),
        (Box(octets("key"), "session"), b"row"),
        (box, b"another row"),
    ):
        with pytest.raises(Unverified):
            other.open(sealed, row=row)


def test_whatever_was_changed_does_not_open() -> None:
    box = Box(octets("key"), "vault")
    sealed = box.seal(b"something", draw)
    for at in range(len(sealed)):
        with pytest.raises(Unverified):
            box.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
    for length in range(len(sealed)):
        with pytest.raises(Unverified):
            box.open(sealed[:length])


def test_names_differ_by_purpose_and_tell_nothing_of_what_they_name() -> None:
    handle = octets("handle")
    names = {name_of(handle, purpose) for purpose in ("account", "session", "recovery", "share")}
    assert len(names) == 4 and all(len(name) == 16 for name in names)
    assert account_of(handle) == name_of(handle, "account")
    assert vault_of(handle).open(vault_of(handle).seal(b"x", draw)) == b"x"

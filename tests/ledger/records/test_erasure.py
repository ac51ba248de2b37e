"""Orders of erasure: read by the operator of one ledger alone."""

from __future__ import annotations

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records.erasure import open_order, operator_key, public_of, seal_order
from tests.support.builders import octets

PRIVATE = operator_key(octets("index key"))
SECRET = octets("secret", 16)
ORDER = seal_order(public_of(PRIVATE), SECRET, octets("ephemeral"))


def test_the_operator_reads_it_and_nobody_else() -> None:
    assert open_order(PRIVATE, ORDER) == SECRET and SECRET not in ORDER
    with pytest.raises(Unverified):
        open_order(operator_key(octets("another ledger")), ORDER)


def test_whatever_was_changed_is_not_read() -> None:
    for at in range(len(ORDER)):
        with pytest.raises((Unverified, Malformed)):
            open_order(PRIVATE, ORDER[:at] + bytes([ORDER[at] ^ 1]) + ORDER[at + 1 :])
    for length in range(0, len(ORDER), 5):
        with pytest.raises((Unverified, Malformed)):
            open_order(PRIVATE, ORDER[:length])


def test_a_key_that_is_none_is_refused() -> None:
    for wrong in (b"", bytes(31), bytes(32)):
        with pytest.raises(Malformed):
            seal_order(wrong, SECRET, octets("ephemeral"))

"""Spellings, and who may change something."""

from __future__ import annotations

import pytest

from ledger.errors import Malformed
from verifier.holders.desk import from_text, to_text


def test_bytes_have_one_spelling() -> None:
    for raw in (b"", b"\0", bytes(range(256)), b"\xff\xfe\xfd"):
        assert from_text(to_text(raw)) == raw
    for wrong in ("=", "AA=", "AB", "A", "+/", "é", "AAAA AAAA", "a" * 9):
        with pytest.raises(Malformed):
            from_text(wrong, 6)

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from issuer.exports.multibase import base58btc, base64url, multikey
from tests.support import slow_exports


@settings(max_examples=100, deadline=None)
@given(some.binary(max_size=70))
def test_another_reader_gets_the_bytes_back(raw: bytes) -> None:
    assert slow_exports.base58(base58btc(raw)) == raw
    assert slow_exports.unpadded(base64url(raw)) == raw


def test_known_spellings() -> None:
    assert base58btc(b"Hello World!") == "z2NEpo7TZRRrLZSi2U"  # draft-msporny-base58, section 5
    assert base58btc(bytes.fromhex("0000287fb4cd")) == "z11233QC4"
    assert multikey(bytes(32)).startswith("z6Mk")

from __future__ import annotations

import base64

import pytest

from ledger.errors import Malformed, Unavailable
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import octets
from verifier.watch.signing import Secrets, format_secret, parse_secret, signed_headers


def test_the_published_vector_of_standard_webhooks() -> None:
    secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert format_secret(secret) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AA==", "x", "whsec_***", "whsec_" + "A" * 100, "MfKQ9r8G"])
def test_secrets_of_another_form(text: str) -> None:
    with pytest.raises(Malformed):
        parse_secret(text)


def test_sealed_at_rest() -> None:
    secrets = Secrets(Ed25519Signer(octets("receipts")))
    sealed = secrets.seal("one", b"s" * 32, lambda n: octets("nonce", n))
    assert b"s" * 32 not in sealed and base64.b64encode(b"s" * 32) not in sealed
    assert Secrets(Ed25519Signer(octets("receipts"))).open("one", sealed) == b"s" * 32
    for watch, raw, key in (
        ("two", sealed, "receipts"),
        ("one", sealed[:-1] + b"x", "receipts"),
        ("one", b"", "receipts"),
        ("one", sealed, "another"),
    ):
        with pytest.raises(Unavailable):
            Secrets(Ed25519Signer(octets(key))).open(watch, raw)

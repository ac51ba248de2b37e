"""How a webhook is signed, and how its secret is kept: Standard Webhooks, symmetric.

    webhook-id         the event; a repeat has the same
    webhook-timestamp  seconds since 1970, of this try
    webhook-signature  v1,<base64 of HMAC-SHA256(secret, id "." timestamp "." body)>

A secret is 24 to 64 bytes, written `whsec_<base64>`. In the site's store it is sealed with AES-256-GCM under a key
derived from the receipt key, so whoever copies the database cannot send in our name.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.errors import Malformed, Unavailable
from ledger.records.cose import Signer
from ledger.text import Text

PREFIX: Final = "whsec_"
_LABEL: Final = b"certledger/webhook-secrets/v1\n"


def parse_secret(text: str) -> bytes:
    """The bytes of a `whsec_` secret. Raises Malformed."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except ValueError:
        secret = b""
    if not 24 <= len(secret) <= 64:
        raise Malformed(
            Text("secret：whsec_ 后接 24 到 64 字节的 base64", "secret: whsec_ and base64 of 24 to 64 bytes")
        )
    return secret


def format_secret(secret: bytes) -> str:
    return PREFIX + base64.b64encode(secret).decode()


def signed_headers(event_id: str, time_s: int, body: bytes, secret: bytes) -> dict[str, str]:
    """The headers of one delivery."""
    signature = hmac.digest(secret, f"{event_id}.{time_s}.".encode() + body, sha256)
    return {
        "Content-Type": "application/json",
        "User-Agent": "cert-verifier",
        "webhook-id": event_id,
        "webhook-timestamp": str(time_s),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


class Secrets:
    """Seals secrets for the store. The key follows from the receipt key: an Ed25519 signature over our label, which is
    deterministic and never leaves this place, is the input of HKDF."""

    def __init__(self, signer: Signer) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_LABEL).derive(signer.sign(_LABEL))
        self._aead = AESGCM(key)

    def seal(self, watch_id: str, secret: bytes, random_bytes: Callable[[int], bytes]) -> bytes:
        nonce = random_bytes(12)
        return nonce + self._aead.encrypt(nonce, secret, watch_id.encode())

    def open(self, watch_id: str, sealed: bytes) -> bytes:
        """Raises Unavailable when it was sealed under another receipt key, or altered."""
        try:
            return self._aead.decrypt(sealed[:12], sealed[12:], watch_id.encode())
        except (InvalidTag, ValueError) as error:
            raise Unavailable(Text("回调密钥由另一把密钥封存", "a webhook secret sealed under another key")) from error

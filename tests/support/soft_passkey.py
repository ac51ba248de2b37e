"""An authenticator in software: makes one credential and asserts it, truthfully or not."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class SoftPasskey:
    """One device with one credential. `count` stands still, as synced passkeys' counts do."""

    origin: str
    rp_id: str
    id: bytes = b"credential of a test"
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any], **changes: Any) -> str:
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        data = self._data(changes.get("flags", PRESENT | VERIFIED) | ATTESTED) + attested
        response = {
            "clientDataJSON": text(self._client("webauthn.create", options, changes)),
            "attestationObject": text(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
        }
        return json.dumps({"id": text(self.id), "rawId": text(self.id), "type": "public-key", "response": response})

    def get(self, options: dict[str, Any], handle: bytes | None, **changes: Any) -> str:
        data = self._data(changes.get("flags", PRESENT | VERIFIED))
        client = self._client("webauthn.get", options, changes)
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": text(client),
            "authenticatorData": text(data),
            "signature": text(signature),
            "userHandle": None if handle is None else text(handle),
        }
        return json.dumps({"id": text(self.id), "rawId": text(self.id), "type": "public-key", "response": response})

    def _data(self, flags: int) -> bytes:
        return sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, options: dict[str, Any], changes: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | {name: changes[name] for name in ("origin", "type") if name in changes}).encode()

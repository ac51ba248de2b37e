"""Compact JWS (RFC 7515) under an Ed25519 key: `EdDSA` of RFC 8037, the name that verifiers know today."""

from __future__ import annotations

from issuer.exports.jcs import Json, canonical_json
from issuer.exports.multibase import base64url
from ledger.records.cose import Signer


def sign_jwt(typ: str, kid: str, payload: dict[str, Json], signer: Signer) -> str:
    """header.payload.signature; `typ` says what it is, so that no kind of token passes for another (RFC 8725 3.11)."""
    header: dict[str, Json] = {"alg": "EdDSA", "kid": kid, "typ": typ}
    signed = f"{base64url(canonical_json(header))}.{base64url(canonical_json(payload))}"
    return f"{signed}.{base64url(signer.sign(signed.encode()))}"


def public_jwk(public: bytes, kid: str) -> dict[str, Json]:
    """The JWK of an Ed25519 public key (RFC 8037 2)."""
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public), "kid": kid, "alg": "EdDSA", "use": "sig"}

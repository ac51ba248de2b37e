"""The signature algorithms of the product, one implementation each.

Ed25519 is PyNaCl's and nobody else's: on the edge cases of C2SP/CCTV the two usual libraries disagree, and
two verifiers would be two truths. ML-DSA-44 (FIPS 204, empty context) is that of `cryptography`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.errors import Malformed, Unverified

SEED_BYTES = 32
ED25519_PUBLIC_BYTES = 32
ED25519_SIGNATURE_BYTES = 64
ML_DSA_44_PUBLIC_BYTES = 1312
ML_DSA_44_SIGNATURE_BYTES = 2420
KID_BYTES = 8


class Ed25519Signer:
    """Signs with the key of a 32-byte seed (RFC 8032; deterministic). Malformed for a seed of another
    length.
    """

    __slots__ = ("_secret", "public")

    public: bytes  # 32 bytes

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise Malformed("an Ed25519 seed is 32 bytes")
        self.public, self._secret = nacl.bindings.crypto_sign_seed_keypair(bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over `message`."""
        return nacl.bindings.crypto_sign(bytes(message), self._secret)[:ED25519_SIGNATURE_BYTES]


class MlDsa44Signer:
    """Signs with the ML-DSA-44 key of a 32-byte seed (FIPS 204 `xi`). Two signatures of one message differ.

    Malformed for a seed of another length.
    """

    __slots__ = ("_secret", "public")

    public: bytes  # 1,312 bytes

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise Malformed("an ML-DSA-44 seed is 32 bytes")
        self._secret = MLDSA44PrivateKey.from_seed_bytes(bytes(seed))
        self.public = self._secret.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """A 2,420-byte signature over `message`."""
        return self._secret.sign(bytes(message))


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """Return when `signature` holds; Malformed for a key that is not 32 bytes, otherwise Unverified.

    libsodium's rule: cofactorless, S < L, no low-order or non-canonical key or R.
    """
    if len(public) != ED25519_PUBLIC_BYTES:
        raise Malformed("an Ed25519 public key is 32 bytes")
    if len(signature) != ED25519_SIGNATURE_BYTES:  # libsodium takes signature || message and would shift the border
        raise Unverified("an Ed25519 signature is 64 bytes")
    try:
        nacl.bindings.crypto_sign_open(bytes(signature) + message, bytes(public))
    except nacl.exceptions.BadSignatureError:
        raise Unverified("the Ed25519 signature does not hold") from None


def verify_ml_dsa_44(public: bytes, message: bytes, signature: bytes) -> None:
    """Return when `signature` holds; Malformed for a key that is not 1,312 bytes, otherwise Unverified."""
    if len(public) != ML_DSA_44_PUBLIC_BYTES:
        raise Malformed("an ML-DSA-44 public key is 1312 bytes")
    try:
        _loaded(bytes(public)).verify(bytes(signature), bytes(message))
    except InvalidSignature:
        raise Unverified("the ML-DSA-44 signature does not hold") from None


_loaded = lru_cache(64)(MLDSA44PublicKey.from_public_bytes)  # a tenth of a check, and a verifier's keys are few


def kid(public: bytes) -> bytes:
    """The 8-byte key identifier of COSE headers: SHA-256(public key)[:8]."""
    return hashlib.sha256(public).digest()[:KID_BYTES]


def note_key_id(name: str, type_: int, public: bytes) -> bytes:
    """The 4-byte key ID of signed notes: SHA-256(name || 0x0A || type || public key)[:4] (C2SP
    signed-note).
    """
    return hashlib.sha256(name.encode() + b"\n" + bytes([type_]) + public).digest()[:4]

"""What holders keep is sealed with things that the database does not have. Pure.

    handle    32 random bytes of an account. It is the WebAuthn user handle: each passkey holds it and gives it back at
              sign-in, and it is nowhere else in clear
    vault     HKDF(handle): certificates, notes on shares, id of the account
    session   HKDF(token of the cookie): the handle, for as long as the session lasts
    recovery  HKDF(secret ‖ holder code): the handle, so that claiming again leads to the same account
    share     HKDF(token in a share's address): which certificate it is about. What it discloses is sealed by the
              browser, under a key that no request ever carries

Every label names its purpose and version; ids are digests under labels of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.errors import Unverified

RandomBytes = Callable[[int], bytes]
HANDLE_BYTES: Final = 32
TOKEN_BYTES: Final = 32  # of a session's cookie
SHARE_TOKEN_BYTES: Final = 16
ID_BYTES: Final = 16
_NONCE: Final = 12
_LABEL: Final = b"certledger/holders/v1/"


class Box:
    """Seals and opens under one key; `purpose` is bound into what is sealed, so that no row stands in for another."""

    def __init__(self, key_material: bytes, purpose: str) -> None:
        assert len(key_material) >= 16, "at least 128 bits"
        self._purpose = _LABEL + purpose.encode() + b"\n"
        self._key = HKDF(SHA256(), 32, salt=None, info=self._purpose).derive(key_material)

    def seal(self, plain: bytes, random_bytes: RandomBytes, *, row: bytes = b"") -> bytes:
        """Nonce and ciphertext; `row` (the row's id) has to be the same again to open it."""
        nonce = random_bytes(_NONCE)
        return nonce + AESGCM(self._key).encrypt(nonce, plain, self._purpose + row)

    def open(self, sealed: bytes, *, row: bytes = b"") -> bytes:
        """Raises Unverified for anything that was not sealed so."""
        try:
            return AESGCM(self._key).decrypt(sealed[:_NONCE], sealed[_NONCE:], self._purpose + row)
        except (InvalidTag, ValueError) as error:
            raise Unverified("sealed under another key, or damaged") from error


def name_of(material: bytes, purpose: str) -> bytes:
    """The id under which something is kept that only `material` leads to; 16 bytes."""
    return sha256(_LABEL + purpose.encode() + b"\n" + material).digest()[:ID_BYTES]


def account_of(handle: bytes) -> bytes:
    """The id of the account with this handle."""
    assert len(handle) == HANDLE_BYTES
    return name_of(handle, "account")


def vault_of(handle: bytes) -> Box:
    """Seals what belongs to the account with this handle."""
    assert len(handle) == HANDLE_BYTES
    return Box(handle, "vault")

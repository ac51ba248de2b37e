"""An order to erase a person's data about one certificate, which only the ledger's operator can read. Pure.

    order = ephemeral X25519 public key (32) ‖ AES-256-GCM(key, zero nonce, CBOR ["certledger/erasure/v1", secret])
    key   = HKDF-SHA-256(X25519 shared secret ‖ ephemeral public ‖ operator's public, info "certledger/erasure/v1\\n")

The operator's key is derived from the ledger's index key: whoever may compute the rows that an order deletes may read
it. A key is used for one order, so its nonce is fixed. An order proves nothing about who gave it; whoever passes it on
vouches for that.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.secret import SECRET_BYTES
from ledger.text import Text

LABEL: Final = "certledger/erasure/v1"
KEY_BYTES: Final = 32
_INFO: Final = LABEL.encode() + b"\n"
_NONCE: Final = bytes(12)


def operator_key(index_key: bytes) -> bytes:
    """The private key with which the operator who has this index key opens orders."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"certledger/erasure-key/v1\n").derive(index_key)


def public_of(private: bytes) -> bytes:
    """What verifiers seal orders for; 32 bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def seal_order(public: bytes, secret: bytes, ephemeral: bytes) -> bytes:
    """`secret` is the certificate's, `ephemeral` 32 fresh random bytes. Raises Malformed for what is no public key."""
    assert len(secret) == SECRET_BYTES and len(ephemeral) == KEY_BYTES
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    own = private.public_key().public_bytes_raw()
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise Malformed(
            Text("erasure_key：应为 32 字节的 X25519 公钥", "erasure key: 32 bytes of an X25519 public key")
        ) from error
    return own + AESGCM(_key(shared, own, public)).encrypt(_NONCE, canonical.encode([LABEL, secret]), None)


def open_order(private: bytes, order: bytes) -> bytes:
    """The secret of the certificate. Raises Malformed, and Unverified when it was sealed for somebody else."""
    own, sealed = order[:KEY_BYTES], order[KEY_BYTES:]
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(own))
        plain = AESGCM(_key(shared, own, public_of(private))).decrypt(_NONCE, sealed, None)
    except ValueError as error:
        raise Malformed(Text("不是删除申请", "not an order of erasure")) from error
    except InvalidTag as error:
        raise Unverified(
            Text("删除申请属于另一账本，或已被改动", "an order of erasure for another ledger, or altered")
        ) from error
    match canonical.decode(plain):
        case [str(label), bytes(secret)] if label == LABEL and len(secret) == SECRET_BYTES:
            return secret
    raise Malformed(Text("不是此版本的删除申请", "not an order of erasure of this version"))


def _key(shared: bytes, own: bytes, public: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=_INFO).derive(shared + own + public)

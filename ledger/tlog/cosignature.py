"""Timestamped cosignatures of a checkpoint (C2SP tlog-cosignature v1.1): Ed25519 (0x04) and ML-DSA-44 (0x06).

A blob, as it follows the key ID in a note signature, is u64 big-endian POSIX seconds || signature: 72 or
2,428 bytes.
"""

from __future__ import annotations

from ledger.errors import Malformed, Unverified
from ledger.tlog.checkpoint_text import Checkpoint, parse_checkpoint
from ledger.tlog.keys import (
    ED25519_SIGNATURE_BYTES,
    ML_DSA_44_SIGNATURE_BYTES,
    Ed25519Signer,
    MlDsa44Signer,
    verify_ed25519,
    verify_ml_dsa_44,
)
from ledger.tlog.spelling import MAX_DECIMAL, check_name

ED25519_COSIGNATURE = 0x04
ML_DSA_44_COSIGNATURE = 0x06
_TIME_BYTES = 8


def ed25519_message(text: str, time_s: int) -> bytes:
    """What type 0x04 signs: two header lines and the whole checkpoint text. It does not name the cosigner."""
    _check_time(time_s)
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def ml_dsa_44_message(name: str, checkpoint: Checkpoint, time_s: int) -> bytes:
    """What type 0x06 signs: `cosigned_message` for the subtree [0, size), cosigner name included."""
    _check_time(time_s)
    check_name(name, "the cosigner name")
    cosigner, origin = name.encode(), checkpoint.origin.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(cosigner)]),
            cosigner,
            time_s.to_bytes(8, "big"),
            bytes([len(origin)]),
            origin,
            bytes(8),  # start
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def cosign_ed25519(signer: Ed25519Signer, text: str, time_s: int) -> bytes:
    """The blob of a type 0x04 cosignature of checkpoint `text` at `time_s` (POSIX seconds, not 0)."""
    signature = signer.sign(ed25519_message(text, time_s))
    return time_s.to_bytes(_TIME_BYTES, "big") + signature


def cosign_ml_dsa_44(signer: MlDsa44Signer, name: str, checkpoint: Checkpoint, time_s: int) -> bytes:
    """The blob of a type 0x06 cosignature by the cosigner called `name` at `time_s` (POSIX seconds, not
    0).
    """
    signature = signer.sign(ml_dsa_44_message(name, checkpoint, time_s))
    return time_s.to_bytes(_TIME_BYTES, "big") + signature


def open_cosignature_ed25519(public: bytes, text: str, blob: bytes) -> int:
    """The time (POSIX seconds) at which `public` cosigned `text`; Unverified when it did not."""
    parse_checkpoint(text)
    time_s, signature = _parse_blob(blob, ED25519_SIGNATURE_BYTES)
    verify_ed25519(public, ed25519_message(text, time_s), signature)
    return time_s


def open_cosignature_ml_dsa_44(public: bytes, name: str, text: str, blob: bytes) -> int:
    """The time (POSIX seconds) at which `name` with key `public` cosigned `text`; Unverified when it did
    not.
    """
    checkpoint = parse_checkpoint(text)
    time_s, signature = _parse_blob(blob, ML_DSA_44_SIGNATURE_BYTES)
    verify_ml_dsa_44(public, ml_dsa_44_message(name, checkpoint, time_s), signature)
    return time_s


def _check_time(time_s: int) -> None:
    # 0 would mean "no statement about the largest tree", which for a checkpoint is no cosignature at all.
    if not 0 < time_s <= MAX_DECIMAL:
        raise Malformed("a cosignature time lies in 1 .. 2**63 - 1 seconds")


def _parse_blob(blob: bytes, signature_bytes: int) -> tuple[int, bytes]:
    if len(blob) != _TIME_BYTES + signature_bytes:
        raise Unverified("a cosignature has the wrong length")
    time_s = int.from_bytes(blob[:_TIME_BYTES], "big")
    if not 0 < time_s <= MAX_DECIMAL:
        raise Unverified("a cosignature without a usable time")
    return time_s, blob[_TIME_BYTES:]

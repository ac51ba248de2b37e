"""Checkpoints signed by the log and opened by everybody else (C2SP tlog-checkpoint, with tlog-cosignature
0x06).

The log signs twice under its origin: Ed25519 (0x01), which every client and witness reads, and ML-DSA-44
(0x06), which stands against quantum computers and carries the time that makes the checkpoint fresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Malformed, Unverified
from ledger.tlog.checkpoint_text import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE, cosign_ml_dsa_44
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import ED25519, Note, NoteSignature, Verified, VerifierKey, format_note, open_note

__all__ = [
    "Checkpoint",
    "CheckpointSigner",
    "OpenedCheckpoint",
    "format_checkpoint",
    "open_checkpoint",
    "parse_checkpoint",
]


class CheckpointSigner:
    """The log's two keys under one name, its origin."""

    __slots__ = ("_ed25519", "_ml_dsa", "origin", "vkeys")

    def __init__(self, origin: str, ed25519: Ed25519Signer, ml_dsa: MlDsa44Signer) -> None:
        self.origin = origin
        self.vkeys = (
            VerifierKey(origin, ED25519, ed25519.public),
            VerifierKey(origin, ML_DSA_44_COSIGNATURE, ml_dsa.public),
        )
        self._ed25519 = ed25519
        self._ml_dsa = ml_dsa

    def sign(self, checkpoint: Checkpoint, time_s: int) -> bytes:
        """The signed note, Ed25519 line first. `time_s`: POSIX seconds. Malformed for another log's
        checkpoint.
        """
        if checkpoint.origin != self.origin:
            raise Malformed("a checkpoint of another origin")
        text = format_checkpoint(checkpoint)
        blobs = (
            self._ed25519.sign(text.encode()),
            cosign_ml_dsa_44(self._ml_dsa, self.origin, checkpoint, time_s),
        )
        lines = tuple(NoteSignature(key.name, key.key_id, blob) for key, blob in zip(self.vkeys, blobs, strict=True))
        return format_note(Note(text, lines))


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint that every pinned log key signed; built by `open_checkpoint` only."""

    checkpoint: Checkpoint
    time_s: int  # POSIX seconds, from the log's own timestamped signature
    note: bytes  # as received, further signatures included


def open_checkpoint(note: bytes, origin: str, keys: Sequence[VerifierKey]) -> OpenedCheckpoint:
    """Open a log's checkpoint under the pinned `origin` and log `keys`, of which at least one carries a time.

    Unverified unless every key signed and the origin is the pinned one; Malformed when the bytes are no
    checkpoint.
    """
    opened = open_note(note, keys)
    if len(opened.verified) != len(set(keys)):
        raise Unverified("a log key did not sign the checkpoint")
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin:
        raise Unverified("a checkpoint of another log")
    return OpenedCheckpoint(checkpoint, _time_of(opened.verified), note)


def _time_of(verified: Sequence[Verified]) -> int:
    times = [v.time_s for v in verified if v.time_s is not None]
    if not times:
        raise Unverified("no log key says when the checkpoint was signed")
    return min(times)

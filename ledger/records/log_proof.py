"""A statement's place in the log, judged from pinned keys and the bytes at hand alone.

    open_sealed(checkpoint, seal, inclusion of the seal, origin, keys) -> Sealed      once for a checkpoint
    verify_place(leaf hash, index, inclusion, sealed)                                 for each statement under it
    verify_log_proof(leaf hash, proof, origin, keys) -> Sealed                        both, for one statement

Freshness is the caller's: what is proven was so when the checkpoint was signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Malformed, Unverified
from ledger.records.evidence import check_path
from ledger.records.seal import Seal, verify_seal_of
from ledger.tlog.checkpoint import OpenedCheckpoint, open_checkpoint
from ledger.tlog.merkle import leaf_hash, verify_inclusion
from ledger.tlog.note import NOTE_CEILING, VerifierKey


@dataclass(frozen=True, slots=True)
class LogProof:
    """A statement's place in the log under one signed checkpoint, and the seal that ends that checkpoint."""

    index: int
    inclusion: tuple[bytes, ...]  # leaf-sibling upward
    checkpoint: bytes  # signed note
    seal: bytes  # leaf size-1
    seal_inclusion: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_path(self.inclusion)
        check_path(self.seal_inclusion)
        if self.index < 0 or len(self.checkpoint) > NOTE_CEILING or len(self.seal) > 256:
            raise Malformed("log proof: index, checkpoint or seal out of range")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A checkpoint that the log's keys signed, with the seal that ends it (rule R1). Made by `open_sealed`."""

    opened: OpenedCheckpoint
    seal: Seal


def open_sealed(
    checkpoint: bytes, seal: bytes, seal_inclusion: Sequence[bytes], origin: str, keys: Sequence[VerifierKey]
) -> Sealed:
    """Open a signed checkpoint under the pinned origin and keys, and the seal that must be its last leaf.

    Raises Unverified, or Malformed for bytes that are no checkpoint, seal or proof.
    """
    opened = open_checkpoint(checkpoint, origin, keys)
    size, root = opened.checkpoint.size, opened.checkpoint.root
    verified = verify_seal_of(seal, size)
    verify_inclusion(leaf_hash(seal), size - 1, size, seal_inclusion, root)
    return Sealed(opened, verified)


def verify_place(leaf: bytes, index: int, inclusion: Sequence[bytes], sealed: Sealed) -> None:
    """Check that the entry with this leaf hash (32 bytes) stands at `index`, before the seal. Raises Unverified."""
    if index >= sealed.seal.covered:
        raise Unverified("a statement at or after the seal")
    checkpoint = sealed.opened.checkpoint
    verify_inclusion(leaf, index, checkpoint.size, inclusion, checkpoint.root)


def verify_log_proof(leaf: bytes, proof: LogProof, origin: str, keys: Sequence[VerifierKey]) -> Sealed:
    """Check a whole proof for the entry with this leaf hash (32 bytes). Raises as `open_sealed`, `verify_place`."""
    sealed = open_sealed(proof.checkpoint, proof.seal, proof.seal_inclusion, origin, keys)
    verify_place(leaf, proof.index, proof.inclusion, sealed)
    return sealed

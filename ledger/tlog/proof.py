"""Proof files: a checkpoint, an index and an inclusion proof in one text (C2SP tlog-proof v1,
`.tlog-proof`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.tlog.checkpoint import OpenedCheckpoint, open_checkpoint, parse_checkpoint
from ledger.tlog.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from ledger.tlog.note import NOTE_CEILING, VerifierKey, parse_note
from ledger.tlog.spelling import MAX_DECIMAL, format_base64, parse_base64, parse_decimal, parse_hash

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
EXTRA_CEILING = 64 * 1024  # bytes
PROOF_CEILING = 160 * 1024  # bytes: note, extra in base64, hashes


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That the entry at `index` lies in the tree of a checkpoint; nothing is verified yet.

    `checkpoint` is a signed note, kept byte for byte. `extra` is not authenticated by anything.
    """

    index: int  # 0 <= index < 2**63
    hashes: tuple[bytes, ...]  # leaf's sibling first, 32 bytes each, at most 63
    checkpoint: bytes
    extra: bytes | None

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_DECIMAL:
            raise Malformed("a proof index lies in 0 .. 2**63 - 1")
        if len(self.hashes) > MAX_HASHES or any(len(h) != HASH_BYTES for h in self.hashes):
            raise Malformed("an inclusion proof is at most 63 hashes of 32 bytes")
        if self.extra is not None and not 0 < len(self.extra) <= EXTRA_CEILING:
            raise Malformed("the extra part of a proof is 1 byte to 64 KiB, or left out")
        parse_checkpoint(parse_note(self.checkpoint).text)


def format_tlog_proof(proof: TlogProof) -> bytes:
    """The bytes of the proof file."""
    extra = f"extra {format_base64(proof.extra)}\n" if proof.extra is not None else ""
    hashes = "".join(f"{format_base64(h)}\n" for h in proof.hashes)
    return f"{HEADER}\n{extra}index {proof.index}\n{hashes}\n".encode() + proof.checkpoint


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Inverse of `format_tlog_proof`; Malformed for every other byte string."""
    if len(data) > PROOF_CEILING:
        raise Malformed("a proof file is larger than 160 KiB")
    head, gap, checkpoint = data.partition(b"\n\n")
    if not gap or len(checkpoint) > NOTE_CEILING:
        raise Malformed("a proof file is its own lines, an empty line and a checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("the lines of a proof are not ASCII") from None
    if len(lines) < 2 or len(lines) > MAX_HASHES + 3 or lines[0] != HEADER:
        raise Malformed("not a version 1 proof file")
    extra = None
    if lines[1].startswith("extra "):
        extra = parse_base64(lines.pop(1)[len("extra ") :], "the extra part of a proof")
    if len(lines) < 2 or not lines[1].startswith("index "):
        raise Malformed("a proof file has no index line")
    index = parse_decimal(lines[1][len("index ") :], "a proof index")
    proof = TlogProof(index, tuple(parse_hash(line, "a proof hash") for line in lines[2:]), checkpoint, extra)
    if format_tlog_proof(proof) != data:
        raise Malformed("a proof file in another spelling")
    return proof


def verify_tlog_proof(proof: TlogProof, entry: bytes, origin: str, keys: Sequence[VerifierKey]) -> OpenedCheckpoint:
    """The opened checkpoint whose tree holds `entry` at the proof's index.

    1. The pinned log `keys` signed the checkpoint of `origin`. 2. The proof leads from the entry to its root.
    Unverified otherwise. `extra` plays no part; quorum and freshness are the caller's.
    """
    opened = open_checkpoint(proof.checkpoint, origin, keys)  # 1
    checkpoint = opened.checkpoint
    verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root)  # 2
    return opened

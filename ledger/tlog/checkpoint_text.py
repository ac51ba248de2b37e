"""The three lines of a checkpoint (C2SP tlog-checkpoint): origin, size, root. Signatures are
`checkpoint`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.tlog.spelling import MAX_DECIMAL, check_name, format_base64, parse_decimal, parse_hash

TEXT_CEILING = 512  # characters: origin 255, size 19, root 44, three newlines


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log claims: the tree of its first `size` leaves has this root.

    The root of size 0 is not compared with the empty root here: a witness answers that case by itself
    (422, not 400).
    """

    origin: str
    size: int  # leaves; 0 <= size < 2**63
    root: bytes  # 32 bytes

    def __post_init__(self) -> None:
        check_name(self.origin, "the checkpoint origin")
        if not 0 <= self.size <= MAX_DECIMAL:
            raise Malformed("a checkpoint size lies in 0 .. 2**63 - 1")
        if len(self.root) != 32:
            raise Malformed("a checkpoint root is 32 bytes")


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The note text, three lines."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{format_base64(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Inverse of `format_checkpoint`. Malformed otherwise, also for extension lines: no signature of ours
    covers them.
    """
    if len(text) > TEXT_CEILING:
        raise Malformed("a checkpoint text is longer than three lines can be")
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise Malformed("a checkpoint is exactly three lines")
    return Checkpoint(
        lines[0], parse_decimal(lines[1], "the checkpoint size"), parse_hash(lines[2], "the checkpoint root")
    )

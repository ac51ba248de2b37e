"""What a log and a witness say to each other (C2SP tlog-witness, add-checkpoint): one request and its answers.

    POST <prefix>/add-checkpoint     `old <size>`, 0..63 proof hashes in base64, an empty line, the signed checkpoint
    200                              one or more signature lines
    409 text/x.tlog.size             the size that the witness has seen, one line

Nothing is verified here: whoever reads opens signatures and proofs under its own keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed
from ledger.tlog.merkle import HASH_BYTES
from ledger.tlog.note import MAX_SIGNATURES, NOTE_CEILING, NoteSignature, format_signature_line, parse_signature_line
from ledger.tlog.spelling import MAX_DECIMAL, format_base64, parse_decimal, parse_hash

MAX_PROOF: Final = 63  # hashes
REQUEST_CEILING: Final = NOTE_CEILING + 4 * 1024  # bytes: the note, the old size and 63 hashes
ANSWER_CEILING: Final = NOTE_CEILING  # bytes of signature lines
SIZE_TYPE: Final = "text/x.tlog.size"  # Content-Type of a 409 that says the witness's size


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign: `proof` leads from the tree of `old` leaves, the witness's newest, to the checkpoint's."""

    old: int  # leaves; 0: the witness has seen nothing
    proof: tuple[bytes, ...]  # 32 bytes each, at most 63
    note: bytes  # signed checkpoint, as the log signed it

    def __post_init__(self) -> None:
        if not 0 <= self.old <= MAX_DECIMAL:
            raise Malformed("an old size lies in 0 .. 2**63 - 1")
        if len(self.proof) > MAX_PROOF or any(len(node) != HASH_BYTES for node in self.proof):
            raise Malformed("a consistency proof is at most 63 hashes of 32 bytes")
        if not 0 < len(self.note) <= NOTE_CEILING:
            raise Malformed("a note is 1 byte to 64 KiB")


def format_add_checkpoint(request: AddCheckpoint) -> bytes:
    """The body of the POST."""
    hashes = "".join(f"{format_base64(node)}\n" for node in request.proof)
    return f"old {request.old}\n{hashes}\n".encode() + request.note


def parse_add_checkpoint(raw: bytes) -> AddCheckpoint:
    """Inverse of `format_add_checkpoint`; Malformed for every other byte string. The note is left unread."""
    if len(raw) > REQUEST_CEILING:
        raise Malformed("an add-checkpoint request is too long")
    head, gap, note = raw.partition(b"\n\n")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("the lines of an add-checkpoint request are not ASCII") from None
    if not gap or not first.startswith("old "):
        raise Malformed("an add-checkpoint request is an old size, a proof, an empty line and a checkpoint")
    if len(hashes) > MAX_PROOF:
        raise Malformed("a consistency proof is at most 63 hashes of 32 bytes")
    old = parse_decimal(first[len("old ") :], "the old size")
    return AddCheckpoint(old, tuple(parse_hash(line, "a proof hash") for line in hashes), note)


def format_cosignatures(lines: tuple[NoteSignature, ...]) -> bytes:
    """The body of a 200 answer."""
    return "".join(map(format_signature_line, lines)).encode()


def parse_cosignatures(raw: bytes) -> tuple[NoteSignature, ...]:
    """The signature lines of a 200 answer, at least one; Malformed otherwise. Whose they are, the caller asks."""
    if len(raw) > ANSWER_CEILING:
        raise Malformed("an answer of a witness is too long")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Malformed("an answer of a witness is not UTF-8") from None
    lines = text.split("\n")
    if lines.pop() or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise Malformed("an answer of a witness is 1 to 64 signature lines")
    return tuple(parse_signature_line(line + "\n") for line in lines)


def format_size(size: int) -> bytes:
    """The body of a 409 answer of type `SIZE_TYPE`."""
    return f"{size}\n".encode()


def parse_size(raw: bytes) -> int:
    """Inverse of `format_size`; Malformed for every other byte string."""
    if len(raw) > 20 or not raw.endswith(b"\n") or not raw.isascii():
        raise Malformed("a size of a witness is one decimal line")
    return parse_decimal(raw[:-1].decode("ascii"), "a size of a witness")


def checkpoint_path(origin: str) -> str:
    """Where below its monitoring prefix a witness shows the newest checkpoint of a log that it cosigned."""
    return f"{sha256(origin.encode()).hexdigest()}/checkpoint"

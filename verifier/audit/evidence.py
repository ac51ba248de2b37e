"""Evidence against a log that stands on its own: anybody who knows the log's keys can repeat the check. Pure.

A file is JSON, in one spelling (`format_evidence`), of one of two kinds:

    fork    two checkpoints, both signed by the log, that cannot be of one history: `older` states a root for its
            size, and `proof` (RFC 6962 2.1.2) leads from another root of that size, `prefix_root`, to `newer`.
            A tree has one root per size, so a log that grew from `older` to `newer` cannot exist
    entry   one entry that has no place in the log, `entry` at `index`, with its inclusion proof (RFC 6962 2.1.1)
            under a checkpoint signed by the log. Why it has no place is said in `reason`: the entry alone shows
            a signature or form that does not hold; a seal or a scope is judged by replaying the log up to it

Checked by `verify_evidence` in these steps:

    1  both notes (or the one) are signed by both pinned log keys, of today or of before, under the pinned origin
    2  fork: 0 < older.size <= newer.size and prefix_root != older.root
    3  fork: the consistency proof leads from prefix_root at older.size to newer
    4  entry: the inclusion proof leads from the entry at index to the checkpoint
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import Malformed, Unverified
from ledger.tlog.checkpoint import OpenedCheckpoint
from ledger.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.tlog.note import NOTE_CEILING, VerifierKey
from ledger.tlog.spelling import format_base64, parse_base64, parse_hash
from verifier.former import FormerKeys, open_known

FORMAT: Final = "certledger/evidence-against-a-log/v1"
MAX_BYTES: Final = 1024 * 1024
_MAX_LIST: Final = 128


@dataclass(frozen=True, slots=True)
class Fork:
    """Two signed heads that do not fit. `prefix_root`: what the first older.size leaves of `newer` hash to."""

    origin: str
    vkeys: tuple[str, ...]
    older: bytes  # signed note
    newer: bytes  # signed note
    prefix_root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BadEntryProof:
    """One signed entry that breaks a rule."""

    origin: str
    vkeys: tuple[str, ...]
    checkpoint: bytes  # signed note
    index: int
    entry: bytes
    inclusion: tuple[bytes, ...]
    reason: str


Evidence = Fork | BadEntryProof


def verify_evidence(
    evidence: Evidence, origin: str, keys: Sequence[VerifierKey], former: Sequence[FormerKeys] = ()
) -> tuple[OpenedCheckpoint, ...]:
    """The checkpoints that convict the log, older first. `origin`, `keys` and `former` are the reader's own pins, never
    the file's. Raises Unverified when the file proves nothing against that log, Malformed for notes of another form.
    """
    if isinstance(evidence, Fork):
        older, newer = (open_known(note, origin, keys, former)[0] for note in (evidence.older, evidence.newer))  # 1
        a, b = older.checkpoint, newer.checkpoint
        if not 0 < a.size <= b.size or evidence.prefix_root == a.root:  # 2
            raise Unverified("the two checkpoints may well be of one history")
        verify_consistency(a.size, evidence.prefix_root, b.size, b.root, evidence.proof)  # 3
        return older, newer
    opened, _ = open_known(evidence.checkpoint, origin, keys, former)  # 1
    head = opened.checkpoint
    verify_inclusion(leaf_hash(evidence.entry), evidence.index, head.size, evidence.inclusion, head.root)  # 4
    return (opened,)


def format_evidence(evidence: Evidence) -> bytes:
    """The bytes of an evidence file."""
    fields: dict[str, Any] = {"format": FORMAT, "origin": evidence.origin, "vkeys": list(evidence.vkeys)}
    if isinstance(evidence, Fork):
        fields |= {
            "kind": "fork",
            "older": _text(evidence.older),
            "newer": _text(evidence.newer),
            "prefix_root": format_base64(evidence.prefix_root),
            "proof": [format_base64(part) for part in evidence.proof],
        }
    else:
        fields |= {
            "kind": "entry",
            "checkpoint": _text(evidence.checkpoint),
            "index": evidence.index,
            "entry": format_base64(evidence.entry),
            "inclusion": [format_base64(part) for part in evidence.inclusion],
            "reason": evidence.reason,
        }
    return json.dumps(fields, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_evidence(raw: bytes) -> Evidence:
    """Inverse of `format_evidence`; Malformed for every other byte string. Nothing is verified yet."""
    if len(raw) > MAX_BYTES:
        raise Malformed("an evidence file of more than 1 MiB")
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        raise Malformed("not an evidence file") from None
    evidence = _read(fields)
    if format_evidence(evidence) != raw:
        raise Malformed("an evidence file in another spelling")
    return evidence


def _read(fields: object) -> Evidence:
    match fields:
        case {"format": str(form), "origin": str(origin), "vkeys": [*vkeys], "kind": "fork", "older": str(older),
              "newer": str(newer), "prefix_root": str(root), "proof": [*proof]} if form == FORMAT:  # fmt: skip
            return Fork(
                origin, _strings(vkeys), older.encode(), newer.encode(), parse_hash(root, "a root"), _hashes(proof)
            )
        case {"format": str(form), "origin": str(origin), "vkeys": [*vkeys], "kind": "entry",
              "checkpoint": str(note), "index": int(index), "entry": str(entry), "inclusion": [*proof],
              "reason": str(reason)} if form == FORMAT:  # fmt: skip
            body = parse_base64(entry, "an entry")
            return BadEntryProof(origin, _strings(vkeys), note.encode(), index, body, _hashes(proof), reason)
    raise Malformed("not an evidence file")


def _strings(values: list[object]) -> tuple[str, ...]:
    found = tuple(value for value in values if isinstance(value, str))
    if len(found) != len(values) or len(found) > _MAX_LIST:
        raise Malformed("evidence: vkeys and proofs are lists of texts")
    return found


def _hashes(values: list[object]) -> tuple[bytes, ...]:
    return tuple(parse_hash(text, "a proof hash") for text in _strings(values))


def _text(note: bytes) -> str:
    if len(note) > NOTE_CEILING:
        raise Malformed("a note is larger than 64 KiB")
    try:
        return note.decode()
    except UnicodeDecodeError:
        raise Malformed("a note is UTF-8") from None

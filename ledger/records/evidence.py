"""The proof of what the log says about one certificate now, or said at an earlier seal: its form.

One canonical CBOR array; `evidence_check` says what it proves.

    ["certledger/evidence/v1", cert key, checkpoint (signed note), seal, [inclusion of the seal],
     next, map proof, state, issued, commitments, event, filing terms, highest]

    next         [] or [seal, [inclusion]]: the seal after an older one, so that nothing can lie between
    state        the state's CBOR, empty: the map holds no such certificate, and every part after it is empty
    issued       [] or [statement, [inclusion]], at the state's issue index
    commitments  [] or [statement], when the current commitments stand in another one than the issue
    event        [] or [statement], when the last event is neither of the two
    terms        the filing statement under which it was issued, or empty: left out
    highest      [] or [statement, index, [inclusion]], that of the track's highest certificate, when it is another one

Answers are immutable: one for each certificate, seal and checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.commitments import parse_hashes
from ledger.tlog.map_proof import PROOF_CEILING
from ledger.tlog.note import NOTE_CEILING

LABEL: Final = "certledger/evidence/v1"
MAX_EVIDENCE: Final = 160 * 1024
_BEFORE_KEY: Final = b"\x8d" + canonical.encode(LABEL) + b"\x58\x20"  # an array of thirteen, its first, 32 bytes
_NOTHING, _ONE, _TWO, _THREE = b"\x80", b"\x81", b"\x82", b"\x83"  # CBOR arrays: their first byte
_MAX_PATH: Final = 63  # hashes of an inclusion proof
_HASHES: Final = frozenset({32})  # their lengths
_HASH: Final = b"\x58\x20"  # a CBOR byte string of 32: what stands before it
_MAX_SEAL: Final = 256
_MAX_STATE: Final = 2048
_MAX_INDEX: Final = 2**63


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry and its inclusion proof, leaf's sibling first; where it stands follows from elsewhere."""

    entry: bytes
    inclusion: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.entry) <= canonical.MAX_BYTES:
            raise Malformed("evidence: an entry of the log has 1 to 8192 bytes")
        check_path(self.inclusion)


@dataclass(frozen=True, slots=True)
class Indexed:
    """An entry with its place in the log."""

    entry: bytes
    index: int
    inclusion: tuple[bytes, ...]

    def __post_init__(self) -> None:
        Placed(self.entry, self.inclusion)
        if not 0 <= self.index < _MAX_INDEX:
            raise Malformed("evidence: an index lies in 0 .. 2**63 - 1")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One answer, well-formed and nothing verified. Entries are the exact bytes of leaves; b"" means left out."""

    cert_key: bytes  # 32 bytes
    checkpoint: bytes  # signed note, cosignatures included
    seal: Placed
    next: Placed | None
    map_proof: bytes  # `map_proof.format_map_proof`
    state: bytes  # b"": absent
    issued: Placed | None = None
    commitments: bytes = b""
    event: bytes = b""
    terms: bytes = b""
    highest: Indexed | None = None

    def __post_init__(self) -> None:
        if len(self.cert_key) != 32:
            raise Malformed("evidence: a cert key has 32 bytes")
        if not 0 < len(self.checkpoint) <= NOTE_CEILING or len(self.map_proof) > PROOF_CEILING:
            raise Malformed("evidence: checkpoint or map proof missing or too long")
        if len(self.state) > _MAX_STATE or len(self.seal.entry) > _MAX_SEAL:
            raise Malformed("evidence: state or seal too long")
        if self.next is not None and len(self.next.entry) > _MAX_SEAL:
            raise Malformed("evidence: seal too long")
        if max(map(len, (self.commitments, self.event, self.terms))) > canonical.MAX_BYTES:
            raise Malformed("evidence: an entry of the log has at most 8192 bytes")
        if bool(self.state) != (self.issued is not None):
            raise Malformed("evidence: a state comes with the statement that issued the certificate")
        if not self.state and (self.commitments or self.event or self.terms or self.highest is not None):
            raise Malformed("evidence: of an absent certificate there is nothing to show")


def format_evidence(evidence: Evidence) -> bytes:
    """The bytes of an answer. Raises Malformed when they would be more than 160 KiB."""
    shown = format_shown(
        evidence.map_proof,
        evidence.state,
        evidence.issued,
        evidence.commitments,
        evidence.event,
        evidence.terms,
        evidence.highest,
    )
    checkpoint = canonical.encode(evidence.checkpoint)
    raw = join_answer(evidence.cert_key, checkpoint, format_seals(evidence.seal, evidence.next), shown)
    if len(raw) > MAX_EVIDENCE:
        raise Malformed("evidence of more than 160 KiB")
    return raw


# Put together from pieces, some of which are the same in many answers: a third of the time of one array with all of it,
# nearly all of which is hashes.
def join_answer(cert_key: bytes, checkpoint: bytes, seals: bytes, shown: bytes) -> bytes:
    """The answer out of the checkpoint's CBOR, `format_seals` and `format_shown`."""
    return b"".join((_BEFORE_KEY, cert_key, checkpoint, seals, shown))


def format_seals(seal: Placed, following: Placed | None) -> bytes:
    """The piece that all answers at one seal under one size share."""
    return canonical.encode_bytes(seal.entry) + _path(seal.inclusion) + _placed(following)


def format_shown(
    map_proof: bytes,
    state: bytes = b"",
    issued: Placed | None = None,
    commitments: bytes = b"",
    event: bytes = b"",
    terms: bytes = b"",
    highest: Indexed | None = None,
) -> bytes:
    """The piece about one certificate: parts as in `Evidence`, which says what goes together."""
    entry = canonical.encode_bytes
    return b"".join(
        (
            entry(map_proof),
            entry(state),
            _placed(issued),
            _ONE + entry(commitments) if commitments else _NOTHING,
            _ONE + entry(event) if event else _NOTHING,
            entry(terms),
            _THREE + entry(highest.entry) + canonical.encode(highest.index) + _path(highest.inclusion)
            if highest
            else _NOTHING,
        )
    )


def parse_evidence(raw: bytes) -> Evidence:
    """Read an answer of at most 160 KiB. Raises Malformed unless it is in its one spelling; verifies nothing."""
    match canonical.decode(raw, limit=MAX_EVIDENCE):
        case [str(label), bytes(cert_key), bytes(checkpoint), bytes(seal), [*seal_inclusion], [*following],
              bytes(map_proof), bytes(state), [*issued], [*commitments], [*event], bytes(terms),
              [*highest]] if label == LABEL:  # fmt: skip
            return Evidence(
                cert_key,
                checkpoint,
                Placed(seal, parse_hashes(seal_inclusion)),
                _parse_placed(following),
                map_proof,
                state,
                _parse_placed(issued),
                _parse_entry(commitments),
                _parse_entry(event),
                terms,
                _parse_indexed(highest),
            )
    raise Malformed("not evidence of this version")


def check_path(path: Sequence[bytes]) -> None:
    """Raises Malformed unless `path` can be an inclusion proof: at most 63 hashes of 32 bytes."""
    if len(path) > _MAX_PATH or not _HASHES.issuperset(map(len, path)):
        raise Malformed("evidence: an inclusion proof has at most 63 hashes of 32 bytes")


def _placed(placed: Placed | None) -> bytes:
    return _TWO + canonical.encode_bytes(placed.entry) + _path(placed.inclusion) if placed else _NOTHING


def _path(path: Sequence[bytes]) -> bytes:
    """The CBOR array of at most 63 hashes of 32 bytes (`check_path`)."""
    count = len(path)
    return _HASH.join((bytes((0x80 | count,)) if count < 24 else bytes((0x98, count)), *path))


def _parse_placed(value: list[Any]) -> Placed | None:
    match value:
        case []:
            return None
        case [bytes(entry), [*inclusion]]:
            return Placed(entry, parse_hashes(inclusion))
    raise Malformed("evidence: [entry, [inclusion]] or nothing")


def _parse_entry(value: list[Any]) -> bytes:
    match value:
        case []:
            return b""
        case [bytes(entry)] if entry:
            return entry
    raise Malformed("evidence: [entry] or nothing")


def _parse_indexed(value: list[Any]) -> Indexed | None:
    match value:
        case []:
            return None
        case [bytes(entry), int(index), [*inclusion]]:
            return Indexed(entry, index, parse_hashes(inclusion))
    raise Malformed("evidence: [entry, index, [inclusion]] or nothing")

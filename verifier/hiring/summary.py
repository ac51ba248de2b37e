"""The summary of an answered list: how many rows of each code, under which checkpoints, and the digest of all answers.
Pure.

    statement = canonical CBOR ["certledger/list-summary/v1", verifier, finished at (ms), rows,
                [[code, count] ...] by code, [[origin, size, root, time (ms)] ...] in the order of the settings,
                digest of the result, public key]
    signature = Ed25519 over the label, a line feed and the statement, by the verifier's receipt key
    digest of the result = SHA-256 over one line of JSON a row: [row number, texts of the columns that asked, texts of
                the columns that answer], as they stand in the sheet

The digest leaves out the sheet's other columns and its looks: somebody may add a column or a colour.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.cose import Signer
from ledger.sheets.inert import inert
from ledger.tlog.keys import verify_ed25519
from verifier.receipts.receipt import signed_bytes

LABEL: Final = "certledger/list-summary/v1"
_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class Under:
    """The checkpoint of one log when the list was finished."""

    origin: str
    size: int
    root: bytes
    time_ms: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What is signed about a list."""

    verifier: str
    finished_ms: int
    rows: int
    counts: tuple[tuple[str, int], ...]  # by code, rising
    logs: tuple[Under, ...]
    digest: bytes
    public: bytes = b""  # b"": there was no key
    signature: bytes = b""

    def __post_init__(self) -> None:
        if sum(count for _, count in self.counts) != self.rows or list(self.counts) != sorted(set(self.counts)):
            raise Malformed("list summary: counts that do not make the rows")
        if len(self.digest) != 32 or len(self.public) not in (0, 32) or len(self.signature) not in (0, 64):
            raise Malformed("list summary: digest, key or signature of another length")

    @property
    def statement(self) -> bytes:
        logs: list[canonical.Value] = [[log.origin, log.size, log.root, log.time_ms] for log in self.logs]
        counts: list[canonical.Value] = [[code, count] for code, count in self.counts]
        return canonical.encode(
            [LABEL, self.verifier, self.finished_ms, self.rows, counts, logs, self.digest, self.public]
        )

    def verify_signature(self) -> None:
        """Raises Unverified, or Malformed where nobody signed."""
        if not self.public:
            raise Malformed("list summary: not signed")
        verify_ed25519(self.public, signed_bytes(LABEL, self.statement), self.signature)

    def as_json(self) -> dict[str, object]:
        return {
            "verifier": self.verifier,
            "finished_ms": self.finished_ms,
            "rows": self.rows,
            "counts": dict(self.counts),
            "logs": [
                {"origin": log.origin, "size": log.size, "root": log.root.hex(), "time_ms": log.time_ms}
                for log in self.logs
            ],
            "digest": self.digest.hex(),
            "statement": base64.b64encode(self.statement).decode(),
            "signature": base64.b64encode(self.signature).decode() or None,
        }


def result_digest(rows: Iterable[tuple[int, Sequence[str], Sequence[str]]]) -> bytes:
    """Of (row number, texts that asked, texts that answer), in the order of the sheet."""
    digest = sha256()
    for number, asked, answered in rows:
        line = [number, [inert(text) for text in asked], [inert(text) for text in answered]]
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.digest()


def summarise(
    codes: Iterable[str], digest: bytes, logs: Sequence[Under], verifier: str, finished_ms: int, signer: Signer | None
) -> Summary:
    """Count and sign."""
    counts: Mapping[str, int] = Counter(codes)
    plain = Summary(
        verifier,
        finished_ms,
        sum(counts.values()),
        tuple(sorted(counts.items())),
        tuple(logs),
        digest,
        signer.public if signer else b"",
    )
    if signer is None:
        return plain
    signature = signer.sign(signed_bytes(LABEL, plain.statement))
    return Summary(
        plain.verifier, plain.finished_ms, plain.rows, plain.counts, plain.logs, digest, plain.public, signature
    )


def parse_summary(statement: str, signature: str) -> Summary:
    """Read what a sheet or the API shows, base64 both. Raises Malformed; the signature is not checked here."""
    try:
        raw, signed = base64.b64decode(statement, validate=True), base64.b64decode(signature, validate=True)
    except ValueError:
        raise Malformed("list summary: not base64") from None
    match canonical.decode(raw, limit=_MAX):
        case [str(label), str(verifier), int(finished), int(rows), [*counts], [*logs], bytes(digest),
              bytes(public)] if label == LABEL:  # fmt: skip
            return Summary(
                verifier,
                finished,
                rows,
                tuple(_count(item) for item in counts),
                tuple(_under(item) for item in logs),
                digest,
                public,
                signed,
            )
    raise Malformed("not a list summary of this version")


def _count(value: object) -> tuple[str, int]:
    match value:
        case [str(code), int(count)] if count > 0:
            return code, count
    raise Malformed("list summary: [code, count]")


def _under(value: object) -> Under:
    match value:
        case [str(origin), int(size), bytes(root), int(time_ms)] if len(root) == 32:
            return Under(origin, size, root, time_ms)
    raise Malformed("list summary: [origin, size, root, time]")

"""A verification receipt: what was asked, what was answered and when, with the log's proof inside. Pure.

A receipt is JSON that people and programs can read, and in it the exact bytes that were signed:

    {"format": "certledger/verification-receipt/v1", "verifier", "asked": {"text", "file_sha256"}, "verdict",
     "statement": base64, "signature": base64}

    statement = canonical CBOR ["certledger/verification-receipt/v1", verifier, asked text in UTF-8, file digest or "",
                checked at (ms), digest of the verdict, [] or [salt, number, name], evidence or "", public key]
    signature = Ed25519 over the label, a line feed and the statement
    digest of the verdict = SHA-256 of its JSON with sorted keys and without white space

so a program may store and print the JSON anew, and every value in it still counts. The verdict is that of the API
without the photo. The key in the statement only shows that nothing was altered; who signed is told by comparing it with
keys that the reader knows, and what the log says by the evidence alone (`check`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.commitments import FaceOpening, parse_face_opening
from ledger.records.cose import Signer
from ledger.records.evidence import MAX_EVIDENCE
from ledger.tlog.keys import ED25519_SIGNATURE_BYTES, verify_ed25519

LABEL: Final = "certledger/verification-receipt/v1"
MAX_RECEIPT: Final = 512 * 1024  # bytes of JSON
ATTACHED: Final = "receipt.json"  # what a printed receipt embeds it as
MAX_ASKED: Final = 2048  # characters
_MAX_STATEMENT: Final = MAX_EVIDENCE + 16 * 1024
_MAX_TIME: Final = 2**53
_FIELDS: Final = frozenset({"format", "verifier", "asked", "verdict", "statement", "signature"})


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt, well-formed and nothing verified."""

    verifier: str  # official address of who checked
    asked: str  # link or text of a QR code; "": a file without one that could be read
    file_digest: bytes  # SHA-256 of the file that was handed in; b"": none was
    checked_at_ms: int
    verdict: Mapping[str, Any]  # as `Messages.as_json`, without the photo
    face: FaceOpening | None  # number and name that count now, with the salt that proves them
    evidence: bytes  # of the state at that moment; b"": the answer does not rest on the log's word alone
    public: bytes  # key of the verifier's receipts
    signature: bytes = b""

    def __post_init__(self) -> None:
        if len(self.asked) > MAX_ASKED or len(self.verifier) > 300 or len(self.evidence) > MAX_EVIDENCE:
            raise Malformed("receipt: something in it is too long")
        if len(self.file_digest) not in (0, 32) or len(self.public) != 32 or not 0 <= self.checked_at_ms < _MAX_TIME:
            raise Malformed("receipt: a digest, key or time of another form")
        if len(self.signature) not in (0, ED25519_SIGNATURE_BYTES):
            raise Malformed("receipt: an Ed25519 signature has 64 bytes")

    @property
    def code(self) -> str:
        """The code that was answered, as the receipt says it."""
        return str(self.verdict.get("code"))

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        face = self.face
        return canonical.encode(
            [
                LABEL,
                self.verifier,
                self.asked.encode(),
                self.file_digest,
                self.checked_at_ms,
                verdict_digest(self.verdict),
                [face.salt, face.number, face.name] if face else [],
                self.evidence,
                self.public,
            ]
        )

    def verify_signature(self) -> None:
        """Raises Unverified unless the key named in the receipt signed it."""
        verify_ed25519(self.public, signed_bytes(LABEL, self.statement), self.signature)


def signed_bytes(label: str, statement: bytes) -> bytes:
    """What a receipt key signs: never bytes of another kind of statement."""
    return label.encode() + b"\n" + statement


def verdict_digest(verdict: Mapping[str, Any]) -> bytes:
    """SHA-256 of a verdict's JSON in its one spelling."""
    text = json.dumps(verdict, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def without_photo(verdict: dict[str, Any]) -> dict[str, Any]:
    """A verdict of the API as a receipt carries it."""
    certificate = verdict.get("certificate")
    return verdict | {"certificate": certificate and certificate | {"photo": None}}


def sign_receipt(receipt: Receipt, signer: Signer) -> Receipt:
    """The same, signed. `receipt.public` is the signer's."""
    assert receipt.public == signer.public, "a receipt names the key that signs it"
    return Receipt(
        receipt.verifier, receipt.asked, receipt.file_digest, receipt.checked_at_ms, receipt.verdict, receipt.face,
        receipt.evidence, receipt.public, signer.sign(signed_bytes(LABEL, receipt.statement)),
    )  # fmt: skip


def format_receipt(receipt: Receipt) -> bytes:
    """The JSON of a receipt."""
    body = {
        "format": LABEL,
        "verifier": receipt.verifier,
        "asked": {"text": receipt.asked, "file_sha256": receipt.file_digest.hex() or None},
        "verdict": receipt.verdict,
        "statement": base64.b64encode(receipt.statement).decode(),
        "signature": base64.b64encode(receipt.signature).decode(),
    }
    return json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n"


def is_receipt(raw: bytes) -> bool:
    """Whether these bytes want to be a receipt: JSON that names the format near its beginning."""
    return raw[:1] == b"{" and LABEL.encode() in raw[:65_536]


def parse_receipt(raw: bytes) -> Receipt:
    """Read a receipt's JSON, also when it was printed anew. Raises Malformed, also where the readable part is not the
    signed one; the signature is not checked here."""
    if len(raw) > MAX_RECEIPT:
        raise Malformed("receipt of more than 512 KiB")
    try:
        body = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Malformed("receipt: not JSON") from None
    if not isinstance(body, dict) or body.keys() != _FIELDS or not isinstance(body["verdict"], dict):
        raise Malformed("receipt: not the fields of this version")
    statement, signature = _base64(body["statement"]), _base64(body["signature"])
    match canonical.decode(statement, limit=_MAX_STATEMENT):
        case [str(label), str(verifier), bytes(text), bytes(digest), int(checked), bytes(verdict), [*face],
              bytes(evidence), bytes(public)] if label == LABEL:  # fmt: skip
            opening, asked = parse_face_opening(face) if face else None, _utf8(text)
            receipt = Receipt(
                verifier, asked, digest, checked, body["verdict"], opening, evidence, public, signature
            )  # fmt: skip
            readable = {"text": asked, "file_sha256": digest.hex() or None}
            if _digest(body["verdict"]) != verdict or (body["verifier"], body["asked"]) != (verifier, readable):
                raise Malformed("receipt: what is written is not what was signed")
            if len(signature) != ED25519_SIGNATURE_BYTES:
                raise Malformed("receipt: an Ed25519 signature has 64 bytes")
            return receipt
    raise Malformed("receipt: not a statement of this version")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members. Of one that is there twice people read the first and this program the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("receipt: a member twice")
    return found


def _digest(verdict: dict[str, Any]) -> bytes:
    try:
        return verdict_digest(verdict)
    except (TypeError, RecursionError):
        raise Malformed("receipt: a verdict of another form") from None


def _utf8(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Malformed("receipt: what was asked is not text") from None


def _base64(value: object) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except ValueError:
        pass
    raise Malformed("receipt: not base64")

"""COSE receipts (RFC 9942): a proof of inclusion that any SCITT client reads, under the log's receipt key.

    18([protected, {396: {-1: [bstr .cbor [tree size, leaf index, [inclusion hashes]]]}}, nil, signature])
    protected = {1: -8, 4: kid, 15: {1: origin, 2: "checkpoint"}, 395: 1}       1: EdDSA; 395: RFC9162_SHA256

The payload is detached: it is the root of the tree, which a reader computes from the entry and the path. The header
says nothing about the entry, so one signature serves every receipt of a checkpoint. The entry is a signed statement
(RFC 9943), so statement and receipt together are a transparent statement. A receipt proves a place in a signed tree, up
to other sizes with a path of the same shape (the root alone is signed); of state and time it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cbor2

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.cose import ALG_EDDSA, Signer
from ledger.records.evidence import check_path
from ledger.tlog.keys import kid, verify_ed25519
from ledger.tlog.merkle import MAX_SIZE, leaf_hash, root_from_inclusion
from ledger.tlog.spelling import check_name

MAX_RECEIPT: Final = 4096
_TAG: Final = b"\xd2"  # tag 18
_SUBJECT: Final = "checkpoint"
_VDS: Final = 395  # verifiable data structure; 1: RFC9162_SHA256
_VDP: Final = 396  # verifiable data structure proofs; -1: inclusion
_INCLUSION: Final = -1


@dataclass(frozen=True, slots=True)
class ReceiptOf:
    """A receipt's parts, well-formed and nothing verified."""

    origin: str
    kid: bytes  # 8 bytes
    size: int  # leaves of the tree
    index: int
    inclusion: tuple[bytes, ...]
    signature: bytes  # 64 bytes

    def __post_init__(self) -> None:
        check_name(self.origin, "receipt: origin")
        check_path(self.inclusion)
        if not 0 <= self.index < self.size <= MAX_SIZE or len(self.kid) != 8 or len(self.signature) != 64:
            raise Malformed("receipt: index, size, kid or signature out of range")


def sign_root(origin: str, root: bytes, signer: Signer) -> bytes:
    """The signature of every receipt under a tree's root. Ed25519 is deterministic: it can be made again."""
    return signer.sign(_to_be_signed(_protected(origin, kid(signer.public)), root))


def format_receipt(receipt: ReceiptOf) -> bytes:
    """The bytes of a receipt. CBOR here, unlike in the log, has a null and a negative key, as RFC 9942 wants it."""
    proof = cbor2.dumps([receipt.size, receipt.index, list(receipt.inclusion)])
    protected = _protected(receipt.origin, receipt.kid)
    return _TAG + cbor2.dumps([protected, {_VDP: {_INCLUSION: [proof]}}, None, receipt.signature])


def parse_receipt(raw: bytes) -> ReceiptOf:
    """Inverse of `format_receipt`; Malformed for every other byte string."""
    if len(raw) > MAX_RECEIPT or raw[:1] != _TAG:
        raise Malformed("receipt: not a COSE_Sign1 of at most 4096 bytes")
    match _load(raw[1:]):
        case [bytes(protected), {396: {-1: [bytes(proof)]}}, None, bytes(signature)]:
            match canonical.decode(protected), _load(proof):
                case (
                    {1: -8, 4: bytes(key_id), 15: {1: str(origin), 2: "checkpoint"}, 395: 1},
                    [int(size), int(index), [*path]],
                ):
                    if all(isinstance(item, bytes) for item in path):
                        receipt = ReceiptOf(origin, key_id, size, index, tuple(path), signature)
                        if format_receipt(receipt) == raw:
                            return receipt
    raise Malformed("receipt: not of this profile, or in another spelling")


def open_receipt(raw: bytes, entry: bytes, origin: str, public: bytes) -> ReceiptOf:
    """The receipt, when it shows that `entry` stands in the tree that the receipt key `public` of `origin` signed.

    1 it is of this origin and key · 2 entry and path lead to a root · 3 the key signed that root. Raises Unverified.
    """
    receipt = parse_receipt(raw)
    if receipt.origin != origin or receipt.kid != kid(public):  # 1
        raise Unverified("a receipt of another log or under another key")
    root = root_from_inclusion(leaf_hash(entry), receipt.index, receipt.size, receipt.inclusion)  # 2
    verify_ed25519(public, _to_be_signed(_protected(origin, receipt.kid), root), receipt.signature)  # 3
    return receipt


def _protected(origin: str, key_id: bytes) -> bytes:
    return canonical.encode({1: ALG_EDDSA, 4: key_id, 15: {1: origin, 2: _SUBJECT}, _VDS: 1})


def _to_be_signed(protected: bytes, root: bytes) -> bytes:
    """RFC 9052 4.4 with the detached payload in its place."""
    return cbor2.dumps(["Signature1", protected, b"", root])


def _load(raw: bytes) -> Any:
    """Decoded CBOR; `parse_receipt` encodes it again and compares, so that leniency here does no harm."""
    try:
        return cbor2.loads(raw, max_depth=canonical.MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise Malformed("receipt: not CBOR") from error

"""What a scanned item says for itself, before any register is asked: a code's fragment or a holder's bundle. Pure.

    open_carried(item) -> Carried | None      reads and rebuilds; Malformed when it is not what we write
    verify_bundle(bundle, trust) -> OpenedCheckpoint      every part against every other; Unverified

A fragment proves nothing alone: its key is in the register. A bundle stands under a checkpoint of the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Malformed, Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.bundle import Bundle
from ledger.records.commitments import FaceOpening, rest_digest, verify_opening
from ledger.records.envelope import holder_tag
from ledger.records.issue import Issue
from ledger.records.log_proof import verify_log_proof
from ledger.records.qr import Code, open_fragment
from ledger.records.secret import cert_key_of
from ledger.records.statements import Statement, parse_statement
from ledger.tlog.checkpoint import OpenedCheckpoint
from verifier.trust import Trust


@dataclass(frozen=True, slots=True)
class Carried:
    """The certificate as the item carries it: well-formed, nothing verified."""

    statement: Statement
    issue: CertificateBody
    face: FaceOpening
    index: int  # where it claims to stand in the log


def open_carried(item: Code | Bundle) -> Carried | None:
    """Rebuild what the item carries; None for a bare link. Raises Malformed."""
    if isinstance(item, Bundle):
        statement = parse_statement(item.entry)
        return Carried(statement, _issue(statement), item.face, item.proof.index)
    if not item.fragment:
        return None
    statement, fragment = open_fragment(item.secret, item.fragment)
    return Carried(statement, _issue(statement), fragment.face, fragment.index)


def verify_bundle(bundle: Bundle, carried: Carried, trust: Trust) -> OpenedCheckpoint:
    """Check that all parts of a bundle belong together and stand in the pinned log. Raises Unverified, Malformed.

    What it does not show: that the issuer's key was filed (the log checked that) and what happened since.
    """
    issue, proof = carried.issue, bundle.proof
    # 1. The secret names this certificate, and the holder code belongs to it.
    if cert_key_of(bundle.secret) != issue.cert_key:
        raise Unverified("the secret is that of another certificate")
    if holder_tag(bundle.holder_code, carried.statement.leaf_hash) != bundle.holder_tag:
        raise Unverified("the holder code is that of another certificate")
    # 2. Every opening leads to its digest, and the digests to what was signed.
    if bundle.face.digest() != issue.face:
        raise Unverified("number or name are not those that were signed")
    if rest_digest(bundle.digests) != issue.rest:
        raise Unverified("the field digests are not those that were signed")
    for opening in bundle.openings:
        verify_opening(opening, bundle.digests)
    # 3. The pinned keys signed the checkpoint; statement and seal stand under it; the seal is its last leaf (R1).
    return verify_log_proof(carried.statement.leaf_hash, proof, trust.origin, trust.keys).opened


def _issue(statement: Statement) -> CertificateBody:
    if not isinstance(statement.body, Issue | Appoint):
        raise Malformed("the item carries a statement that is no certificate")
    return statement.body

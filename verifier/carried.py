"""What a scanned item says for itself, before any register is asked: a code's fragment, a holder's bundle, or a staple.
Pure.

    open_carried(item) -> Carried | None                   reads and rebuilds; Malformed when it is not what we write
    key_of(item) -> bytes                                  the cert key to ask the register for
    verify_carried(item, carried, trust, now) -> Proven    every part against every other, and its evidence; Unverified

A fragment proves nothing alone: its key is in the register. A bundle and a staple stand under a checkpoint of the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Malformed, Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.bundle import Bundle
from ledger.records.commitments import FaceOpening, rest_digest, verify_opening
from ledger.records.envelope import holder_tag
from ledger.records.issue import Issue
from ledger.records.life import Correct
from ledger.records.qr import Code, open_fragment
from ledger.records.secret import cert_key_of
from ledger.records.staple import Staple
from ledger.records.state import parse_certificate_state
from ledger.records.statements import Statement, parse_statement
from verifier.former import UnknownKeys
from verifier.proven import Proven, open_evidence
from verifier.trust import Trust


@dataclass(frozen=True, slots=True)
class Numbered:
    """A certificate asked for by number and name, both in their normal form, and what the ledger's index says of them:
    its cert key and what opens its face, which the register then proves. None: no certificate has both."""

    number: str
    name: str
    cert_key: bytes | None = None
    face: FaceOpening | None = None

    def __post_init__(self) -> None:
        assert (self.cert_key is None) == (self.face is None)
        assert self.face is None or (self.face.number, self.face.name) == (self.number, self.name)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A certificate by its cert key alone: it carries nothing, and opens nothing about a person."""

    cert_key: bytes


Item = Code | Bundle | Staple | Numbered | Keyed


@dataclass(frozen=True, slots=True)
class Carried:
    """The certificate as the item carries it: well-formed, nothing verified."""

    statement: Statement
    issue: CertificateBody
    face: FaceOpening
    index: int  # where it claims to stand in the log


def open_carried(item: Item) -> Carried | None:
    """Rebuild what the item carries; None for a bare link or key. Raises Malformed."""
    if isinstance(item, Bundle | Staple):
        statement = parse_statement(item.entry)
        index = parse_certificate_state(item.evidence.state).issue_index
        return Carried(statement, certificate_body(statement), item.face, index)
    if isinstance(item, Numbered | Keyed) or not item.fragment:
        return None
    statement, fragment = open_fragment(item.secret, item.fragment)
    return Carried(statement, certificate_body(statement), fragment.face, fragment.index)


def key_of(item: Item) -> bytes:
    """The cert key of what an item leads to: by its secret, or as the index says."""
    if isinstance(item, Numbered):
        assert item.cert_key is not None, "who asks the register has been told a cert key"
        return item.cert_key
    return item.cert_key if isinstance(item, Keyed) else cert_key_of(item.secret)


def verify_carried(item: Bundle | Staple, carried: Carried, trust: Trust, now_ms: int) -> Proven:
    """Check that all parts belong together and stand in the pinned log. Raises Unverified, Malformed; UnknownKeys when
    they belong together, but nothing more can be said because the log's keys of that time are not known here."""
    # 1. The secret names this certificate, and the holder code belongs to it.
    if cert_key_of(item.secret) != carried.issue.cert_key or item.evidence.cert_key != carried.issue.cert_key:
        raise Unverified("the secret is that of another certificate")
    if isinstance(item, Bundle) and holder_tag(item.holder_code, carried.statement.leaf_hash) != item.holder_tag:
        raise Unverified("the holder code is that of another certificate")
    # 2. The evidence holds: the log's keys, seal, state, statement (records/evidence_check.py).
    try:
        proven = open_evidence(item.evidence, trust, now_ms, stapled=isinstance(item, Staple), carried=True)
    except UnknownKeys:
        claimed = parse_statement(item.evidence.commitments) if item.evidence.commitments else None
        _check_openings(item, [carried.issue, *_corrections(claimed)])
        raise
    # 3. Every opening leads to its digest, and the digests to what was signed: at first, or by a correction since.
    _check_openings(item, [carried.issue, *_corrections(proven.state.commitments)])
    return proven


def _check_openings(item: Bundle | Staple, signed: Sequence[CertificateBody | Correct]) -> None:
    if item.face.digest() not in [body.face for body in signed]:
        raise Unverified("number or name are not those that were signed")
    if isinstance(item, Bundle):
        if rest_digest(item.digests) not in [body.rest for body in signed]:
            raise Unverified("the field digests are not those that were signed")
        for opening in item.openings:
            verify_opening(opening, item.digests)


def certificate_body(statement: Statement) -> CertificateBody:
    """What a statement that issues a certificate or a post says. Raises Malformed for any other."""
    if not isinstance(statement.body, Issue | Appoint):
        raise Malformed("the item carries a statement that is no certificate")
    return statement.body


def _corrections(commitments: Statement | None) -> list[Correct]:
    body = commitments.body if commitments else None
    return [body] if isinstance(body, Correct) else []

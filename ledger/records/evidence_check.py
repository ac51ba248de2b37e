"""What evidence proves, judged from pinned keys and the bytes at hand alone.

    verify_evidence(evidence, origin, keys, policy, auditors) -> ProvenState      or raises Unverified, Malformed
    verify_stapled(…)                                                 the same for the compact form, Ed25519 lines only
    open_cosigned, seal_under(evidence, opened), prove_in(evidence, sealed)    1, then 2 and 3, then the rest: answers
                                                                      with one checkpoint and seal share what is theirs

    1 checkpoint   the pinned log keys signed it, and the policy's quorum of witnesses stands behind it
    2 seal         it is a leaf of that tree at the place it names; a current answer's is the last leaf (rule R1)
    3 next         an older seal comes with the very next one, so that it is known until when it was the newest
    4 map          the certificate's key leads to its value, or to none, under the map root of the seal
    5 state        the bytes are those of that value
    6 issued       the statement is the one the state names, stands where it says, before the seal, is of this
                   certificate, and is signed under the state's record key
    7 named        the entries with the current commitments, the last event and the filing's terms are those that the
                   state names; the filing lists the record key, unless it is a reissue: its key may be newer
    8 highest      the statement behind the track's highest grade stands in the log and is of that certificate

What it does not show: that the map of the seal is the right fold of the log. Witnesses check growth only; a map
auditor's cosignature (`opened.auditor_time_s`) or an own replica says that. Freshness is the caller's, and so is the
question: `cert_key` says whom the answer is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from ledger.errors import Malformed, Unverified
from ledger.records.authority import Filing
from ledger.records.dates import batch_day
from ledger.records.evidence import Evidence, Placed
from ledger.records.kinds import CERTIFICATE_KINDS, Kind
from ledger.records.seal import Seal, parse_seal
from ledger.records.state import CertificateState, certificate_map_key, certificate_value, parse_certificate_state
from ledger.records.statements import Statement, parse_statement
from ledger.records.view import Authentic, authenticate_record
from ledger.tlog.checkpoint import CosignedCheckpoint, open_cosigned
from ledger.tlog.keys import kid
from ledger.tlog.map_proof import parse_map_proof, verify_absence, verify_presence
from ledger.tlog.merkle import leaf_hash, verify_inclusion
from ledger.tlog.note import ED25519, VerifierKey
from ledger.tlog.policy import Policy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A seal that stands under an opened checkpoint, with the next one where it is older. Made by `seal_under` only."""

    opened: CosignedCheckpoint
    seal: Seal
    next: Seal | None
    own: Placed  # what of the evidence was checked
    after: Placed | None


@dataclass(frozen=True, slots=True)
class ProvenState:
    """What was so at the seal, for certain. Made by `verify_evidence` and `prove_in` only."""

    cert_key: bytes
    opened: CosignedCheckpoint
    seal: Seal
    next: Seal | None  # None: the seal is the newest under the checkpoint
    state: CertificateState | None  # None: the log had issued no such certificate
    authentic: Authentic | None = None  # the statement that issued it, signed under the state's record key
    commitments: Statement | None = None  # the statement with the current commitments: often `issued`
    event: Statement | None = None  # that of the last event: often `issued`
    filing: Statement | None = None  # the terms under which it was issued; None: left out
    highest: Statement | None = None  # behind the track's highest grade; None: none, this one, or left out

    @property
    def issued(self) -> Statement | None:
        """The statement that issued it; None: there is no such certificate."""
        return None if self.authentic is None else self.authentic.statement

    @property
    def is_current(self) -> bool:
        """Whether this is the state at the checkpoint's own seal, and not at an older one."""
        return self.next is None

    @property
    def size(self) -> int:
        """Leaves of the log up to and with the seal: "as of size N"."""
        return self.seal.covered + 1

    @property
    def time_ms(self) -> int:
        """The newest moment at which this is known to have been so (ms since 1970): the checkpoint's freshness time,
        or just before the next seal's time."""
        return self.opened.time_s * 1000 if self.next is None else self.next.time - 1

    @property
    def terms(self) -> Filing | None:
        """The filing's terms, when they were not left out."""
        return None if self.filing is None else _body(self.filing, Filing)

    def check_day(self, day: int) -> None:
        """Raises Unverified unless the seal is the last of `day` (days since 1970, Asia/Shanghai) or an earlier one.

        The newest seal counts for days up to that of the checkpoint's time.
        """
        last = batch_day(self.opened.time_s * 1000) if self.next is None else batch_day(self.next.time) - 1
        if not batch_day(self.seal.time) <= day <= last:
            raise Unverified("evidence: its seal is not the last one of that day")


def verify_evidence(
    evidence: Evidence,
    origin: str,
    keys: Sequence[VerifierKey],
    policy: Policy,
    auditors: Sequence[VerifierKey] = (),
    *,
    latest_s: int | None = None,
) -> ProvenState:
    """Check every part of an answer. `keys`: the log's, every one of which must have signed; `latest_s` (POSIX
    seconds): cosignatures of later than that do not count."""
    opened = open_cosigned(evidence.checkpoint, origin, keys, policy, auditors, latest_s=latest_s)  # 1
    return prove_under(evidence, opened)


def verify_stapled(
    evidence: Evidence,
    origin: str,
    keys: Sequence[VerifierKey],
    policy: Policy,
    auditors: Sequence[VerifierKey] = (),
    *,
    latest_s: int | None = None,
) -> ProvenState:
    """The same under the log's Ed25519 key alone, which carries no time: without a quorum the seal's own counts, at
    which the tree existed for certain."""
    sealed_s = parse_seal(evidence.seal.entry).time // 1000
    undated = [key for key in keys if key.type == ED25519]
    opened = open_cosigned(
        evidence.checkpoint, origin, undated, policy, auditors, latest_s=latest_s, undated_s=sealed_s
    )  # 1
    return prove_under(evidence, opened)


def prove_under(evidence: Evidence, opened: CosignedCheckpoint) -> ProvenState:
    """Steps 2 to 8, under a checkpoint that was opened from this evidence's own note (or is it, byte for byte)."""
    return prove_in(evidence, seal_under(evidence, opened))


def seal_under(evidence: Evidence, opened: CosignedCheckpoint) -> Sealed:
    """Steps 2 and 3, under a checkpoint as `prove_under` wants it."""
    if opened.note != evidence.checkpoint:
        raise Unverified("evidence: under another checkpoint")
    seal, following = _seals(evidence, opened)
    return Sealed(opened, seal, following, evidence.seal, evidence.next)


def prove_in(evidence: Evidence, sealed: Sealed) -> ProvenState:
    """Steps 4 to 8, in a seal that was checked for this evidence, or for other evidence with the same checkpoint, seal
    and next seal, byte for byte. Raises Unverified when it has others."""
    opened, seal, following = sealed.opened, sealed.seal, sealed.next
    if (opened.note, sealed.own, sealed.after) != (evidence.checkpoint, evidence.seal, evidence.next):
        raise Unverified("evidence: under another checkpoint or seal")
    map_key, proof = certificate_map_key(evidence.cert_key), parse_map_proof(evidence.map_proof)
    if not evidence.state:  # 4
        verify_absence(seal.map_root, map_key, proof)
        return ProvenState(evidence.cert_key, opened, seal, following, None)
    verify_presence(seal.map_root, map_key, certificate_value(evidence.state), proof)
    state = parse_certificate_state(evidence.state)  # 5
    assert evidence.issued is not None, "checked when the evidence was made"
    authentic = _issued(evidence.issued, evidence.cert_key, state, seal, opened)
    issued = authentic.statement
    commitments = _named(evidence.commitments, state.commitment_leaf, [issued])  # 7
    event = _named(evidence.event, state.event_leaf, [issued, commitments])
    filing = _filing(evidence.terms, state)
    highest = _highest(evidence, state, seal, opened)
    return ProvenState(
        evidence.cert_key, opened, seal, following, state, authentic, commitments, event, filing, highest
    )


def _seals(evidence: Evidence, opened: CosignedCheckpoint) -> tuple[Seal, Seal | None]:
    seal = parse_seal(evidence.seal.entry)
    _included(evidence.seal, seal.covered, opened)  # 2
    is_last = seal.covered == opened.checkpoint.size - 1
    if is_last != (evidence.next is None):
        raise Unverified("evidence: a seal that is not the checkpoint's comes with the one after it")
    if evidence.next is None:
        return seal, None
    following = parse_seal(evidence.next.entry)  # 3
    _included(evidence.next, following.covered, opened)
    if following.previous != seal.covered or following.time <= seal.time:
        raise Unverified("evidence: the next seal does not follow the first")
    return seal, following


def _issued(
    placed: Placed, cert_key: bytes, state: CertificateState, seal: Seal, opened: CosignedCheckpoint
) -> Authentic:
    if leaf_hash(placed.entry) != state.issue_leaf or state.issue_index >= seal.covered:  # 6
        raise Unverified("evidence: not the statement that the state names")
    _included(placed, state.issue_index, opened)
    statement = parse_statement(placed.entry)
    _check_issue(statement, cert_key, state.grade)
    if statement.kind is not state.kind:
        raise Unverified("evidence: the state is of another kind of certificate")
    return authenticate_record(statement, state.record_key)


def _named(entry: bytes, leaf: bytes, known: Sequence[Statement]) -> Statement:
    """The statement with this leaf hash: one of those at hand, or else `entry`, which must be empty otherwise."""
    for statement in known:
        if statement.leaf_hash == leaf:
            if entry:
                raise Malformed("evidence: a statement given twice")
            return statement
    if leaf_hash(entry) != leaf:
        raise Unverified("evidence: not the statement that the state names")
    return parse_statement(entry)


_read_terms = lru_cache(64)(parse_statement)  # of these very bytes: a body's certificates name the same few


def _filing(entry: bytes, state: CertificateState) -> Statement | None:
    if not entry:
        return None
    if leaf_hash(entry) != state.filing_leaf:
        raise Unverified("evidence: not the filing that the state names")
    statement = _read_terms(entry)
    terms = _body(statement, Filing)
    listed = state.kind is Kind.REISSUE or terms.record_key(kid(state.record_key)) is not None
    if terms.number != state.filing_number or not listed:
        raise Unverified("evidence: the filing does not list the record key")
    return statement


def _highest(evidence: Evidence, state: CertificateState, seal: Seal, opened: CosignedCheckpoint) -> Statement | None:
    best, given = state.summary.highest, evidence.highest  # 8
    if given is None:
        return None
    if best is None or best.cert_key == evidence.cert_key or given.index >= seal.covered:
        raise Unverified("evidence: a highest certificate that the state does not name")
    _included(Placed(given.entry, given.inclusion), given.index, opened)
    statement = parse_statement(given.entry)
    _check_issue(statement, best.cert_key, best.grade)
    return statement


def _check_issue(statement: Statement, cert_key: bytes, grade: int) -> None:
    body = statement.body
    said = getattr(body, "cert_key", None), getattr(body, "grade", None)
    if statement.kind not in CERTIFICATE_KINDS or said != (cert_key, grade):
        raise Unverified("evidence: a statement that does not issue this certificate")


def _included(placed: Placed, index: int, opened: CosignedCheckpoint) -> None:
    checkpoint = opened.checkpoint
    verify_inclusion(leaf_hash(placed.entry), index, checkpoint.size, placed.inclusion, checkpoint.root)


def _body(statement: Statement, kind: type[T]) -> T:
    if not isinstance(statement.body, kind):
        raise Unverified("evidence: a statement of another kind")
    return statement.body

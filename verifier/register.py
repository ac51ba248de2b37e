"""What the register says about one certificate, wherever that was learned: the form in which `verify` gets it. Pure.

an own replica      recomputed here, entry by entry: vouched for by that
evidence            proven state under a checkpoint: vouched for by a map auditor's cosignature, or not
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.authority import Filing
from ledger.records.dates import batch_day, check_day
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.life import Correct
from ledger.records.state import CertificateState
from ledger.records.statements import Statement
from ledger.records.status import Authentic
from verifier.carried import certificate_body
from verifier.causes import Cause
from verifier.proven import Proven
from verifier.verdict import Source

_POSTS: Final = (7, 8)  # grades of posts; those of certificates are lower


@dataclass(frozen=True, slots=True)
class Logged:
    """One certificate in the register: the statement that issued it, its signature checked, and what became of it.

    `commitments` and `event` are the statements that the state names beside it; None where it is the issuing one.
    """

    authentic: Authentic
    state: CertificateState
    highest: CertificateBody | None = None  # behind the track's highest grade, where it is another certificate
    commitments: Statement | None = None
    event: Statement | None = None

    def __post_init__(self) -> None:
        assert isinstance(self.statement.body, Issue | Appoint), "a certificate is issued by a certificate's statement"

    @property
    def statement(self) -> Statement:
        return self.authentic.statement

    @property
    def issued(self) -> CertificateBody:
        return certificate_body(self.statement)

    @property
    def correction(self) -> Correct | None:
        """The correction whose commitments count now, if there is one."""
        body = self.commitments.body if self.commitments else None
        return body if isinstance(body, Correct) else None

    @property
    def face(self) -> bytes:
        """The current face digest: a correction's, or the first."""
        return self.correction.face if self.correction else self.issued.face

    def check(self) -> None:
        """Raises Unverified unless the statements are those that the state names, and it is one that a fold makes."""
        first, state = self.statement.leaf_hash, self.state
        if not _can_be(state, self.issued):
            raise Unverified("the register has a state that no log comes to")
        if first != state.issue_leaf:
            raise Unverified("the register has another statement than the state names")
        for leaf, statement in ((state.commitment_leaf, self.commitments), (state.event_leaf, self.event)):
            if leaf != (statement.leaf_hash if statement else first):
                raise Unverified("the register has another statement than the state names")
        if self.commitments is not None and self.correction is None:
            raise Unverified("commitments that count come from a correction or from the issuing statement")


def _can_be(state: CertificateState, issued: CertificateBody) -> bool:
    """Whether a fold makes such a state: what readers show of it has a day, a moment and a name, and the highest in
    force is in force. A map that nobody recomputed may hold anything."""
    best, posts = state.summary.highest, state.summary.posts
    try:
        batch_day(state.issue_time)
        for day in (state.effective_day, *(day for post in posts for day in (post.first_day, post.last_day))):
            check_day(day)
    except Malformed:
        return False
    if best is not None and best.cert_key == issued.cert_key:
        standing = state.status is CertificateStatus.IN_FORCE and isinstance(issued, Issue)
        if not standing or best.grade != issued.grade:
            return False
    named = best is None or 1 <= best.grade < _POSTS[0]
    return named and issued.grade == state.grade and all(post.grade in _POSTS for post in posts)


@dataclass(frozen=True, slots=True)
class FiledTerms:
    """The terms of the body's filing, and the leaf hash of the statement that says them."""

    terms: Filing
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Register:
    """An answer of the register: all of it stands under a checkpoint signed by the pinned keys. Times are ms.

    Of a closed log nothing changes any more: `time_ms` is then that of its successor, which has no such certificate.
    """

    size: int  # leaves under that checkpoint
    root: bytes
    time_ms: int  # the newest moment at which this was so: that of the checkpoint, unless it is historic
    logged: Logged | None  # under the item's cert key; None: not in the log then
    filing: FiledTerms | None  # of the body named by the logged statement, else by the carried one
    halted: bool = False  # the replica found a violation and stopped: its last good data, never green
    source: Source = Source.REPLICA
    witnessed: bool = True  # the policy's quorum stands behind the checkpoint
    vouched: bool = True  # the state was recomputed here, or a pinned map auditor says that it is right
    overtaken: bool = False  # the log is closed, and what its successor says is not known
    historic: bool = False  # somebody asked for an earlier moment; it does not grow old
    lag: Cause = Cause.UNREACHED  # why there is nothing newer, should it be too old

    @property
    def refuses(self) -> bool:
        """Whether it has the certificate, and not in force."""
        return self.logged is not None and self.logged.state.status is not CertificateStatus.IN_FORCE

    def knows_more_than(self, size: int) -> bool:
        """Whether something became of the certificate that `size` leaves do not say. Those of its own checkpoint may
        not say so either: a replica takes entries in before it keeps the checkpoint that covers them."""
        return self.logged is not None and self.logged.state.event_index >= size


def register_of(proven: Proven, source: Source, *, time_ms: int | None = None, vouched: bool | None = None) -> Register:
    """What evidence says. `time_ms`: the earlier moment that was asked about; `vouched`: whether somebody else than a
    map auditor vouches for the map (an own replica)."""
    state = proven.state
    checkpoint = state.opened.checkpoint
    logged = filing = None
    if state.state is not None:
        assert state.authentic is not None, "a proven state comes with its statement"
        logged = Logged(
            state.authentic,
            state.state,
            certificate_body(state.highest) if state.highest else None,
            None if state.commitments is state.issued else state.commitments,
            None if state.event is state.issued else state.event,
        )
        if state.terms is not None:
            filing = FiledTerms(state.terms, state.state.filing_leaf)
    return Register(
        checkpoint.size,
        checkpoint.root,
        state.time_ms if time_ms is None else time_ms,
        logged,
        filing,
        source=source,
        witnessed=proven.witnessed,
        vouched=proven.audited if vouched is None else vouched,
        historic=time_ms is not None,
    )

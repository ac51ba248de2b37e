"""The fold: what each statement of the log does to the state. Pure, so that everybody gets the same answer.

    apply(view, authentic statement, moment) -> Change      or raises Refused

House rules of this file: every rule that can be checked from public bytes alone is here and nowhere else;
the ledger's admission adds only what needs openings or the private index. The numbers are those of design 5, and so
is the order, but that a cert key which is there already (11) is named before its track is asked (10). The same as a
table: docs/states.md, which a test compares with what this file does.

     4 known kind                      10 track
     5 key known and live              11 legal transition
     6 signature(s): see `Authentic`   12 caps
     8 filing, window, row, dates
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from ledger.records.authority import Filing, Genesis, Published
from ledger.records.dates import batch_day
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus, FilingStatus, KeyStatus, Kind
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import CertificateState, FilingState, Highest, KeyUse, TrackSummary
from ledger.records.statements import Statement
from ledger.tlog.keys import kid

MAX_LAG_DAYS: Final = 60  # an older issue date needs a late permit
MAX_TRACK: Final = 64


@dataclass(frozen=True, slots=True)
class Moment:
    """Where and when a statement enters the log."""

    index: int  # of its leaf
    time: int  # of its batch, ms

    @property
    def day(self) -> int:
        """The calendar day of the batch in Asia/Shanghai."""
        return batch_day(self.time)


class Authentic:
    """A statement of which at least `threshold` signatures hold under `publics`, and none by another key.

    Made only by the two functions below (step 6).
    """

    __slots__ = ("publics", "statement", "threshold")

    def __init__(self, statement: Statement, publics: tuple[bytes, ...], threshold: int, made_by: object) -> None:
        if made_by is not _MADE_HERE:
            raise AssertionError("an authentic statement comes from authenticate_…")
        self.statement = statement
        self.publics = publics
        self.threshold = threshold


_MADE_HERE: Final = object()


def authenticate_record(statement: Statement, public: bytes) -> Authentic:
    """Check the signature of an issuer's statement. Raises Unverified."""
    statement.verify_signature(public)
    return Authentic(statement, (public,), 1, _MADE_HERE)


def authenticate_authority(statement: Statement, authority: Genesis) -> Authentic:
    """Check that enough people of the authority signed. Raises Unverified."""
    keys = {kid(public): public for public in authority.keys}
    statement.verify_threshold(keys, authority.threshold)
    return Authentic(statement, authority.keys, authority.threshold, _MADE_HERE)


class View(Protocol):
    """What the fold may read: the state before this statement."""

    @property
    def authority(self) -> Genesis | None: ...
    def filing(self, number: str) -> FilingState | None: ...
    def certificate(self, cert_key: bytes) -> CertificateState | None: ...
    def track(self, track_id: bytes) -> Mapping[bytes, tuple[Issue, CertificateState]]: ...
    def published(self, kind: Kind, version: str) -> bool: ...


@dataclass(slots=True)
class Change:
    """What one statement changes. Keys are subjects: filing number, cert key."""

    authority: Genesis | None = None
    filings: dict[str, FilingState] = field(default_factory=dict)
    certificates: dict[bytes, CertificateState] = field(default_factory=dict)
    joined: tuple[bytes, bytes, Issue] | None = None  # track id, cert key, statement that joins it
    published: tuple[Kind, str] | None = None


def apply(view: View, authentic: Authentic, moment: Moment) -> Change:
    """The state change of one statement, or Refused with the code of the first rule that it breaks."""
    statement = authentic.statement
    rule = RULES.get(statement.kind)
    if rule is None:  # 4
        raise refuse(Refusal.MALFORMED, "kind")
    return rule(view, authentic, moment)


def record_key_of(filing: FilingState, kid: bytes, moment: Moment) -> bytes:
    """Step 5: the record key named `kid`, live at this moment. Raises Refused."""
    for key, use in zip(filing.terms.record_keys, filing.record_keys, strict=True):
        if key.kid == kid:
            if use.status is not KeyStatus.LIVE or not key.covers(moment.day):
                raise refuse(Refusal.KEY_NOT_LIVE, "kid")
            return key.public
    raise refuse(Refusal.KEY_UNKNOWN, "kid")


def check_scope(terms: Filing, issue: Issue) -> None:
    """The part of step 8 that depends on the filing alone: window and row at the issue date. Raises Refused."""
    if not terms.first_day <= issue.issue_day <= terms.last_day:
        raise refuse(Refusal.SCOPE_WINDOW, "issue_day")
    if not terms.covers(issue.occupation, issue.trade, issue.grade, issue.audience, issue.issue_day):
        raise refuse(Refusal.SCOPE_ROW, "occupation, trade, grade, audience")


def _apply_genesis(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, Genesis)
    if view.authority is not None or moment.index != 0:
        raise refuse(Refusal.GENESIS_PLACE, "kind")
    _check_signers(authentic, body)  # 6: a genesis is signed by the very people it names
    return Change(authority=body)


def _authority(view: View, authentic: Authentic) -> Genesis:
    authority = view.authority
    if authority is None:
        raise refuse(Refusal.GENESIS_PLACE, "kind")
    _check_signers(authentic, authority)  # 5
    if authentic.statement.envelope.issuer != authority.origin:
        raise refuse(Refusal.ORIGIN, "issuer")
    return authority


def _check_signers(authentic: Authentic, authority: Genesis) -> None:
    if (authentic.publics, authentic.threshold) != (authority.keys, authority.threshold):
        raise refuse(Refusal.KEY_UNKNOWN, "kid")


def _apply_filing(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, Filing)
    _authority(view, authentic)
    if view.filing(body.number) is not None:  # 11
        raise refuse(Refusal.FILING_EXISTS, "number")
    leaf = authentic.statement.leaf_hash
    state = FilingState(
        status=FilingStatus.ACTIVE,
        terms=body,
        terms_index=moment.index,
        terms_leaf=leaf,
        event_index=moment.index,
        event_leaf=leaf,
        event_count=1,
        record_keys=tuple(KeyUse(key.public, KeyStatus.LIVE, 0) for key in body.record_keys),
        request_keys=tuple(KeyUse(key.public, KeyStatus.LIVE, 0) for key in body.request_keys),
    )
    return Change(filings={body.number: state})


def _apply_published(view: View, authentic: Authentic, moment: Moment) -> Change:
    body = authentic.statement.body
    assert isinstance(body, Published)
    _authority(view, authentic)
    if view.published(body.kind, body.version):  # 11
        raise refuse(Refusal.VERSION_EXISTS, "version")
    return Change(published=(body.kind, body.version))


def _apply_issue(view: View, authentic: Authentic, moment: Moment) -> Change:
    statement = authentic.statement
    issue = statement.body
    assert isinstance(issue, Issue)
    filing = view.filing(issue.filing_number)
    if filing is None:
        raise refuse(Refusal.FILING_UNKNOWN, "filing_number")
    public = record_key_of(filing, statement.kid, moment)  # 5
    if authentic.publics != (public,):  # 6: the signature was checked under another key
        raise refuse(Refusal.KEY_UNKNOWN, "kid")
    if filing.status is not FilingStatus.ACTIVE:  # 8
        raise refuse(Refusal.FILING_NOT_ACTIVE, "filing_number")
    check_scope(filing.terms, issue)
    if issue.assessment_day > issue.issue_day:
        raise refuse(Refusal.ASSESSED_AFTER_ISSUE, "assessment_day")
    if issue.issue_day > moment.day:
        raise refuse(Refusal.ISSUED_IN_FUTURE, "issue_day")
    if moment.day - issue.issue_day > MAX_LAG_DAYS:
        raise refuse(Refusal.ISSUED_TOO_LATE, "issue_day")
    if view.certificate(issue.cert_key) is not None:  # 11
        raise refuse(Refusal.CERT_KEY_TAKEN, "cert_key")
    members = dict(view.track(issue.track_id))
    _check_track(issue, members)  # 10
    filing = _count_use(filing, public)  # 12
    leaf = statement.leaf_hash
    state = CertificateState(
        status=CertificateStatus.IN_FORCE,
        kind=Kind.ISSUE,
        grade=issue.grade,
        filing_number=issue.filing_number,
        record_key=public,
        filing_leaf=filing.terms_leaf,
        issue_index=moment.index,
        issue_leaf=leaf,
        issue_time=moment.time,
        commitment_leaf=leaf,
        event_index=moment.index,
        event_leaf=leaf,
        effective_day=issue.issue_day,
        event_count=1,
        previous=b"",
        successor=b"",
        track_id=issue.track_id,
        summary=TrackSummary(),
    )
    members[issue.cert_key] = (issue, state)
    return Change(
        filings={issue.filing_number: filing},
        certificates=_summarise(members, new=issue.cert_key),
        joined=(issue.track_id, issue.cert_key, issue),
    )


def _check_track(issue: Issue, members: Mapping[bytes, tuple[Issue, CertificateState]]) -> None:
    if len(members) >= MAX_TRACK:
        raise refuse(Refusal.TRACK_FULL, "track_id")
    for other, state in members.values():
        if other.person_unlinked != issue.person_unlinked:
            raise refuse(Refusal.TRACK_UNKNOWN, "track_id")
        standing = state.status in (CertificateStatus.IN_FORCE, CertificateStatus.SUSPENDED)
        if standing and (other.grade, other.trade) == (issue.grade, issue.trade):
            raise refuse(Refusal.DUPLICATE_GRADE, "grade")


def _summarise(members: Mapping[bytes, tuple[Issue, CertificateState]], *, new: bytes) -> dict[bytes, CertificateState]:
    """Recompute the track's summary and return every member whose state differs from what it was.

    The highest grade in force wins; among equals the earlier certificate. Certificates without a linked person
    carry no summary, because "current grade" cannot be claimed for them.
    """
    standing = [
        (state.grade, -state.issue_index, cert_key)
        for cert_key, (issue, state) in members.items()
        if state.status is CertificateStatus.IN_FORCE and not issue.person_unlinked
    ]
    summary = TrackSummary()
    if standing:
        best = max(standing)[2]
        issue, state = members[best]
        summary = TrackSummary(highest=Highest(state.grade, issue.trade, best, state.event_index))
    changed = {}
    for cert_key, (_, state) in members.items():
        if cert_key == new:
            changed[cert_key] = replace(state, summary=summary)
        elif state.summary != summary:
            changed[cert_key] = state.with_summary(summary)
    return changed


def _count_use(filing: FilingState, public: bytes) -> FilingState:
    keys = []
    for use in filing.record_keys:
        if use.public == public:
            if use.used >= filing.terms.cap:
                raise refuse(Refusal.CAP_REACHED, "kid")
            use = KeyUse(use.public, use.status, use.used + 1)
        keys.append(use)
    return replace(filing, record_keys=tuple(keys))


RULES: Final[Mapping[Kind, Callable[[View, Authentic, Moment], Change]]] = {
    Kind.GENESIS: _apply_genesis,
    Kind.FILING: _apply_filing,
    Kind.CATALOGUE: _apply_published,
    Kind.LADDER: _apply_published,
    Kind.ISSUE: _apply_issue,
}

"""What brings a cert key into the log: issue, reissue, appoint."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ledger.errors import Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.authority import Filing
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.permit import permitted_hash, verify_permitted
from ledger.records.refusals import Refusal, refuse
from ledger.records.rules.signers import by_issuer, check_active, count_use
from ledger.records.state import CertificateState, FilingState, TrackSummary
from ledger.records.track import check_joins, settle, summary_of_first
from ledger.records.transitions import Act, after
from ledger.records.view import Authentic, Change, Moment, View

MAX_LAG_DAYS: Final = 60  # an older issue date needs a late permit
_TOP_CERTIFICATE: Final = 6  # 高级技师: what a post builds on
_SAME: Final = (
    "filing_number", "occupation", "trade", "grade", "level", "issue_day", "assessment_day", "route", "standard",
    "audience", "person_unlinked",
)  # fmt: skip


def check_scope(terms: Filing, issue: Issue) -> None:
    """The part of step 8 that depends on the filing alone: window and row at the issue date. Raises Refused."""
    if not terms.first_day <= issue.issue_day <= terms.last_day:
        raise refuse(Refusal.SCOPE_WINDOW, "issue_day")
    if not terms.covers(issue.occupation, issue.trade, issue.grade, issue.audience, issue.issue_day):
        raise refuse(Refusal.SCOPE_ROW, "occupation, trade, grade, audience")


def check_grant(terms: Filing, post: Appoint) -> None:
    """The same for a post: window, granted grade, and an occupation that the body is filed for. Raises Refused."""
    if not terms.first_day <= post.issue_day <= terms.last_day:
        raise refuse(Refusal.SCOPE_WINDOW, "issue_day")
    if post.grade not in terms.grants:
        raise refuse(Refusal.GRANT, "grade")
    if not any(row.occupation == post.occupation and row.trade in ("", post.trade) for row in terms.rows):
        raise refuse(Refusal.SCOPE_ROW, "occupation, trade")


def apply_issue(view: View, authentic: Authentic, moment: Moment) -> Change:
    issue = authentic.statement.body
    assert isinstance(issue, Issue)
    filing, public = by_issuer(view, authentic, issue.filing_number, moment)  # 5, 6
    check_active(filing)  # 8
    check_scope(filing.terms, issue)
    if issue.assessment_day > issue.issue_day:
        raise refuse(Refusal.ASSESSED_AFTER_ISSUE, "assessment_day")
    _check_days(view, issue, moment)
    if view.member(issue.cert_key) is not None:  # 11
        raise refuse(Refusal.CERT_KEY_TAKEN, "cert_key")
    check_joins(issue, view.track(issue.track_id), moment)  # 10
    filing = count_use(filing, public)  # 12
    return _new(view, authentic, issue, filing, filing.terms_leaf, public, moment, {})


def apply_reissue(view: View, authentic: Authentic, moment: Moment) -> Change:
    """A new cert key for the same certificate. Filing, row and dates were judged when it was issued."""
    issue = authentic.statement.body
    assert isinstance(issue, Issue)
    filing, public = by_issuer(view, authentic, issue.filing_number, moment)  # 5, 6
    check_active(filing)  # 8
    old = view.member(issue.replaces)
    if old is None:
        raise refuse(Refusal.CERT_UNKNOWN, "replaces")
    body, state = old
    same = not isinstance(body, Appoint) and all(getattr(body, name) == getattr(issue, name) for name in _SAME)
    if not same or state.track_id != issue.track_id:
        raise refuse(Refusal.REISSUE_DIFFERS, "replaces")
    if view.member(issue.cert_key) is not None:  # 11
        raise refuse(Refusal.CERT_KEY_TAKEN, "cert_key")
    replaced = replace(
        state,
        status=after(Act.REPLACE, state.status, "replaces"),
        event_index=moment.index,
        event_leaf=authentic.statement.leaf_hash,
        effective_day=moment.day,
        event_count=state.event_count + 1,
        successor=issue.cert_key,
    )
    check_joins(issue, {**view.track(issue.track_id), issue.replaces: (body, replaced)}, moment)  # 10
    filing = count_use(filing, public)  # 12
    return _new(view, authentic, issue, filing, state.filing_leaf, public, moment, {issue.replaces: replaced})


def apply_appoint(view: View, authentic: Authentic, moment: Moment) -> Change:
    post = authentic.statement.body
    assert isinstance(post, Appoint)
    filing, public = by_issuer(view, authentic, post.filing_number, moment)  # 5, 6
    check_active(filing)  # 8
    check_grant(filing.terms, post)
    _check_days(view, post, moment)
    if view.member(post.cert_key) is not None:  # 11
        raise refuse(Refusal.CERT_KEY_TAKEN, "cert_key")
    if post.prerequisite:
        _check_prerequisite(view, post, moment)
    check_joins(post, view.track(post.track_id), moment)  # 10
    filing = count_use(filing, public)  # 12
    return _new(view, authentic, post, filing, filing.terms_leaf, public, moment, {})


def _check_days(view: View, body: CertificateBody, moment: Moment) -> None:
    """Not from the future; and when it comes late, let in by a permit for exactly this statement."""
    if body.issue_day > moment.day:
        raise refuse(Refusal.ISSUED_IN_FUTURE, "issue_day")
    if body.permit is None:
        if moment.day - body.issue_day > MAX_LAG_DAYS:
            raise refuse(Refusal.ISSUED_TOO_LATE, "issue_day")
        return
    permit = view.permit(body.permit.permit)
    if permit is None:
        raise refuse(Refusal.PERMIT_UNKNOWN, "permit")
    if permit.number != body.filing_number or not permit.first_day <= body.issue_day <= permit.last_day:
        raise refuse(Refusal.PERMIT_OTHER, "permit")
    try:
        verify_permitted(permit, body.permit, permitted_hash(body.filing_number, body.cert_key, body.as_map()))
    except Unverified:
        raise refuse(Refusal.PERMIT_OTHER, "permit") from None


def _check_prerequisite(view: View, post: Appoint, moment: Moment) -> None:
    """A 特级技师 holds the top certificate of the track; a 首席技师 that or a post as 特级技师 that is not over."""
    found = view.member(post.prerequisite)
    if found is None or found[1].track_id != post.track_id:
        raise refuse(Refusal.PREREQUISITE, "prerequisite")
    body, state = found
    if isinstance(body, Appoint) and not body.runs(moment.day):
        raise refuse(Refusal.PREREQUISITE, "prerequisite")
    if state.status is not CertificateStatus.IN_FORCE or not _TOP_CERTIFICATE <= state.grade < post.grade:
        raise refuse(Refusal.PREREQUISITE, "prerequisite")


def _new(
    view: View,
    authentic: Authentic,
    body: CertificateBody,
    filing: FilingState,
    filing_leaf: bytes,
    public: bytes,
    moment: Moment,
    others: dict[bytes, CertificateState],
) -> Change:
    leaf = authentic.statement.leaf_hash
    first = not others and not view.track(body.track_id)
    index, cert_key, track_id = moment.index, body.cert_key, body.track_id
    # By place: with the names of its fields it takes more than twice as long, for every certificate.
    state = CertificateState(
        CertificateStatus.IN_FORCE, body.kind, body.grade, body.filing_number, public, filing_leaf,
        index, leaf, moment.time,  # issued
        leaf,  # current commitments
        index, leaf, body.issue_day, 1,  # last event, effective day, count
        b"", b"",  # previous value, successor
        track_id, summary_of_first(body, moment) if first else TrackSummary(),
    )  # fmt: skip
    changed = {**others, cert_key: state}
    certificates = changed if first else settle(view, changed, {cert_key: body}, moment)
    return Change(None, {filing.terms.number: filing}, certificates, (cert_key, body))

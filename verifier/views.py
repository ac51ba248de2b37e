"""What a verdict shows of a certificate, out of what was proven: statement, state and opened face. Pure."""

from __future__ import annotations

from typing import Final

from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.commitments import FaceOpening
from ledger.records.dates import format_day
from ledger.records.envelope import FaceContent
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.life import EndAppointment, Ruling
from ledger.records.reasons import reason_text
from ledger.records.state import CertificateState
from ledger.records.status import check_grant, check_scope
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.text import Text
from verifier import steps
from verifier.causes import Cause
from verifier.register import FiledTerms, Logged, Register
from verifier.trust import Trust
from verifier.verdict import CertificateView, Code, CurrentGrade, Finding, HeldPost, IssuerView, ProofView

_FIRST_POST: Final = 7  # 特级技师
_REPLACED: Final = Text("已换发新证书", "a new certificate replaced it")
_KEY_VOID: Final = Text("签发密钥已失效", "signed with a key that was compromised")
_FILING_CANCELLED: Final = Text("发证机构备案已取消", "the issuing body's filing was cancelled")
_SEE_REGISTER: Final = Text("见登记记录", "see the register")


def certificate_view(
    issue: CertificateBody,
    face: FaceOpening | None,
    envelope: FaceContent | None,
    trust: Trust,
    *,
    logged: Logged | None = None,
    status: str = "unknown",
    day: int = 0,
) -> CertificateView:
    """`face`: number and name, if they are those that were signed; `logged`: None when its state is not known.

    `day`: the day that is asked about, for posts that have begun or are over.
    """
    post = isinstance(issue, Appoint)
    occupation = trust.catalogue.find(issue.occupation)
    photo = envelope.thumbnail if envelope and face and envelope.opening == face else b""
    return CertificateView(
        number=face.number if face else None,
        name=face.name if face else None,
        personal_available=face is not None,
        photo=photo or None,
        grade_ordinal=issue.grade,
        grade=trust.ladder.by_ordinal(issue.grade).text,
        occupation_code=issue.occupation,
        occupation=occupation.name if occupation else issue.occupation,
        trade=issue.trade,
        issue_day=issue.issue_day,
        assessment_day=issue.assessment_day if isinstance(issue, Issue) else None,
        logged_at_ms=logged.state.issue_time if logged else None,
        status=status,
        current=_current(issue, logged, trust) if logged else None,
        person_linked=not issue.person_unlinked,
        post=(issue.first_day, issue.last_day or None) if isinstance(issue, Appoint) else None,
        held=_held(logged, trust, day) if logged and not post else None,
        late=issue.permit is not None,
        corrected_day=logged.correction.effective_day if logged and logged.correction else None,
    )


def ended_day(issue: CertificateBody, state: CertificateState) -> int:
    """Since when a certificate is no longer in force; a post that simply ran out: its last day."""
    if state.status is CertificateStatus.IN_FORCE and isinstance(issue, Appoint):
        return issue.last_day
    return state.effective_day


def reason_of(logged: Logged) -> Text:
    """Why it is no longer in force, from the statement that ended it."""
    if logged.state.status is CertificateStatus.REPLACED:
        return _REPLACED
    body = logged.event.body if logged.event else None
    if isinstance(body, Ruling | EndAppointment):
        return reason_text(body.reason)
    if isinstance(body, KeyStanding):
        return _KEY_VOID
    return _FILING_CANCELLED if isinstance(body, FilingStanding) else _SEE_REGISTER


def revocation_of(logged: Logged) -> Cause | None:
    """What made it invalid, where that was no ruling about it: what to do next then depends on it."""
    if logged.state.status is CertificateStatus.REPLACED:
        return Cause.REPLACED
    body = logged.event.body if logged.event else None
    if isinstance(body, KeyStanding):
        return Cause.KEY
    return Cause.FILING if isinstance(body, FilingStanding) else None


def suspension_of(logged: Logged) -> tuple[Cause, Text | None]:
    """By whom a certificate was suspended, and why, where the statement that did it says so."""
    body = logged.event.body if logged.event else None
    if isinstance(body, Ruling):
        return (Cause.ISSUER if body.issuer else Cause.AUTHORITY), reason_text(body.reason)
    if isinstance(body, FilingStanding):
        return Cause.FILING, reason_text(body.reason)
    return Cause.REGISTER, None


def why_not_in_force(code: Code, logged: Logged) -> dict[str, str]:
    """The detail of a verdict `suspended`, `revoked` or `ended`: since when, and by what and why."""
    detail = {"since": format_day(ended_day(logged.issued, logged.state))}
    cause: Cause | None = None
    reason: Text | None = None
    if code is Code.SUSPENDED:
        cause, reason = suspension_of(logged)
    elif code is Code.REVOKED:
        cause, reason = revocation_of(logged), reason_of(logged)
    if cause is not None:
        detail["cause"] = cause.value
    if reason is not None:
        detail |= {"reason_zh": reason.zh, "reason_en": reason.en}
    return detail


def about_current(issue: CertificateBody, view: CertificateView) -> Finding:
    """Step 8: what is known of the current grade. A post as 特级技师 builds on a 高级技师's certificate of its track;
    when that is revoked, the post stands until its body ends it, and readers are told."""
    current = view.current.ordinal if view.current is not None else 0
    if isinstance(issue, Appoint) and issue.grade == _FIRST_POST and issue.prerequisite and current < _FIRST_POST - 1:
        return steps.POST_UNFOUNDED
    return steps.CURRENT if current else steps.CURRENT_NONE


def issuer_view(filing: FiledTerms, *, in_scope: bool | None) -> IssuerView:
    return IssuerView(filing.terms.number, filing.terms.name, in_scope=in_scope)


def proof_view(register: Register, logged: Logged, trust: Trust) -> ProofView:
    return ProofView(
        origin=trust.origin,
        index=logged.state.issue_index,
        leaf_hash=logged.state.issue_leaf.hex(),
        size=register.size,
        root=register.root.hex(),
        checkpoint_time_ms=register.time_ms,
        cert_key=logged.issued.cert_key.hex(),
    )


def check_filed(filing: FiledTerms, issue: CertificateBody) -> None:
    """Whether the body was filed for this certificate or post at its issue date. Raises Refused."""
    if isinstance(issue, Issue):
        check_scope(filing.terms, issue)
    else:
        check_grant(filing.terms, issue)


def _held(logged: Logged, trust: Trust, day: int) -> HeldPost | None:
    """The post that the holder has beside this certificate on that day, by the dates that the register gives."""
    post = logged.state.summary.post_on(day)
    if post is None:
        return None
    return HeldPost(trust.ladder.by_ordinal(post.grade).text, post.grade, post.first_day, post.last_day or None)


def _current(issue: CertificateBody, logged: Logged, trust: Trust) -> CurrentGrade | None:
    highest = logged.state.summary.highest
    if highest is None or issue.person_unlinked:
        return None
    is_this = highest.cert_key == issue.cert_key
    other = logged.highest if logged.highest and logged.highest.cert_key == highest.cert_key else None
    behind = issue if is_this else other
    return CurrentGrade(
        grade=trust.ladder.by_ordinal(highest.grade).text,
        ordinal=highest.grade,
        trade=highest.trade,
        is_this=is_this,
        since_day=behind.issue_day if behind else None,
        log="" if trust.alone else trust.origin,
    )


def status_on(issue: CertificateBody, state: CertificateState, day: int) -> CertificateStatus:
    """The state's own on that day, but that a post whose last day is over has ended without anybody saying so."""
    if state.status is CertificateStatus.IN_FORCE and isinstance(issue, Appoint) and 0 < issue.last_day < day:
        return CertificateStatus.ENDED
    return state.status

"""What may be shown of a certificate that is proven: the fields of a verdict from statements and state. Pure."""

from __future__ import annotations

from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.commitments import FaceOpening
from ledger.records.envelope import FaceContent
from ledger.records.kinds import CertificateStatus
from ledger.records.life import EndAppointment, Ruling
from ledger.records.reasons import reason_text
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.text import Text
from verifier.registered import Logged
from verifier.trust import Trust
from verifier.verdict import CertificateView, CurrentGrade, HeldPost, ProofView

_REPLACED = Text("已换发新证书", "a new certificate replaced it")
_KEY_VOID = Text("签发密钥已失效", "signed with a key that was compromised")
_FILING_CANCELLED = Text("发证机构备案已取消", "the issuing body's filing was cancelled")
_SEE_REGISTER = Text("见登记记录", "see the register")


def view_of(
    issued: CertificateBody,
    logged: Logged | None,
    face: FaceOpening | None,
    envelope: FaceContent | None,
    trust: Trust,
    today: int,
) -> CertificateView:
    """`logged` None: genuine, but what became of it is not known. `face` opens the commitments in force."""
    occupation = trust.catalogue.find(issued.occupation)
    photo = envelope.thumbnail if envelope and face and envelope.opening == face else b""
    post = isinstance(issued, Appoint)
    return CertificateView(
        number=face.number if face else None,
        name=face.name if face else None,
        personal_available=face is not None,
        photo=photo or None,
        grade_ordinal=issued.grade,
        grade=trust.ladder.by_ordinal(issued.grade).text,
        occupation_code=issued.occupation,
        occupation=occupation.name if occupation else issued.occupation,
        trade=issued.trade,
        issue_day=issued.issue_day,
        assessment_day=None if isinstance(issued, Appoint) else issued.assessment_day,
        logged_at_ms=logged.state.issue_time if logged else None,
        status=_status_of(issued, logged, today) if logged else "unknown",
        current=_current(issued, logged, trust) if logged else None,
        person_linked=not issued.person_unlinked,
        post=(issued.first_day, issued.last_day or None) if isinstance(issued, Appoint) else None,
        held=_held(logged, trust, today) if logged and not post else None,
        late=not isinstance(issued, Appoint) and issued.permit is not None,
        corrected_day=logged.correction.effective_day if logged and logged.correction else None,
    )


def ended_day(logged: Logged, view: CertificateView) -> int:
    """Since when a certificate is no longer in force; a post that simply ran out: its last day."""
    if logged.state.status is CertificateStatus.IN_FORCE and view.post is not None and view.post[1] is not None:
        return view.post[1]
    return logged.state.effective_day


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


def proof_of(logged: Logged, size: int, root: bytes, time_ms: int, trust: Trust) -> ProofView:
    """Where the certificate stands, under the checkpoint (size, root) of `time_ms`."""
    return ProofView(
        origin=trust.origin,
        index=logged.state.issue_index,
        leaf_hash=logged.state.issue_leaf.hex(),
        size=size,
        root=root.hex(),
        checkpoint_time_ms=time_ms,
        cert_key=logged.issued.cert_key.hex(),
    )


def _status_of(issued: CertificateBody, logged: Logged, today: int) -> str:
    status = logged.state.status
    over = isinstance(issued, Appoint) and issued.last_day != 0 and issued.last_day < today
    if status is CertificateStatus.IN_FORCE and over:
        status = CertificateStatus.ENDED
    return status.name.lower()


def _current(issued: CertificateBody, logged: Logged, trust: Trust) -> CurrentGrade | None:
    highest = logged.state.summary.highest
    if highest is None or issued.person_unlinked:
        return None
    is_this = highest.cert_key == issued.cert_key
    other = logged.highest if logged.highest and logged.highest.cert_key == highest.cert_key else None
    behind = issued if is_this else other
    return CurrentGrade(
        grade=trust.ladder.by_ordinal(highest.grade).text,
        ordinal=highest.grade,
        trade=highest.trade,
        is_this=is_this,
        since_day=behind.issue_day if behind else None,
    )


def _held(logged: Logged, trust: Trust, today: int) -> HeldPost | None:
    """The post that the holder has now beside this certificate, by the dates that the register gives."""
    post = logged.state.summary.appointment
    if post is None or not post.first_day <= today or (post.last_day and post.last_day < today):
        return None
    return HeldPost(trust.ladder.by_ordinal(post.grade).text, post.grade, post.first_day, post.last_day or None)

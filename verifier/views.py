"""What a verdict shows of a certificate, out of what was proven: statement, state and opened face. Pure."""

from __future__ import annotations

from ledger.records.appointment import CertificateBody
from ledger.records.commitments import FaceOpening
from ledger.records.envelope import FaceContent
from ledger.records.issue import Issue
from ledger.records.status import check_grant, check_scope
from verifier.carried import certificate_body
from verifier.register import FiledTerms, Logged, Register
from verifier.trust import Trust
from verifier.verdict import CertificateView, CurrentGrade, IssuerView, ProofView


def certificate_view(
    issue: CertificateBody,
    face: FaceOpening | None,
    envelope: FaceContent | None,
    trust: Trust,
    *,
    logged: Logged | None = None,
    status: str = "unknown",
) -> CertificateView:
    """`face`: number and name, if they are those that were signed; `logged`: None when its state is not known."""
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
        assessment_day=issue.assessment_day if isinstance(issue, Issue) else issue.first_day,
        logged_at_ms=logged.state.issue_time if logged else None,
        status=status,
        current=_current(issue, logged, trust) if logged else None,
        person_linked=not issue.person_unlinked,
    )


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
        cert_key=certificate_body(logged.statement).cert_key.hex(),
    )


def check_filed(filing: FiledTerms, issue: CertificateBody) -> None:
    """Whether the body was filed for this certificate or post at its issue date. Raises Refused."""
    if isinstance(issue, Issue):
        check_scope(filing.terms, issue)
    else:
        check_grant(filing.terms, issue)


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
    )

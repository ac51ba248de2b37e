"""The check: evidence and rules in, one verdict out. Pure, and the only place that turns failures into a verdict.

    1 host          the code leads to an official address                       else wrong_domain
    2 readable      it is a code or bundle of ours                              else unreadable
    3 carried       what it carries holds together by itself, and a PDF's words
                    say what its code says                                      else tampered
    4 signature     a record key of the filing signed it       else tampered; no filing: issuer_out_of_scope
    5 logged        the register holds exactly these bytes at this place, and
                    a PDF's words say what it holds, body and all               else not_found, tampered
    6 scope         the filing covered it at the issue date                     else issuer_out_of_scope
    7 status        in force, and a post within its days                        else suspended, revoked, ended
    8 current       commitments and highest grade in force of its track         valid, valid_corrected, valid_upgraded
    9 freshness     the register's time is recent                               else stale, never green

A refusal from an old register stands (revocation does not undo itself); a "no such record" from one does not, because
the record may be newer. After a failure of steps 1 to 5 nothing of the item is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.appointment import CertificateBody
from ledger.records.bundle import Bundle
from ledger.records.commitments import FaceOpening
from ledger.records.dates import batch_day
from ledger.records.envelope import FaceContent
from ledger.records.qr import Code as QrCode
from ledger.records.qr import ForeignLink
from ledger.records.secret import cert_key_of
from ledger.records.state import FilingState
from ledger.tlog.checkpoint import OpenedCheckpoint
from verifier import steps
from verifier.carried import Carried, open_carried, verify_bundle
from verifier.printed import pages_say, wording_of
from verifier.registered import Logged, check_filed
from verifier.shown import ended_day, proof_of, reason_of, view_of
from verifier.trust import Trust
from verifier.verdict import (
    CertificateView,
    Code,
    Finding,
    IssuerView,
    ProofView,
    Source,
    Verdict,
    iso_day,
    shown_host,
    without_item,
)

_STATUS_CODE: Final = {
    "suspended": Code.SUSPENDED,
    "revoked": Code.REVOKED,
    "void": Code.REVOKED,
    "replaced": Code.REVOKED,
    "ended": Code.ENDED,
}


@dataclass(frozen=True, slots=True)
class Register:
    """What the verifier's own replica answers: all of it stands under a checkpoint signed by the pinned keys."""

    size: int  # leaves under that checkpoint
    root: bytes
    time_ms: int  # how fresh its checkpoint is: the witness quorum's newest moment, or the log's without a quorum
    logged: Logged | None  # under the item's cert key; None: not in the first `size` leaves
    filing: FilingState | None  # of the body named by the logged statement, else by the carried one
    halted: bool = False  # the replica found a violation and stopped: its last good data, never green


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything gathered about one item before judging. Absent answers are None, never guesses."""

    item: QrCode | Bundle | ForeignLink | None  # None: nothing readable
    register: Register | None = None  # None: no verified data at all
    face: FaceContent | None = None  # the opened face envelope; None: personal data unavailable
    offline: bool = False  # nobody tried to bring the register up to date
    page_texts: tuple[str, ...] = ()  # text layers of the PDF that the code was found in


def verify(evidence: Evidence, trust: Trust, now_ms: int) -> Verdict:
    """Judge `evidence` by `trust` at `now_ms` (ms since 1970). Total: every evidence has a verdict."""
    return _Check(evidence, trust, now_ms).run()


class _Check:
    """One run of the steps; `findings` grows as they are done."""

    def __init__(self, evidence: Evidence, trust: Trust, now_ms: int) -> None:
        self.evidence = evidence
        self.trust = trust
        self.now_ms = now_ms
        self.findings: list[Finding] = []
        self.register = evidence.register
        self.opened: OpenedCheckpoint | None = None  # of a bundle
        self.fresh = (
            self.register is not None and not self.register.halted and trust.is_fresh(self.register.time_ms, now_ms)
        )

    def run(self) -> Verdict:
        item = self.evidence.item
        if isinstance(item, ForeignLink):  # 1
            self._note(steps.HOST_OTHER)
            return self._nothing(
                Code.WRONG_DOMAIN, found_host=shown_host(item.host), official_host=shown_host(self.trust.official_host)
            )
        if item is None:  # 2
            self._note(steps.UNREADABLE)
            return self._nothing(Code.UNREADABLE)
        self._note(steps.HOST if isinstance(item, QrCode) else steps.HOST_NONE)
        self._note(steps.READABLE)
        try:
            carried = open_carried(item)  # 3
            if isinstance(item, Bundle):
                assert carried is not None, "a bundle carries its statement"
                self.opened = verify_bundle(item, carried, self.trust)
        except (Malformed, Unverified):
            self._note(steps.CARRIED_WRONG)
            return self._nothing(Code.TAMPERED)
        if carried is not None and not self._printed(carried.issue, carried.face, None):
            self._note(steps.PRINT_OTHER)
            return self._nothing(Code.TAMPERED)
        self._note(steps.CARRIED if carried else steps.CARRIED_NONE)
        if self.register is None:
            return self._alone(carried)
        if self.register.logged is None:
            return self._not_logged(carried, self.register)
        return self._logged(item, carried, self.register, self.register.logged)

    def _alone(self, carried: Carried | None) -> Verdict:
        """No register: a bundle's own proof is all there is; a fragment's key stands in the register only."""
        if carried is None or self.opened is None:
            self._note(steps.SIGNATURE_NO_KEY)
            return self._nothing(Code.UNAVAILABLE)
        self._note(steps.SIGNATURE_BY_LOG)
        self._note(steps.LOGGED_BY_BUNDLE)
        return self._signature_only(carried, None)

    def _not_logged(self, carried: Carried | None, register: Register) -> Verdict:
        if carried is None:
            self._note(steps.SIGNATURE_NOTHING)
            self._note(steps.LOGGED_NOT if self.fresh else steps.LOGGED_UNKNOWN)
            return self._nothing(Code.NOT_FOUND) if self.fresh else self._stale()
        if self.opened is not None and carried.index < register.size:
            self._note(steps.LOGGED_FORK)  # the pinned keys signed two histories
            return self._nothing(Code.TAMPERED)
        filing = register.filing
        if filing is None:
            self._note(steps.SIGNATURE_UNFILED if self.fresh else steps.SIGNATURE_NO_KEY)
            return self._verdict(Code.ISSUER_OUT_OF_SCOPE, None, None, None) if self.fresh else self._stale()
        key = filing.terms.record_key(carried.statement.kid)  # 4
        if key is None and not self.fresh:
            self._note(steps.SIGNATURE_NO_KEY)  # the key may be newer than this register
            return self._stale()
        try:
            if key is None:
                raise Unverified("no such record key in the filing")
            carried.statement.verify_signature(key.public)
        except Unverified:
            self._note(steps.SIGNATURE_WRONG)
            return self._nothing(Code.TAMPERED)
        self._note(steps.SIGNATURE)
        if self.opened is not None or not self.fresh:  # 5: it may be newer than this register
            self._note(steps.LOGGED_UNKNOWN)
            return self._signature_only(carried, filing) if self.evidence.offline else self._stale()
        self._note(steps.LOGGED_NOT)
        try:
            check_filed(filing.terms, carried.issue)  # 6
        except Refused:
            self._note(steps.SCOPE_NOT)
            view = self._view(carried.issue, None, carried.face)
            issuer = IssuerView(filing.terms.number, filing.terms.name, in_scope=False)
            return self._verdict(Code.ISSUER_OUT_OF_SCOPE, view, issuer, None)
        return self._nothing(Code.NOT_FOUND)

    def _logged(self, item: QrCode | Bundle, carried: Carried | None, register: Register, logged: Logged) -> Verdict:
        statement, state, filing = logged.statement, logged.state, register.filing
        issue = logged.issued
        try:  # 4
            logged.check()
            if filing is None or statement.leaf_hash != state.issue_leaf or state.filing_number != filing.terms.number:
                raise Unverified("statement, state and filing are not of one certificate")
            if issue.cert_key != cert_key_of(item.secret) or state.issue_index >= register.size:
                raise Unverified("the register answered for another certificate")
            if logged.authentic.publics != (state.record_key,):
                raise Unverified("the signature was checked under another key than the state's")
        except Unverified:
            self._note(steps.REGISTER_DAMAGED)  # our own copy is at fault, never the item
            return self._nothing(Code.UNAVAILABLE)
        if carried and (carried.statement.entry != statement.entry or carried.index != state.issue_index):  # 5
            self._note(steps.LOGGED_OTHER)
            return self._nothing(Code.TAMPERED)
        self._note(steps.SIGNATURE)
        face = self._face(logged, issue, carried)
        # A page printed under earlier terms bears the body's earlier name, and one from before a correction what was
        # committed to then: its code opens that.
        body = filing.terms.name if filing.terms_leaf == state.filing_leaf else None
        printed = face if logged.correction is None else carried.face if carried else None
        if not self._printed(issue, printed, body):
            self._note(steps.PRINT_NOT_LOGGED)
            return self._nothing(Code.TAMPERED)
        self._note(steps.LOGGED)
        issuer = IssuerView(filing.terms.number, filing.terms.name, in_scope=True)
        view = self._view(issue, logged, face)
        proof = proof_of(logged, register.size, register.root, register.time_ms, self.trust)
        if filing.terms_leaf == state.filing_leaf:  # 6: later terms do not reach back
            try:
                check_filed(filing.terms, issue)
            except Refused:
                self._note(steps.SCOPE_NOT)
                issuer = IssuerView(filing.terms.number, filing.terms.name, in_scope=False)
                return self._verdict(Code.ISSUER_OUT_OF_SCOPE, view, issuer, proof)
        self._note(steps.SCOPE)
        if view.status != "in_force":  # 7
            self._note(steps.STATUS_NOT)
            return self._out_of_force(logged, view, issuer, proof)
        self._note(steps.STATUS if logged.correction is None else steps.STATUS_CORRECTED)
        self._note(steps.CURRENT if view.current else steps.CURRENT_NONE)  # 8
        if not self.fresh:  # 9
            return self._signature_only(carried, filing, logged) if self.evidence.offline else self._stale()
        self._note(steps.FRESH)
        if logged.correction is not None:
            return self._verdict(Code.VALID_CORRECTED, view, issuer, proof)
        higher = view.current is not None and not view.current.is_this and view.current.ordinal > view.grade_ordinal
        return self._verdict(Code.VALID_UPGRADED if higher else Code.VALID, view, issuer, proof)

    def _out_of_force(self, logged: Logged, view: CertificateView, issuer: IssuerView, proof: ProofView) -> Verdict:
        code = _STATUS_CODE[view.status]
        detail = {}
        if code is not Code.SUSPENDED:
            detail["since"] = iso_day(ended_day(logged, view))
        if code is Code.REVOKED:
            reason = reason_of(logged)
            detail |= {"reason_zh": reason.zh, "reason_en": reason.en}
        self._note_freshness()
        return self._verdict(code, view, issuer, proof, **detail)

    def _signature_only(
        self, carried: Carried | None, filing: FilingState | None, logged: Logged | None = None
    ) -> Verdict:
        """Genuine, but what became of it since cannot be known now."""
        self._note_freshness()
        issue = carried.issue if carried else logged.issued if logged else None
        assert issue is not None, "an item carries its certificate, or the register has it"
        view = self._view(issue, None, self._face(logged, issue, carried))
        issuer = IssuerView(filing.terms.number, filing.terms.name, in_scope=None) if filing else None
        return self._verdict(Code.OFFLINE_SIGNATURE_OK, view, issuer, None)

    def _stale(self) -> Verdict:
        self._note_freshness()
        return self._verdict(Code.STALE, None, None, None)

    def _nothing(self, code: Code, **detail: str) -> Verdict:
        if self.register is not None and code not in (Code.WRONG_DOMAIN, Code.UNREADABLE):
            self._note_freshness()
        source, as_of = self._basis()
        findings = steps.complete(self.findings)
        return without_item(code, self.now_ms, source=source, as_of_ms=as_of, findings=findings, **detail)

    def _verdict(
        self,
        code: Code,
        view: CertificateView | None,
        issuer: IssuerView | None,
        proof: ProofView | None,
        **detail: str,
    ) -> Verdict:
        source, as_of = self._basis()
        findings = steps.complete(self.findings)
        return Verdict(code, self.now_ms, as_of, source, view, issuer, findings, proof, detail)

    def _basis(self) -> tuple[Source, int | None]:
        if isinstance(self.evidence.item, ForeignLink) or self.evidence.item is None:
            return Source.CODE, None
        if self.register is not None:
            return Source.REPLICA, self.register.time_ms
        if self.opened is not None:
            return Source.BUNDLE, self.opened.time_s * 1000
        return Source.CODE, None

    def _face(self, logged: Logged | None, issued: CertificateBody, carried: Carried | None) -> FaceOpening | None:
        """Number and name, only if they are those of the commitments in force."""
        digest = logged.face_digest if logged else issued.face
        found = (carried.face if carried else None, self.evidence.face.opening if self.evidence.face else None)
        return next((face for face in found if face is not None and face.digest() == digest), None)

    def _view(self, issued: CertificateBody, logged: Logged | None, face: FaceOpening | None) -> CertificateView:
        return view_of(issued, logged, face, self.evidence.face, self.trust, batch_day(self.now_ms))

    def _printed(self, issue: CertificateBody, face: FaceOpening | None, body: str | None) -> bool:
        """Whether the PDF that the code was found in, if any, says what was signed, as far as that is known here."""
        pages = self.evidence.page_texts
        return not pages or pages_say(wording_of(issue, face, body, self.trust), pages)

    def _note(self, finding: Finding) -> None:
        self.findings.append(finding)

    def _note_freshness(self) -> None:
        if self.register is not None and self.register.halted:
            self._note(steps.FRESH_HALTED)
        else:
            self._note(steps.FRESH if self.fresh else steps.FRESH_NOT)

"""The check: evidence and rules in, one verdict out. Pure. Failures turn into a verdict here, and for offline
kits, which have no register, in kit/judge.py; nowhere else.

    1 host          the code leads to an official address                       else wrong_domain
    2 readable      it is a code or bundle of ours                              else unreadable
    3 carried       what it carries holds together by itself, and a PDF's words
                    say what its code says                                      else tampered
                    a proof under log keys that are not known here is left out, and the rest judged as a code is
    4 signature     a record key of the filing signed it       else tampered; no filing: issuer_out_of_scope
    5 logged        the register holds exactly these bytes at this place, or has the
                    number and name that were asked for under its signature; and
                    a PDF's words say what it holds, body and all               else not_found, tampered
    6 scope         the filing covered it at the issue date                     else issuer_out_of_scope
    7 status        in force                                                    else suspended, revoked, ended
    8 current       the highest grade in force of its track                     valid or valid_upgraded
    9 freshness     the register's time is recent, its checkpoint has the witness
                    quorum, and its state was recomputed here or vouched for by a
                    map auditor                                                 else stale, never green

The register is the verifier's own replica, or evidence: fetched from a ledger, or carried by a bundle or a staple. A
carried one answers where it is newer than the replica, and while it is not older than its own limit; then a certificate
in force is offline_bundle_ok. A refusal that it proves counts also where the replica is not too old to answer. An
answer about an earlier moment does not grow old, and says which moment it is about.

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
from ledger.records.kinds import CertificateStatus
from ledger.records.qr import Code as QrCode
from ledger.records.qr import ForeignLink
from ledger.records.staple import Staple
from verifier import steps
from verifier.carried import Carried, Item, Numbered, key_of, open_carried, verify_carried
from verifier.former import UnknownKeys
from verifier.freshness import freshness_of, is_fresh, why_stale
from verifier.hosts import shown_host
from verifier.printed import pages_say, wording_of
from verifier.proven import Proven
from verifier.register import FiledTerms, Logged, Register, register_of
from verifier.trust import Trust
from verifier.verdict import (
    CertificateView,
    Code,
    Finding,
    IssuerView,
    ProofView,
    Source,
    Verdict,
    without_item,
)
from verifier.views import (
    about_current,
    certificate_view,
    check_filed,
    issuer_view,
    proof_view,
    status_on,
    why_not_in_force,
)

_STATUS_CODE: Final = {
    CertificateStatus.SUSPENDED: Code.SUSPENDED,
    CertificateStatus.REVOKED: Code.REVOKED,
    CertificateStatus.VOID: Code.REVOKED,
    CertificateStatus.REPLACED: Code.REVOKED,
    CertificateStatus.ENDED: Code.ENDED,
}
_LOGGED_BY: Final = {
    Source.REPLICA: steps.LOGGED,
    Source.EVIDENCE: steps.LOGGED_BY_PROOF,
    Source.BUNDLE: steps.LOGGED_BY_BUNDLE,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything gathered about one item before judging. Absent answers are None, never guesses."""

    item: Item | ForeignLink | None  # None: nothing readable
    register: Register | None = None  # None: no verified data at all
    face: FaceContent | None = None  # the opened face envelope; None: personal data unavailable
    offline: bool = False  # nobody tried to bring the register up to date
    page_texts: tuple[str, ...] = ()  # text layers of the PDF that the code was found in
    refuted: bool = False  # a ledger gave a proof that does not hold


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
        self.proven: Proven | None = None  # by what the item carries
        self.unproven = False  # it carries a proof that nothing here can judge
        self.fresh = self.register is not None and is_fresh(self.register, self.trust, self.now_ms)

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
        if isinstance(item, Numbered):
            return self._named(item)
        self._note(steps.HOST if isinstance(item, QrCode) else steps.HOST_NONE)
        self._note(steps.READABLE)
        try:
            carried = open_carried(item)  # 3
            if isinstance(item, Bundle | Staple):
                assert carried is not None, "a bundle carries its statement"
                self.proven = verify_carried(item, carried, self.trust, self.now_ms)
        except UnknownKeys:
            self.unproven = True
        except (Malformed, Unverified):
            self._note(steps.CARRIED_WRONG)
            return self._nothing(Code.TAMPERED)
        if carried is not None and not self._printed(carried.issue, carried.face, None):
            self._note(steps.PRINT_OTHER)
            return self._nothing(Code.TAMPERED)
        self._note(steps.CARRIED_UNPROVEN if self.unproven else steps.CARRIED if carried else steps.CARRIED_NONE)
        if carried is not None and self.proven is not None:
            self._choose(carried, register_of(self.proven, Source.BUNDLE))
        if self.register is None:
            return self._alone()
        if self.register.logged is None:
            return self._not_logged(carried, self.register)
        return self._logged(item, carried, self.register, self.register.logged)

    def _named(self, item: Numbered) -> Verdict:
        """Asked for by number and name: what the index says is proven by the register, and a "no" by nothing."""
        for finding in (steps.HOST_ASKED, steps.READABLE, steps.CARRIED_ASKED):
            self._note(finding)
        if item.face is None:
            self._note(steps.INDEX_NOT)
            return self._nothing(Code.NOT_FOUND)
        if self.register is None:
            return self._alone()
        if self.register.logged is None:  # published, says the index: this register is behind, or the index lies
            self._note(steps.SIGNATURE_NOTHING)
            self._note(steps.LOGGED_UNKNOWN)
            return self._stale()
        return self._logged(item, None, self.register, self.register.logged)

    def _choose(self, carried: Carried, theirs: Register) -> None:
        """What the item carries answers where no register does, or one that is behind it."""
        own = self.register
        if own is not None:
            behind = own.logged is None and carried.index >= own.size
            older = not self.fresh and theirs.time_ms > own.time_ms and not own.knows_more_than(theirs.size)
            refused = theirs.refuses and theirs.knows_more_than(own.size)  # since then, however fresh the register is
            if own.halted or own.historic or not (behind or older or refused):
                return
        self.register, self.fresh = theirs, is_fresh(theirs, self.trust, self.now_ms)

    def _alone(self) -> Verdict:
        """No register: a code's key stands in the register only."""
        self._note(steps.SIGNATURE_NO_KEY)
        if self.evidence.refuted:
            self._note(steps.LOGGED_REFUTED)
        return self._nothing(Code.UNAVAILABLE)

    def _not_logged(self, carried: Carried | None, register: Register) -> Verdict:
        if carried is None:
            self._note(steps.SIGNATURE_NOTHING)
            return self._absent()
        if self.proven is not None and carried.index < register.size and not register.historic:
            self._note(steps.LOGGED_FORK)  # the pinned keys signed two histories
            return self._nothing(Code.TAMPERED)
        filing = register.filing
        if filing is None and (register.historic or register.source is not Source.REPLICA):
            self._note(steps.SIGNATURE_NO_KEY)  # absence was proven, the body's keys were not asked for
            return self._absent()
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
        face = carried.face if carried.face.digest() == carried.issue.face or not self.unproven else None
        if not self.fresh:  # 5: it may be newer than this register
            self._note(steps.LOGGED_UNKNOWN)
            return self._signature_only(carried.issue, face, filing) if self.evidence.offline else self._stale()
        self._note(steps.LOGGED_NOT)
        try:
            check_filed(filing, carried.issue)  # 6
        except Refused:
            self._note(steps.SCOPE_NOT)
            view = certificate_view(carried.issue, face, None, self.trust)
            return self._verdict(Code.ISSUER_OUT_OF_SCOPE, view, issuer_view(filing, in_scope=False), None)
        return self._nothing(Code.NOT_FOUND)

    def _absent(self) -> Verdict:
        self._note(steps.LOGGED_NOT if self.fresh else steps.LOGGED_UNKNOWN)
        return self._nothing(Code.NOT_FOUND) if self.fresh else self._stale()

    def _logged(self, item: Item, carried: Carried | None, register: Register, logged: Logged) -> Verdict:
        statement, state, filing = logged.statement, logged.state, register.filing
        issue = logged.issued
        try:  # 4
            logged.check()
            if filing and state.filing_number != filing.terms.number:
                raise Unverified("statement, state and filing are not of one certificate")
            if issue.cert_key != key_of(item) or state.issue_index >= register.size:
                raise Unverified("the register answered for another certificate")
            if logged.authentic.publics != (state.record_key,):
                raise Unverified("the signature was checked under another key than the state's")
            if filing is None and register.source is Source.REPLICA:
                raise Unverified("the replica has no such filing")
        except Unverified:
            self._note(steps.REGISTER_DAMAGED)  # our own copy is at fault, never the item
            return self._nothing(Code.UNAVAILABLE)
        if carried and (carried.statement.entry != statement.entry or carried.index != state.issue_index):  # 5
            self._note(steps.LOGGED_OTHER)
            return self._nothing(Code.TAMPERED)
        if carried and self.unproven and carried.face.digest() not in (issue.face, logged.face):
            self._note(steps.CORRECTION_UNPROVEN)  # the words of another correction, or of none
            return self._nothing(Code.UNAVAILABLE)
        self._note(steps.SIGNATURE)
        face = self._face(logged.face, carried)
        if carried and carried.face.digest() != logged.face:
            self._note(steps.OUTDATED)
        if isinstance(item, Numbered) and face is None:  # 5: it opens another certificate, or commitments of before
            self._note(steps.INDEX_WRONG)
            return self._nothing(Code.UNAVAILABLE)
        # A page printed under earlier terms bears the body's earlier name; one from before a correction, earlier words.
        body = filing.terms.name if filing and filing.leaf == state.filing_leaf else None
        if not self._printed(issue, carried.face if carried else None if logged.correction else face, body):
            self._note(steps.PRINT_NOT_LOGGED)
            return self._nothing(Code.TAMPERED)
        self._note(_LOGGED_BY[register.source])
        if filing is None:  # left out of what was carried: whose it is cannot be said
            return self._signature_only(issue, face, None)
        issuer = issuer_view(filing, in_scope=True)
        day = batch_day(register.time_ms if register.historic else self.now_ms)
        status = status_on(issue, state, day)
        view = certificate_view(
            issue, face, self.evidence.face, self.trust, logged=logged, status=status.name.lower(), day=day
        )
        proof = proof_view(register, logged, self.trust)
        if filing.leaf == state.filing_leaf:  # 6: later terms do not reach back
            try:
                check_filed(filing, issue)
            except Refused:
                self._note(steps.SCOPE_NOT)
                self._note_freshness()
                issuer = issuer_view(filing, in_scope=False)
                return self._verdict(Code.ISSUER_OUT_OF_SCOPE, view, issuer, proof)
        self._note(steps.SCOPE)
        if status is not CertificateStatus.IN_FORCE:  # 7
            self._note(steps.STATUS_NOT)
            return self._out_of_force(status, logged, view, issuer, proof)
        self._note(steps.STATUS if logged.correction is None else steps.STATUS_CORRECTED)
        self._note(about_current(issue, view))  # 8
        if not self.fresh:  # 9
            return self._signature_only(issue, face, filing) if self.evidence.offline else self._stale()
        self._note_freshness()
        higher = view.current is not None and not view.current.is_this and view.current.ordinal > view.grade_ordinal
        code = Code.VALID_CORRECTED if logged.correction else Code.VALID_UPGRADED if higher else Code.VALID
        return self._verdict(Code.OFFLINE_BUNDLE_OK if register.source is Source.BUNDLE else code, view, issuer, proof)

    def _out_of_force(
        self, status: CertificateStatus, logged: Logged, view: CertificateView, issuer: IssuerView, proof: ProofView
    ) -> Verdict:
        code = _STATUS_CODE[status]
        detail = why_not_in_force(code, logged)
        self._note_freshness()
        return self._verdict(code, view, issuer, proof, **detail)

    def _signature_only(self, issue: CertificateBody, face: FaceOpening | None, filing: FiledTerms | None) -> Verdict:
        """Genuine, but what became of it since cannot be known now."""
        self._note_freshness()
        view = certificate_view(issue, face, self.evidence.face, self.trust)
        issuer = issuer_view(filing, in_scope=None) if filing else None
        return self._verdict(Code.OFFLINE_SIGNATURE_OK, view, issuer, None)

    def _stale(self) -> Verdict:
        self._note_freshness()
        assert self.register is not None, "stale data is data"
        cause = why_stale(self.register, self.trust, self.now_ms, fresh=self.fresh)
        return self._verdict(Code.STALE, None, None, None, cause=cause)

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
        item = self.evidence.item
        if isinstance(item, ForeignLink) or item is None or self.register is None:
            return Source.INDEX if isinstance(item, Numbered) else Source.CODE, None
        return self.register.source, self.register.time_ms

    def _face(self, digest: bytes, carried: Carried | None) -> FaceOpening | None:
        """Number and name, only if they are the ones that count now: carried, or out of the envelope."""
        envelope = self.evidence.face.opening if self.evidence.face else None
        named = self.evidence.item.face if isinstance(self.evidence.item, Numbered) else None
        known = (carried.face if carried else None, envelope, named)
        return next((opening for opening in known if opening and opening.digest() == digest), None)

    def _printed(self, issue: CertificateBody, face: FaceOpening | None, body: str | None) -> bool:
        """Whether the PDF that the code was found in, if any, says what was signed, as far as that is known here."""
        pages = self.evidence.page_texts
        return not pages or pages_say(wording_of(issue, face, body, self.trust), pages)

    def _note(self, finding: Finding) -> None:
        self.findings.append(finding)

    def _note_freshness(self) -> None:
        self._note(freshness_of(self.register, fresh=self.fresh))

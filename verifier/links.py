"""Scanned links, judged as `verify` judges them; what is public of a verdict is worked out once, while it is the same.

    1 same     kept is what `verify` said when nothing of the person was known. It counts while all that the register
               says of the certificate is equal: state, statements, filing, whether the replica has halted, and why
               there is nothing newer
    2 now      and while, at this very moment, that answer is as fresh as it was then, on the same day
    3 proof    under another checkpoint it stands with that one's size, root and time
    4 person   number, name and photo come out of the envelope of this question, if it opens the digest that counts.
               They are in the verdict that is given away, never in what is kept

Anything but a link alone (a code with its certificate, a file, a number) is judged from the beginning. Pure, but that
it remembers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from ledger.records.dates import batch_day
from ledger.records.envelope import FaceContent
from ledger.records.qr import Code as QrCode
from verifier.carried import key_of
from verifier.register import Register
from verifier.trust import Trust
from verifier.verdict import CertificateView, ProofView, Verdict
from verifier.verify import Evidence, verify
from verifier.views import proof_view

_KEPT: Final = 4096  # certificates


@dataclass(slots=True)
class _Kept:
    # Fresh, ahead of our clock, the day, and whether nobody tried to bring the register up to date.
    moment: tuple[bool, bool, int, bool]
    verdict: Verdict
    face: bytes  # the digest that a face has to open
    under: Register  # the newest one that it was found to hold for
    proof: ProofView | None  # under that

    def holds_for(self, register: Register) -> bool:
        """Whether nothing is different but the checkpoint."""
        own = self.under
        return register is own or (
            (register.logged is own.logged or register.logged == own.logged)
            and register.filing == own.filing
            and (register.halted, register.lag, register.source, register.witnessed, register.vouched)
            == (own.halted, own.lag, own.source, own.witnessed, own.vouched)
            and register.overtaken == own.overtaken
        )


class Links:
    """The links of one log's certificates."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()  # cert key -> ; what is not logged is not kept

    def judge(self, evidence: Evidence, now_ms: int) -> Verdict:
        """As `verify`: the same verdict of the same evidence at the same moment. Those with the same `public` differ in
        moment, checkpoint and person alone."""
        item, register = evidence.item, evidence.register
        if (
            not isinstance(item, QrCode)
            or item.fragment
            or evidence.page_texts
            or register is None
            or register.historic
            or (logged := register.logged) is None
            or logged.state.issue_index >= register.size
        ):
            return verify(evidence, self._trust, now_ms)
        cert_key = key_of(item)
        fresh = self._trust.is_fresh(register.time_ms, now_ms)
        ahead = register.time_ms > now_ms + self._trust.max_skew_ms
        moment = fresh, ahead, batch_day(now_ms), evidence.offline
        kept = self._kept.get(cert_key)
        if kept is None or not kept.holds_for(register) or kept.moment != moment:  # 1, 2
            verdict = verify(replace(evidence, face=None), self._trust, now_ms)
            kept = self._kept[cert_key] = _Kept(moment, verdict, logged.face, register, verdict.proof)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        elif kept.under is not register:  # 3
            kept.under = register
            kept.proof = proof_view(register, logged, self._trust) if kept.verdict.proof else None
        self._kept.move_to_end(cert_key)
        return _completed(kept, evidence.face, now_ms)


def _completed(kept: _Kept, envelope: FaceContent | None, now_ms: int) -> Verdict:  # 4
    of, view, as_of_ms = kept.verdict, kept.verdict.certificate, kept.under.time_ms
    if view is not None and envelope is not None and envelope.opening.digest() == kept.face:
        view = _opened(view, envelope)
    made = Verdict(of.code, now_ms, as_of_ms, of.source, view, of.issuer, of.findings, kept.proof, of.detail)
    object.__setattr__(made, "public", of)
    return made


def _opened(view: CertificateView, envelope: FaceContent) -> CertificateView:
    """`replace` takes three times as long."""
    return CertificateView(
        number=envelope.opening.number,
        name=envelope.opening.name,
        personal_available=True,
        photo=envelope.thumbnail or None,
        grade_ordinal=view.grade_ordinal,
        grade=view.grade,
        occupation_code=view.occupation_code,
        occupation=view.occupation,
        trade=view.trade,
        issue_day=view.issue_day,
        assessment_day=view.assessment_day,
        logged_at_ms=view.logged_at_ms,
        status=view.status,
        current=view.current,
        person_linked=view.person_linked,
        post=view.post,
        held=view.held,
        late=view.late,
        corrected_day=view.corrected_day,
    )

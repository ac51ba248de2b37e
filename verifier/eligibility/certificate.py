"""The door: a verdict that is green, and what the register says, become a certificate that rules may read. Pure.

`VerifiedCertificate` cannot be made otherwise: its constructor wants a key that only `verified` has, and it has no
field that could be set. Whoever holds one holds the outcome of a whole check (`verifier.verify`) at one checkpoint.
"""

from __future__ import annotations

from typing import Final, NoReturn

from ledger.errors import Refused, Unverified
from ledger.records.appointment import Appoint
from ledger.records.dates import last_ms
from ledger.records.issue import Issue
from ledger.text import Text
from verifier.eligibility.decision import Proof, Rejected
from verifier.eligibility.records import APPOINTMENT, CERTIFICATE, CertificateRecord
from verifier.register import Register
from verifier.trust import Trust
from verifier.verdict import VALID_FAMILY, Code, Verdict

_DOOR: Final = object()
_EARLIER: Final = Text(
    "核验的是另一时刻的状态，不能据此判定",
    "it was checked as of another, earlier moment, which nothing can be decided on",
)

# Why a verdict does not open the door. What says "no" for good is STATUS; what only could not be told is NOT_PROVEN.
_REASONS: Final = {
    Code.SUSPENDED: "STATUS",
    Code.REVOKED: "STATUS",
    Code.ENDED: "STATUS",
    Code.ISSUER_OUT_OF_SCOPE: "OUT_OF_SCOPE",
    Code.TAMPERED: "NOT_GENUINE",
    Code.WRONG_DOMAIN: "NOT_GENUINE",
}


class VerifiedCertificate:
    """One certificate or post in force, and the checkpoint that it was proven at. Made by `verified` alone.

    `day`: it is as it stood at the end of that day, and good for a wage on that day alone; None: as it stands now.
    """

    __slots__ = ("day", "proof", "record")
    record: CertificateRecord
    proof: Proof
    day: int | None

    def __init__(self, door: object, record: CertificateRecord, proof: Proof, day: int | None = None) -> None:
        assert door is _DOOR, "a verified certificate comes out of a green verdict"
        object.__setattr__(self, "record", record)
        object.__setattr__(self, "proof", proof)
        object.__setattr__(self, "day", day)

    def __init_subclass__(cls) -> NoReturn:
        raise AssertionError("there is no other kind of verified certificate")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AssertionError("a verified certificate does not change")

    def __reduce__(self) -> NoReturn:
        raise AssertionError("a verified certificate is not copied past its check")


def verified(
    verdict: Verdict, register: Register, trust: Trust, day: int | None = None, *, track: bool = True
) -> VerifiedCertificate:
    """What a green verdict and the register behind it say: now, or at the end of `day`. Without `track` nothing is
    known of the person's other certificates: what the register said of them then is void now. `trust`: what is
    believed of the register's log.

    Raises Refused (STATUS, NOT_GENUINE, OUT_OF_SCOPE, NOT_PROVEN) for a verdict that is not valid, valid_upgraded or
    valid_corrected, or is about another moment; Unverified when the register is not the one that it rests on.
    """
    if verdict.code not in VALID_FAMILY:
        raise Refused(
            reason_of(verdict.code),
            "verdict",
            Text(
                "只有核验结果为有效的证书才能用于资格判定",
                "only a certificate that was checked and is valid is decided on",
            ),
        )
    if register.historic != (day is not None) or (day is not None and register.time_ms != last_ms(day)):
        raise Refused("NOT_PROVEN", "verdict", _EARLIER)
    logged, shown, proof = register.logged, verdict.certificate, verdict.proof
    assert shown is not None and proof is not None, "green shows the certificate and its proof"
    if logged is None:
        raise Unverified("a register without the certificate of the verdict")
    issued, state = logged.issued, logged.state
    same = (proof.cert_key, proof.root) == (issued.cert_key.hex(), register.root.hex()) and proof.size == register.size
    if not same or (shown.grade_ordinal, shown.issue_day) != (issued.grade, issued.issue_day):
        raise Unverified("a register of something else than the verdict's certificate")
    occupation = trust.catalogue.find(issued.occupation)
    highest, track = state.summary.highest, track and not issued.person_unlinked
    record = CertificateRecord(
        cert_key=issued.cert_key,
        kind=APPOINTMENT if isinstance(issued, Appoint) else CERTIFICATE,
        occupation=issued.occupation,
        lineage=occupation.lineage if occupation else issued.occupation,
        trade=issued.trade,
        grade=issued.grade,
        issue_day=issued.issue_day,
        filing=issued.filing_number,
        route=issued.route.name.lower() if isinstance(issued, Issue) else "appointment",
        audience=issued.audience.name.lower() if isinstance(issued, Issue) else "",
        linked=track,
        track_highest=highest.grade if highest and track else 0,
        posts=tuple(
            (one.grade, one.first_day, one.last_day)
            for one in state.summary.posts
            if track or one.cert_key == issued.cert_key
        ),
        alone=trust.alone,
    )
    under = Proof(
        issued.cert_key, proof.origin, register.size, register.root, proof.checkpoint_time_ms, verdict.checked_at_ms
    )
    return VerifiedCertificate(_DOOR, record, under, day)


def reason_of(code: Code) -> str:
    """Why a verdict of this code does not open the door."""
    return _REASONS.get(code, "NOT_PROVEN")


def rejected(verdict: Verdict, day: int | None = None) -> Rejected:
    """What a decision may know of a certificate whose verdict is not valid: it was shown, and why it is left out.

    `day`: as of the end of that day. What the log did not have then was not in force, and that is settled.
    """
    assert verdict.code not in VALID_FAMILY, "a valid certificate is not left out"
    absent = day is not None and verdict.code is Code.NOT_FOUND
    return Rejected(verdict.code.value, "STATUS" if absent else reason_of(verdict.code))

"""A claim on a benefit: check, reserve, pay or release, claw back. Signed by a registered payer.

    claim      1 kind = 20, 2 pack digest, 3 year of the benefit, 4 [nullifiers, rising], 5 decision,
               6 last day of the reservation; subject = base64url of the holder commitment
    pay        1 kind = 23, 5 day                 subject of the three: base64url of the claim's leaf hash
    release    1 kind = 21, 4 reason, 5 day
    claw-back  1 kind = 22, 4 reason, 5 day

    holder   = SHA-256("certledger/claim-holder/v1\\n" ‖ CBOR[salt16, cert key])
    decision = SHA-256("certledger/claim-decision/v1\\n" ‖ CBOR[salt16, amount in fen, SHA-256 of the decision's bytes])

Nothing else is said about the person. Amounts tell grades, and the number of lower grades would too, so the amount is
committed and every claim under one pack has the same number of nullifiers.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.authority import check_filing_number
from ledger.records.commitments import SALT_BYTES
from ledger.records.dates import check_day
from ledger.records.kinds import CLAIM_ACTS, Kind, Reason
from ledger.records.pack import MAX_NULLIFIERS
from ledger.records.secret import parse_subject, subject_of

MAX_AMOUNT: Final = 10**12  # fen
_YEARS: Final = range(1970, 3000)


@dataclass(frozen=True, slots=True)
class HolderOpening:
    """Which certificate a claim is about: for the payer, the ledger, and whom the payer shows it to."""

    salt: bytes  # 16 bytes
    cert_key: bytes  # 32 bytes

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_BYTES or len(self.cert_key) != 32:
            raise Malformed("holder opening: a salt has 16 bytes and a cert key 32")

    def digest(self) -> bytes:
        return sha256(b"certledger/claim-holder/v1\n" + canonical.encode([self.salt, self.cert_key])).digest()


@dataclass(frozen=True, slots=True)
class DecisionOpening:
    """How much, and by which decision: for the payer and whom it shows it to."""

    salt: bytes  # 16 bytes
    amount: int  # fen
    decision: bytes  # SHA-256 of the decision's bytes

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_BYTES or len(self.decision) != 32:
            raise Malformed("decision opening: a salt has 16 bytes and a digest 32")
        if not 0 <= self.amount <= MAX_AMOUNT:
            raise Malformed("decision opening: an amount in fen, not negative")

    def digest(self) -> bytes:
        opened = canonical.encode([self.salt, self.amount, self.decision])
        return sha256(b"certledger/claim-decision/v1\n" + opened).digest()


@dataclass(frozen=True, slots=True)
class Claim:
    """A benefit is reserved for the holder of one certificate."""

    issuer: str  # filing number of the payer
    holder: bytes  # commitment
    pack: bytes  # digest
    year: int  # of the benefit
    nullifiers: tuple[bytes, ...]  # rising; HMACs that the ledger computed
    decision: bytes  # commitment
    last_day: int  # of the reservation, inclusive

    def __post_init__(self) -> None:
        check_filing_number(self.issuer)
        check_day(self.last_day)
        if any(len(digest) != 32 for digest in (self.holder, self.pack, self.decision, *self.nullifiers)):
            raise Malformed("claim: commitments, digests and nullifiers have 32 bytes")
        if list(self.nullifiers) != sorted(set(self.nullifiers)) or not 1 <= len(self.nullifiers) <= MAX_NULLIFIERS:
            raise Malformed("claim: 1 to 12 nullifiers, rising, each once")
        if self.year not in _YEARS:
            raise Malformed("claim: not a year")

    @property
    def kind(self) -> Kind:
        return Kind.CLAIM

    @property
    def subject(self) -> str:
        return subject_of(self.holder)

    def as_map(self) -> dict[int, canonical.Value]:
        return {
            1: int(Kind.CLAIM),
            2: self.pack,
            3: self.year,
            4: list(self.nullifiers),
            5: self.decision,
            6: self.last_day,
        }


@dataclass(frozen=True, slots=True)
class ClaimAct:
    """What becomes of a claim: it is paid, released, or clawed back."""

    kind: Kind
    claim: bytes  # leaf hash of its statement
    day: int
    issuer: str  # filing number of the payer
    reason: Reason | None = None  # of a release or a claw-back

    def __post_init__(self) -> None:
        check_day(self.day)
        check_filing_number(self.issuer)
        if self.kind not in CLAIM_ACTS or (self.kind is Kind.PAY) != (self.reason is None) or len(self.claim) != 32:
            raise Malformed("a claim of 32 bytes is paid, or with a reason released or clawed back")

    @property
    def subject(self) -> str:
        return subject_of(self.claim)

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {1: int(self.kind), 5: self.day}
        if self.reason is not None:
            fields[4] = int(self.reason)
        return fields


def parse_claim(issuer: str, subject: str, fields: dict[int, Any]) -> Claim:
    match fields:
        case {1: Kind.CLAIM, 2: bytes(pack), 3: int(year), 4: [*nullifiers], 5: bytes(decision), 6: int(day), **more}:
            if not more and all(isinstance(nullifier, bytes) for nullifier in nullifiers):
                return Claim(issuer, parse_subject(subject), pack, year, tuple(nullifiers), decision, day)
    raise Malformed("claim: a field is missing, unknown or of the wrong type")


def parse_claim_act(issuer: str, subject: str, fields: dict[int, Any]) -> ClaimAct:
    match fields:
        case {1: Kind.PAY, 5: int(day), **more} if not more:
            return ClaimAct(Kind.PAY, parse_subject(subject), day, issuer)
        case {1: int(kind), 4: int(reason), 5: int(day), **more} if not more and kind != Kind.PAY:
            if reason in list(Reason):
                return ClaimAct(Kind(kind), parse_subject(subject), day, issuer, Reason(reason))
    raise Malformed("claim act: a field is missing, unknown or of the wrong type")

"""Who and what gets into the log: everything that is checked before a statement reaches the sequencer.

The fold has the same numbers; the sequencer repeats 3 and does 8, 10, 11 and 12 in the fold, at the batch's own time:

     1 size           the entry is at most 8 KiB
     2 canonical      its bytes are the one encoding of their value
     3 already logged the full SHA-256 is known: the stored answer, whatever else is wrong now; REPEATED when what it
                      did was undone since, so that nobody takes the old answer for a new effect
     4 known kind
     5 key known      the filing lists the record key (live at the batch's time: the fold)
     6 signature(s)   Ed25519, off the event loop
     7 openings       face and ID field recomputed from what was submitted; the index rows come from those values
                      only; then they are forgotten. Of a claim and its payment: the commitment to the certificate,
                      and the voucher that its nullifiers came with
     8 filing, window, row, dates                                                  (fold)
     9 number         format, and its parts against the statement; unique          (unique: sequencer)
    10 track          the one drawn for this person and lineage; of a claim that of its certificate, which is in
                      force, as it must be for a payment                           (sequencer, then fold)
    11 legal transition                                                            (fold)
    12 caps                                                                        (fold)

A crash in here leaves nothing behind: no state is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import msgspec

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.claim import Claim, HolderOpening
from ledger.records.commitments import rest_digest, verify_opening
from ledger.records.documents import IdDocument
from ledger.records.envelope import MAX_ENVELOPE
from ledger.records.grades import Ladder
from ledger.records.issue import Issue
from ledger.records.kinds import Kind
from ledger.records.life import Correct
from ledger.records.names import check_name
from ledger.records.number import GRADE_22, OPAQUE, SPECIAL_22, check_number, cross_check
from ledger.records.occupations import Catalogue
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import AuthorityState, FilingState
from ledger.records.statements import Body, Statement, parse_statement
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.records.view import People
from ledger.service.nullifiers import Nullifiers
from ledger.service.private_index import Found, PrivateIndex
from ledger.wire import AnySubmission, BareSubmission, ClaimSubmission, Submission, SubmissionBody, submission_of

_Opened: TypeAlias = Issue | Appoint | Correct  # what comes with openings; here so that it is not made each time
_SEQUENCE: Final = re.compile(r"(?!000000)[0-9]{6}")
_REMEMBERED: Final = 4096  # beginnings of numbers with what they have to fit; about 1 MiB


# These are frozen structs as the rows of a store are: one of each for every certificate, on either side.
class PrivatePart(msgspec.Struct, frozen=True, array_like=True, tag="person"):
    """What a certificate leaves in the ledger's own tables, and what its track must be."""

    filing_number: str  # of the body that submitted it
    number: str
    name: str
    number_keys: tuple[bytes, bytes]  # newest first
    person: tuple[str, str, str]  # identity by document; forgotten with the candidate
    person_hmac: bytes  # in the lineage of the certificate; of a correction b"": only the log knows its occupation
    match_hmac: bytes
    lookup_hmac: bytes
    lookup: bytes  # sealed
    locator: bytes  # of both envelopes
    face_envelope: bytes
    rest_envelope: bytes


@dataclass(frozen=True, slots=True)
class ClaimPart:
    """Which certificate a claim or its payment is about. The log does not say it."""

    holder: HolderOpening
    track_id: bytes = b""  # of a claim, when it was asked about; of a payment b""
    barred: tuple[bytes, ...] = ()  # nullifiers that must be free beside the claim's own


class Candidate(msgspec.Struct, frozen=True):
    """A statement that passed every check that can be made before its batch."""

    authentic: Authentic
    private: PrivatePart | ClaimPart | None  # None for what says nothing about a person

    @property
    def statement(self) -> Statement:
        return self.authentic.statement

    @property
    def size(self) -> int:
        """Bytes it keeps in memory while it waits."""
        part, size = self.private, len(self.statement.entry)
        return size + len(part.face_envelope) + len(part.rest_envelope) if isinstance(part, PrivatePart) else size


class KnownBy(msgspec.Struct, frozen=True, array_like=True):
    """What tells whether a statement is in the log already."""

    identity: bytes
    cert_key: bytes = b""  # of a certificate, which is found by it

    @classmethod
    def of(cls, statement: Statement) -> KnownBy:
        body = statement.body
        return cls(statement.identity, body.cert_key if isinstance(body, CertificateBody) else b"")


class Examined(msgspec.Struct, frozen=True):
    """The outcome for one submission; `known_by` is None when the bytes are not a statement at all."""

    known_by: KnownBy | None
    outcome: Candidate | Refused


class Examiner:
    """Checks submissions on a worker thread: pure but for the nonces of sealed index rows."""

    def __init__(self, index: PrivateIndex, ladder: Ladder, catalogue: Catalogue) -> None:
        self._index, self._ladder, self._catalogue = index, ladder, catalogue
        self._nullifiers = Nullifiers(index)
        self._numbers: dict[tuple[object, ...], bool] = {}  # what `_fits` came to, without the last six digits

    def examine(
        self, bodies: Sequence[SubmissionBody], filing: FilingState, authority: AuthorityState
    ) -> list[Examined]:
        """Check statements submitted by the body of `filing`, each on its own."""
        return [self.examine_one(body, filing, authority) for body in bodies]

    def examine_one(self, body: SubmissionBody, filing: FilingState, authority: AuthorityState) -> Examined:
        """Check one of them."""
        known_by = None
        try:
            statement = _parse(body.entry)  # 1, 2, 4
            known_by = KnownBy.of(statement)
            authentic = self._authentic(statement, filing, authority)
            try:
                submission = submission_of(body)
            except Malformed:
                raise refuse(Refusal.OPENING_MISSING, "face, document") from None
            said = statement.body
            if isinstance(said, Claim) or statement.kind is Kind.PAY:
                return Examined(known_by, Candidate(authentic, self._claim_part(said, submission)))
            if not isinstance(said, _Opened):
                if not isinstance(submission, BareSubmission):
                    raise refuse(Refusal.OPENING_UNWANTED, "face, document")
                return Examined(known_by, Candidate(authentic, None))
            if not isinstance(submission, Submission):
                raise refuse(Refusal.OPENING_MISSING, "face, document")
            if not isinstance(said, Correct) and said.person_unlinked:
                # Its track would be the person's own, and would then be closed to every linked certificate.
                raise refuse(Refusal.PERSON_UNLINKED, "person_unlinked")
            document = _open(submission, said)  # 7
            if not isinstance(said, Correct) and not self._fits(submission.face.number, said):  # 9
                raise refuse(Refusal.NUMBER, "number")
            return Examined(known_by, Candidate(authentic, self._private_part(submission, statement, document, filing)))
        except Refused as refusal:
            return Examined(known_by, refusal)

    def examine_authority(self, entry: bytes, authority: People) -> Examined:
        """Check a statement of the authority, which carries its own authorisation."""
        known_by = None
        try:
            statement = _parse(entry)  # 1, 2, 4
            known_by = KnownBy.of(statement)
            if statement.envelope.single:
                raise refuse(Refusal.MALFORMED, "kind")
            if isinstance(statement.body, Correct):
                raise refuse(Refusal.OPENING_MISSING, "face, document")  # it comes with them from the issuer
            return Examined(known_by, Candidate(_by_authority(statement, authority), None))  # 5, 6
        except Refused as refusal:
            return Examined(known_by, refusal)

    def authenticate(self, entry: bytes, filing: FilingState, authority: AuthorityState) -> Examined:
        """Steps 1 to 6 alone, of a statement whose openings a front has examined."""
        known_by = None
        try:
            statement = _parse(entry)  # 1, 2, 4
            known_by = KnownBy.of(statement)
            return Examined(known_by, Candidate(self._authentic(statement, filing, authority), None))  # 5, 6
        except Refused as refusal:
            return Examined(known_by, refusal)

    def lineage_of(self, occupation: str) -> str:
        """The lineage whose track a certificate of this occupation belongs to."""
        found = self._catalogue.find(occupation)
        return found.lineage if found else occupation

    def _authentic(self, statement: Statement, filing: FilingState, authority: AuthorityState) -> Authentic:
        """Steps 5 and 6 of what a body submits: its own, or a correction that the authority signed for it."""
        if not statement.envelope.single:
            if not isinstance(statement.body, Correct):
                raise refuse(Refusal.MALFORMED, "kind")
            return _by_authority(statement, authority)
        if statement.envelope.issuer != filing.terms.number:
            raise refuse(Refusal.REQUESTER, "filing_number")
        key = filing.terms.record_key(statement.kid)  # 5
        if key is None:
            raise refuse(Refusal.KEY_UNKNOWN, "kid")
        try:
            return authenticate_record(statement, key.public)  # 6
        except Unverified:
            raise refuse(Refusal.SIGNATURE, "signature") from None

    def _claim_part(self, said: Body, submission: AnySubmission) -> ClaimPart:
        """Step 7 of a claim or its payment. Of the latter only the log knows the commitment: see private_fold."""
        if not isinstance(submission, ClaimSubmission):
            raise refuse(Refusal.OPENING_MISSING, "claim")
        if not isinstance(said, Claim):
            return ClaimPart(submission.holder)
        try:
            voucher = self._nullifiers.open_voucher(submission.voucher)
        except Unverified:
            raise refuse(Refusal.OPENING_CLAIM, "voucher") from None
        holder = submission.holder
        if holder.digest() != said.holder or voucher.cert_key != holder.cert_key or not voucher.fits(said):
            raise refuse(Refusal.OPENING_CLAIM, "holder, nullifiers")
        return ClaimPart(holder, voucher.track_id, voucher.barred)

    def _fits(self, number: str, body: CertificateBody) -> bool:
        """Step 9: whether a number has its form and says of the certificate what its statement says."""
        said = body.filing_number, body.issue_day, body.grade, _schemes(body)
        if _SEQUENCE.fullmatch(number, 16):
            # The six digits at its end say nothing: what stands before them is the same in a whole roster.
            asked = number[:16], *said
            known = self._numbers.get(asked)
            if known is None:
                if len(self._numbers) >= _REMEMBERED:
                    self._numbers.clear()
                known = self._numbers[asked] = self._check_number(number, *said)
            return known
        return self._check_number(number, *said)

    def _check_number(
        self, number: str, filing_number: str, issue_day: int, grade: int, schemes: tuple[str, ...]
    ) -> bool:
        try:
            read = check_number(number)
        except (Malformed, Refused):
            return False
        return read.scheme in schemes and not cross_check(
            read,
            filing_number=filing_number,
            window=None,
            issue_day=issue_day,
            grade_ordinal=grade,
            ladder=self._ladder,
        )

    def _private_part(
        self, submission: Submission, statement: Statement, document: IdDocument, filing: FilingState
    ) -> PrivatePart:
        face, index, leaf, body = submission.face, self._index, statement.leaf_hash, statement.body
        assert isinstance(body, _Opened)
        person, person_hmac = document.identity, b""
        if not isinstance(body, Correct):
            person_hmac = index.person_hmac(*person, self.lineage_of(body.occupation))
        return PrivatePart(
            filing_number=filing.terms.number,
            number=face.number,
            name=face.name,
            number_keys=index.number_keys(face.number),
            person=person,
            person_hmac=person_hmac,
            match_hmac=index.match_hmac(leaf, document.last4),
            lookup_hmac=index.lookup_hmac(face.number, face.name),
            lookup=index.seal_lookup(face.number, face.name, Found(body.cert_key, face.salt, leaf)),
            locator=submission.locator,
            face_envelope=submission.face_envelope,
            rest_envelope=submission.rest_envelope,
        )


def _schemes(body: CertificateBody) -> tuple[str, ...]:
    """Which numbers a certificate may bear: posts have a letter in theirs, and old papers a scheme of their own."""
    if isinstance(body, Appoint):
        return SPECIAL_22, OPAQUE
    return (GRADE_22,) if body.permit is None else (GRADE_22, OPAQUE)


def _by_authority(statement: Statement, authority: People) -> Authentic:
    try:
        return authenticate_authority(statement, authority)
    except Unverified:
        raise refuse(Refusal.SIGNATURE, "signatures") from None


def _parse(entry: bytes) -> Statement:
    try:
        return parse_statement(entry)
    except Malformed:
        raise refuse(Refusal.MALFORMED, "entry") from None


def _open(submission: Submission, said: CertificateBody | Correct) -> IdDocument:
    """Step 7: what was submitted is what was signed. Returns the document, whose number is then forgotten."""
    try:
        if submission.face.digest() != said.face:
            raise refuse(Refusal.OPENING_FACE, "face")
    except Malformed:
        raise refuse(Refusal.OPENING_FACE, "face") from None
    try:
        if rest_digest(submission.digests) != said.rest:
            raise refuse(Refusal.OPENING_REST, "digests")
    except Malformed:
        raise refuse(Refusal.OPENING_REST, "digests") from None
    try:
        verify_opening(submission.document, submission.digests)
        # Three texts, as `wire.submission_of` makes it.
        document = IdDocument(*cast("list[str]", submission.document.value))
        _ = document.identity  # a number that cannot name a person is refused here
    except (Malformed, Unverified):
        raise refuse(Refusal.OPENING_DOCUMENT, "document") from None
    try:
        check_name(submission.face.name)
    except Malformed:
        raise refuse(Refusal.NAME, "name") from None
    if len(submission.locator) != 32:
        raise refuse(Refusal.ENVELOPE, "locator")
    for name, envelope in (("face", submission.face_envelope), ("rest", submission.rest_envelope)):
        if not 28 < len(envelope) <= MAX_ENVELOPE:
            raise refuse(Refusal.ENVELOPE, name)
    return document

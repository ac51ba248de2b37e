"""Who and what gets into the log: everything that is checked before a statement reaches the sequencer.

The numbers are design 5's; the sequencer repeats 3 and does 8, 10, 11 and 12 in the fold, at the batch's own time:

     1 size           the entry is at most 8 KiB
     2 canonical      its bytes are the one encoding of their value
     3 already logged the full SHA-256 is known: the stored answer, whatever else is wrong now
     4 known kind
     5 key known      the filing lists the record key (live at the batch's time: the fold)
     6 signature(s)   Ed25519, off the event loop
     7 openings       face and ID field recomputed from what was submitted; the index rows come from those values
                      only; then they are forgotten
     8 filing, window, row, dates                                                  (fold)
     9 number         format, and its parts against the statement; unique          (unique: sequencer)
    10 track          the one drawn for this person and lineage                    (sequencer, then fold)
    11 legal transition                                                            (fold)
    12 caps                                                                        (fold)

A crash in here leaves nothing behind: no state is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.commitments import rest_digest, verify_opening
from ledger.records.documents import IdDocument
from ledger.records.envelope import MAX_ENVELOPE
from ledger.records.grades import Ladder
from ledger.records.issue import Issue
from ledger.records.names import check_name
from ledger.records.number import GRADE_22, check_number, cross_check
from ledger.records.occupations import Catalogue
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import FilingState
from ledger.records.statements import Statement, parse_statement
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.records.view import People
from ledger.service.private_index import PrivateIndex
from ledger.store.protocol import EnvelopeRow, IndexRow, Slot
from ledger.wire import Submission, SubmissionBody, submission_of


@dataclass(frozen=True, slots=True)
class PrivatePart:
    """What a certificate leaves in the ledger's own tables, and what its track must be."""

    number: str
    number_hmac: bytes
    person_hmac: bytes
    rows: tuple[IndexRow, ...]
    envelopes: tuple[EnvelopeRow, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A statement that passed every check that can be made before its batch."""

    authentic: Authentic
    private: PrivatePart | None  # None for statements of the authority

    @property
    def statement(self) -> Statement:
        return self.authentic.statement

    @property
    def size(self) -> int:
        """Bytes it keeps in memory while it waits."""
        envelopes = self.private.envelopes if self.private else ()
        return len(self.statement.entry) + sum(len(envelope.body) for envelope in envelopes)


@dataclass(frozen=True, slots=True)
class Examined:
    """The outcome for one submission; `identity` is None when the bytes are not a statement at all."""

    identity: bytes | None
    outcome: Candidate | Refused


class Examiner:
    """Checks submissions on a worker thread: pure but for the nonces of sealed index rows."""

    def __init__(self, index: PrivateIndex, ladder: Ladder, catalogue: Catalogue) -> None:
        self._index, self._ladder, self._catalogue = index, ladder, catalogue

    def examine(self, bodies: Sequence[SubmissionBody], filing: FilingState) -> list[Examined]:
        """Check certificates submitted under `filing`, each on its own."""
        return [self._examine_body(body, filing) for body in bodies]

    def examine_authority(self, entry: bytes, authority: People) -> Examined:
        """Check a statement of the authority, which carries its own authorisation."""
        identity = None
        try:
            statement = _parse(entry)  # 1, 2, 4
            identity = statement.identity
            if statement.envelope.single:
                raise refuse(Refusal.MALFORMED, "kind")
            try:
                return Examined(identity, Candidate(authenticate_authority(statement, authority), None))  # 5, 6
            except Unverified:
                raise refuse(Refusal.SIGNATURE, "signatures") from None
        except Refused as refusal:
            return Examined(identity, refusal)

    def lineage_of(self, occupation: str) -> str:
        """The lineage whose track a certificate of this occupation belongs to."""
        found = self._catalogue.find(occupation)
        return found.lineage if found else occupation

    def _examine_body(self, body: SubmissionBody, filing: FilingState) -> Examined:
        try:
            submission = submission_of(body)
        except Malformed:
            return Examined(sha256(body.entry).digest(), refuse(Refusal.OPENING_MISSING, "face, document"))
        return self._examine_one(submission, filing)

    def _examine_one(self, submission: Submission, filing: FilingState) -> Examined:
        identity = None
        try:
            statement = _parse(submission.entry)  # 1, 2, 4
            identity = statement.identity
            issue = statement.body
            if not isinstance(issue, Issue):
                raise refuse(Refusal.MALFORMED, "kind")
            if issue.filing_number != filing.terms.number:
                raise refuse(Refusal.REQUESTER, "filing_number")
            key = filing.terms.record_key(statement.kid)  # 5
            if key is None:
                raise refuse(Refusal.KEY_UNKNOWN, "kid")
            try:
                authentic = authenticate_record(statement, key.public)  # 6
            except Unverified:
                raise refuse(Refusal.SIGNATURE, "signature") from None
            if issue.person_unlinked:
                # Its track would be the person's own, and would then be closed to every linked certificate.
                raise refuse(Refusal.PERSON_UNLINKED, "person_unlinked")
            document = _open(submission, issue)  # 7
            self._check_number(submission, issue)  # 9
            return Examined(identity, Candidate(authentic, self._private_part(submission, issue, document)))
        except Refused as refusal:
            return Examined(identity, refusal)

    def _check_number(self, submission: Submission, issue: Issue) -> None:
        try:
            number = check_number(submission.face.number)
        except (Malformed, Refused):
            raise refuse(Refusal.NUMBER, "number") from None
        problems = cross_check(
            number,
            filing_number=issue.filing_number,
            window=None,
            issue_day=issue.issue_day,
            grade_ordinal=issue.grade,
            ladder=self._ladder,
        )
        if number.scheme != GRADE_22 or problems:
            raise refuse(Refusal.NUMBER, "number")

    def _private_part(self, submission: Submission, issue: Issue, document: IdDocument) -> PrivatePart:
        face, index = submission.face, self._index
        return PrivatePart(
            number=face.number,
            number_hmac=index.number_hmac(face.number),
            person_hmac=index.person_hmac(*document.identity, self.lineage_of(issue.occupation)),
            rows=(
                index.match_row(issue.cert_key, document.last4),
                index.lookup_row(face.number, face.name, issue.cert_key, face.salt),
            ),
            envelopes=(
                EnvelopeRow(submission.locator, Slot.FACE, submission.face_envelope),
                EnvelopeRow(submission.locator, Slot.REST, submission.rest_envelope),
            ),
        )


def _parse(entry: bytes) -> Statement:
    try:
        return parse_statement(entry)
    except Malformed:
        raise refuse(Refusal.MALFORMED, "entry") from None


def _open(submission: Submission, issue: Issue) -> IdDocument:
    """Step 7: what was submitted is what was signed. Returns the document, whose number is then forgotten."""
    try:
        if submission.face.digest() != issue.face:
            raise refuse(Refusal.OPENING_FACE, "face")
    except Malformed:
        raise refuse(Refusal.OPENING_FACE, "face") from None
    try:
        if rest_digest(submission.digests) != issue.rest:
            raise refuse(Refusal.OPENING_REST, "digests")
    except Malformed:
        raise refuse(Refusal.OPENING_REST, "digests") from None
    try:
        verify_opening(submission.document, submission.digests)
        match submission.document.value:
            case [str(kind), str(country), str(number)]:
                document = IdDocument(kind, country, number)
                _ = document.identity  # a number that cannot name a person is refused here
            case _:
                raise Malformed("an ID document's value is [type, country, number]")
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

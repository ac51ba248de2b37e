"""What the records of a batch's journal say, and how they are spelled (canonical CBOR).

    [1, label, roster file name, SHA-256 of the file, filing number, created ms]         the first record, once
    [2, [[row, secret, holder code, entry, [salt, number, name], [8 digests], [[field, salt, value] …],
          face envelope, rest envelope] …]]                                              signed, not yet sent
    [3, [[row, index, time ms, [inclusion]] | [row, code, field, zh, en] …], checkpoint, seal, [seal inclusion]]
                                                                                         answered, verified
    [4, [[row, entry, [[row, number, cert key] …]] …]]                                   signed, bare
    [5, [[row, secret, holder code, protected, payload, [salt, number, name], [8 digests], [[field, salt, value] …],
          thumbnail, face nonce, rest nonce] …]]   proposed to the authority, not signed yet
    [6, [[row, secret, holder code, [salt, number, name], [8 digests], [[field, salt, value] …], thumbnail, face nonce,
          rest nonce, payload] …]]                                   drafted for a late permit, not signed yet

A row is signed at most once in a batch; a later answer for a row replaces a refusal, never a place in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from issuer.draft import Draft
from issuer.issue import Named, Proposed, Signed, SignedCertificate, SignedStatement
from issuer.journal import MAX_RECORD
from issuer.receipt import Placed
from ledger.errors import Malformed, Refused
from ledger.records import canonical
from ledger.records.commitments import parse_face_opening, parse_field_opening, parse_hashes
from ledger.records.issue import parse_issue
from ledger.records.log_proof import LogProof
from ledger.records.secret import SECRET_BYTES, cert_key_of
from ledger.records.statements import Proposal
from ledger.text import Text
from ledger.wire import Receipt

_LABEL: Final = "certledger/issuer-batch/v1"
Answer = Placed | Refused


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """Which roster a batch is about. The file's exact bytes name the batch, so another file is another batch."""

    file_name: str
    file_sha256: bytes
    filing_number: str
    created_ms: int

    def format(self) -> bytes:
        return canonical.encode([1, _LABEL, self.file_name, self.file_sha256, self.filing_number, self.created_ms])


@dataclass(slots=True)
class BatchState:
    """A batch as its journal tells it: rows of the sheet to certificates and answers."""

    header: BatchHeader | None = None
    certificates: dict[int, SignedCertificate] = field(default_factory=dict)
    statements: dict[int, SignedStatement] = field(default_factory=dict)
    proposed: dict[int, Proposed] = field(default_factory=dict)  # some may be certificates by now
    drafts: dict[int, Draft] = field(default_factory=dict)  # for a late permit; some may be certificates by now
    answers: dict[int, Answer] = field(default_factory=dict)

    def unplaced(self) -> list[SignedCertificate]:
        """Signed, and not known to be in the log: unanswered or refused. Sending them again is always safe."""
        return [
            certificate
            for row, certificate in self.certificates.items()
            if not isinstance(self.answers.get(row), Placed)
        ]

    def unanswered(self) -> list[Signed]:
        """Signed, and not known what the ledger says: what a crash leaves of an act."""
        return [signed for row, signed in (self.certificates | self.statements).items() if row not in self.answers]

    def logged(self) -> list[tuple[SignedCertificate, Placed]]:
        """What may be printed, in the order of the sheet."""
        return [
            (self.certificates[row], answer)
            for row, answer in sorted(self.answers.items())
            if isinstance(answer, Placed) and row in self.certificates
        ]

    def stated(self) -> list[tuple[SignedStatement, Placed]]:
        """Statements about certificates that are in the log."""
        return [
            (self.statements[row], answer)
            for row, answer in sorted(self.answers.items())
            if isinstance(answer, Placed) and row in self.statements
        ]

    def refused(self) -> dict[int, Refused]:
        return {row: answer for row, answer in sorted(self.answers.items()) if isinstance(answer, Refused)}

    def fold(self, record: bytes) -> None:
        """Take one record of the journal. Raises Malformed when it is not one, or contradicts an earlier one."""
        match canonical.decode(record, limit=MAX_RECORD):
            case [1, str(label), str(name), bytes(digest), str(filing), int(created)] if label == _LABEL:
                if self.header is not None:
                    raise Malformed("batch journal: a second header")
                self.header = BatchHeader(name, digest, filing, created)
            case [2, [*items]]:
                self.sign([_parse_certificate(item) for item in items])
            case [3, [*items], bytes(checkpoint), bytes(seal), [*path]]:
                self.answer(_parse_answers(items, checkpoint, seal, parse_hashes(path)))
            case [4, [*items]]:
                self.sign([_parse_statement(item) for item in items])
            case [5, [*items]]:
                self.propose([_parse_proposed(item) for item in items])
            case [6, [*items]]:
                if self.header is None:
                    raise Malformed("batch journal: drafts before the header")
                self.draft([_parse_draft(self.header.filing_number, item) for item in items])
            case _:
                raise Malformed("batch journal: a record of an unknown form")

    def sign(self, signed: Sequence[Signed]) -> None:
        for one in signed:
            if one.row in self.proposed and isinstance(self.answers.get(one.row), Refused):
                del self.certificates[one.row], self.answers[one.row]  # other people of the authority signed it
            if one.row in self.certificates or one.row in self.statements:
                raise Malformed("batch journal: a row signed twice")
            if isinstance(one, SignedCertificate):
                self.certificates[one.row] = one
            else:
                self.statements[one.row] = one

    def propose(self, corrections: Sequence[Proposed]) -> None:
        for correction in corrections:
            if correction.row in self.proposed:
                raise Malformed("batch journal: a row proposed twice")
            self.proposed[correction.row] = correction

    def draft(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            if draft.row in self.drafts:
                raise Malformed("batch journal: a row drafted twice")
            self.drafts[draft.row] = draft

    def answer(self, answers: Mapping[int, Answer]) -> None:
        for row, answer in answers.items():
            before = self.answers.get(row)
            if (row not in self.certificates and row not in self.statements) or isinstance(before, Placed):
                raise Malformed("batch journal: an answer for a row that has none to come")
            self.answers[row] = answer


def read_state(records: Sequence[bytes]) -> BatchState:
    """Fold a whole journal."""
    state = BatchState()
    for record in records:
        state.fold(record)
    return state


def format_certificates(certificates: Sequence[SignedCertificate]) -> bytes:
    return canonical.encode([2, [_certificate_value(certificate) for certificate in certificates]])


def format_signed(signed: Sequence[Signed]) -> bytes:
    """One record of certificates, or of statements without openings: never both."""
    certificates = [one for one in signed if isinstance(one, SignedCertificate)]
    if certificates:
        assert len(certificates) == len(signed), "an act is of one kind"
        return format_certificates(certificates)
    return canonical.encode([4, [_statement_value(one) for one in signed if isinstance(one, SignedStatement)]])


def format_proposed(corrections: Sequence[Proposed]) -> bytes:
    return canonical.encode([5, [_proposed_value(correction) for correction in corrections]])


def format_drafts(drafts: Sequence[Draft]) -> bytes:
    return canonical.encode([6, [_draft_value(draft) for draft in drafts]])


def format_answers(answers: Mapping[int, Answer], receipt: Receipt) -> bytes:
    """`answers` as `verify_receipt` gave them for `receipt`, by row."""
    values = [_answer_value(row, answer) for row, answer in answers.items()]
    return canonical.encode([3, values, receipt.checkpoint, receipt.seal, list(receipt.seal_inclusion)])


def _certificate_value(certificate: SignedCertificate) -> list[canonical.Value]:
    face = certificate.face
    return [
        certificate.row,
        certificate.secret,
        certificate.holder_code,
        certificate.entry,
        [face.salt, face.number, face.name],
        list(certificate.digests),
        [opening.as_value() for opening in certificate.openings],
        certificate.face_envelope,
        certificate.rest_envelope,
    ]


def _parse_certificate(value: object) -> SignedCertificate:
    match value:
        case [int(row), bytes(secret), bytes(holder_code), bytes(entry), [*face], [*digests], [*openings],
              bytes(face_envelope), bytes(rest_envelope)]:  # fmt: skip
            return SignedCertificate(
                row,
                secret,
                holder_code,
                entry,
                parse_face_opening(face),
                parse_hashes(digests),
                tuple(parse_field_opening(opening) for opening in openings),
                face_envelope,
                rest_envelope,
            )
    raise Malformed("batch journal: a certificate of an unknown form")


def _statement_value(statement: SignedStatement) -> list[canonical.Value]:
    return [statement.row, statement.entry, [[one.row, one.number, one.cert_key] for one in statement.about]]


def _parse_statement(value: object) -> SignedStatement:
    match value:
        case [int(row), bytes(entry), [*about]]:
            return SignedStatement(row, entry, tuple(_parse_named(one) for one in about))
    raise Malformed("batch journal: a statement of an unknown form")


def _parse_named(value: object) -> Named:
    match value:
        case [int(row), str(number), bytes(cert_key)]:
            return Named(row, number, cert_key)
    raise Malformed("batch journal: a certificate named in an unknown form")


def _proposed_value(correction: Proposed) -> list[canonical.Value]:
    face, proposal = correction.face, correction.proposal
    return [
        correction.row,
        correction.secret,
        correction.holder_code,
        proposal.protected,
        proposal.payload,
        [face.salt, face.number, face.name],
        list(correction.digests),
        [opening.as_value() for opening in correction.openings],
        correction.thumbnail,
        correction.face_nonce,
        correction.rest_nonce,
    ]


def _parse_proposed(value: object) -> Proposed:
    match value:
        case [int(row), bytes(secret), bytes(holder_code), bytes(protected), bytes(payload), [*face], [*digests],
              [*openings], bytes(thumbnail), bytes(face_nonce), bytes(rest_nonce)]:  # fmt: skip
            return Proposed(
                row,
                secret,
                holder_code,
                Proposal(protected, payload),
                parse_face_opening(face),
                parse_hashes(digests),
                tuple(parse_field_opening(opening) for opening in openings),
                thumbnail,
                face_nonce,
                rest_nonce,
            )
    raise Malformed("batch journal: a proposed correction of an unknown form")


def _draft_value(draft: Draft) -> list[canonical.Value]:
    face = draft.face
    return [
        draft.row,
        draft.secret,
        draft.holder_code,
        [face.salt, face.number, face.name],
        list(draft.digests),
        [opening.as_value() for opening in draft.openings],
        draft.thumbnail,
        draft.face_nonce,
        draft.rest_nonce,
        draft.issue.payload(),
    ]


def _parse_draft(filing_number: str, value: object) -> Draft:
    match value:
        case [int(row), bytes(secret), bytes(holder_code), [*face], [*digests], [*openings], bytes(thumbnail),
              bytes(face_nonce), bytes(rest_nonce), bytes(payload)] if len(secret) == SECRET_BYTES:  # fmt: skip
            return Draft(
                row=row,
                secret=secret,
                holder_code=holder_code,
                face=parse_face_opening(face),
                openings=tuple(parse_field_opening(opening) for opening in openings),
                digests=parse_hashes(digests),
                thumbnail=thumbnail,
                face_nonce=face_nonce,
                rest_nonce=rest_nonce,
                issue=parse_issue(filing_number, cert_key_of(secret), canonical.decode(payload)),
            )
    raise Malformed("batch journal: a draft of an unknown form")


def _answer_value(row: int, answer: Answer) -> list[canonical.Value]:
    if isinstance(answer, Placed):
        return [row, answer.proof.index, answer.time, list(answer.proof.inclusion)]
    return [row, answer.code, answer.field, answer.text.zh, answer.text.en]


def _parse_answers(
    values: Sequence[object], checkpoint: bytes, seal: bytes, path: tuple[bytes, ...]
) -> dict[int, Answer]:
    answers: dict[int, Answer] = {}
    for value in values:
        match value:
            case [int(row), int(index), int(time), [*inclusion]]:
                answers[row] = Placed(LogProof(index, parse_hashes(inclusion), checkpoint, seal, path), time)
            case [int(row), str(code), str(where), str(zh), str(en)]:
                answers[row] = Refused(code, where, Text(zh, en))
            case _:
                raise Malformed("batch journal: an answer of an unknown form")
    return answers

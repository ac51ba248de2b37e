"""The JSON bodies between the ledger and its callers, typed once for both sides.

Bytes travel as base64. Unknown members are refused, so that a typing error is an error and not a silent default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from ledger.errors import Malformed, Refused
from ledger.records.claim import HolderOpening
from ledger.records.commitments import FaceOpening, Field, FieldOpening
from ledger.records.dates import parse_day
from ledger.records.documents import IdDocument
from ledger.text import Text, repeated
from ledger.tlog.spelling import parse_decimal

MAX_SUBMISSIONS: Final = 500  # statements of one request
MAX_PERSONS: Final = 1000
MAX_NUMBERS: Final = 5000
MAX_LOOKUPS: Final = 500  # numbers with names in one request of a verifier
MAX_BODY: Final = 24 * 1024 * 1024  # bytes of a submission request; other bodies are far smaller

_IDENTITY: Final = re.compile(r"[0-9a-f]{64}")
INDEX: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)  # of a leaf, so short that the next one is a bigint too
_UNKNOWN: Final = re.compile(r"unknown field `.*`", re.DOTALL)  # the caller's own word: not repeated

T = TypeVar("T")


class FaceBody(msgspec.Struct, forbid_unknown_fields=True):
    salt: bytes
    number: str
    name: str


class DocumentBody(msgspec.Struct, forbid_unknown_fields=True):
    salt: bytes
    type: str
    country: str
    number: str


class ClaimOpeningBody(msgspec.Struct, forbid_unknown_fields=True):
    salt: bytes
    cert_key: bytes
    voucher: bytes = b""


class SubmissionBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A statement; beside a certificate or a correction, its openings and envelopes: all of them or none; beside a
    claim or its payment, which certificate it is about."""

    entry: bytes
    face: FaceBody | None = None
    document: DocumentBody | None = None
    digests: list[bytes] | None = None
    locator: bytes | None = None
    face_envelope: bytes | None = None
    rest_envelope: bytes | None = None
    claim: ClaimOpeningBody | None = None


class SubmitRequest(msgspec.Struct, forbid_unknown_fields=True):
    submissions: list[SubmissionBody]


class AuthorityRequest(msgspec.Struct, forbid_unknown_fields=True):
    entry: bytes


class PersonBody(msgspec.Struct, forbid_unknown_fields=True):
    document_type: str
    country: str
    number: str
    lineage: str


class TracksRequest(msgspec.Struct, forbid_unknown_fields=True):
    persons: list[PersonBody]


class TracksAnswer(msgspec.Struct):
    tracks: list[bytes]


class NumbersRequest(msgspec.Struct, forbid_unknown_fields=True):
    numbers: list[str]


class NumbersAnswer(msgspec.Struct):
    taken: list[str]


class LookupBody(msgspec.Struct, forbid_unknown_fields=True):
    """A certificate number and the name that should belong to it, both in their normal form."""

    number: str
    name: str


class LookupRequest(msgspec.Struct, forbid_unknown_fields=True):
    lookups: list[LookupBody]


class FoundBody(msgspec.Struct):
    """The certificate that a number with a name leads to, and what opens its face."""

    cert_key: bytes
    salt: bytes
    leaf_hash: bytes


class LookupAnswer(msgspec.Struct):
    """One for each look-up, in order; None for an unknown number and another name alike, and where none is known."""

    found: list[FoundBody | None]
    unanswered: list[int] = []  # places of the latter in `found`


class MatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    cert_key: bytes
    last4: str


class MatchAnswer(msgspec.Struct):
    match: bool


class NullifiersRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Of one person's certificate under a published pack."""

    cert_key: bytes
    document_type: str
    country: str
    number: str
    pack: bytes
    year: int


class NullifiersAnswer(msgspec.Struct):
    nullifiers: list[bytes]
    voucher: bytes


class CaseBody(msgspec.Struct):
    """A claim that holds, on a certificate that does not."""

    claim: bytes
    index: int
    status: str  # reserved, paid
    certificate: str  # suspended, revoked, void, replaced, ended
    event_index: int  # of what made the certificate so
    event_leaf: bytes
    effective_day: int


class CasesAnswer(msgspec.Struct):
    cases: list[CaseBody]
    after: int  # index of the last claim that was looked at: ask on from here
    more: bool


class PackAnswer(msgspec.Struct):
    entry: bytes
    index: int


class LoggedBody(msgspec.Struct, tag="logged", tag_field="answer"):
    index: int
    time: int
    inclusion: list[bytes]


class RefusedBody(msgspec.Struct, tag="refused", tag_field="answer"):
    code: str
    field: str
    zh: str
    en: str


class ReceiptBody(msgspec.Struct):
    answers: list[LoggedBody | RefusedBody]
    checkpoint: str
    seal: bytes
    seal_inclusion: list[bytes]


class PendingBody(msgspec.Struct):
    pending: list[str]
    ask: str
    retry_after: int


class FilingAnswer(msgspec.Struct):
    entry: bytes
    index: int


@dataclass(frozen=True, slots=True)
class PersonLineage:
    """Whose track in which occupation lineage: asked before the first certificate is drafted."""

    document_type: str
    country: str
    number: str  # normalised
    lineage: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One signed certificate or correction with what the ledger needs to admit it, and forgets."""

    entry: bytes
    face: FaceOpening
    document: FieldOpening  # of Field.ID_DOCUMENT; value [type, country, number]
    digests: tuple[bytes, ...]  # the eight of `rest`
    locator: bytes
    face_envelope: bytes
    rest_envelope: bytes


@dataclass(frozen=True, slots=True)
class ClaimSubmission:
    """A claim, with the voucher that its nullifiers came with, or the payment of one."""

    entry: bytes
    holder: HolderOpening
    voucher: bytes = b""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose claim, on what: the question for nullifiers."""

    cert_key: bytes
    document: IdDocument
    pack: bytes  # digest
    year: int


@dataclass(frozen=True, slots=True)
class BareSubmission:
    """A signed statement that says nothing about a person."""

    entry: bytes


@dataclass(frozen=True, slots=True)
class Logged:
    """A statement's place in the log, proven under the receipt's checkpoint."""

    index: int
    time: int  # of its batch, ms
    inclusion: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The durable answer to a request: one answer per statement, in order, under one checkpoint."""

    answers: tuple[Logged | Refused, ...]
    checkpoint: bytes  # signed note
    seal: bytes
    seal_inclusion: tuple[bytes, ...]


AnySubmission: TypeAlias = Submission | BareSubmission | ClaimSubmission


def encode(body: Any) -> bytes:
    return msgspec.json.encode(body)


def decode(raw: bytes | msgspec.Raw, kind: type[T], place: str = "$") -> T:
    """`place`: where in its body it stood. Raises Malformed; the message names the member, never its value."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = _UNKNOWN.sub("unknown field", str(error))
        if place != "$":
            what, _, path = said.partition(" - at `$")
            said = f"{what} - at `{place}{path or '`'}"
        raise Malformed(f"JSON body: {said}") from None


def evidence_question(query: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Size and day of a question for evidence: `?size=N`, `?date=YYYY-MM-DD`, or neither. Raises Malformed."""
    match dict(query):
        case {"size": size, **more} if not more:
            return parse_decimal(size, "the size"), None
        case {"date": date, **more} if not more:
            return None, parse_day(date)
        case {**more} if not more:
            return None, None
    raise Malformed("the query is ?size=N or ?date=YYYY-MM-DD")


def submission_body(submission: AnySubmission) -> SubmissionBody:
    if isinstance(submission, BareSubmission):
        return SubmissionBody(submission.entry)
    if isinstance(submission, ClaimSubmission):
        holder = submission.holder
        return SubmissionBody(
            submission.entry, claim=ClaimOpeningBody(holder.salt, holder.cert_key, submission.voucher)
        )
    face, document = submission.face, submission.document
    match document.value:
        case [str(kind), str(country), str(number)]:
            return SubmissionBody(
                submission.entry,
                FaceBody(face.salt, face.number, face.name),
                DocumentBody(document.salt, kind, country, number),
                list(submission.digests),
                submission.locator,
                submission.face_envelope,
                submission.rest_envelope,
            )
    raise AssertionError("an ID document's value is [type, country, number]")


def submission_of(body: SubmissionBody) -> AnySubmission:
    """Raises Malformed when an opening does not have its form, or some are missing."""
    # Asked one by one: matching a pattern of seven members took as long as several of the checks behind it.
    face, document, digests, locator = body.face, body.document, body.digests, body.locator
    face_envelope, rest_envelope, claim = body.face_envelope, body.rest_envelope, body.claim
    if face is None or document is None or digests is None or locator is None:
        rest = (face, document, digests, locator, face_envelope, rest_envelope)
        if rest == (None,) * 6:
            if claim is None:
                return BareSubmission(body.entry)
            return ClaimSubmission(body.entry, HolderOpening(claim.salt, claim.cert_key), claim.voucher)
    elif face_envelope is not None and rest_envelope is not None and claim is None:
        return Submission(
            body.entry,
            FaceOpening(face.salt, face.number, face.name),
            FieldOpening(Field.ID_DOCUMENT, document.salt, [document.type, document.country, document.number]),
            tuple(digests),
            locator,
            face_envelope,
            rest_envelope,
        )
    raise Malformed("submission: openings and envelopes go together")


def receipt_body(answers: Sequence[Logged | Refused], checkpoint: bytes, seal: bytes, path: Sequence[bytes]) -> bytes:
    return encode(ReceiptBody([_answer_body(answer) for answer in answers], checkpoint.decode(), seal, list(path)))


def pending_body(identities: Sequence[bytes], index: int, retry_after: int) -> bytes:
    """What 202 says: these statements are durable, but not published. Asking for the last one, which is at `index`,
    answers for all."""
    return encode(PendingBody([each.hex() for each in identities], ask_path(identities[-1], index), retry_after))


def ask_path(identity: bytes, index: int | None = None) -> str:
    """The place to ask for one statement's receipt. A certificate is found there only with its index in the log."""
    return f"/v1/statements/{identity.hex()}" + ("" if index is None else f"?index={index}")


def pending_of(raw: bytes) -> tuple[tuple[bytes, ...], int, int]:
    """The identities that are pending, the index of the last of them, and the seconds to wait (0 to 600). Raises
    Malformed."""
    body = decode(raw, PendingBody)
    if not body.pending or not all(_IDENTITY.fullmatch(each) for each in body.pending):
        raise Malformed("JSON body: a pending statement has an identity of 64 hex digits")
    identities = tuple(bytes.fromhex(each) for each in body.pending)
    index = INDEX.fullmatch(body.ask.removeprefix(ask_path(identities[-1]) + "?index="))
    if index is None or not 0 <= body.retry_after <= 600:
        raise Malformed("JSON body: the place or the time to ask")
    return identities, int(index[0]), body.retry_after


def receipt_of(raw: bytes) -> Receipt:
    """Raises Malformed; verifies nothing."""
    body = decode(raw, ReceiptBody)
    answers = tuple(
        Logged(answer.index, answer.time, tuple(answer.inclusion))
        if isinstance(answer, LoggedBody)
        else Refused(repeated(answer.code), repeated(answer.field), Text(repeated(answer.zh), repeated(answer.en)))
        for answer in body.answers
    )
    return Receipt(answers, body.checkpoint.encode(), body.seal, tuple(body.seal_inclusion))


def _answer_body(answer: Logged | Refused) -> LoggedBody | RefusedBody:
    if isinstance(answer, Logged):
        return LoggedBody(answer.index, answer.time, list(answer.inclusion))
    return RefusedBody(answer.code, answer.field, answer.text.zh, answer.text.en)

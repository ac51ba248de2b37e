"""Signing a draft, and what an issuer needs of a ledger.

The same draft always gives the same bytes: Ed25519 is deterministic, and the envelopes' nonces were drawn with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from issuer.draft import Draft
from ledger.records.commitments import FaceOpening, FieldOpening
from ledger.records.cose import Signer
from ledger.records.envelope import FaceContent, RestContent, seal_face, seal_rest
from ledger.records.life import Correct
from ledger.records.secret import correction_locator, locator_of
from ledger.records.statements import Proposal, issue_entry, parse_statement
from ledger.tlog.merkle import leaf_hash
from ledger.wire import BareSubmission, PersonLineage, Receipt, Submission


class LogClient(Protocol):
    """A ledger as the issuer sees it. Nothing that it answers is believed before receipt.py has judged it.

    Every call raises Unavailable when there is no answer (`retry_after` in seconds), Refused when the ledger declines
    the request as a whole. `ledger.client.LedgerClient` is one; tests use one in memory.
    """

    async def checkpoint(self) -> bytes:
        """The newest signed checkpoint."""

    async def tile(self, path: str) -> bytes:
        """A tile or entry bundle by its C2SP tlog-tiles path."""

    async def filing(self, number: str) -> tuple[bytes, int]:
        """The statement with a filing's terms, and its index."""

    async def tracks(self, persons: Sequence[PersonLineage]) -> list[bytes]:
        """16 bytes for each, the same whenever asked; at most 1,000 a call."""

    async def taken_numbers(self, numbers: Sequence[str]) -> set[str]:
        """Those that are on the log; at most 5,000 a call."""

    async def submit(self, submissions: Sequence[Submission | BareSubmission]) -> Receipt:
        """Durable answers in order; the same bytes get the same answer again. At most 500 a call."""

    async def statement(self, identity: bytes) -> Receipt | None:
        """The receipt of any statement of the log; None when it is not there."""


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """Everything about one certificate that the issuer must not lose, except its place in the log.

    Of a correction: secret and holder code are the certificate's, the openings and envelopes new.
    """

    row: int
    secret: bytes
    holder_code: bytes
    entry: bytes  # the exact signed bytes
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]
    face_envelope: bytes
    rest_envelope: bytes

    @property
    def number(self) -> str:
        return self.face.number


@dataclass(frozen=True, slots=True)
class Named:
    """A certificate that a statement concerns: the row that asked for it, its number, its cert key."""

    row: int
    number: str
    cert_key: bytes


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement that says nothing about a person. `row` is its place in the journal: the row that asked for it, or
    minus the first of several."""

    row: int
    entry: bytes
    about: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Proposed:
    """A correction that the authority is asked to sign: everything about it but the signatures."""

    row: int
    secret: bytes
    holder_code: bytes
    proposal: Proposal
    face: FaceOpening
    digests: tuple[bytes, ...]
    openings: tuple[FieldOpening, ...]
    thumbnail: bytes
    face_nonce: bytes
    rest_nonce: bytes


Signed: TypeAlias = SignedCertificate | SignedStatement


def sign_draft(draft: Draft, signer: Signer) -> SignedCertificate:
    """Sign with the record key and seal both envelopes to the statement's leaf."""
    return seal(draft, issue_entry(draft.issue, signer))


class Opened(Protocol):
    """Everything about a certificate or a correction but its signed bytes. Nonces have 12 bytes."""

    @property
    def row(self) -> int: ...
    @property
    def secret(self) -> bytes: ...
    @property
    def holder_code(self) -> bytes: ...
    @property
    def face(self) -> FaceOpening: ...
    @property
    def digests(self) -> tuple[bytes, ...]: ...
    @property
    def openings(self) -> tuple[FieldOpening, ...]: ...
    @property
    def thumbnail(self) -> bytes: ...
    @property
    def face_nonce(self) -> bytes: ...
    @property
    def rest_nonce(self) -> bytes: ...


def seal(opened: Opened, entry: bytes) -> SignedCertificate:
    """Put both envelopes to the leaf of the statement that commits to them."""
    leaf = leaf_hash(entry)
    face = FaceContent(opened.face, opened.thumbnail)
    rest = RestContent(opened.digests, opened.openings[1:])  # the ID document stays with issuer and holder
    return SignedCertificate(
        row=opened.row,
        secret=opened.secret,
        holder_code=opened.holder_code,
        entry=entry,
        face=opened.face,
        digests=opened.digests,
        openings=opened.openings,
        face_envelope=seal_face(opened.secret, leaf, opened.face_nonce, face),
        rest_envelope=seal_rest(opened.holder_code, leaf, opened.rest_nonce, rest),
    )


def submission_of(signed: Signed) -> Submission | BareSubmission:
    """What is sent: the statement, and what the ledger needs to admit it."""
    if isinstance(signed, SignedStatement):
        return BareSubmission(signed.entry)
    statement = parse_statement(signed.entry)
    corrects = isinstance(statement.body, Correct)
    return Submission(
        entry=signed.entry,
        face=signed.face,
        document=signed.openings[0],
        digests=signed.digests,
        locator=correction_locator(signed.secret, statement.leaf_hash) if corrects else locator_of(signed.secret),
        face_envelope=signed.face_envelope,
        rest_envelope=signed.rest_envelope,
    )

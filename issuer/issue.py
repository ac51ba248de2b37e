"""Signing a draft, and what an issuer needs of a ledger.

The same draft always gives the same bytes: Ed25519 is deterministic, and the envelopes' nonces were drawn with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from issuer.draft import Draft
from ledger.records.commitments import FaceOpening, FieldOpening
from ledger.records.cose import Signer
from ledger.records.envelope import FaceContent, RestContent, seal_face, seal_rest
from ledger.records.secret import locator_of
from ledger.records.statements import issue_entry
from ledger.tlog.merkle import leaf_hash
from ledger.wire import PersonLineage, Receipt, Submission


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

    async def submit(self, submissions: Sequence[Submission]) -> Receipt:
        """Durable answers in order; the same bytes get the same answer again. At most 500 a call."""


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """Everything about one certificate that the issuer must not lose, except its place in the log."""

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


def sign_draft(draft: Draft, signer: Signer) -> SignedCertificate:
    """Sign with the record key and seal both envelopes to the statement's leaf."""
    entry = issue_entry(draft.issue, signer)
    leaf = leaf_hash(entry)
    face = FaceContent(draft.face, draft.thumbnail)
    rest = RestContent(draft.digests, draft.openings[1:])  # the ID document stays with issuer and holder
    return SignedCertificate(
        row=draft.row,
        secret=draft.secret,
        holder_code=draft.holder_code,
        entry=entry,
        face=draft.face,
        digests=draft.digests,
        openings=draft.openings,
        face_envelope=seal_face(draft.secret, leaf, draft.face_nonce, face),
        rest_envelope=seal_rest(draft.holder_code, leaf, draft.rest_nonce, rest),
    )


def submission_of(certificate: SignedCertificate) -> Submission:
    """What is sent: the statement, and what the ledger needs to admit it."""
    return Submission(
        entry=certificate.entry,
        face=certificate.face,
        document=certificate.openings[0],
        digests=certificate.digests,
        locator=locator_of(certificate.secret),
        face_envelope=certificate.face_envelope,
        rest_envelope=certificate.rest_envelope,
    )

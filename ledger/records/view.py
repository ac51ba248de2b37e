"""What the fold reads and what it answers: the state before a statement, the statement, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from ledger.records.appointment import CertificateBody
from ledger.records.claim_state import ClaimState
from ledger.records.dates import batch_day
from ledger.records.issue import Issue
from ledger.records.kinds import CERTIFICATE_KINDS, Kind
from ledger.records.pack import Pack
from ledger.records.permit import LatePermit
from ledger.records.state import AuthorityState, CertificateState, FilingState
from ledger.records.statements import Statement
from ledger.tlog.keys import kid

Member: TypeAlias = tuple[CertificateBody, CertificateState]
_batch_day = lru_cache(16)(batch_day)  # all statements of a batch ask for it


class Moment(msgspec.Struct, frozen=True):
    """Where and when a statement enters the log."""

    index: int  # of its leaf
    time: int  # of its batch, ms
    day: int = 0  # the calendar day of the batch in Asia/Shanghai: worked out here, whatever was given

    def __post_init__(self) -> None:
        force_setattr(self, "day", _batch_day(self.time))


class Signed(msgspec.Struct, frozen=True):
    """One certificate, correction or claim that a record key of a filing signed."""

    index: int
    kind: Kind
    cert_key: bytes  # of a claim, which names none: its leaf hash
    kid: bytes  # 8 bytes, of the record key
    day: int  # issue date of a certificate, effective day of a correction, last day of a claim


class People(Protocol):
    """Who may sign for the authority: a genesis, or the authority as it is now."""

    @property
    def keys(self) -> tuple[bytes, ...]: ...
    @property
    def threshold(self) -> int: ...


class Authentic:
    """A statement of which at least `threshold` signatures hold under `publics`, and none by another key.

    Made only by the functions below (step 6).
    """

    __slots__ = ("publics", "statement", "threshold")

    def __init__(self, statement: Statement, publics: tuple[bytes, ...], threshold: int, made_by: object) -> None:
        if made_by is not _MADE_HERE:
            raise AssertionError("an authentic statement comes from authenticate_…")
        self.statement = statement
        self.publics = publics
        self.threshold = threshold

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Authentic):
            return NotImplemented
        mine, theirs = (self.statement, self.publics, self.threshold), (other.statement, other.publics, other.threshold)
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.statement.leaf_hash, self.publics, self.threshold))


_MADE_HERE: Final = object()


def authenticate_record(statement: Statement, public: bytes) -> Authentic:
    """Check the signature of an issuer's statement. Raises Unverified."""
    statement.verify_signature(public)
    return Authentic(statement, (public,), 1, _MADE_HERE)


def authenticated_elsewhere(statement: Statement, public: bytes) -> Authentic:
    """What `authenticate_record` came to in another process of this program (ledger/store/reading.py)."""
    return Authentic(statement, (public,), 1, _MADE_HERE)


def authenticate_authority(statement: Statement, authority: People) -> Authentic:
    """Check that enough people of the authority signed, and everybody who joins it. Raises Unverified."""
    keys = {kid(public): public for public in authority.keys}
    statement.verify_threshold(keys, authority.threshold)
    return Authentic(statement, authority.keys, authority.threshold, _MADE_HERE)


class View(Protocol):
    """The state before this statement."""

    @property
    def authority(self) -> AuthorityState | None: ...
    def filing(self, number: str) -> FilingState | None: ...
    def member(self, cert_key: bytes) -> Member | None:
        """A certificate: the statement that issued it, and its state."""

    def track(self, track_id: bytes) -> Mapping[bytes, Member]: ...
    def signed(self, number: str, first: int, last: int) -> Sequence[Signed]:
        """What a filing's record keys issued and corrected at first <= index <= last, rising."""

    def corrections(self, cert_key: bytes) -> Sequence[tuple[int, Statement]]:
        """Every correction of a certificate with its index, rising."""

    def entry(self, index: int) -> Statement: ...
    def permit(self, leaf: bytes) -> LatePermit | None: ...
    def published(self, kind: Kind, name: str) -> bool: ...
    def pack(self, digest: bytes) -> Pack | None:
        """What the authority has published under this digest."""

    def claim(self, leaf: bytes) -> ClaimState | None: ...
    def nullifier(self, nullifier: bytes) -> bytes | None:
        """The leaf hash of the claim that took it last."""


class Change(msgspec.Struct):
    """What one statement changes. Keys are subjects: filing number, cert key, leaf hash of a claim, nullifier."""

    authority: AuthorityState | None = None
    filings: dict[str, FilingState] = {}
    certificates: dict[bytes, CertificateState] = {}
    issued: tuple[bytes, CertificateBody] | None = None  # a cert key that is new, and its statement
    published: tuple[tuple[Kind, str], ...] = ()  # what this statement is found by
    claims: dict[bytes, ClaimState] = {}
    nullifiers: dict[bytes, bytes] = {}  # leaf hash of the claim that takes it


def signed_row(statement: Statement, index: int) -> tuple[str, Signed] | None:
    """The row by which a filing's certificates, corrections and claims are found again: filing number and row."""
    body, envelope = statement.body, statement.envelope
    if isinstance(body, Issue) and envelope.single:
        return envelope.issuer, Signed(index, statement.kind, body.cert_key, statement.kid, body.issue_day)
    if not envelope.single or statement.kind not in _SIGNED:
        return None
    if statement.kind is Kind.CLAIM:
        row = Signed(index, statement.kind, statement.leaf_hash, statement.kid, body.last_day)  # type: ignore[union-attr]
        return statement.envelope.issuer, row
    day = body.effective_day if statement.kind is Kind.CORRECT else body.issue_day  # type: ignore[union-attr]
    row = Signed(index, statement.kind, body.cert_key, statement.kid, day)  # type: ignore[union-attr]
    return statement.envelope.issuer, row


_SIGNED: Final = CERTIFICATE_KINDS | {Kind.CORRECT, Kind.CLAIM}

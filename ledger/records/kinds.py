"""The kinds of statement and the small coded lists inside them. Numbers are on the log for ever: only add."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """Key 1 of every payload. All numbers are fixed from the first version of the format."""

    GENESIS = 1
    AUTHORITY_CHANGE = 2
    LOG_KEY = 3
    FILING = 4
    FILING_CHANGE = 5
    FILING_STATUS = 6
    LATE_PERMIT = 7
    KEY_STATUS = 8
    CATALOGUE = 9
    LADDER = 10
    PACK = 11
    ISSUE = 12
    APPOINT = 13
    END_APPOINTMENT = 14
    CORRECT = 15
    SUSPEND = 16
    RESTORE = 17
    REVOKE = 18
    REISSUE = 19
    CLAIM = 20
    RELEASE = 21
    CLAW_BACK = 22
    PAY = 23


class Route(IntEnum):
    """How the grade was reached, as bodies report it."""

    EXAM = 1
    STEP_UP = 2  # 晋级
    INITIAL = 3  # 定级
    DIRECT = 4
    COMPETITION = 5
    EXCEPTIONAL = 6
    CONVERSION = 7


class Audience(IntEnum):
    """Whom a filing row lets the body assess (川人社规〔2022〕9号)."""

    OWN_STAFF = 1
    OWN_STUDENTS = 2
    PUBLIC = 3


class IssuerKind(IntEnum):
    """What a filed body is. That of an assessment body is never inferred from its number's first letter."""

    EMPLOYER = 1
    SCHOOL = 2
    SOCIAL_BODY = 3
    PAYER = 4  # assesses nobody: pays benefits for certificates that others issue


class CertificateStatus(IntEnum):
    """In force or not, and why: what leads from one to the other is in docs/states.md."""

    IN_FORCE = 1
    SUSPENDED = 2
    REVOKED = 3
    VOID = 4
    REPLACED = 5
    ENDED = 6


class FilingStatus(IntEnum):
    """A filing's own state at an index of the log."""

    ACTIVE = 1
    SUSPENDED = 2
    CANCELLED = 3


class KeyStatus(IntEnum):
    """A record or request key's state at an index of the log."""

    LIVE = 1
    RETIRED = 2
    COMPROMISED = 3


class ClaimStatus(IntEnum):
    """A claim on a benefit, from its reservation on."""

    RESERVED = 1  # until its last day
    PAID = 2
    RELEASED = 3  # not paid: its nullifiers are free
    CLAWED_BACK = 4  # paid and taken back: its nullifiers are free
    FORFEITED = 5  # paid and taken back for fraud: its nullifiers stay taken


CLAIM_ACTS = frozenset({Kind.PAY, Kind.RELEASE, Kind.CLAW_BACK})  # what becomes of a claim
CERTIFICATE_KINDS = frozenset({Kind.ISSUE, Kind.REISSUE, Kind.APPOINT})  # what brings a cert key into the log


class Reason(IntEnum):
    """Why a certificate was suspended, restored, revoked, corrected or ended."""

    UNDER_REVIEW = 1  # 核查中
    ISSUED_IN_ERROR = 2
    FRAUD = 3
    IRREGULAR_ASSESSMENT = 4
    OUT_OF_SCOPE = 5
    HOLDER_REQUEST = 6
    AUTHORITY_DECISION = 7
    CLEARED = 8  # reviewed, nothing found
    DECIDED_IN_ERROR = 9
    NAME_CHANGED = 10
    DATA_ERROR = 11
    LOST_OR_LEAKED = 12
    POST_ENDED = 13
    OTHER = 99

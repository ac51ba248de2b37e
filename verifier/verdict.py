"""What a check ends in: one closed list of codes and the facts that may be shown with each.

Page, API, CSV, receipt and command line all speak this list; the words for each code are in `verdicts.json`
(read by `verifier.messages`). Nothing here checks anything: `verifier.verify` builds a `Verdict`, and a
`Verdict` that would show more than its code allows cannot be built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from ledger.text import Text
from verifier.causes import REVOKED_BY, STALE_BY, SUSPENDED_BY, Cause
from verifier.hosts import shown_host


class Code(StrEnum):
    """Every way a check can end. The spelling is public: it never changes meaning."""

    VALID = "valid"
    VALID_UPGRADED = "valid_upgraded"
    VALID_CORRECTED = "valid_corrected"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    ENDED = "ended"
    NOT_FOUND = "not_found"
    TAMPERED = "tampered"
    WRONG_DOMAIN = "wrong_domain"
    ISSUER_OUT_OF_SCOPE = "issuer_out_of_scope"
    OFFLINE_SIGNATURE_OK = "offline_signature_ok"
    OFFLINE_BUNDLE_OK = "offline_bundle_ok"
    STALE = "stale"
    UNAVAILABLE = "unavailable"
    UNREADABLE = "unreadable"
    SHARE_ENDED = "share_ended"


class Outcome(StrEnum):
    """How one step of the check ended."""

    PASS = "pass"  # noqa: S105  # an outcome, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"  # the world did not answer
    SKIPPED = "skipped"  # an earlier step made it pointless


class Source(StrEnum):
    """What the answer rests on."""

    REPLICA = "replica"  # the verifier's own verified copy of the log
    EVIDENCE = "evidence"  # a proof fetched from a ledger
    BUNDLE = "bundle"  # the holder's file
    KIT = "kit"  # an offline kit, made by somebody's replica
    CODE = "code"  # nothing but what the QR code itself carries
    INDEX = "index"  # the ledger's own word about a number and a name, which nothing proves


# `CertificateStatus` in words, plus `unknown` for a check that could not ask the register.
STATUSES: Final = frozenset({"in_force", "suspended", "revoked", "void", "replaced", "ended", "unknown"})

VALID_FAMILY: Final = frozenset({Code.VALID, Code.VALID_UPGRADED, Code.VALID_CORRECTED})
GREEN: Final = VALID_FAMILY | {Code.OFFLINE_BUNDLE_OK}

# Nothing of the scanned item is proven, so nothing of it may be shown.
SHOWS_NOTHING: Final = frozenset(
    {
        Code.NOT_FOUND,
        Code.TAMPERED,
        Code.WRONG_DOMAIN,
        Code.UNAVAILABLE,
        Code.UNREADABLE,
        Code.SHARE_ENDED,
    }
)

# Values a code's sentence needs and no other field has. `since` is an ISO date.
DETAIL_KEYS: Final[Mapping[Code, frozenset[str]]] = MappingProxyType(
    {
        Code.WRONG_DOMAIN: frozenset({"found_host", "official_host"}),
        Code.REVOKED: frozenset({"since", "reason_zh", "reason_en"}),
        Code.ENDED: frozenset({"since"}),
    }
)
# The same where a cause is named, beside `cause` itself. What only a list names has none, nor has a ruling.
CAUSES: Final[Mapping[Code, Mapping[Cause, frozenset[str]]]] = MappingProxyType(
    {Code.SUSPENDED: SUSPENDED_BY, Code.REVOKED: REVOKED_BY, Code.STALE: STALE_BY}
)


def detail_keys(code: Code, cause: str | None) -> frozenset[str]:
    """The keys of a verdict's detail. Raises ValueError for a cause that the code does not have."""
    if cause is None:
        return DETAIL_KEYS.get(code, frozenset())
    keys = CAUSES.get(code, {}).get(Cause(cause))
    if keys is None:
        raise ValueError(f"{code} has no cause {cause}")
    return keys | {"cause"}


_EXIT: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.VALID: 0,
        Code.VALID_UPGRADED: 0,
        Code.VALID_CORRECTED: 0,
        Code.OFFLINE_BUNDLE_OK: 0,
        Code.SUSPENDED: 1,
        Code.REVOKED: 1,
        Code.ENDED: 1,
        Code.NOT_FOUND: 1,
        Code.TAMPERED: 1,
        Code.WRONG_DOMAIN: 1,
        Code.ISSUER_OUT_OF_SCOPE: 1,
        Code.UNREADABLE: 2,
        Code.OFFLINE_SIGNATURE_OK: 3,
        Code.STALE: 3,
        Code.UNAVAILABLE: 3,
        Code.SHARE_ENDED: 3,
    }
)

_HASH: Final = re.compile("[0-9a-f]{64}")


def _is_hash(value: str) -> bool:
    return _HASH.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class CurrentGrade:
    """The highest grade in force in the holder's track. Days are counted from 1970-01-01."""

    grade: Text
    ordinal: int  # 1..8, rising
    trade: str  # may be empty
    is_this: bool  # the scanned certificate itself is the highest
    since_day: int | None
    log: str = ""  # origin of the one log that this is known of, where several are believed

    def __post_init__(self) -> None:
        assert 1 <= self.ordinal <= 8, "ordinal runs from 1 to 8"


@dataclass(frozen=True, slots=True)
class HeldPost:
    """A post that the holder has now in this occupation: never a certified grade."""

    grade: Text
    ordinal: int  # 7 or 8
    first_day: int
    last_day: int | None  # None: open


class CertificateView(msgspec.Struct, frozen=True):  # one for each scan: a dataclass takes ten times as long to make
    """What is proven about a certificate. `name` is whole here; a page masks it."""

    number: str | None
    name: str | None
    personal_available: bool  # number, name and photo could be opened and match the statement
    photo: bytes | None  # thumbnail, JPEG, PNG or WebP
    grade_ordinal: int  # 1..8, rising
    grade: Text
    occupation_code: str
    occupation: str
    trade: str  # may be empty
    issue_day: int  # days since 1970-01-01
    assessment_day: int | None  # None: a post is not assessed
    logged_at_ms: int | None
    status: str  # one of STATUSES
    current: CurrentGrade | None
    person_linked: bool  # False: no claim about other certificates of this person
    post: tuple[int, int | None] | None = None  # first and last day, when this is an appointment
    held: HeldPost | None = None
    late: bool = False  # entered long after its issue date, under a permit of the authority
    corrected_day: int | None = None

    def __post_init__(self) -> None:
        assert 1 <= self.grade_ordinal <= 8, "ordinal runs from 1 to 8"
        assert self.status in STATUSES, "no status of a certificate"
        assert self.personal_available or (self.name is None and self.photo is None)
        assert self.person_linked or self.current is None, "an unlinked person has no current grade"
        if self.current is not None and self.current.is_this:
            assert self.status == "in_force", "only a certificate in force can be the current one"


@dataclass(frozen=True, slots=True)
class IssuerView:
    """Who signed, from the filing in the register; never from the scanned item."""

    filing_number: str
    name: str
    in_scope: bool | None  # None: not checked


@dataclass(frozen=True, slots=True)
class Finding:
    """One numbered step of the check, in the order it was done."""

    step: str
    outcome: Outcome
    text: Text


@dataclass(frozen=True, slots=True)
class ProofView:
    """Where in which log the certificate stands. Hashes are 64 lower-case hex digits."""

    origin: str
    index: int
    leaf_hash: str
    size: int  # leaves under the checkpoint
    root: str
    checkpoint_time_ms: int
    cert_key: str

    def __post_init__(self) -> None:
        assert 0 <= self.index < self.size, "the entry lies under the checkpoint"
        assert all(map(_is_hash, (self.leaf_hash, self.root, self.cert_key))), "hashes are 64 hex digits"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one check. Times are Unix milliseconds.

    `as_of_ms` is the log time of the data the answer rests on; None when no such data was read.
    Building one that shows fields of an unproven item, or is green without fresh proof, is a bug and fails.
    """

    code: Code
    checked_at_ms: int
    as_of_ms: int | None
    source: Source
    certificate: CertificateView | None
    issuer: IssuerView | None
    findings: tuple[Finding, ...]
    proof: ProofView | None
    detail: Mapping[str, str]
    public: Verdict | None = field(init=False, default=None, compare=False, repr=False)  # what `links` made it from

    def __post_init__(self) -> None:
        shown = (self.certificate, self.issuer, self.proof)
        if self.code in SHOWS_NOTHING:
            assert shown == (None, None, None), f"{self.code} may not show any field"
        elif self.code not in (Code.STALE, Code.ISSUER_OUT_OF_SCOPE):
            assert self.certificate is not None, f"{self.code} needs the certificate"
        if self.code in GREEN:
            assert self.proof is not None and self.as_of_ms is not None, "green needs a proof and its time"
            assert self.issuer is not None and self.source not in (Source.CODE, Source.INDEX)
            assert Outcome.FAIL not in [f.outcome for f in self.findings], "green has no failed step"
        if self.code in VALID_FAMILY:
            assert self.certificate is not None and self.certificate.status == "in_force"
        if self.code is Code.VALID_UPGRADED:
            assert self.certificate is not None and self.certificate.current is not None
            assert not self.certificate.current.is_this, "upgraded means another certificate is higher"
        if self.code is Code.VALID_CORRECTED:
            assert self.certificate is not None and self.certificate.corrected_day is not None
        if self.code is Code.STALE:
            assert self.as_of_ms is not None, "stale says how old the data is"
        if self.code is Code.OFFLINE_SIGNATURE_OK:
            assert self.certificate is not None and self.certificate.status == "unknown"
        assert frozenset(self.detail) == detail_keys(self.code, self.detail.get("cause")), "detail fits the code"
        if "since" in self.detail:
            date.fromisoformat(self.detail["since"])
        for key in {"found_host", "official_host"} & frozenset(self.detail):
            assert self.detail[key] == shown_host(self.detail[key]), "hosts pass through shown_host"
        object.__setattr__(self, "detail", MappingProxyType(dict(self.detail)))


def cause_of(verdict: Verdict) -> Cause | None:
    """The cause that its detail names."""
    cause = verdict.detail.get("cause")
    return None if cause is None else Cause(cause)


def without_item(
    code: Code,
    now_ms: int,
    *,
    source: Source = Source.CODE,
    as_of_ms: int | None = None,
    findings: tuple[Finding, ...] = (),
    **detail: str,
) -> Verdict:
    """A verdict that shows nothing of the scanned item: for every code in SHOWS_NOTHING.

    A `not_found` says with `source` and `as_of_ms` which register was asked, and as of when.
    """
    return Verdict(code, now_ms, as_of_ms, source, None, None, findings, None, detail)


def exit_code(verdict: Verdict) -> int:
    """The exit status of a command line check.

    0 valid, also from a bundle that is fresh enough · 1 not valid (a complete check said no; not found is a
    complete check) · 2 unreadable input · 3 could not tell: revocation unknown, data too old, no answer.
    """
    return _EXIT[verdict.code]

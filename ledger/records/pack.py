"""Policy packs as the log knows them: the digest of exact bytes, and for benefits the terms of a claim.

    pack    1 kind = 11, 2 version, 3 SHA-256 of the exact bytes, 4 first day, 5 last day, 6 pack id, 7 claim terms
            (5 is absent while no end is fixed, 7 where nothing is claimed under the pack)
    terms = [scheme, [exclusion groups], by trade 0/1, lower grades 0/1, slots a year]

Subject is `pack`. The authority publishes with COSE_Sign (issuer id = origin), an employer its own wage table with
COSE_Sign1 (issuer id = filing number) and without claim terms. The terms stand on the log, and not in the pack alone,
because ledger and auditors must know without the pack's bytes what a claim under it takes:

    a group       one certificate is used once among all schemes that name the group
    by trade      a grade is claimed once for each trade of the lineage; else once in the lineage; one way in a scheme
    lower grades  who claims a grade has also used up the lower ones
    slots         so many claims of one person in one year of the scheme; 0: no limit
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.authority import check_code, check_filing_number
from ledger.records.dates import check_day
from ledger.records.kinds import Kind

MAX_NULLIFIERS: Final = 12  # of one claim
MAX_SLOTS: Final = 16
_MAX_GROUPS: Final = 4
_GRADES: Final = 7  # ordinals 2 to 8


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """What a claim under a pack uses up."""

    scheme: str
    groups: tuple[str, ...]  # rising
    by_trade: bool
    lower_grades: bool
    slots: int  # a year; 0: no limit

    def __post_init__(self) -> None:
        for code in (self.scheme, *self.groups):
            check_code(code)
        if list(self.groups) != sorted(set(self.groups)) or len(self.groups) > _MAX_GROUPS:
            raise Malformed("claim terms: at most 4 exclusion groups, rising, each once")
        if not 0 <= self.slots <= MAX_SLOTS:
            raise Malformed("claim terms: 0 to 16 claims a year")

    @property
    def width(self) -> int:
        """How many nullifiers every claim has, whatever its grade: their number tells nothing about it. At most 12."""
        return len(self.groups) + (_GRADES if self.lower_grades else 1) + (self.slots > 0)

    def as_value(self) -> list[canonical.Value]:
        return [self.scheme, list(self.groups), int(self.by_trade), int(self.lower_grades), self.slots]


@dataclass(frozen=True, slots=True)
class Pack:
    """One version of a pack. Both days are inclusive; they are those of applications."""

    pack_id: str
    version: str
    digest: bytes  # SHA-256 of the exact bytes
    first_day: int
    last_day: int = 0  # 0: no end fixed
    terms: ClaimTerms | None = None
    issuer: str = ""  # filing number of an employer; "" when the authority publishes

    def __post_init__(self) -> None:
        check_code(self.pack_id)
        check_code(self.version)
        if len(self.digest) != 32:
            raise Malformed("pack: a digest has 32 bytes")
        check_day(self.first_day)
        check_day(self.last_day)
        if self.last_day and self.last_day < self.first_day:
            raise Malformed("pack: its window ends before it begins")
        if self.issuer:
            check_filing_number(self.issuer)
            if self.terms is not None:
                raise Malformed("pack: only the authority says what a claim uses up")

    @property
    def kind(self) -> Kind:
        return Kind.PACK

    @property
    def subject(self) -> str:
        return "pack"

    @property
    def names(self) -> tuple[str, str]:
        """What the statement is found by: its digest, and that its publisher gives a version once."""
        return pack_name(self.digest, self.issuer), f"{self.issuer}/{self.pack_id}/{self.version}"

    @property
    def ways(self) -> tuple[str, str] | None:
        """How its scheme counts grades, and the other way: names of which a log has one. None without claim terms.

        A grade is used up under another nullifier in the other way, so a scheme that changed it would pay twice."""
        if self.terms is None:
            return None
        ways = f"{self.terms.scheme} by lineage", f"{self.terms.scheme} by trade"
        return ways[::-1] if self.terms.by_trade else ways

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {
            1: int(Kind.PACK),
            2: self.version,
            3: self.digest,
            4: self.first_day,
            6: self.pack_id,
        }
        if self.last_day:
            fields[5] = self.last_day
        if self.terms is not None:
            fields[7] = self.terms.as_value()
        return fields


def pack_name(digest: bytes, issuer: str = "") -> str:
    """The name under which the log finds the pack that the authority, or else this employer, has published."""
    return f"{digest.hex()} {issuer}".rstrip()


def parse_pack(issuer: str, fields: dict[int, Any]) -> Pack:
    """Read a payload map. `issuer` is the filing number of the header, or "" under the authority."""
    match fields:
        case {2: str(version), 3: bytes(digest), 4: int(first_day), 6: str(pack_id), **more} if set(more) <= {1, 5, 7}:
            last_day = more.get(5, 0)
            if isinstance(last_day, int) and (5 not in more or last_day):
                terms = _parse_terms(more[7]) if 7 in more else None
                return Pack(pack_id, version, digest, first_day, last_day, terms, issuer)
    raise Malformed("pack: a field is missing, unknown or of the wrong type")


def _parse_terms(value: object) -> ClaimTerms:
    match value:
        case [str(scheme), [*groups], 0 | 1 as by_trade, 0 | 1 as lower, int(slots)]:
            named = tuple(group for group in groups if isinstance(group, str))
            if len(named) == len(groups):
                return ClaimTerms(scheme, named, by_trade == 1, lower == 1, slots)
    raise Malformed("claim terms: [scheme, [groups], by trade, lower grades, slots]")

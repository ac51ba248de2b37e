"""What becomes of a filing and of its keys.

    filing-status  1 kind = 6, 2 filing number, 3 status (1 resumed, 2 suspended, 3 cancelled), 4 reason,
                   5 effective day; by the authority
    key-status     1 kind = 8, 2 filing number, 3 public key, 4 status (2 retired, 3 compromised),
                   5 first void index, 6 day
                   by the issuer, without key 5: retired, or compromised from this very statement on
                   by the authority, compromised with key 5: from that earlier index on

Subject is the filing number. A suspension or cancellation concerns the certificates whose issue date is its effective
day or later; a compromise those that the key issued or corrected at the first void index or later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.authority import check_filing_number
from ledger.records.dates import check_day
from ledger.records.kinds import FilingStatus, KeyStatus, Kind, Reason


@dataclass(frozen=True, slots=True)
class FilingStanding:
    """The authority suspends, resumes or cancels a filing."""

    number: str
    status: FilingStatus  # ACTIVE: resumed
    reason: Reason
    effective_day: int

    def __post_init__(self) -> None:
        check_filing_number(self.number)
        check_day(self.effective_day)

    @property
    def subject(self) -> str:
        return self.number

    def as_map(self) -> dict[int, canonical.Value]:
        return {
            1: int(Kind.FILING_STATUS),
            2: self.number,
            3: int(self.status),
            4: int(self.reason),
            5: self.effective_day,
        }


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """A record or request key of a filing is retired, or was compromised."""

    number: str  # of the filing
    public: bytes  # 32 bytes
    status: KeyStatus  # RETIRED or COMPROMISED
    day: int
    void_from: int | None = None  # log index; None: this statement's own

    def __post_init__(self) -> None:
        check_filing_number(self.number)
        check_day(self.day)
        if len(self.public) != 32 or self.status is KeyStatus.LIVE:
            raise Malformed("key-status: a key of 32 bytes, retired or compromised")
        if self.void_from is not None and (self.status is not KeyStatus.COMPROMISED or not 0 <= self.void_from < 2**63):
            raise Malformed("key-status: only a compromise has a first void index, which is one of a log")

    @property
    def subject(self) -> str:
        return self.number

    @property
    def issuer(self) -> str:
        """The filing whose own record key may sign this."""
        return self.number

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {
            1: int(Kind.KEY_STATUS),
            2: self.number,
            3: self.public,
            4: int(self.status),
            6: self.day,
        }
        if self.void_from is not None:
            fields[5] = self.void_from
        return fields


def parse_filing_standing(fields: dict[int, Any]) -> FilingStanding:
    match fields:
        case {2: str(number), 3: int(status), 4: int(reason), 5: int(day), **more} if set(more) == {1}:
            if status in list(FilingStatus) and reason in list(Reason):
                return FilingStanding(number, FilingStatus(status), Reason(reason), day)
    raise Malformed("filing-status: a field is missing, unknown or of the wrong type")


def parse_key_standing(fields: dict[int, Any]) -> KeyStanding:
    match fields:
        case {2: str(number), 3: bytes(public), 4: int(status), 6: int(day), **more} if set(more) <= {1, 5}:
            void_from = more.get(5)
            if status in list(KeyStatus) and (void_from is None or isinstance(void_from, int)):
                return KeyStanding(number, public, KeyStatus(status), day, void_from)
    raise Malformed("key-status: a field is missing, unknown or of the wrong type")

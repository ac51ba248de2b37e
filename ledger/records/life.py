"""What happens to certificates after they were issued: suspend, restore, revoke, correct, end-appointment.

    suspend, restore, revoke   1 kind, 4 reason, 5 effective day, and whom it concerns:
                               one     subject = base64url of the cert key
                               a list  subject "list", 2 [cert keys, sorted, at least two]
                               a range subject = filing number, 3 [filing number, first index, last index]
    correct                    1 kind = 15, 4 reason, 5 effective day, 11 new track id when it moves, 12 face, 13 rest
    end-appointment            1 kind = 14, 4 reason, 5 last day in the post
                               subject of both: base64url of the cert key

Signed by the issuer (issuer id = filing number, COSE_Sign1) or by the authority (issuer id = origin, COSE_Sign), but
end-appointment by the employer only. A correction changes neither number, grade, occupation nor issue date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.authority import check_filing_number
from ledger.records.dates import check_day
from ledger.records.kinds import Kind, Reason
from ledger.records.secret import parse_subject, subject_of

MAX_LISTED: Final = 200  # cert keys of one statement
_LIST: Final = "list"


@dataclass(frozen=True, slots=True)
class Listed:
    """One certificate, or several, by cert key."""

    cert_keys: tuple[bytes, ...]  # sorted, distinct

    def __post_init__(self) -> None:
        if list(self.cert_keys) != sorted(set(self.cert_keys)) or any(len(key) != 32 for key in self.cert_keys):
            raise Malformed("a list of cert keys is sorted, each once, of 32 bytes")
        if not 1 <= len(self.cert_keys) <= MAX_LISTED:
            raise Malformed("a list of 1 to 200 cert keys")


@dataclass(frozen=True, slots=True)
class Range:
    """Every certificate that one filing issued between two places of the log, both included."""

    number: str
    first: int
    last: int

    def __post_init__(self) -> None:
        check_filing_number(self.number)
        if not 0 <= self.first <= self.last < 2**63:
            raise Malformed("a range of log indexes, first to last")


Whom: TypeAlias = Listed | Range


@dataclass(frozen=True, slots=True)
class Ruling:
    """Suspend, restore or revoke."""

    kind: Kind
    whom: Whom
    reason: Reason
    effective_day: int
    issuer: str = ""  # filing number; "" when the authority rules

    def __post_init__(self) -> None:
        if self.kind not in (Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE):
            raise Malformed("a ruling suspends, restores or revokes")
        check_day(self.effective_day)
        if self.issuer:
            check_filing_number(self.issuer)
        if isinstance(self.whom, Range) and self.issuer not in ("", self.whom.number):
            raise Malformed("an issuer rules over its own certificates")

    @property
    def subject(self) -> str:
        if isinstance(self.whom, Range):
            return self.whom.number
        return subject_of(self.whom.cert_keys[0]) if len(self.whom.cert_keys) == 1 else _LIST

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {1: int(self.kind), 4: int(self.reason), 5: self.effective_day}
        if isinstance(self.whom, Range):
            fields[3] = [self.whom.number, self.whom.first, self.whom.last]
        elif len(self.whom.cert_keys) > 1:
            fields[2] = list(self.whom.cert_keys)
        return fields


@dataclass(frozen=True, slots=True)
class Correct:
    """New commitments for a certificate: another name, another ID document, or both; maybe another track."""

    cert_key: bytes
    reason: Reason
    effective_day: int
    face: bytes  # 32 bytes
    rest: bytes  # 32 bytes
    track_id: bytes = b""  # 16 bytes; b"" leaves it where it is
    issuer: str = ""  # filing number; "" when the authority corrects

    def __post_init__(self) -> None:
        check_day(self.effective_day)
        if len(self.cert_key) != 32 or len(self.face) != 32 or len(self.rest) != 32:
            raise Malformed("correct: cert key, face and rest have 32 bytes")
        if len(self.track_id) not in (0, 16):
            raise Malformed("correct: a track id has 16 bytes")
        if self.issuer:
            check_filing_number(self.issuer)

    @property
    def kind(self) -> Kind:
        return Kind.CORRECT

    @property
    def subject(self) -> str:
        return subject_of(self.cert_key)

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {
            1: int(Kind.CORRECT),
            4: int(self.reason),
            5: self.effective_day,
            12: self.face,
            13: self.rest,
        }
        if self.track_id:
            fields[11] = self.track_id
        return fields


@dataclass(frozen=True, slots=True)
class EndAppointment:
    """A post has ended."""

    cert_key: bytes
    reason: Reason
    effective_day: int  # the last day in the post
    issuer: str  # filing number

    def __post_init__(self) -> None:
        check_day(self.effective_day)
        check_filing_number(self.issuer)
        if len(self.cert_key) != 32:
            raise Malformed("end-appointment: a cert key has 32 bytes")

    @property
    def kind(self) -> Kind:
        return Kind.END_APPOINTMENT

    @property
    def subject(self) -> str:
        return subject_of(self.cert_key)

    def as_map(self) -> dict[int, canonical.Value]:
        return {1: int(Kind.END_APPOINTMENT), 4: int(self.reason), 5: self.effective_day}


def parse_ruling(issuer: str, subject: str, fields: dict[int, Any]) -> Ruling:
    """Read a payload map. `issuer` is the filing number of the header, or "" under the authority."""
    match fields:
        case {1: int(kind), 4: int(reason), 5: int(day), **more} if set(more) <= {2, 3} and len(more) < 2:
            if reason in list(Reason):
                return Ruling(Kind(kind), _parse_whom(subject, more), Reason(reason), day, issuer)
    raise Malformed("ruling: a field is missing, unknown or of the wrong type")


def _parse_whom(subject: str, more: dict[int, Any]) -> Whom:
    match more:
        case {2: [*keys]} if len(keys) > 1 and all(isinstance(key, bytes) for key in keys):
            return Listed(tuple(keys))
        case {3: [str(number), int(first), int(last)]}:
            return Range(number, first, last)
        case {**none} if not none:
            return Listed((parse_subject(subject),))
    raise Malformed("ruling: whom it concerns is one, a list or a range")


def parse_correct(issuer: str, subject: str, fields: dict[int, Any]) -> Correct:
    match fields:
        case {1: Kind.CORRECT, 4: int(reason), 5: int(day), 12: bytes(face), 13: bytes(rest), **more} if set(more) <= {
            11
        }:
            track_id = more.get(11, b"")
            if reason in list(Reason) and isinstance(track_id, bytes) and (11 not in more or track_id):
                return Correct(parse_subject(subject), Reason(reason), day, face, rest, track_id, issuer)
    raise Malformed("correct: a field is missing, unknown or of the wrong type")


def parse_end_appointment(issuer: str, subject: str, fields: dict[int, Any]) -> EndAppointment:
    match fields:
        case {1: Kind.END_APPOINTMENT, 4: int(reason), 5: int(day), **more} if not more:
            if reason in list(Reason):
                return EndAppointment(parse_subject(subject), Reason(reason), day, issuer)
    raise Malformed("end-appointment: a field is missing, unknown or of the wrong type")

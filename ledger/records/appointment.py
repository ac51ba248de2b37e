"""The appoint statement: a post as 特级技师 or 首席技师, held for a time (人社部发〔2022〕14号).

Payload map, signed by an employer whose filing grants the grade; issuer id = filing number, subject = base64url of
the cert key:

    1 kind = 13       4 grade ordinal 7, 8      8 last day, absent: open    12 face, 32 bytes
    2 occupation code 6 day of the appointment  9 basis (text): the         13 rest, 32 bytes
    3 trade or absent 7 first day in the post     employer's document       15 prerequisite cert key, or
                                                11 track id, 16 bytes       16 permit, as in an issue

A post never counts as a certified grade. It has a secret, a number, a QR code and a state of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.dates import check_day
from ledger.records.issue import Issue
from ledger.records.kinds import Kind
from ledger.records.permit import PERMIT_KEY, PermitProof, parse_permit_proof
from ledger.records.secret import subject_of

_OCCUPATION: Final = re.compile(r"[1-8]-[0-9]{2}-[0-9]{2}-[0-9]{2}")
_TEXT_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Appoint:
    """What an employer states about one post."""

    cert_key: bytes  # 32 bytes
    filing_number: str
    occupation: str
    trade: str  # "" where the occupation has none
    grade: int  # 7 or 8
    issue_day: int  # of the appointment document
    first_day: int  # in the post
    last_day: int  # inclusive; 0: open
    basis: str
    track_id: bytes  # 16 bytes
    face: bytes  # 32 bytes
    rest: bytes  # 32 bytes
    prerequisite: bytes = b""  # the cert key of the certificate that it builds on
    permit: PermitProof | None = None

    def __post_init__(self) -> None:
        if self.grade not in (7, 8) or _OCCUPATION.fullmatch(self.occupation) is None:
            raise Malformed("appoint: grade ordinal 7 or 8, occupation code d-dd-dd-dd")
        for day in (self.issue_day, self.first_day, self.last_day):
            check_day(day)
        if self.issue_day < 0 or self.first_day < 1 or (self.last_day and self.last_day < self.first_day):
            raise Malformed("appoint: a post begins before it ends")
        if not canonical.is_plain(self.trade) or not canonical.is_plain(self.basis):
            raise Malformed("appoint: trade or basis not in its one spelling")
        if len(self.trade) > _TEXT_MAX or not 1 <= len(self.basis) <= _TEXT_MAX:
            raise Malformed("appoint: trade or basis too long or missing")
        if any(len(item) != 32 for item in (self.cert_key, self.face, self.rest)) or len(self.track_id) != 16:
            raise Malformed("appoint: cert key, face and rest have 32 bytes, a track id 16")
        if len(self.prerequisite) not in (0, 32) or bool(self.prerequisite) == (self.permit is not None):
            raise Malformed("appoint: builds on a cert key or on a late permit")

    @property
    def kind(self) -> Kind:
        return Kind.APPOINT

    @property
    def subject(self) -> str:
        return subject_of(self.cert_key)

    @property
    def person_unlinked(self) -> bool:
        """Never: a post stands in the track of the certificate that it builds on."""
        return False

    @property
    def replaces(self) -> bytes:
        """Nothing: a post is appointed anew."""
        return b""

    def runs(self, day: int) -> bool:
        """Whether the post is held on that day, as far as its own dates say."""
        return self.first_day <= day and (self.last_day == 0 or day <= self.last_day)

    def payload(self) -> bytes:
        return canonical.encode(self.as_map())

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {
            1: int(Kind.APPOINT),
            2: self.occupation,
            4: self.grade,
            6: self.issue_day,
            7: self.first_day,
            9: self.basis,
            11: self.track_id,
            12: self.face,
            13: self.rest,
        }
        if self.trade:
            fields[3] = self.trade
        if self.last_day:
            fields[8] = self.last_day
        if self.prerequisite:
            fields[15] = self.prerequisite
        if self.permit is not None:
            fields[PERMIT_KEY] = self.permit.as_value()
        return fields


CertificateBody: TypeAlias = Issue | Appoint  # the statement that brought a cert key into the log


def parse_appoint(filing_number: str, cert_key: bytes, fields: dict[int, Any]) -> Appoint:
    """Read the payload map. Raises Malformed on a missing, unknown or mistyped key."""
    match fields:
        case {
            1: Kind.APPOINT,
            2: str(occupation),
            4: int(grade),
            6: int(issue_day),
            7: int(first_day),
            9: str(basis),
            11: bytes(track_id),
            12: bytes(face),
            13: bytes(rest),
            **more,
        }:
            trade, last_day = more.pop(3, ""), more.pop(8, 0)
            prerequisite, permit = more.pop(15, b""), more.pop(PERMIT_KEY, None)
            if more or not isinstance(trade, str) or not isinstance(last_day, int):
                raise Malformed("appoint: unknown key, or an optional field of the wrong type")
            if (3 in fields and not trade) or (8 in fields and not last_day):
                raise Malformed("appoint: an empty optional field is left out")
            if not isinstance(prerequisite, bytes) or (15 in fields and not prerequisite):
                raise Malformed("appoint: the prerequisite is a cert key or absent")
            return Appoint(
                cert_key, filing_number, occupation, trade, grade, issue_day, first_day, last_day, basis, track_id,
                face, rest, prerequisite, None if permit is None else parse_permit_proof(permit),
            )  # fmt: skip
    raise Malformed("appoint: a required field is missing or of the wrong type")

"""The issue statement: one certificate, without anything personal in it; reissue is its twin.

Payload map (CDDL in docs/formats.cddl):

    1 kind = 12        5 national level 5..1      9 standard id (text)     13 rest, 32 bytes
    2 occupation code  6 issue date, days         10 audience              14 person unlinked = 1, else absent
    3 trade, absent when none  7 assessment date, days  11 track id, 16 bytes
    4 grade ordinal    8 route                    12 face, 32 bytes
    15 replaces: the old cert key, in a reissue (kind = 19) and only there
    16 permit: [leaf hash of a late-permit, position, [hashes]], absent when issued in time

A reissue says everything again under a new cert key (lost paper, leaked code), so that its QR code, bundle and
proof are those of any certificate. Signed by the body's record key; issuer id = filing number, subject = base64url
of the cert key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import fields as fields_of
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.dates import LAST_DAY
from ledger.records.kinds import Audience, Kind, Route
from ledger.records.permit import PERMIT_KEY, PermitProof, parse_permit_proof
from ledger.records.secret import parse_subject, subject_of

FACE_KEY: Final = 12  # the one payload key a QR code leaves out, because the reader recomputes it
TRACK_BYTES: Final = 16
_OCCUPATION: Final = re.compile(r"[1-8]-[0-9]{2}-[0-9]{2}-[0-9]{2}")
_TEXT_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Issue:
    """What an assessment body states about one certificate."""

    cert_key: bytes  # 32 bytes
    filing_number: str
    occupation: str  # d-dd-dd-dd
    trade: str  # "" where the occupation has none
    grade: int  # ordinal 2..6: certificates only; posts are appointments
    level: int  # national level 5..1 = 7 - grade
    issue_day: int  # days since 1970-01-01
    assessment_day: int
    route: Route
    standard: str
    audience: Audience
    track_id: bytes  # 16 bytes
    face: bytes  # 32 bytes
    rest: bytes  # 32 bytes
    person_unlinked: bool = False
    replaces: bytes = b""  # the cert key that this one takes the place of: a reissue
    permit: PermitProof | None = None  # the late permit that lets it in more than 60 days after its issue date

    def __post_init__(self) -> None:
        if not 2 <= self.grade <= 6 or self.level != 7 - self.grade:
            raise Malformed("issue: grade is an ordinal 2..6 and the national level is 7 minus it")
        if _OCCUPATION.fullmatch(self.occupation) is None:
            raise Malformed("issue: occupation code is d-dd-dd-dd")
        if not 0 <= self.assessment_day <= LAST_DAY or not 0 <= self.issue_day <= LAST_DAY:
            raise Malformed("issue: a date out of range")
        if not canonical.is_plain(self.trade) or not canonical.is_plain(self.standard):
            raise Malformed("issue: trade or standard id not in its one spelling")
        if len(self.trade) > _TEXT_MAX or not 1 <= len(self.standard) <= _TEXT_MAX:
            raise Malformed("issue: trade or standard id too long or missing")
        if len(self.cert_key) != 32 or len(self.face) != 32 or len(self.rest) != 32:
            raise Malformed("issue: cert key, face and rest have 32 bytes")
        if len(self.track_id) != TRACK_BYTES:
            raise Malformed("issue: track id has 16 bytes")
        if len(self.replaces) not in (0, 32) or self.replaces == self.cert_key:
            raise Malformed("reissue: replaces another cert key of 32 bytes")
        if self.replaces and self.permit is not None:
            raise Malformed("reissue: needs no late permit")

    @property
    def kind(self) -> Kind:
        return Kind.REISSUE if self.replaces else Kind.ISSUE

    @property
    def subject(self) -> str:
        return subject_of(self.cert_key)

    def payload(self) -> bytes:
        return canonical.encode(self.as_map())

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {
            1: int(self.kind),
            2: self.occupation,
            4: self.grade,
            5: self.level,
            6: self.issue_day,
            7: self.assessment_day,
            8: int(self.route),
            9: self.standard,
            10: int(self.audience),
            11: self.track_id,
            FACE_KEY: self.face,
            13: self.rest,
        }
        if self.trade:
            fields[3] = self.trade
        if self.person_unlinked:
            fields[14] = 1
        if self.replaces:
            fields[15] = self.replaces
        if self.permit is not None:
            fields[PERMIT_KEY] = self.permit.as_value()
        return fields


def read_issue(filing_number: str, subject: str, payload: bytes) -> Issue | None:
    """The certificate of a payload that ends with track id, face and rest; None for any other, which `canonical.decode`
    and `parse_issue` judge. Raises Malformed for another subject than a cert key.

    All that comes before is the same for whoever passed the same examination, and is read once: what is the one
    encoding of an issue with three strings of these lengths at its end is it with every other three.
    """
    head = head_of(payload)
    if head is None:
        return None
    try:
        before = read_head(head)
    except Malformed:
        return None
    return put_together(before, filing_number, parse_subject(subject), payload[-TAIL:])


def head_of(payload: bytes) -> bytes | None:
    """What comes before track id, face and rest in a payload that ends with them; None for any other."""
    tail = payload[-TAIL:]
    if tail[:2] != _TRACK or tail[18:21] != _FACE or tail[53:56] != _REST or len(payload) > _REMEMBERED:
        return None
    return payload[:-TAIL]


@lru_cache(4096)
def read_head(head: bytes) -> tuple[Any, ...]:
    """What the payload that goes on with any track id, face and rest says before them. Raises Malformed."""
    blank = bytes(32)
    tail = _TRACK + blank[:TRACK_BYTES] + _FACE + blank + _REST + blank
    fields = canonical.decode(head + tail)
    if type(fields) is not dict or max(fields, default=0) != 13:
        raise Malformed("issue: ends with something else")
    read = parse_issue("", b"\1" * 32, fields)
    return tuple(getattr(read, name) for name in _BEFORE)


def put_together(before: tuple[Any, ...], filing_number: str, cert_key: bytes, tail: bytes) -> Issue:
    """The certificate of what `read_head` read and of the TAIL bytes behind it, which `head_of` has looked at."""
    found = object.__new__(Issue)
    for put, value in zip(_PUT_BEFORE, before):  # noqa: B905  # both are as long as the class has such fields
        put(found, value)
    _PUT_CERT_KEY(found, cert_key)
    _PUT_FILING(found, filing_number)
    _PUT_TRACK(found, tail[2:18])
    _PUT_FACE(found, tail[21:53])
    _PUT_REST(found, tail[56:])
    return found


def parse_issue(filing_number: str, cert_key: bytes, fields: dict[int, Any]) -> Issue:
    """Read the payload map. Raises Malformed on a missing, unknown or mistyped key."""
    # Read one by one rather than with a pattern: this runs for every entry of a log, and a pattern costs twice as much.
    try:
        found = _REQUIRED(fields)
    except KeyError:
        raise Malformed("issue: a required field is missing") from None
    if tuple(map(type, found)) != _TYPES:
        raise Malformed("issue: a required field of the wrong type")
    kind, occupation, grade, level, issue_day, assessment_day, route, standard, audience, track_id, face, rest = found
    trade, unlinked, replaces, permit = "", 0, b"", None
    if len(fields) > len(found):
        more = {key: value for key, value in fields.items() if key not in _REQUIRED_KEYS}
        trade = more.pop(3, "")
        unlinked = more.pop(14, 0)
        replaces = more.pop(15, b"")
        permit = more.pop(PERMIT_KEY, None)
        if more or not isinstance(trade, str) or unlinked not in (0, 1) or (3 in fields and not trade):
            raise Malformed("issue: unknown key, or an optional field in the wrong form")
        if 14 in fields and unlinked != 1:
            raise Malformed("issue: person unlinked is 1 or absent")
        if 15 in fields and (not isinstance(replaces, bytes) or len(replaces) != 32):
            raise Malformed("issue: replaces is a cert key")
    if kind not in _ISSUE_KINDS or (kind == Kind.REISSUE) != (len(replaces) == 32):
        raise Malformed("issue: a reissue, and nothing else, names the cert key that it replaces")
    try:
        coded = Route(route), Audience(audience)
    except ValueError as error:
        raise Malformed("issue: unknown route or audience") from error
    return Issue(
        cert_key, filing_number, occupation, trade, grade, level, issue_day, assessment_day, coded[0], standard,
        coded[1], track_id, face, rest, unlinked == 1, replaces,
        None if permit is None else parse_permit_proof(permit),
    )  # fmt: skip


_TRACK, _FACE, _REST = (
    b"\x0b\x50",
    b"\x0c\x58\x20",
    b"\x0d\x58\x20",
)  # keys 11, 12 and 13, and the heads of their strings
TAIL: Final = len(_TRACK + _FACE + _REST) + TRACK_BYTES + 2 * 32
_REMEMBERED: Final = 1024  # bytes of a payload, at most: what is kept of what others send stays small
_OWN: Final = ("cert_key", "filing_number", "track_id", "face", "rest")
_BEFORE: Final = tuple(field.name for field in fields_of(Issue) if field.name not in _OWN)
_PUT_BEFORE: Final = tuple(getattr(Issue, name).__set__ for name in _BEFORE)
_PUT_CERT_KEY, _PUT_FILING, _PUT_TRACK, _PUT_FACE, _PUT_REST = (getattr(Issue, name).__set__ for name in _OWN)
_REQUIRED_KEYS: Final = (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, FACE_KEY, 13)
_REQUIRED: Final = itemgetter(*_REQUIRED_KEYS)
_TYPES: Final = (int, str, int, int, int, int, int, str, int, bytes, bytes, bytes)
_ISSUE_KINDS: Final = (int(Kind.ISSUE), int(Kind.REISSUE))

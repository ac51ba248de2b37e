"""The names under which a rule reads certificates: `cert.grade`, `cert.issue_date`, `others.occupations`. Pure.

A `CertificateRecord` is plain values; one that counts comes out of `verifier.eligibility.certificate` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.dates import check_day
from ledger.records.kinds import Audience, Route
from verifier.eligibility.kinds import ABSENT, UNKNOWN, Kind, Value, ValueType, value_type

CERTIFICATE: Final = "certificate"
APPOINTMENT: Final = "appointment"
ROUTES: Final = (*(route.name.lower() for route in Route), "appointment")
AUDIENCES: Final = (*(audience.name.lower() for audience in Audience), "")

CERTIFICATE_TYPES: Final[dict[str, ValueType]] = {
    "cert.kind": value_type(Kind.ENUM, (CERTIFICATE, APPOINTMENT), optional=True),
    "cert.occupation": value_type(Kind.TEXT, optional=True),
    "cert.lineage": value_type(Kind.TEXT, optional=True),
    "cert.trade": value_type(Kind.TEXT, optional=True),
    "cert.grade": value_type(Kind.GRADE, optional=True),  # ordinal, rising
    "cert.level": value_type(Kind.INT, (), 1, 5, optional=True),  # national level, falling; a post has none
    "cert.issue_date": value_type(Kind.DATE, optional=True),
    "cert.route": value_type(Kind.ENUM, ROUTES, optional=True),
    "cert.audience": value_type(Kind.ENUM, AUDIENCES, optional=True),
    "cert.filing": value_type(Kind.TEXT, optional=True),
    "cert.highest": value_type(Kind.GRADE, optional=True),  # certified, in force, same occupation
    "cert.holds_higher": value_type(Kind.BOOL, optional=True),
    "cert.post_grade": value_type(Kind.GRADE, (), 7, 8, optional=True),  # the post held on the day asked about
    "others.occupations": value_type(Kind.INT, (), 0, 64),  # occupations of the other certificates, not the first's
}


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """What is known of one certificate or post in force. Days are counted from 1970-01-01."""

    cert_key: bytes  # 32 bytes
    kind: str  # CERTIFICATE or APPOINTMENT
    occupation: str  # code
    lineage: str
    trade: str  # "" where there is none
    grade: int  # ordinal 1..8
    issue_day: int
    filing: str
    route: str
    audience: str  # "" for a post
    linked: bool  # False: nothing is known of the person's other certificates
    track_highest: int  # ordinal of the highest certificate in force; 0: none, or not known
    posts: tuple[tuple[int, int, int], ...] = ()  # grade, first, last day (0: open) of the track's; the first counts
    alone: bool = True  # False: other logs are believed beside its own, and the track says nothing of what they have

    def __post_init__(self) -> None:
        if len(self.cert_key) != 32 or self.kind not in (CERTIFICATE, APPOINTMENT):
            raise Malformed("certificate record: cert key of 32 bytes, certificate or appointment")
        if not (7 <= self.grade <= 8 if self.kind == APPOINTMENT else 2 <= self.grade <= 6):
            raise Malformed("certificate record: a grade of another kind")
        if self.route not in ROUTES or self.audience not in AUDIENCES or not 0 <= self.track_highest <= 6:
            raise Malformed("certificate record: route, audience or highest grade")
        for text in (self.occupation, self.lineage, self.trade, self.filing):
            if len(text) > 64 or not canonical.is_plain(text):
                raise Malformed("certificate record: a text not in its one spelling")
        check_day(self.issue_day)
        if not all(7 <= grade <= 8 and first >= 0 <= last for grade, first, last in self.posts):
            raise Malformed("certificate record: a post")

    @property
    def level(self) -> int | None:
        """National level 5..1 of a certificate."""
        return 7 - self.grade if self.kind == CERTIFICATE else None


def held_on(records: Sequence[CertificateRecord], as_of: int) -> list[CertificateRecord]:
    """The one that is applied with, and the others that were issued by that day."""
    return [record for at, record in enumerate(records) if at == 0 or record.issue_day <= as_of]


def highest_of(records: Sequence[CertificateRecord]) -> int:
    """Ordinal of the highest certified grade that is proven in the occupation of the first of them; 0: none.

    A track ends with its log: where several logs are believed, each certificate speaks for its own.
    """
    first = records[0]
    same = [record for record in records if record.lineage == first.lineage]
    tracks = [record.track_highest for record in same if record is first or not (first.alone or record.alone)]
    return max([*tracks, *(record.grade for record in same if record.kind == CERTIFICATE)])


def highest_known(records: Sequence[CertificateRecord]) -> bool:
    """Whether anything is known of it: a higher one that is shown settles it for a person who is not linked."""
    return records[0].linked or highest_of(records) > records[0].grade


def certificate_values(records: Sequence[CertificateRecord], as_of: int) -> dict[str, Value]:
    """Everything rules can read of the certificates; the first is the one that is applied with."""
    if not records:
        return {**dict.fromkeys(CERTIFICATE_TYPES, ABSENT), "others.occupations": 0}
    first, others = records[0], records[1:]
    highest, known = highest_of(records), highest_known(records)
    return {
        "cert.kind": first.kind,
        "cert.occupation": first.occupation,
        "cert.lineage": first.lineage,
        "cert.trade": first.trade,
        "cert.grade": first.grade,
        "cert.level": ABSENT if first.level is None else first.level,
        "cert.issue_date": first.issue_day,
        "cert.route": first.route,
        "cert.audience": first.audience,
        "cert.filing": first.filing,
        "cert.highest": (highest or ABSENT) if known else UNKNOWN,
        "cert.holds_higher": first.kind == CERTIFICATE and highest > first.grade if known else UNKNOWN,
        "cert.post_grade": _highest_post(records, as_of),
        "others.occupations": len({r.lineage for r in others if r.kind == CERTIFICATE} - {first.lineage}),
    }


def _highest_post(records: Sequence[CertificateRecord], as_of: int) -> Value:
    first = records[0]
    apart = [] if first.alone else [one for one in records[1:] if one.lineage == first.lineage and not one.alone]
    posts = [value for value in (_post_grade(record, as_of) for record in (first, *apart)) if type(value) is int]
    return max(posts) if posts else _post_grade(first, as_of)


def _post_grade(record: CertificateRecord, as_of: int) -> Value:
    """Of the posts of a track the first that runs on that day."""
    for grade, first, last in record.posts:
        if first <= as_of and (not last or as_of <= last):
            return grade
    if record.kind == APPOINTMENT and not record.posts:  # a case that says nothing of its term
        return record.grade
    return ABSENT if record.linked or record.posts else UNKNOWN


def record_value(record: CertificateRecord) -> list[canonical.Value]:
    """The record as an array of a decision's bytes. With one log alone nothing is added to it."""
    return [
        record.cert_key, record.kind, record.occupation, record.lineage, record.trade, record.grade, record.issue_day,
        record.filing, record.route, record.audience, int(record.linked), record.track_highest,
        list(chain(*record.posts)), *([] if record.alone else [0]),
    ]  # fmt: skip


_SHAPE: Final = (bytes, str, str, str, str, int, int, str, str, str, int, int, list)


def parse_record(value: object) -> CertificateRecord:
    """Raises Malformed for anything that `record_value` would not have made."""
    if type(value) is not list or tuple(map(type, value[:13])) != _SHAPE or value[10] not in (0, 1):
        raise Malformed("certificate record: shape")
    if len(value) > 13 and (len(value) > 14 or type(value[13]) is not int or value[13] != 0):
        raise Malformed("certificate record: shape")
    days = value[12]
    if len(days) % 3 or not all(type(each) is int for each in days):
        raise Malformed("certificate record: a post")
    posts = tuple((days[at], days[at + 1], days[at + 2]) for at in range(0, len(days), 3))
    a, b, c, d, e, f, g, h, i, j, linked, highest = value[:12]
    return CertificateRecord(a, b, c, d, e, f, g, h, i, j, linked == 1, highest, posts, len(value) == 13)

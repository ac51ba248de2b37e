"""Statements of the authority: genesis, filing and filing-change, and digests of catalogue and ladder.

Payload maps (CDDL in docs/formats.cddl), signed with COSE_Sign by at least the threshold of authority keys:

    genesis    1 kind, 2 origin, 3 authority keys sorted, 4 threshold, 5 format version = 1, 6 day
    filing     1 kind, 2 filing number, 3 registered name, 4 body kind, 5 first day, 6 last day, 7 rows,
               8 record keys, 9 request keys, 10 cap, 11 grants (ordinals 7, 8), 12 name in Latin script,
               13 schemes (7, 11, 12 and 13 are absent when there are none)    filing-change: the same with its kind
    catalogue  1 kind, 2 version, 3 SHA-256 of the exact bytes, 4 first day       ladder: the same with its kind

    row = [occupation, trade or "", [grade ordinals], audience, first day]
    key = [algorithm, public key, first day, last day]       last day 0 = no end fixed

Issuer id of all of them is the origin; subject is the filing number or the kind's name. A filing-change carries the
full new terms in the same map, so that one statement always tells the terms in force.

A payer is filed like an assessment body, under a number with the letter Z: it has schemes and neither rows nor grants,
so that it can certify nothing, and an assessment body has no schemes, so that it can claim nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.cose import ALG_EDDSA
from ledger.records.dates import check_day
from ledger.records.kinds import Audience, IssuerKind, Kind
from ledger.tlog.keys import kid as key_id
from ledger.tlog.spelling import check_name

FORMAT_VERSION: Final = 1
RECORD_KEY_CAP: Final = 100_000  # statements a record key may sign, unless the filing says less
_FILING_NUMBER: Final = re.compile(r"[YSJZ][0-9]{12}")
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")
_MAX_ROWS: Final = 100
_MAX_SCHEMES: Final = 100
PAYER_LETTER: Final = "Z"
_MAX_KEYS: Final = 16


@dataclass(frozen=True, slots=True)
class Genesis:
    """Entry 0: who rules this log. Its SHA-256 is what trust configurations pin."""

    origin: str
    keys: tuple[bytes, ...]  # sorted, distinct, 32 bytes each
    threshold: int
    day: int  # days since 1970-01-01

    def __post_init__(self) -> None:
        check_people(self.keys, self.threshold)
        check_origin(self.origin)
        check_day(self.day)

    @property
    def subject(self) -> str:
        return "genesis"

    def as_map(self) -> dict[int, canonical.Value]:
        return {
            1: int(Kind.GENESIS),
            2: self.origin,
            3: list(self.keys),
            4: self.threshold,
            5: FORMAT_VERSION,
            6: self.day,
        }


@dataclass(frozen=True, slots=True)
class FiledKey:
    """A record or request key with its window in log time (whole days, Asia/Shanghai, both ends inclusive)."""

    public: bytes
    first_day: int
    last_day: int = 0  # 0: no end fixed
    algorithm: int = ALG_EDDSA

    def __post_init__(self) -> None:
        if self.algorithm != ALG_EDDSA or len(self.public) != 32:
            raise Malformed("filing: this version knows Ed25519 (-8), whose public key has 32 bytes")
        check_day(self.first_day)
        check_day(self.last_day)
        if self.last_day and self.last_day < self.first_day:
            raise Malformed("filing: a key's window ends before it begins")

    @property
    def kid(self) -> bytes:
        return filed_kid(self.public)

    def covers(self, day: int) -> bool:
        return self.first_day <= day and (self.last_day == 0 or day <= self.last_day)

    def as_value(self) -> list[canonical.Value]:
        return [self.algorithm, self.public, self.first_day, self.last_day]


filed_kid = lru_cache(1024)(key_id)  # asked for each statement, of the few keys that are filed


@dataclass(frozen=True, slots=True)
class FilingRow:
    """One line of a filing: these grades of this occupation (and trade), for this audience, from this day."""

    occupation: str
    trade: str  # "" = every trade of the occupation
    grades: tuple[int, ...]  # ordinals, rising
    audience: Audience
    first_day: int

    def __post_init__(self) -> None:
        if not canonical.is_plain(self.occupation) or not canonical.is_plain(self.trade):
            raise Malformed("filing row: occupation or trade not in its one spelling")
        if not self.grades or list(self.grades) != sorted(set(self.grades)):
            raise Malformed("filing row: grades are rising ordinals")
        if not 2 <= self.grades[0] <= self.grades[-1] <= 6:
            raise Malformed("filing row: certificate grades are the ordinals 2..6; posts are grants")
        check_day(self.first_day)

    def as_value(self) -> list[canonical.Value]:
        return [self.occupation, self.trade, list(self.grades), int(self.audience), self.first_day]


@dataclass(frozen=True, slots=True)
class Filing:
    """评价机构备案: what one body may certify, or a payer may pay, under which keys, and when."""

    number: str  # 13 characters, the first part of every certificate number
    name: str  # as registered; what pages show
    kind: IssuerKind
    first_day: int
    last_day: int  # inclusive
    rows: tuple[FilingRow, ...]
    record_keys: tuple[FiledKey, ...]
    request_keys: tuple[FiledKey, ...]
    cap: int = RECORD_KEY_CAP
    grants: tuple[int, ...] = ()
    latin_name: str = ""
    schemes: tuple[str, ...] = ()  # of benefits; a payer's, rising
    change: bool = False  # a filing-change: the full new terms of a body that is filed already
    places: Mapping[bytes, int] = field(init=False, compare=False, repr=False)  # kid -> place among the record keys

    def __post_init__(self) -> None:
        check_filing_number(self.number)
        if not canonical.is_plain(self.name) or not canonical.is_plain(self.latin_name):
            raise Malformed("filing: registered name not in its one spelling")
        if not 1 <= len(self.name) <= 100 or len(self.latin_name) > 200:
            raise Malformed("filing: registered name of 1..100 characters")
        if check_day(self.last_day) < check_day(self.first_day) or not 1 <= self.cap <= RECORD_KEY_CAP:
            raise Malformed("filing: window ends before it begins, or cap out of range")
        if self.is_payer:
            self._check_payer()
        elif not 1 <= len(self.rows) <= _MAX_ROWS or self.schemes or self.number[0] == PAYER_LETTER:
            raise Malformed("filing: an assessment body needs rows, within bounds, and has no schemes")
        if not 1 <= len(self.record_keys) <= _MAX_KEYS:
            raise Malformed("filing: needs record keys, within bounds")
        if not 1 <= len(self.request_keys) <= _MAX_KEYS:
            raise Malformed("filing: needs a request key, within bounds")
        kids = [key.kid for key in self.record_keys + self.request_keys]
        if len(set(kids)) != len(kids):
            raise Malformed("filing: the same key twice; request and record keys are different keys")
        object.__setattr__(self, "places", {kid: at for at, kid in enumerate(kids[: len(self.record_keys)])})
        if any(grade not in (7, 8) for grade in self.grants) or list(self.grants) != sorted(set(self.grants)):
            raise Malformed("filing: grants are the ordinals 7 and 8")

    def _check_payer(self) -> None:
        if self.rows or self.grants or self.number[0] != PAYER_LETTER:
            raise Malformed("filing: a payer has neither rows nor grants, and a number with the letter Z")
        if list(self.schemes) != sorted(set(self.schemes)) or not 1 <= len(self.schemes) <= _MAX_SCHEMES:
            raise Malformed("filing: a payer's schemes rise, each once, within bounds")
        for scheme in self.schemes:
            check_code(scheme)

    @property
    def is_payer(self) -> bool:
        return self.kind is IssuerKind.PAYER

    def covers(self, occupation: str, trade: str, grade: int, audience: int, day: int) -> bool:
        """Whether window and some row allow this certificate at its issue date."""
        if not self.first_day <= day <= self.last_day:
            return False
        for row in self.rows:  # no generator: it is asked for every certificate, and nearly always the first row does
            if (
                row.occupation == occupation
                and row.trade in ("", trade)
                and grade in row.grades
                and row.audience == audience
                and row.first_day <= day
            ):
                return True
        return False

    @property
    def subject(self) -> str:
        return self.number

    def record_key(self, kid: bytes) -> FiledKey | None:
        at = self.places.get(kid)
        return None if at is None else self.record_keys[at]

    def as_map(self) -> dict[int, canonical.Value]:
        fields: dict[int, canonical.Value] = {
            1: int(Kind.FILING_CHANGE if self.change else Kind.FILING),
            2: self.number,
            3: self.name,
            4: int(self.kind),
            5: self.first_day,
            6: self.last_day,
            8: [key.as_value() for key in self.record_keys],
            9: [key.as_value() for key in self.request_keys],
            10: self.cap,
        }
        if self.rows:
            fields[7] = [row.as_value() for row in self.rows]
        if self.grants:
            fields[11] = list(self.grants)
        if self.latin_name:
            fields[12] = self.latin_name
        if self.schemes:
            fields[13] = list(self.schemes)
        return fields


@dataclass(frozen=True, slots=True)
class Published:
    """The digest of exact bytes that everybody must use alike: the occupation catalogue or the grade ladder."""

    kind: Kind
    version: str
    digest: bytes  # SHA-256
    first_day: int

    def __post_init__(self) -> None:
        if not canonical.is_plain(self.version):
            raise Malformed("published digest: version not in its one spelling")
        if self.kind not in (Kind.CATALOGUE, Kind.LADDER):
            raise Malformed("published digest: of a catalogue or a ladder")
        if len(self.digest) != 32 or not 1 <= len(self.version) <= 64:
            raise Malformed("published digest: 32 bytes and a version")
        check_day(self.first_day)

    @property
    def subject(self) -> str:
        return self.kind.name.lower()

    def as_map(self) -> dict[int, canonical.Value]:
        return {1: int(self.kind), 2: self.version, 3: self.digest, 4: self.first_day}


def check_people(keys: tuple[bytes, ...], threshold: int) -> None:
    """The keys of an authority and how many of them must sign. Raises Malformed."""
    if list(keys) != sorted(set(keys)) or any(len(key) != 32 for key in keys):
        raise Malformed("authority keys are distinct, sorted and have 32 bytes")
    if not 1 <= threshold <= len(keys) <= _MAX_KEYS:
        raise Malformed("authority: threshold between 1 and the number of keys")


def check_origin(origin: str) -> None:
    """A log's name. Raises Malformed."""
    check_name(origin, "origin")
    if not origin.isascii():
        raise Malformed("origin in ASCII")


def check_code(text: str) -> None:
    """The short name of a scheme, a pack or an exclusion group. Raises Malformed."""
    if _CODE.fullmatch(text) is None:
        raise Malformed("a code is 1 to 64 letters, digits, points and hyphens, and begins with a letter or digit")


def check_filing_number(number: str) -> None:
    """A filing number as statements spell it. Raises Malformed."""
    if _FILING_NUMBER.fullmatch(number) is None:
        raise Malformed("filing: number is a letter and 12 digits")


def parse_genesis(fields: dict[int, Any]) -> Genesis:
    match fields:
        case {2: str(origin), 3: [*keys], 4: int(threshold), 5: 1, 6: int(day), **more} if set(more) == {1}:
            if all(isinstance(key, bytes) for key in keys):
                return Genesis(origin, tuple(keys), threshold, day)
    raise Malformed("genesis: a field is missing, unknown or of the wrong type")


_REQUIRED_KEYS: Final = (1, 2, 3, 4, 5, 6, 8, 9, 10)
_REQUIRED: Final = itemgetter(*_REQUIRED_KEYS)
_TYPES: Final = (int, str, str, int, int, int, list, list, int)
_OPTIONAL: Final[tuple[tuple[int, Any], ...]] = ((7, []), (11, []), (12, ""), (13, []))
_FIELDS: Final = frozenset((*_REQUIRED_KEYS, *(at for at, _ in _OPTIONAL)))


def parse_filing(fields: dict[int, Any]) -> Filing:
    # Read one by one rather than with a pattern, which costs twice as much: it is done for each proof that is checked.
    try:
        found = _REQUIRED(fields)
    except KeyError:
        raise Malformed("filing: a field is missing") from None
    if tuple(map(type, found)) != _TYPES or not _FIELDS.issuperset(fields):
        raise Malformed("filing: a field is unknown or of the wrong type")
    statement_kind, number, name, kind, first_day, last_day, record_keys, request_keys, cap = found
    rows, grants, latin_name, schemes = more = [fields.get(at, blank) for at, blank in _OPTIONAL]
    if any(type(value) is not type(blank) for value, (_, blank) in zip(more, _OPTIONAL, strict=True)):
        raise Malformed("filing: an optional field of the wrong type")
    if not all(type(scheme) is str for scheme in schemes):
        raise Malformed("filing: an optional field of the wrong type")
    if len(fields) != len(found) + sum(map(bool, more)):
        raise Malformed("filing: an empty optional field is left out")
    try:
        issuer_kind = IssuerKind(kind)
    except ValueError as error:
        raise Malformed("filing: unknown kind of body") from error
    return Filing(
        number=number,
        name=name,
        kind=issuer_kind,
        first_day=first_day,
        last_day=last_day,
        rows=tuple([_parse_row(row) for row in rows]),
        record_keys=tuple([_parse_key(key) for key in record_keys]),
        request_keys=tuple([_parse_key(key) for key in request_keys]),
        cap=cap,
        grants=tuple(grants),
        latin_name=latin_name,
        schemes=tuple(schemes),
        change=statement_kind == Kind.FILING_CHANGE,
    )


def parse_published(kind: Kind, fields: dict[int, Any]) -> Published:
    match fields:
        case {2: str(version), 3: bytes(digest), 4: int(first_day), **more} if set(more) == {1}:
            return Published(kind, version, digest, first_day)
    raise Malformed("published digest: a field is missing, unknown or of the wrong type")


_ROW: Final = (str, str, list, int, int)
_KEY: Final = (int, bytes, int, int)
_AUDIENCES: Final = {int(audience): audience for audience in Audience}


def _parse_row(row: object) -> FilingRow:
    if type(row) is list and tuple(map(type, row)) == _ROW:
        occupation, trade, grades, audience, first_day = row
        if audience in _AUDIENCES:
            return FilingRow(occupation, trade, tuple(map(_integer, grades)), _AUDIENCES[audience], first_day)
    raise Malformed("filing row: [occupation, trade, [grades], audience, first day]")


def _parse_key(key: object) -> FiledKey:
    if type(key) is list and tuple(map(type, key)) == _KEY:
        algorithm, public, first_day, last_day = key
        return FiledKey(public, first_day, last_day, algorithm)
    raise Malformed("filed key: [algorithm, public key, first day, last day]")


def _integer(value: object) -> int:
    if type(value) is not int:
        raise Malformed("filing row: a grade is an integer")
    return value

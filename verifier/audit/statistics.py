"""What the public log says in numbers, folded statement by statement beside the replay. Pure.

Bounded, however many certificates there are: by the days of the log's life, by the bodies with what each is filed
for, and by lists that keep only their extreme members. Days are those of Asia/Shanghai, log time unless it says
otherwise. A state is stored with the entries it covers (`size`), so a resumed audit goes on where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ledger.errors import Malformed
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.authority import Filing
from ledger.records.dates import batch_day
from ledger.records.issue import Issue
from ledger.records.kinds import Route
from ledger.records.statements import Statement

VERSION: Final = 1
KEPT_DAYS: Final = 400  # of each body's daily counts, besides the first FIRST_DAYS after its filing
FIRST_DAYS: Final = 120
MAX_LAG: Final = 61  # days; more than 60 only with a permit, counted together
_EXTREMES: Final = 5
_RUSHES: Final = 1_000
_CERTIFICATES: Final = (Issue, Appoint)
# Routes on which nobody sat this body's examination; 晋级 and 定级 are examinations too.
UNEXAMINED: Final = frozenset(map(int, (Route.DIRECT, Route.COMPETITION, Route.EXCEPTIONAL, Route.CONVERSION)))


class Daily(msgspec.Struct, array_like=True):
    """One day of the log."""

    statements: int = 0
    certificates: int = 0


class BodyDay(msgspec.Struct, array_like=True):
    """One day of one body."""

    certificates: int
    first: int  # index of its first certificate of the day
    last: int


class Body(msgspec.Struct):
    """One assessment body."""

    filed_day: int = 0
    name: str = ""
    certificates: int = 0
    cells: dict[str, int] = {}  # "occupation/grade" -> certificates
    days: dict[int, BodyDay] = {}
    lags: dict[int, int] = {}  # days between issue date and log time -> certificates
    routes: dict[int, int] = {}
    slowest: list[tuple[int, int]] = []  # (lag, index), the longest first


class Rush(msgspec.Struct, array_like=True):
    """Certificates of one track whose issue dates lie close together."""

    track: str  # hex
    certificates: int
    days: int
    first: int
    last: int


class Statistics(msgspec.Struct):
    """Everything counted so far."""

    version: int = VERSION
    size: int = 0  # entries covered, seals included
    seals: int = 0
    first_ms: int = 0
    last_ms: int = 0
    kinds: dict[int, int] = {}
    statuses: dict[int, int] = {}  # certificates by their status now
    days: dict[int, Daily] = {}
    lags: dict[int, int] = {}
    grades: dict[int, int] = {}
    bodies: dict[str, Body] = {}
    rushes: list[Rush] = []

    @property
    def certificates(self) -> int:
        return sum(self.grades.values())

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def parse_statistics(raw: bytes) -> Statistics:
    """Read what `encode` wrote. Raises Malformed for another version or form."""
    try:
        statistics = msgspec.json.decode(raw, type=Statistics)
    except msgspec.MsgspecError:
        raise Malformed("stored statistics of another form") from None
    if statistics.version != VERSION:
        raise Malformed("stored statistics of another version")
    return statistics


def fold_stretch(
    into: Statistics,
    statements: Sequence[Statement],
    time_ms: int,
    statuses: Mapping[int, int],
    issue_days: Mapping[bytes, list[tuple[int, int]]],
    rush: tuple[int, int],
) -> None:
    """Count one sealed stretch in place. It begins at entry `into.size`; its batch time is `time_ms`.

    `statuses`: how many certificates gained (or lost, negative) each status. `issue_days`: for each track that the
    stretch adds to, (issue day, index) of all its certificates after it. `rush` = (days, certificates) from which
    certificates of one track are listed.
    """
    day = batch_day(time_ms)
    daily = into.days.setdefault(day, Daily())
    daily.statements += len(statements)
    for kind, count in Counter([statement.kind for statement in statements]).items():
        into.kinds[int(kind)] = into.kinds.get(int(kind), 0) + count
    for index, statement in enumerate(statements, into.size):
        body = statement.body
        if isinstance(body, _CERTIFICATES):
            if not body.replaces:  # a reissue is no new certificate
                daily.certificates += 1
                _count_certificate(into, body, index, day)
        elif isinstance(body, Filing) and not body.is_payer:
            filed = into.bodies.setdefault(body.number, Body(day))
            filed.name = body.name
    into.size += len(statements) + 1
    into.seals += 1
    into.first_ms = into.first_ms or time_ms
    into.last_ms = time_ms
    for status, change in statuses.items():
        into.statuses[status] = into.statuses.get(status, 0) + change
    for track, placed in issue_days.items():
        _note_rush(into, track, placed, *rush)


def _count_certificate(into: Statistics, certificate: CertificateBody, index: int, day: int) -> None:
    grade = certificate.grade
    into.grades[grade] = into.grades.get(grade, 0) + 1
    body = into.bodies.get(certificate.filing_number)
    if body is None:
        body = into.bodies[certificate.filing_number] = Body(day)
    body.certificates += 1
    cell = f"{certificate.occupation}/{grade}"
    body.cells[cell] = body.cells.get(cell, 0) + 1
    found = body.days.get(day)
    if found is None:
        body.days[day] = BodyDay(1, index, index)
        _forget_days(body, day)
    else:
        found.certificates += 1
        found.last = index
    lag = day - certificate.issue_day
    lag = 0 if lag < 0 else MAX_LAG if lag > MAX_LAG else lag
    into.lags[lag] = into.lags.get(lag, 0) + 1
    body.lags[lag] = body.lags.get(lag, 0) + 1
    slowest = body.slowest
    if len(slowest) < _EXTREMES or lag > slowest[-1][0]:
        slowest.append((lag, index))
        slowest.sort(key=lambda one: (-one[0], one[1]))
        del slowest[_EXTREMES:]
    if isinstance(certificate, Issue):
        route = int(certificate.route)
        body.routes[route] = body.routes.get(route, 0) + 1


def _forget_days(body: Body, day: int) -> None:
    if len(body.days) > KEPT_DAYS + FIRST_DAYS:
        first, last = body.filed_day + FIRST_DAYS, day - KEPT_DAYS
        body.days = {at: one for at, one in body.days.items() if at <= first or at > last}


def _note_rush(into: Statistics, track: bytes, placed: list[tuple[int, int]], days: int, certificates: int) -> None:
    """The most certificates of one track within `days`; longer lists replace shorter ones of the same track."""
    if len(placed) < certificates:
        return
    placed = sorted(placed)
    best: list[tuple[int, int]] = []
    begin = 0
    for end in range(len(placed)):
        while placed[end][0] - placed[begin][0] > days:
            begin += 1
        if end + 1 - begin > len(best):
            best = placed[begin : end + 1]
    if len(best) < certificates:
        return
    name, indexes = track.hex(), sorted(index for _, index in best)
    span = best[-1][0] - best[0][0]
    rush = Rush(name, len(best), span, indexes[0], indexes[-1])
    into.rushes = [one for one in into.rushes if one.track != name]
    into.rushes.append(rush)
    if len(into.rushes) > _RUSHES:
        into.rushes.sort(key=lambda one: -one.certificates)
        del into.rushes[_RUSHES:]

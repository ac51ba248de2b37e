"""The numbers, against a recount by hand; bounded lists; the stored form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from ledger.errors import Malformed
from ledger.records.dates import MS_PER_DAY
from ledger.records.issue import Issue
from ledger.records.kinds import Kind, Route
from ledger.records.statements import Statement
from tests.support.builders import DAY, NUMBER, TIME, make_authority, make_body, octets
from verifier.audit.statistics import FIRST_DAYS, KEPT_DAYS, MAX_LAG, Statistics, fold_stretch, parse_statistics

RUSH = (30, 3)
AUTHORITY = make_authority()
BODY = make_body()


def fold(numbers: Statistics, statements: Sequence[Statement], day: int, **more: object) -> None:
    """A stretch logged at noon of `day`."""
    time = TIME + (day - DAY) * MS_PER_DAY
    placed = more.get("placed", {})
    fold_stretch(numbers, statements, time, more.get("statuses", {}), placed, RUSH)  # type: ignore[arg-type]


def issued(count: int, day: int, label: str, **changes: object) -> list[Statement]:
    return [BODY.certificate(f"{label}{n}", day=day, **changes).statement for n in range(count)]  # type: ignore[arg-type]


def test_numbers_are_those_of_a_recount() -> None:
    numbers = Statistics()
    fold(numbers, [AUTHORITY.sign(AUTHORITY.genesis), AUTHORITY.sign(BODY.filing)], DAY)
    stretches = {
        DAY: issued(3, DAY, "a"),
        DAY + 1: issued(2, DAY, "b", grade=3, route=Route.COMPETITION),
        DAY + 9: issued(4, DAY - 55, "c", grade=5),
    }
    for day, statements in stretches.items():
        fold(numbers, statements, day, statuses={1: len(statements)})
    fold(numbers, [], DAY + 10, statuses={1: -1, 3: 1})
    everything = [(day, s.body) for day, statements in stretches.items() for s in statements]
    assert numbers.size == 2 + 1 + 3 + 1 + 2 + 1 + 4 + 1 + 1 and numbers.seals == 5
    assert numbers.certificates == 9 and numbers.statuses == {1: 8, 3: 1}
    assert numbers.kinds == {Kind.GENESIS: 1, Kind.FILING: 1, Kind.ISSUE: 9}
    issues = [(day, body) for day, body in everything if isinstance(body, Issue)]
    assert numbers.grades == Counter(body.grade for _, body in issues)
    assert numbers.lags == Counter(min(day - body.issue_day, MAX_LAG) for day, body in issues)
    assert {day: one.certificates for day, one in numbers.days.items() if one.certificates} == {
        DAY: 3, DAY + 1: 2, DAY + 9: 4,
    }  # fmt: skip
    body = numbers.bodies[NUMBER]
    assert (body.filed_day, body.name, body.certificates) == (DAY, BODY.filing.name, 9)
    assert body.cells == {"6-18-01-01/4": 3, "6-18-01-01/3": 2, "6-18-01-01/5": 4}
    assert body.routes == {int(Route.EXAM): 7, int(Route.COMPETITION): 2}
    assert body.slowest == [*((MAX_LAG, 10 + n) for n in range(4)), (1, 7)]
    assert [(day, one.first, one.last) for day, one in body.days.items()] == [
        (DAY, 3, 5), (DAY + 1, 7, 8), (DAY + 9, 10, 13),
    ]  # fmt: skip


def test_a_reissue_is_no_new_certificate() -> None:
    numbers = Statistics()
    fold(numbers, issued(1, DAY, "new", replaces=octets("old")), DAY + 5)
    assert numbers.certificates == 0 and numbers.lags == {} and numbers.kinds == {Kind.REISSUE: 1}


def test_the_longest_lags_are_kept() -> None:
    numbers = Statistics()
    for n, lag in enumerate((3, 50, 7, 61, 9, 20, 400)):
        fold(numbers, issued(1, DAY - lag, f"l{n}"), DAY)
    assert numbers.bodies[NUMBER].slowest == [(61, 6), (61, 12), (50, 2), (20, 10), (9, 8)]


def test_days_of_a_body_are_bounded() -> None:
    numbers = Statistics()
    fold(numbers, [AUTHORITY.sign(BODY.filing)], DAY)
    one = issued(1, DAY, "x")
    for day in range(DAY, DAY + 900):
        fold(numbers, one, day)
    days = numbers.bodies[NUMBER].days
    assert len(days) <= KEPT_DAYS + FIRST_DAYS + 1
    assert {DAY, DAY + FIRST_DAYS, DAY + 899} <= days.keys() and DAY + FIRST_DAYS + 1 not in days
    assert numbers.certificates == 900


@pytest.mark.parametrize(
    ("days", "found"),
    [((0, 10, 29), (3, 29)), ((0, 10, 31), None), ((0, 100, 101, 102), (3, 2)), ((0, 1), None), ((5, 5, 5, 5), (4, 0))],
)
def test_certificates_of_one_track(days: tuple[int, ...], found: tuple[int, int] | None) -> None:
    numbers = Statistics()
    placed = {octets("t", 16): [(DAY + day, 100 + n) for n, day in enumerate(days)]}
    fold(numbers, issued(1, DAY, "x"), DAY, placed=placed)
    assert [(one.certificates, one.days) for one in numbers.rushes] == ([] if found is None else [found])
    fold(numbers, issued(1, DAY, "y"), DAY, placed=placed)
    assert len(numbers.rushes) == (found is not None)  # one line a track


def test_stored_form() -> None:
    numbers = Statistics()
    fold(numbers, [AUTHORITY.sign(BODY.filing), *issued(3, DAY, "a")], DAY, statuses={1: 3})
    assert parse_statistics(numbers.encode()) == numbers
    for raw in (b"", b"[]", numbers.encode().replace(b'"version":1', b'"version":2')):
        with pytest.raises(Malformed):
            parse_statistics(raw)

"""Each detector with a case that it speaks for, one where it is silent, and the edge of its threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.records.kinds import Route
from verifier.audit.alarms import Alarm, AlarmCode
from verifier.audit.config import Thresholds
from verifier.audit.detect import LIMITS, detect
from verifier.audit.statistics import Body, BodyDay, Daily, Rush, Statistics

DAY = 20_000
LIMIT = Thresholds()


def body(per_day: dict[int, int], **more: object) -> Body:
    days, at = {}, 100
    for day, count in per_day.items():
        days[day] = BodyDay(count, at, at + count - 1)
        at += count
    return Body(filed_day=DAY, certificates=sum(per_day.values()), days=days, **more)  # type: ignore[arg-type]


def found(numbers: Statistics, code: AlarmCode, limits: Thresholds = LIMIT) -> list[Alarm]:
    return [one for one in detect(numbers, limits) if one.code is code]


def of(**bodies: Body) -> Statistics:
    days = {day: Daily(0, 0) for one in bodies.values() for day in one.days}
    return Statistics(bodies=bodies, days=days)


def test_nothing_is_found_in_an_empty_log() -> None:
    assert detect(Statistics(), LIMIT) == []


@pytest.mark.parametrize(("count", "last_day", "speaks"), [(2_000, 89, True), (1_999, 89, False), (2_000, 90, False)])
def test_burst_after_filing(count: int, last_day: int, speaks: bool) -> None:
    numbers = of(F=body({DAY: 1_000, DAY + last_day: count - 1_000}))
    alarms = found(numbers, AlarmCode.BURST_AFTER_FILING)
    assert len(alarms) == speaks
    if speaks:
        assert alarms[0].subject == "F" and alarms[0].entries == (100, 2_099) and alarms[0].total == 2_000


@pytest.mark.parametrize(("peak", "days", "speaks"), [(501, 15, True), (500, 15, False), (501, 14, False)])
def test_daily_spike(peak: int, days: int, speaks: bool) -> None:
    per_day = {DAY + 200 + n: 100 for n in range(days - 1)} | {DAY + 300: peak}
    assert len(found(of(F=body(per_day)), AlarmCode.DAILY_SPIKE)) == speaks


def test_a_small_body_may_vary() -> None:
    per_day = {DAY + 200 + n: 2 for n in range(30)} | {DAY + 300: 150}
    assert found(of(F=body(per_day)), AlarmCode.DAILY_SPIKE) == []


@pytest.mark.parametrize(
    ("late", "all_", "speaks"), [(20, 100, True), (19, 95, False), (20, 101, False), (300, 1_000, True)]
)
def test_lag(late: int, all_: int, speaks: bool) -> None:
    one = body({DAY: all_}, lags={30: all_ - late, 31: late}, slowest=[(31, 7), (30, 8)])
    alarms = found(of(F=one), AlarmCode.LAG_OUTLIER)
    assert len(alarms) == speaks
    if speaks:
        assert alarms[0].entries == (7,) and alarms[0].total == late


@pytest.mark.parametrize(("count", "all_", "speaks"), [(100, 200, True), (99, 99, False), (100, 201, False)])
def test_route(count: int, all_: int, speaks: bool) -> None:
    routes = {int(Route.COMPETITION): count // 2, int(Route.DIRECT): count - count // 2, int(Route.EXAM): all_ - count}
    assert len(found(of(F=body({DAY: all_}, routes=routes)), AlarmCode.ROUTE_OUTLIER)) == speaks


def test_examined_routes_are_not_outliers() -> None:
    routes = {int(route): 500 for route in (Route.EXAM, Route.STEP_UP, Route.INITIAL)}
    assert found(of(F=body({DAY: 1_500}, routes=routes)), AlarmCode.ROUTE_OUTLIER) == []


def test_concentration() -> None:
    many = {f"F{n}": body({DAY + 500: 100}) for n in range(9)}
    assert found(of(**many), AlarmCode.CONCENTRATION) == []
    many["BIG"] = body({DAY + 500: 600})
    (one,) = found(of(**many), AlarmCode.CONCENTRATION)
    assert one.subject == "BIG" and "40%" in one.text.en
    assert found(of(**many), AlarmCode.CONCENTRATION, replace(LIMIT, concentration_share=41)) == []
    few = {name: many[name] for name in ("BIG", "F1", "F2", "F3")}
    assert found(of(**few), AlarmCode.CONCENTRATION) == []  # too few bodies to compare
    many["BIG"] = body({DAY: 600, DAY + 500: 100})  # long ago
    assert found(of(**many), AlarmCode.CONCENTRATION) == []


def test_one_track() -> None:
    numbers = Statistics(rushes=[Rush("ab", 3, 30, 5, 9), Rush("cd", 3, 31, 1, 2), Rush("ef", 2, 1, 3, 4)])
    (one,) = found(numbers, AlarmCode.TRACK_RUSH)
    assert one.subject == "ab" and one.entries == (5, 9) and one.total == 3
    assert len(found(numbers, AlarmCode.TRACK_RUSH, Thresholds(track_days=31, track_certificates=2))) == 3


def test_what_cannot_be_known_is_said() -> None:
    assert any("Pass rates cannot be known" in text.en for text in LIMITS)
    assert any("Tracks of different occupations cannot be linked" in text.en for text in LIMITS)

"""Windows and anniversaries, in pairs of days around each edge."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.records.dates import FIRST_DAY, LAST_DAY, format_day, parse_day
from verifier.eligibility.days import MonthEnd, Unit, add, elapsed, overlap, parse_day_or_month, window_last

CLAMP, NEXT = MonthEnd.CLAMP, MonthEnd.NEXT
DAYS = st.integers(parse_day("1950-01-01"), parse_day("2100-12-31"))


def test_a_month_stands_for_its_last_day() -> None:
    said = [format_day(parse_day_or_month(text)) for text in ("2024-02", "2025-02", "2026-11", "2026-11-29")]
    assert said == ["2024-02-29", "2025-02-28", "2026-11-30", "2026-11-29"]


@pytest.mark.parametrize(
    ("start", "count", "unit", "clamped", "moved"),
    [
        ("2023-03-10", 12, Unit.MONTHS, "2024-03-10", "2024-03-10"),
        ("2024-02-29", 12, Unit.MONTHS, "2025-02-28", "2025-03-01"),
        ("2024-02-29", 1, Unit.YEARS, "2025-02-28", "2025-03-01"),
        ("2024-02-29", 4, Unit.YEARS, "2028-02-29", "2028-02-29"),
        ("2023-02-28", 12, Unit.MONTHS, "2024-02-28", "2024-02-28"),
        ("2024-01-31", 1, Unit.MONTHS, "2024-02-29", "2024-03-01"),
        ("2023-01-31", 1, Unit.MONTHS, "2023-02-28", "2023-03-01"),
        ("2024-08-31", 1, Unit.MONTHS, "2024-09-30", "2024-10-01"),
        ("2024-12-31", 2, Unit.MONTHS, "2025-02-28", "2025-03-01"),
        ("2024-12-31", 1, Unit.DAYS, "2025-01-01", "2025-01-01"),
        ("2023-12-31", 12, Unit.MONTHS, "2024-12-31", "2024-12-31"),
        ("1900-02-28", 1, Unit.YEARS, "1901-02-28", "1901-02-28"),
        ("2099-12-31", 2, Unit.MONTHS, "2100-02-28", "2100-03-01"),  # 2100 is no leap year
    ],
)
def test_months_that_lack_the_day(start: str, count: int, unit: Unit, clamped: str, moved: str) -> None:
    assert format_day(add(parse_day(start), count, unit, CLAMP)) == clamped
    assert format_day(add(parse_day(start), count, unit, NEXT)) == moved


def test_a_window_with_and_without_its_last_day() -> None:
    first = parse_day("2023-03-10")
    assert format_day(window_last(first, 12, Unit.MONTHS, CLAMP, inclusive=True)) == "2024-03-10"
    assert format_day(window_last(first, 12, Unit.MONTHS, CLAMP, inclusive=False)) == "2024-03-09"
    assert window_last(first, 0, Unit.DAYS, CLAMP, inclusive=True) == first


@pytest.mark.parametrize(
    ("start", "day", "unit", "month_end", "day_after", "count"),
    [
        ("2023-05-01", "2025-04-30", Unit.YEARS, CLAMP, False, 1),
        ("2023-05-01", "2025-05-01", Unit.YEARS, CLAMP, False, 2),
        ("2023-05-01", "2025-05-01", Unit.YEARS, CLAMP, True, 1),
        ("2023-05-01", "2025-05-02", Unit.YEARS, CLAMP, True, 2),
        ("2004-02-29", "2005-02-28", Unit.YEARS, CLAMP, False, 1),
        ("2004-02-29", "2005-02-28", Unit.YEARS, NEXT, False, 0),
        ("2004-02-29", "2005-03-01", Unit.YEARS, NEXT, False, 1),
        ("2004-02-29", "2008-02-28", Unit.YEARS, CLAMP, False, 3),
        ("2004-02-29", "2008-02-29", Unit.YEARS, CLAMP, False, 4),
        ("2024-01-31", "2024-02-28", Unit.MONTHS, CLAMP, False, 0),
        ("2024-01-31", "2024-02-29", Unit.MONTHS, CLAMP, False, 1),
        ("2024-01-31", "2024-02-29", Unit.MONTHS, NEXT, False, 0),
        ("2024-12-31", "2025-01-01", Unit.DAYS, CLAMP, False, 1),
        ("2024-12-31", "2024-12-30", Unit.DAYS, CLAMP, False, -1),
        ("2024-12-31", "2024-12-31", Unit.YEARS, CLAMP, True, 0),
    ],
)
def test_whole_units(start: str, day: str, unit: Unit, month_end: MonthEnd, day_after: bool, count: int) -> None:
    assert elapsed(parse_day(start), parse_day(day), unit, month_end, day_after=day_after) == count


@given(DAYS, st.integers(0, 400), st.sampled_from(Unit), st.sampled_from(MonthEnd))
def test_the_day_of_a_unit_completes_it_and_the_day_before_does_not(
    start: int, count: int, unit: Unit, month_end: MonthEnd
) -> None:
    day = add(start, count, unit, month_end)
    assert elapsed(start, day, unit, month_end) == count
    if count:
        assert elapsed(start, day - 1, unit, month_end) == count - 1


@given(st.integers(FIRST_DAY, LAST_DAY), st.integers(0, 40_000), st.sampled_from(Unit), st.sampled_from(MonthEnd))
def test_nothing_leaves_the_calendar(start: int, count: int, unit: Unit, month_end: MonthEnd) -> None:
    assert FIRST_DAY <= start <= add(start, count, unit, month_end) <= LAST_DAY
    assert elapsed(start, LAST_DAY, unit, month_end) >= 0


@given(DAYS, st.integers(0, 800), DAYS)
def test_an_overlap_is_a_count_of_days(first: int, length: int, day: int) -> None:
    last = first + length
    month = {day + step for step in range(-31, 32)}
    date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    same = {d for d in month if (dt.date(1970, 1, 1) + dt.timedelta(days=d)).replace(day=1) == date.replace(day=1)}
    assert overlap(first, last, day) == len({d for d in same if first <= d <= last})
    assert overlap(first, None, day) == len({d for d in same if first <= d})

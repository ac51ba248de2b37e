"""Windows and anniversaries of civil dates, in day numbers (days since 1970-01-01). Pure and total.

Months have no fixed length, so every rule says how the day moves where the target month is too short: `clamp` takes the
last day of that month (29 February + 12 months = 28 February), `next` the first day after it (1 March).
"""

from __future__ import annotations

import calendar
from enum import StrEnum

from ledger.records.dates import FIRST_DAY, LAST_DAY, date_of, day_of, parse_day


class MonthEnd(StrEnum):
    """Where a date goes that the target month does not have."""

    CLAMP = "clamp"
    NEXT = "next"


class Unit(StrEnum):
    """What a window or an age is counted in."""

    DAYS = "days"
    MONTHS = "months"
    YEARS = "years"


def month_days(year: int, month: int) -> int:
    """28..31."""
    return calendar.monthrange(year, month)[1]


def parse_day_or_month(text: str) -> int:
    """The day `yyyy-mm-dd`, or the last day of the month `yyyy-mm`. Raises Malformed."""
    if len(text) != 7:
        return parse_day(text)
    first = date_of(parse_day(f"{text}-01"))
    return day_of(first.replace(day=month_days(first.year, first.month)))


def add(day: int, count: int, unit: Unit, month_end: MonthEnd) -> int:
    """`day` moved by `count` units, kept within 1900..2999."""
    if unit is Unit.DAYS:
        return min(max(day + count, FIRST_DAY), LAST_DAY)
    date = date_of(day)
    months = date.year * 12 + date.month - 1 + (count * 12 if unit is Unit.YEARS else count)
    year, month = divmod(months, 12)
    if year < 1900:
        return FIRST_DAY
    if year > 2999:
        return LAST_DAY
    last = month_days(year, month + 1)
    start = day_of(date.replace(year=year, month=month + 1, day=1))
    if date.day <= last:
        return start + date.day - 1
    return min(start + (last - 1 if month_end is MonthEnd.CLAMP else last), LAST_DAY)


def window_last(first: int, count: int, unit: Unit, month_end: MonthEnd, *, inclusive: bool) -> int:
    """The last day of a window of `count` units that is counted from `first`.

    `inclusive`: the day that bears the same number still counts (10 March + 12 months: 10 March); else the day before.
    """
    return add(first, count, unit, month_end) - (0 if inclusive else 1)


def elapsed(start: int, day: int, unit: Unit, month_end: MonthEnd, *, day_after: bool = False) -> int:
    """Whole units completed from `start` on `day`; -1 before `start`.

    A unit is complete on the day with the same number, or with `day_after` on the day after it (ages in some laws).
    """
    if day < start:
        return -1
    at = day - 1 if day_after else day
    if unit is Unit.DAYS:
        return max(at - start, 0)
    step = 12 if unit is Unit.YEARS else 1
    begun, now = date_of(start), date_of(max(at, start))
    count = ((now.year - begun.year) * 12 + now.month - begun.month) // step
    while count > 0 and add(start, count, unit, month_end) > at:
        count -= 1
    return count


def overlap(first: int, last: int | None, day: int) -> int:
    """How many days of the calendar month of `day` lie in first..last, both inclusive; `last` None: open."""
    date = date_of(day)
    start = day_of(date.replace(day=1))
    end = start + month_days(date.year, date.month) - 1
    return max(0, min(end, end if last is None else last) - max(start, first) + 1)

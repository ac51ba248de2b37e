"""Days. Every date in a record is an int: days since 1970-01-01, as civil dates of Asia/Shanghai.

Shanghai is taken as UTC+8 without summer time, which is exact for every instant after 1991-09-15
(the end of the last Chinese summer time); records older than that carry dates, never instants.
"""

from __future__ import annotations

import datetime as dt
import re

from ledger.errors import Malformed

MS_PER_DAY = 86_400_000
SHANGHAI_OFFSET_MS = 8 * 3_600_000
FIRST_DAY = -25_567  # 1900-01-01: no holder, filing or certificate is older
LAST_DAY = 376_199  # 2999-12-31

_EPOCH = dt.date(1970, 1, 1).toordinal()
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def day_of(date: dt.date) -> int:
    """The day number (days since 1970-01-01) of a civil date. Malformed outside 1900..2999."""
    return check_day(dt.date(date.year, date.month, date.day).toordinal() - _EPOCH)


def date_of(day: int) -> dt.date:
    """The civil date of a day number. Malformed outside 1900..2999."""
    return dt.date.fromordinal(check_day(day) + _EPOCH)


def check_day(day: int) -> int:
    """Return `day` when it is an int within 1900-01-01..2999-12-31; Malformed otherwise."""
    if type(day) is not int or not FIRST_DAY <= day <= LAST_DAY:
        raise Malformed("day number outside 1900-01-01..2999-12-31")
    return day


def format_day(day: int) -> str:
    """`2025-11-20`: the one spelling of a day in our texts (RFC 3339 full-date)."""
    return date_of(day).isoformat()


def parse_day(text: str) -> int:
    """The day number of exactly `yyyy-mm-dd` in ASCII digits. Malformed for any other spelling."""
    if len(text) > 10 or not _DAY.fullmatch(text):
        raise Malformed("date is not yyyy-mm-dd")
    try:
        date = dt.date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError:
        raise Malformed("no such day in the calendar")
    return day_of(date)


def batch_day(ms: int) -> int:
    """The calendar day in Asia/Shanghai (fixed UTC+8) of an instant in ms since 1970-01-01 UTC.

    This is the "batch date" that an issue date is compared with: 16:00:00.000 UTC starts the next day.
    """
    return check_day((ms + SHANGHAI_OFFSET_MS) // MS_PER_DAY)


def last_ms(day: int) -> int:
    """The last instant of a calendar day in Asia/Shanghai, ms since 1970-01-01 UTC."""
    return (day + 1) * MS_PER_DAY - SHANGHAI_OFFSET_MS - 1

"""Times as the export formats spell them."""

from __future__ import annotations

import datetime as dt

from ledger.records.dates import format_day


def format_instant(posix_s: int) -> str:
    """`YYYY-MM-DDThh:mm:ssZ` (XML Schema dateTimeStamp)."""
    return dt.datetime.fromtimestamp(posix_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_begins(day: int) -> str:
    """The first moment of a calendar day in Asia/Shanghai (days since 1970-01-01)."""
    return f"{format_day(day)}T00:00:00+08:00"


def day_ends(day: int) -> str:
    """The last second of a calendar day in Asia/Shanghai."""
    return f"{format_day(day)}T23:59:59+08:00"

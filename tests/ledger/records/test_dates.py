from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records import dates

DAYS = st.integers(dates.FIRST_DAY, dates.LAST_DAY)


@given(DAYS)
def test_a_day_has_one_text(day: int) -> None:
    text = dates.format_day(day)
    assert dates.parse_day(text) == day
    assert dates.day_of(dt.date.fromisoformat(text)) == day


def test_epoch_and_known_days() -> None:
    assert dates.parse_day("1970-01-01") == 0
    assert dates.parse_day("2025-11-20") == 20412
    assert dates.parse_day("2024-02-29") == 19782
    assert dates.format_day(dates.FIRST_DAY) == "1900-01-01"
    assert dates.format_day(dates.LAST_DAY) == "2999-12-31"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-1-2",
        "20251120",
        "2025-02-29",
        "2025-13-01",
        "0000-01-01",
        "1899-12-31",
        "3000-01-01",
        " 2025-11-20",
        "2025-11-20\n",
        "２025-11-20",
        "2025-W01-1",
        "2025-11-20T00:00",
        "٢٠٢٥-11-20",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        dates.parse_day(text)


def test_the_batch_day_is_the_day_in_shanghai() -> None:
    utc = dt.datetime(2025, 11, 20, 15, 59, 59, 999000, tzinfo=dt.UTC)
    ms = int(utc.timestamp()) * 1000 + 999
    assert dates.format_day(dates.batch_day(ms)) == "2025-11-20"
    assert dates.format_day(dates.batch_day(ms + 1)) == "2025-11-21"


@pytest.mark.parametrize("day", [dates.FIRST_DAY - 1, dates.LAST_DAY + 1, True, 1.0, 2**63])
def test_days_out_of_range_are_refused(day: int) -> None:
    with pytest.raises(Malformed):
        dates.date_of(day)

"""The filing in the documents and the sample roster fit each other: who follows the documents is not refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from demonstration.settings import FILING_EXAMPLE, filing_toml, issue_day
from issuer.examine import examine, open_roster
from issuer.roster.check import check_roster
from issuer.roster.terms import FilingTerms
from issuer.sample import SAMPLE_BODY, SAMPLE_FILING, write_sample_roster
from ledger.printing.fonts import load_fonts
from ledger.records.authority import Filing
from ledger.records.dates import day_of
from ledger.records.kinds import Audience
from ledger.reference_data import load_catalogue, load_ladder
from tests.support.filing_form import read_filing
from tests.support.issuer_desk import TODAY, set_up

ROWS = 200
EXAMPLE = read_filing(FILING_EXAMPLE.read_text("utf-8"))
FIRST, LAST = day_of(date(2025, 11, 1)), day_of(date(2028, 10, 31))


def roster(folder: Path, day: int) -> Path:
    """What the demo leaves of that day."""
    path = folder / "roster.xlsx"
    write_sample_roster(path, ROWS, issue_day=day, catalogue=load_catalogue())
    return path


@pytest.mark.parametrize("day", [FIRST, (FIRST + LAST) // 2, LAST])
def test_the_sample_roster_is_clean_under_the_example(day: int, tmp_path: Path) -> None:
    assert (EXAMPLE.number, EXAMPLE.name) == (SAMPLE_FILING, SAMPLE_BODY)
    assert (EXAMPLE.first_day, EXAMPLE.last_day) == (FIRST, LAST)
    sheet = open_roster(roster(tmp_path, day)).sheet
    report = check_roster(sheet, FilingTerms.of(EXAMPLE), load_ladder(), load_catalogue(), day)
    assert report.clean and report.problems == () and len(report.rows) == ROWS
    for row in report.rows:
        covered = (row.occupation.code, row.trade, row.grade.ordinal, Audience.PUBLIC, day)
        assert EXAMPLE.covers(*covered), "as the log asks before it takes the statement"


async def test_it_is_issued_under_it(tmp_path: Path) -> None:
    """By `issue`, with the keys of `keygen` in the example, as the guide says."""
    setting = set_up(tmp_path / "issuer", rows=EXAMPLE.rows, first_day=EXAMPLE.first_day, last_day=EXAMPLE.last_day)
    terms = setting.log.filing_terms
    keys = {"record_keys": terms.record_keys, "request_keys": terms.request_keys}
    assert terms == replace(EXAMPLE, **keys, latin_name="")
    path = roster(tmp_path, TODAY)
    examined = examine(open_roster(path), terms, setting.desk.settings, load_fonts(), TODAY)
    assert len(examined.orders) == ROWS and examined.report.clean
    outcome = await setting.issue(path)
    assert not outcome.declined and not outcome.problems() and len(outcome.state.certificates) == ROWS


def test_the_demo_files_what_the_documents_show() -> None:
    public = {"record_key": "ab" * 32, "request_key": "cd" * 32}
    filed = read_filing(filing_toml(public))
    assert isinstance(filed, Filing) and filed.first_day < issue_day() < filed.last_day
    assert [key.public.hex() for key in filed.record_keys + filed.request_keys] == list(public.values())
    moved = tuple(
        replace(row, first_day=filed.first_day if row.first_day == EXAMPLE.first_day else row.first_day)
        for row in EXAMPLE.rows
    )
    changed = {"first_day": filed.first_day, "last_day": filed.last_day, "rows": moved}
    keys = {"record_keys": filed.record_keys, "request_keys": filed.request_keys}
    assert filed == replace(EXAMPLE, **changed, **keys)

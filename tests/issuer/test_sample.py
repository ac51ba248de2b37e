from __future__ import annotations

from pathlib import Path

import pytest

from issuer.examine import open_roster
from issuer.roster.check import check_roster
from issuer.roster.forms import REPORTING_SHEET, column_title
from issuer.roster.terms import FilingTerms
from issuer.sample import REGION, SAMPLE_FILING, sample_lines, write_sample_roster
from ledger.errors import Malformed, Unavailable
from ledger.records.dates import parse_day
from ledger.reference_data import load_catalogue, load_ladder
from tests.support.fake_log import make_filing

CATALOGUE = load_catalogue()
ISSUED = parse_day("2025-11-20")
FILING = make_filing(bytes(32), bytes(31) + b"1", first_day=parse_day("2025-11-01"), last_day=parse_day("2028-10-31"))


def test_the_sample_is_clean_and_visibly_invented(tmp_path: Path) -> None:
    path = tmp_path / "sample.xlsx"
    write_sample_roster(path, issue_day=ISSUED, catalogue=CATALOGUE)
    sheet = open_roster(path).sheet
    assert list(sheet.header.titles) == [column_title(name) for name in REPORTING_SHEET]
    report = check_roster(sheet, FilingTerms.of(FILING), load_ladder(), CATALOGUE, ISSUED)
    assert report.clean and len(report.rows) == 200 and report.problems == ()
    assert all(row.document.number.startswith(REGION) for row in report.rows)
    assert all(row.occupation.confirmed for row in report.rows)
    assert {row.grade.ordinal for row in report.rows} == {2, 3, 4, 5}
    names = [row.name for row in report.rows]
    assert any("·" in name for name in names) and {len(name) for name in names} >= {2, 3, 4}
    assert all(set(name) & set("例样示虚拟") for name in names)


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for at, seed in enumerate((1, 1, 2)):
        path = tmp_path / f"{at}.xlsx"
        write_sample_roster(path, 5, SAMPLE_FILING, seed, issue_day=ISSUED, catalogue=CATALOGUE)
        made.append(path.read_bytes())
    assert made[0] == made[1] != made[2]


def test_people_and_numbers_never_repeat() -> None:
    lines = list(sample_lines(20_000, SAMPLE_FILING, 3, issue_day=ISSUED, catalogue=CATALOGUE))
    assert len({line[2] for line in lines}) == len({line[7] for line in lines}) == 20_000
    assert all(line[7].startswith(SAMPLE_FILING) for line in lines)


def test_arguments_out_of_range(tmp_path: Path) -> None:
    for rows, seed in ((0, 1), (100_001, 1), (1, 800), (1, -1)):
        with pytest.raises(Malformed):
            write_sample_roster(tmp_path / "x", rows, SAMPLE_FILING, seed, issue_day=ISSUED, catalogue=CATALOGUE)
    with pytest.raises(Unavailable):
        write_sample_roster(tmp_path / "no" / "x", 1, issue_day=ISSUED, catalogue=CATALOGUE)

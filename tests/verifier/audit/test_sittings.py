"""The sheet of sittings: every spelling that offices use, every wrong row named, nothing half believed."""

from __future__ import annotations

import datetime as dt
from io import BytesIO

import openpyxl
import pytest

from ledger.errors import Refused
from ledger.records.dates import parse_day
from ledger.reference_data import load_ladder
from verifier.audit import sittings
from verifier.audit.sittings import SHOWN_PROBLEMS, Sittings, SittingsRefused, parse_sittings

FILING, OTHER = "Y000051000001", "Y000051000002"
WORK = "6-18-01-01"
TITLES = ["备案号", "职业编码", "等级", "评价日期", "评价月份", "参加人数"]


def sheet(*rows: tuple[object, ...], titles: list[str] = TITLES) -> bytes:
    return "\n".join(",".join(map(str, row)) for row in (titles, *rows)).encode()


def read(*rows: tuple[object, ...]) -> Sittings:
    return parse_sittings(sheet(*rows), "sittings.csv", load_ladder())


def problems(*rows: tuple[object, ...]) -> list[tuple[int, str, str]]:
    with pytest.raises(SittingsRefused) as refused:
        read(*rows)
    return [(one.row, one.column, one.code) for one in refused.value.problems]


@pytest.mark.parametrize("day", ["2026-05-20", "2026/5/20", "2026.05.20", "2026年5月20日", "20260520"])
@pytest.mark.parametrize("grade", ["三级", "3", "三级/高级工"])
def test_a_day_and_a_grade_in_every_spelling(day: str, grade: str) -> None:
    (one,) = read((FILING, WORK, grade, day, "", 40)).rows
    assert (one.filing, one.occupation, one.grade, one.sat, one.row) == (FILING, WORK, 4, 40, 2)
    assert (one.first_day, one.last_day, one.period) == (parse_day("2026-05-20"), parse_day("2026-05-20"), "2026-05-20")


@pytest.mark.parametrize("month", ["2026-12", "2026/12", "2026年12月", "202612"])
def test_a_month_is_all_its_days(month: str) -> None:
    (one,) = read((FILING, WORK, 3, "", month, '"1,000"')).rows
    assert (one.first_day, one.last_day) == (parse_day("2026-12-01"), parse_day("2026-12-31"))
    assert (one.period, one.sat) == ("2026-12", 1_000)


def test_a_workbook_with_real_dates_and_english_titles() -> None:
    book = openpyxl.Workbook()
    page = book.active
    page.append(["Filing number", "Occupation", "Level", "Assessment date", "Assessment month", "Candidates sat"])
    page.append([FILING, WORK, 3, dt.datetime(2026, 5, 20), None, 40])
    page.append([FILING, WORK, 4, None, dt.datetime(2026, 2, 1), 41])
    raw = BytesIO()
    book.save(raw)
    one, two = sorted(parse_sittings(raw.getvalue(), "s.xlsx", load_ladder()).rows, key=lambda row: row.row)
    assert (one.period, one.grade, one.sat) == ("2026-05-20", 4, 40)
    assert (two.period, two.grade, two.sat) == ("2026-02", 3, 41)


def test_every_wrong_cell_is_named_and_nothing_is_taken() -> None:
    good = (FILING, WORK, 3, "2026-05-20", "", 40)
    assert problems(
        good,
        ("nowhere", WORK, 3, "2026-05-20", "", 40),
        (FILING, "车工", 3, "2026-05-20", "", 40),
        (FILING, WORK, "特级技师", "2026-05-20", "", 40),
        (FILING, WORK, 3, "2026-02-30", "", 40),
        (FILING, WORK, 3, "", "2026-13", 40),
        (FILING, WORK, 3, "2026-05-21", "", -1),
        (FILING, WORK, 3, "2026-05-21", "", 1_000_001),
        (FILING, WORK, 3, "", "", 40),
        (FILING, WORK, 3, "2026-05-20", "2026-05", 40),
        (FILING, WORK, 3, "2026115", "", "many"),
    ) == [
        (3, "备案号", "FILING_FORM"),
        (4, "职业编码", "OCCUPATION_FORM"),
        (5, "等级", "GRADE_FORM"),
        (6, "评价日期", "DAY_FORM"),
        (7, "评价月份", "MONTH_FORM"),
        (8, "参加人数", "SAT_FORM"),
        (9, "参加人数", "SAT_FORM"),
        (10, "评价日期", "PERIOD"),
        (11, "评价日期", "PERIOD"),
        (12, "参加人数", "SAT_FORM"),
        (12, "评价日期", "DAY_FORM"),
    ]


def test_two_sittings_that_overlap_are_one_too_many() -> None:
    rows = (FILING, WORK, 3, "2026-05-20", "", 40), (FILING, WORK, 3, "", "2026-05", 40)
    assert problems(*rows) == [(2, "评价日期", "SITTING_TWICE")]
    assert problems(rows[0], rows[0]) == [(3, "评价日期", "SITTING_TWICE")]
    assert len(read(rows[0], (FILING, WORK, 4, "", "2026-05", 40)).rows) == 2


def test_only_so_many_problems_are_told_and_the_rest_counted() -> None:
    with pytest.raises(SittingsRefused, match="and 5 more"):
        read(*((f"x{n}", WORK, 3, "2026-05-20", "", 4) for n in range(SHOWN_PROBLEMS + 5)))


def test_what_is_no_such_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="HEADER_NOT_FOUND"):
        parse_sittings(b"a,b\n1,2\n", "s.csv", load_ladder())
    with pytest.raises(SittingsRefused, match="required column"):
        parse_sittings(sheet(titles=TITLES[:5]), "s.csv", load_ladder())
    with pytest.raises(SittingsRefused, match="no rows"):
        read()
    monkeypatch.setattr(sittings, "MAX_SITTINGS", 1)
    with pytest.raises(Refused, match="TOO_MANY_ROWS"):
        read((FILING, WORK, 3, "2026-05-20", "", 4), (FILING, WORK, 3, "2026-05-21", "", 4))
    monkeypatch.setattr(sittings, "MAX_SHEET", 10)
    with pytest.raises(Refused, match="FILE_TOO_LARGE"):
        read((FILING, WORK, 3, "2026-05-20", "", 4))


def test_a_certificate_finds_its_sitting() -> None:
    found = read(
        (FILING, WORK, 3, "2026-05-20", "", 1),
        (FILING, WORK, 3, "", "2026-07", 2),
        (FILING, WORK, 4, "2026-06-01", "", 3),
    )

    def sat(day: str, grade: int = 4, filing: str = FILING, work: str = WORK) -> int | None:
        at = found.find(filing, work, grade, parse_day(day))
        return at if at is None or at < 0 else found.rows[at].sat

    assert [sat(day) for day in ("2026-05-20", "2026-07-01", "2026-07-31")] == [1, 2, 2]
    assert [sat(day) for day in ("2026-05-21", "2026-06-30")] == [-1, -1]
    assert [sat(day) for day in ("2026-05-19", "2026-08-01")] == [None, None]
    assert sat("2026-06-01", grade=3) == 3 and sat("2026-06-01", grade=5) == -1
    assert sat("2026-06-01", work="6-18-01-02") == -1 and sat("2026-06-01", filing=OTHER) is None

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuer.examine import open_roster
from issuer.roster.check import MAX_PROBLEMS, RosterReport, check_roster
from issuer.roster.forms import REPORTING_SHEET, ROSTER, column_title
from issuer.roster.report import render_report, write_fix_sheet
from issuer.roster.terms import FilingTerms
from issuer.sample import SAMPLE_FILING, sample_lines
from ledger.errors import Malformed
from ledger.progress import display_width
from ledger.records.authority import FilingRow
from ledger.records.dates import parse_day
from ledger.records.documents import check_digit
from ledger.records.kinds import Audience, Route
from ledger.records.status import MAX_LAG_DAYS
from ledger.reference_data import load_catalogue, load_ladder
from ledger.sheets.columns import find_header
from ledger.sheets.inert import inert
from ledger.sheets.sheet import Cell, Odd, Sheet, SheetRow
from tests.support.fake_log import make_filing

TODAY = parse_day("2025-11-25")
ISSUED = parse_day("2025-11-20")
LADDER, CATALOGUE = load_ladder(), load_catalogue()
TERMS = FilingTerms.of(
    make_filing(bytes(32), bytes(31) + b"1", first_day=parse_day("2025-11-01"), last_day=parse_day("2028-10-31"))
)
EXTRA = ("assessment_date", "occupation_code", "country", "route", "photo", "theory_score")
FIELDS = (*REPORTING_SHEET, *EXTRA)


def sheet_of(*lines: dict[str, Cell], fields: tuple[str, ...] = FIELDS) -> Sheet:
    header = find_header([(1, [column_title(name) for name in fields])], ROSTER)
    assert header is not None
    rows = tuple(SheetRow(at, tuple(line.get(name, "") for name in fields)) for at, line in enumerate(lines, 2))
    return Sheet("xlsx", "Sheet1", "xlsx", "", header, rows)


def line(at: int = 0, **changes: Cell) -> dict[str, Cell]:
    """A clean row; different `at` are different people with different certificates."""
    first17 = f"00000019900101{at:03d}"
    good: dict[str, Cell] = {
        "name": "例安",
        "document_type": "居民身份证",
        "document_number": first17 + check_digit(first17),
        "employer": "示例公司",
        "occupation": "车工",
        "trade": "数控车工",
        "grade": "三级/高级工",
        "number": f"{SAMPLE_FILING}253{at + 1:06d}",
        "issue_date": "2025-11-20",
        "assessment_date": "2025-11-10",
    }
    return {**good, **changes}


def check(*lines: dict[str, Cell], **changes: Any) -> RosterReport:
    terms = changes.pop("terms", TERMS)
    return check_roster(sheet_of(*lines), terms, LADDER, CATALOGUE, changes.pop("today", TODAY), **changes)


def found(report: RosterReport, severity: str = "error") -> list[tuple[int, str, str]]:
    return [(p.row, p.column, p.code) for p in report.problems if p.severity == severity]


def test_a_clean_row_becomes_a_certificate_to_be() -> None:
    report = check(line(employer=" 其他 ", route="晋级", photo="a.jpg", theory_score="88"))
    assert report.clean and report.problems == ()
    row = report.rows[0]
    assert (row.row, row.name, row.employer, row.trade) == (2, "例安", "其他", "数控车工")
    assert (row.occupation.code, row.grade.ordinal, row.number.sequence) == ("6-18-01-01", 4, 1)
    assert (row.issue_day, row.assessment_day) == (ISSUED, parse_day("2025-11-10"))
    assert (row.route, row.audience, row.photo) == (Route.STEP_UP, Audience.PUBLIC, "a.jpg")
    assert row.scores == (("理论成绩", "88"),)


@pytest.mark.parametrize(
    "issued",
    [
        "2025-11-20",
        "2025/11/20",
        "2025.11.20",
        "2025年11月20日",
        "20251120",
        "２０２５-11-20",
        "2025-11-20 00:00:00",
        45981.0,
        "'2025-11-20",
    ],
)
def test_dates_as_people_write_them(issued: Cell) -> None:
    report = check(line(issue_date=issued))
    assert [row.issue_day for row in report.rows] == [ISSUED]


def test_serial_dates_of_old_mac_workbooks() -> None:
    sheet = dataclasses.replace(sheet_of(line(issue_date=44519.0)), date1904=True)
    assert check_roster(sheet, TERMS, LADDER, CATALOGUE, TODAY).rows[0].issue_day == ISSUED


ERRORS = [
    ({"name": ""}, "姓名", "NAME_MISSING"),
    ({"name": "例\u202e安"}, "姓名", "NAME_CHARACTER"),
    ({"document_number": "000000199001010019"}, "证件号码", "DOCUMENT_CHECK_DIGIT"),
    ({"document_number": 1.9900101001e14}, "证件号码", "DOCUMENT_NUMERIC"),
    ({"document_type": "会员卡"}, "证件类型", "DOCUMENT_TYPE"),
    ({"country": "USSR"}, "国籍", "COUNTRY_FORM"),
    ({"employer": "公\u200b司"}, "所在单位", "TEXT_INVALID"),
    ({"employer": "长" * 101}, "所在单位", "TEXT_INVALID"),
    ({"occupation": ""}, "职业名称", "OCCUPATION_MISSING"),
    ({"occupation": "焊接工"}, "职业名称", "OCCUPATION_UNKNOWN"),
    ({"occupation_code": "6-18-02-04"}, "职业名称", "OCCUPATION_CODE_MISMATCH"),
    ({"occupation": "6-18-02-04 车工"}, "职业名称", "OCCUPATION_CODE_MISMATCH"),
    ({"occupation": "电工", "trade": ""}, "职业名称", "OCCUPATION_NOT_FILED"),
    ({"grade": "9"}, "职业技能等级", "GRADE_UNKNOWN"),
    ({"grade": "特级技师", "number": f"{SAMPLE_FILING}25T000001"}, "职业技能等级", "GRADE_NOT_ISSUABLE"),
    ({"grade": "1", "number": f"{SAMPLE_FILING}251000001"}, "职业技能等级", "GRADE_NOT_FILED"),
    ({"grade": "4"}, "证书编号", "NUMBER_GRADE"),
    ({"number": "Y000051001064253000001"}, "证书编号", "NUMBER_FILING_MISMATCH"),
    ({"number": f"{SAMPLE_FILING}243000001"}, "证书编号", "NUMBER_YEAR"),
    ({"number": f"{SAMPLE_FILING}25300001"}, "证书编号", "NUMBER_LENGTH"),
    ({"number": 1951010001300012.0}, "证书编号", "NUMBER_NUMERIC"),
    ({"number": ""}, "证书编号", "NUMBER_EMPTY"),
    ({"issue_date": ""}, "发证日期", "DATE_MISSING"),
    ({"issue_date": "2025-02-29"}, "发证日期", "DATE_FORM"),
    ({"issue_date": "25-11-20"}, "发证日期", "DATE_FORM"),
    ({"issue_date": 20251120.5}, "发证日期", "DATE_FORM"),
    ({"issue_date": "2025-11-26"}, "发证日期", "ISSUE_IN_FUTURE"),
    ({"trade": "数控\u200b车工"}, "工种名称", "TRADE_FORM"),
    ({"trade": "数控\u202e车工"}, "工种名称", "TRADE_FORM"),
    ({"trade": "数控车工\ue000"}, "工种名称", "TRADE_FORM"),
    ({"trade": Odd("formula", "x")}, "工种名称", "CELL_FORMULA"),
    ({"issue_date": "2025-10-31", "assessment_date": ""}, "发证日期", "FILING_NOT_STARTED"),
    ({"assessment_date": "2025-11-21"}, "评价日期", "ASSESSMENT_AFTER_ISSUE"),
    ({"route": "猜的"}, "认定分类", "ROUTE_UNKNOWN"),
    ({"name": Odd("formula", "x")}, "姓名", "CELL_FORMULA"),
    ({"occupation": Odd("merged", "车工")}, "职业名称", "CELL_MERGED"),
    ({"issue_date": Odd("error", "")}, "发证日期", "CELL_ERROR"),
    ({"assessment_date": Odd("formula", "x")}, "评价日期", "CELL_FORMULA"),
]


@pytest.mark.parametrize(
    ("changes", "column", "code"), ERRORS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_error_has_its_place_and_code(changes: dict[str, Cell], column: str, code: str) -> None:
    report = check(line(7), line(**changes))
    assert (3, column, code) in found(report)
    assert [row.row for row in report.rows] == [2] and report.error_rows == {3} and not report.clean


def test_all_problems_of_all_rows_come_at_once() -> None:
    bad = line(
        name="", document_number="1", occupation="x", grade="x", number="x", issue_date="x", employer=Odd("error", "")
    )
    report = check(bad, line(1), bad)
    per_row = [row for row, _, _ in found(report)]
    assert per_row.count(2) == per_row.count(4) == 7 and 3 not in per_row


def test_repeats_in_the_file_mark_every_row_concerned() -> None:
    same_number = [line(1), line(2, number=line(1)["number"]), line(3, number=line(1)["number"])]
    assert found(check(*same_number)) == [(row, "证书编号", "NUMBER_REPEATED") for row in (2, 3, 4)]
    again = [line(1), line(1, number=f"{SAMPLE_FILING}253000009")]
    assert found(check(*again)) == [(row, "证件号码", "CERTIFICATE_REPEATED") for row in (2, 3)]
    other_name = [line(1), line(1, name="样安", grade="4", number=f"{SAMPLE_FILING}254000009")]
    assert found(check(*other_name)) == [(3, "姓名", "PERSON_TWO_NAMES")]
    unlike = [line(1), line(1, trade="数控\u200b车工", number=f"{SAMPLE_FILING}253000009")]
    assert found(check(*unlike)) == [(3, "工种名称", "TRADE_FORM")], "what cannot be read repeats nothing"
    two_grades = [line(1), line(1, grade="4", number=f"{SAMPLE_FILING}254000009")]
    assert check(*two_grades).clean


def test_another_trade_is_another_certificate_as_on_the_log() -> None:
    def number(at: int) -> str:
        return f"{SAMPLE_FILING}25300009{at}"

    report = check(line(1, trade=""), line(1, number=number(1)), line(1, trade="普通车工", number=number(2)))
    assert report.clean and [row.trade for row in report.rows] == ["", "数控车工", "普通车工"]
    for one, other in (("e\u0301", "é"), ("数控  车工", " 数控 车工 "), ("数控\u3000车工", "数控 车工"), ("无", "--")):
        again = check(line(1, trade=one), line(1, trade=other, number=number(1)))
        assert {code for _, _, code in found(again)} == {"CERTIFICATE_REPEATED"}


@pytest.mark.parametrize(
    ("written", "signed"),
    [(" 数控车工\u00a0", "数控车工"), ("数控  车工", "数控 车工"), ("e\u0301车", "é车"), ("--", ""), ("'车", "车")],
)
def test_a_trade_is_signed_in_one_spelling(written: str, signed: str) -> None:
    assert [row.trade for row in check(line(trade=written)).rows] == [signed]


def test_a_late_permit_is_for_what_is_late() -> None:
    late = check_roster(sheet_of(line()), TERMS, LADDER, CATALOGUE, TODAY, late=True)
    assert "ISSUE_NOT_LATE" in {problem.code for problem in late.problems} and not late.rows


def test_an_old_issue_date_is_refused_here_because_the_log_would() -> None:
    assert check(line(), today=ISSUED + MAX_LAG_DAYS).clean
    late = check(line(), today=ISSUED + MAX_LAG_DAYS + 1)
    assert found(late) == [(2, "发证日期", "ISSUE_LATE")] and not late.rows
    assert "late-permit" in late.problems[0].text.en and "补录许可" in late.problems[0].text.zh


def test_old_and_new_form_of_an_id_are_one_person() -> None:
    number = str(line(1)["document_number"])
    report = check(line(1), line(5, document_number=number[:6] + number[8:17]))
    assert "CERTIFICATE_REPEATED" in {code for _, _, code in found(report)}


def test_numbers_on_the_log_are_refused() -> None:
    taken = {str(line(1)["number"])}
    report = check(line(1), line(2), on_log=taken.__contains__)
    assert found(report) == [(2, "证书编号", "NUMBER_ON_LOG")] and [row.row for row in report.rows] == [3]


def test_filing_rows_by_trade_day_and_audience() -> None:
    def terms(*rows: FilingRow) -> FilingTerms:
        return dataclasses.replace(TERMS, rows=rows)

    lathe = FilingRow("6-18-01-01", "数控车工", (4,), Audience.OWN_STAFF, TERMS.window[0])
    assert check(line(), terms=terms(lathe)).rows[0].audience == Audience.OWN_STAFF
    assert found(check(line(trade="普通车工"), terms=terms(lathe))) == [(2, "职业技能等级", "GRADE_NOT_FILED")]
    later = dataclasses.replace(lathe, first_day=ISSUED + 1)
    assert found(check(line(), terms=terms(later))) == [(2, "发证日期", "ROW_NOT_STARTED")]
    both = check(line(), terms=terms(lathe, dataclasses.replace(lathe, audience=Audience.PUBLIC)))
    assert both.clean and found(both, "note") == [(2, "职业名称", "AUDIENCE_ASSUMED")]
    with pytest.raises(Malformed):
        terms()


def test_warnings_do_not_stop_a_row() -> None:
    report = check(line(assessor="别的机构", trade="立车工", document_type="201", name="例 安"))
    assert report.clean
    assert {code for _, _, code in found(report, "warning")} == {"BODY_NAME_DIFFERS", "TRADE_UNKNOWN"}
    assert {code for _, _, code in found(report, "note")} == {"DOCUMENT_TYPE_UNCONFIRMED", "NAME_SPACES_REMOVED"}


def test_without_an_assessment_column_the_issue_date_counts_and_is_noted() -> None:
    report = check_roster(sheet_of(line(), fields=REPORTING_SHEET), TERMS, LADDER, CATALOGUE, TODAY)
    assert report.rows[0].assessment_day == ISSUED
    assert [problem.code for problem in report.notes] == ["ASSESSMENT_ASSUMED"]


def test_no_rows_and_no_columns_are_said_clearly() -> None:
    assert [problem.code for problem in check().notes] == ["ROSTER_EMPTY"] and not check().clean
    missing = check_roster(sheet_of(line(), fields=("name", "grade", "issue_date")), TERMS, LADDER, CATALOGUE, TODAY)
    assert not missing.clean and missing.rows == ()
    assert ("error", "COLUMN_MISSING") in missing.totals


def test_ten_thousand_problems_are_listed_and_all_are_counted() -> None:
    report = check(*(line(at % 900, name="") for at in range(MAX_PROBLEMS + 50)))
    assert len(report.problems) + len(report.notes) == MAX_PROBLEMS
    assert report.totals["error", "NAME_MISSING"] == MAX_PROBLEMS + 50
    assert len(report.error_rows) == MAX_PROBLEMS + 50
    assert "未列出" in render_report(report, lang="zh")


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(FIELDS), st.text(max_size=30) | st.floats() | st.booleans() | st.dates(), max_size=6
    )
)
def test_no_cell_breaks_it(changes: dict[str, Cell]) -> None:
    report = check(line(**changes))
    assert len(report.rows) + len(report.error_rows) == report.row_count == 1


def test_the_table_lines_up_and_speaks_both_languages() -> None:
    report = check(line(name="例\u202e安"), line(1, grade="x"))
    text = render_report(report)
    assert "NAME" not in text and "not a skill grade" in text and "不是技能等级" in text and "\u202e" not in text
    heads = render_report(report, lang="zh").splitlines()
    places = {
        display_width(row[: row.index(word)]) for row, word in zip(heads, ("问题", "姓名第", "不是技能"), strict=False)
    }
    assert len(places) == 1
    assert "Grade" not in render_report(report, lang="en").splitlines()[-1]


def test_the_fix_sheet_has_only_the_bad_rows_is_inert_and_can_be_read_again(tmp_path: Path) -> None:
    sheet = sheet_of(line(1), line(2, employer="=HYPERLINK(1)", grade="x"), line(3, name=Odd("formula", "+1")))
    report = check_roster(sheet, TERMS, LADDER, CATALOGUE, TODAY)
    path = tmp_path / "fix.xlsx"
    assert write_fix_sheet(path, sheet, report.problems) == 2
    page = openpyxl.load_workbook(path).active
    cells = [cell for row in page.iter_rows() for cell in row if cell.value is not None]
    assert all(cell.data_type == "s" and not cell.value.startswith(tuple("=+-@")) for cell in cells)
    again = open_roster(path).sheet
    assert [row.cells[0] for row in again.rows] == ["例安", "'+1"]
    retry = check_roster(again, TERMS, LADDER, CATALOGUE, TODAY)
    assert (2, "职业技能等级", "GRADE_UNKNOWN") in found(retry)
    for text in ("=1", "+1", "-1", "@x", "\tx", "\n=1"):
        assert inert(text).startswith("'")
    assert inert("a\x00\x07b") == "ab"


def test_a_large_roster_is_checked_whole() -> None:
    titles = [column_title(name) for name in REPORTING_SHEET]
    header = find_header([(1, titles)], ROSTER)
    assert header is not None
    lines = sample_lines(3_000, SAMPLE_FILING, 1, issue_day=ISSUED, catalogue=CATALOGUE)
    rows = tuple(SheetRow(at, tuple(texts)) for at, texts in enumerate(lines, 2))
    report = check_roster(Sheet("csv", "", "UTF-8", ",", header, rows), TERMS, LADDER, CATALOGUE, TODAY)
    assert report.clean and len(report.rows) == 3_000

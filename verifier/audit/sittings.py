"""The sheet of sittings: how many candidates sat each examination, as the authority or the body has it. Pure.

The log holds nobody who failed, so a rate needs this from elsewhere. One row for each sitting (xlsx or CSV):

    备案号         filing            the body's filing number
    职业编码       occupation        d-dd-dd-dd
    等级           grade             5 … 1, 三级, 三级/高级工: a certified grade
    评价日期       assessment date   one day, or instead
    评价月份       assessment month  a whole month, which in workbooks may be any date in it
    参加人数       sat               candidates who sat, 0 … 1,000,000

It is believed as given and proves nothing about the log. A sheet with a wrong row is refused as a whole, with every
wrong row named: rates out of half a sheet would be wrong without anybody seeing it.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ledger.errors import CertLedgerError, Refused
from ledger.records.dates import day_of, format_day
from ledger.records.grades import Ladder, parse_grade
from ledger.records.number import check_filing_number
from ledger.records.occupations import check_code
from ledger.sheets.form import Form
from ledger.sheets.problem import ERROR, Problem
from ledger.sheets.read import read_sheet_bytes
from ledger.sheets.sheet import Cell, Odd, SheetRow, shown
from ledger.text import Text

T = TypeVar("T")
MAX_SHEET: Final = 16 * 1024 * 1024  # bytes
MAX_SITTINGS: Final = 20_000
MAX_SAT: Final = 1_000_000
SHOWN_PROBLEMS: Final = 20
FORM: Final = Form(
    "sittings",
    {
        "filing": ("备案号", "机构备案号", "备案编号", "filing", "filingnumber", "filing_number"),
        "occupation": ("职业编码", "职业代码", "occupation", "occupationcode", "occupation_code"),
        "grade": ("等级", "技能等级", "职业技能等级", "级别", "grade", "level"),
        "day": ("评价日期", "考核日期", "考试日期", "date", "assessmentdate", "assessment_date"),
        "month": ("评价月份", "考核月份", "考试月份", "month", "assessmentmonth", "assessment_month"),
        "sat": ("参加人数", "实考人数", "参考人数", "参评人数", "sat", "candidates", "candidatessat", "candidates_sat"),
    },
    required=("filing", "occupation", "grade", "sat"),
    listed=("filing", "occupation", "grade", "sat"),
    least=3,
)  # fmt: skip
_N: Final = "([0-9]{1,2})"
_DAY: Final = re.compile(rf"([0-9]{{4}})(?:[-/.]{_N}[-/.]{_N}|年{_N}月{_N}日|([0-9]{{2}})([0-9]{{2}}))")
_MONTH: Final = re.compile(rf"([0-9]{{4}})(?:[-/.]{_N}|年{_N}月|([0-9]{{2}}))")
_COUNT: Final = re.compile(r"[0-9]{1,7}")
_TWICE: Final = Text("与第 {row} 行的评价时间重叠，请合并为一行", "overlaps the sitting in row {row}: make it one row")
_PERIOD: Final = Text("评价日期和评价月份须填且只填一个", "give an assessment date or a month, and not both")
_WORDS: Final[Mapping[str, Text]] = {
    "filing": Text("不是备案号", "not a filing number"),
    "occupation": Text("不是职业编码（如 6-18-01-01）", "not an occupation code like 6-18-01-01"),
    "grade": Text("不是可发证的等级（五级至一级）", "not a grade that is certified, 5 to 1"),
    "day": Text("不是日期，请写成 2026-05-20", "not a date: write 2026-05-20"),
    "month": Text("不是月份，请写成 2026-05", "not a month: write 2026-05"),
    "sat": Text("不是 0 至 1000000 的人数", "not a number of people, 0 to 1,000,000"),
}


@dataclass(frozen=True, slots=True)
class Sitting:
    """One row: candidates of one body, occupation and grade, assessed on first_day <= day <= last_day."""

    row: int
    filing: str
    occupation: str
    grade: int  # ordinal 2..6
    first_day: int
    last_day: int
    sat: int

    @property
    def period(self) -> str:
        """2026-05-20, or 2026-05 for a month."""
        return format_day(self.first_day)[: 10 if self.first_day == self.last_day else 7]


class SittingsRefused(Refused):
    """A sheet with wrong rows; `problems` are all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [(f"{one.row}", one.column, one.value, one.text) for one in problems[:SHOWN_PROBLEMS]]
        rest = len(problems) - len(lines)
        zh = [f"第 {row} 行 {column}“{value}”：{text.zh}" for row, column, value, text in lines]
        en = [f"row {row}, {column} “{value}”: {text.en}" for row, column, value, text in lines]
        if rest:
            zh.append(f"另有 {rest} 处")
            en.append(f"and {rest} more")
        super().__init__(
            "SITTINGS", "sittings", Text("考试人数表有误：" + "；".join(zh), "the sheet of sittings: " + "; ".join(en))
        )


class Sittings:
    """All sittings of a sheet, found by what a certificate says. Raises SittingsRefused for two that overlap."""

    def __init__(self, rows: Sequence[Sitting], name: str = "") -> None:
        self.name = name
        self.rows = tuple(sorted(rows, key=lambda one: (one.filing, one.occupation, one.grade, one.first_day)))
        self._cells: dict[tuple[str, str, int], list[int]] = {}  # places in `rows`, rising by day
        self._spans: dict[str, tuple[int, int]] = {}  # of each body: first and last day that the sheet speaks of
        problems = []
        for at, one in enumerate(self.rows):
            places = self._cells.setdefault((one.filing, one.occupation, one.grade), [])
            if places and self.rows[places[-1]].last_day >= one.first_day:
                text = _TWICE.format(row=self.rows[places[-1]].row)
                problems.append(Problem(one.row, FORM.title("day"), one.period, "SITTING_TWICE", text))
            places.append(at)
            first, last = self._spans.get(one.filing, (one.first_day, one.last_day))
            self._spans[one.filing] = min(first, one.first_day), max(last, one.last_day)
        if problems:
            raise SittingsRefused(problems)

    def find(self, filing: str, occupation: str, grade: int, day: int) -> int | None:
        """The place in `rows` of the sitting of a certificate assessed on `day`. -1 when the sheet has others of this
        body before and after, but not this one; None when it says nothing about the body at that time."""
        places = self._cells.get((filing, occupation, grade), ())
        at = bisect_right(places, day, key=lambda place: self.rows[place].first_day) - 1
        if at >= 0 and day <= self.rows[places[at]].last_day:
            return places[at]
        span = self._spans.get(filing)
        return -1 if span is not None and span[0] <= day <= span[1] else None


def parse_sittings(raw: bytes, name: str, ladder: Ladder) -> Sittings:
    """Read a sheet. Raises SittingsRefused with every wrong row, and Refused for what is no such sheet or too large."""
    if len(raw) > MAX_SHEET:
        raise Refused("FILE_TOO_LARGE", "sittings", Text("文件超过 16 MB", "the file is over 16 MB"))
    sheet = read_sheet_bytes(raw, name, FORM)
    problems = [problem for problem in sheet.header.problems if problem.severity == ERROR]
    if len(sheet.rows) > MAX_SITTINGS:
        text = Text(f"超过 {MAX_SITTINGS} 行，请拆分", f"over {MAX_SITTINGS} rows: split the sheet")
        raise Refused("TOO_MANY_ROWS", "sittings", text)
    if not problems and not sheet.rows:
        problems.append(Problem(0, "", "", "SHEET_EMPTY", Text("表头下面没有数据行", "no rows under the header")))
    if problems:
        raise SittingsRefused(problems)
    found = [_read(row, sheet.header.places, ladder, problems) for row in sheet.rows]
    if problems:
        raise SittingsRefused(problems)
    return Sittings([one for one in found if one is not None], name)


def _read(row: SheetRow, places: Mapping[str, int], ladder: Ladder, problems: list[Problem]) -> Sitting | None:
    cells = {field: row.cell(at) for field, at in places.items()}

    def take(field: str, read: Callable[[Cell], T]) -> T | None:
        cell = cells.get(field, "")
        try:
            if isinstance(cell, Odd):
                raise ValueError("a cell whose value must not be used")
            return read(cell)
        except (CertLedgerError, ValueError):
            text = _WORDS[field]
            problems.append(Problem(row.number, FORM.title(field), shown(cell), f"{field.upper()}_FORM", text))
            return None

    filing = take("filing", lambda cell: check_filing_number(_text(cell).upper()))
    occupation = take("occupation", lambda cell: check_code(_text(cell)))
    grade = take("grade", lambda cell: _grade(cell, ladder))
    sat = take("sat", _sat)
    given = [field for field in ("day", "month") if _text(cells.get(field, ""))]
    if len(given) != 1:
        problems.append(Problem(row.number, FORM.title("day"), "", "PERIOD", _PERIOD))
        return None
    span = take(given[0], _day if given[0] == "day" else _month)
    if filing is None or occupation is None or grade is None or sat is None or span is None:
        return None
    return Sitting(row.number, filing, occupation, grade, *span, sat)


def _text(cell: Cell) -> str:
    return unicodedata.normalize("NFKC", shown(cell)).strip().removeprefix("'").strip()


def _grade(cell: Cell, ladder: Ladder) -> int:
    grade = parse_grade(_text(cell), ladder)
    if not grade.issuable:
        raise ValueError("a post or an apprentice")
    return grade.ordinal


def _sat(cell: Cell) -> int:
    text = _text(cell).replace(",", "")
    if _COUNT.fullmatch(text) is None or int(text) > MAX_SAT:
        raise ValueError("not a count")
    return int(text)


def _day(cell: Cell) -> tuple[int, int]:
    date = cell if isinstance(cell, dt.date) else _date(_DAY.fullmatch(_text(cell)))
    return day_of(date), day_of(date)


def _month(cell: Cell) -> tuple[int, int]:
    date = cell if isinstance(cell, dt.date) else _date(_MONTH.fullmatch(_text(cell)))
    after = dt.date(date.year + date.month // 12, date.month % 12 + 1, 1)
    return day_of(date.replace(day=1)), day_of(after) - 1


def _date(found: re.Match[str] | None) -> dt.date:
    if found is None:
        raise ValueError("not a date")
    year, month, day = ([int(part) for part in found.groups() if part is not None] + [1])[:3]
    return dt.date(year, month, day)

"""Cells into values: texts, days, occupations. Each function returns a value or raises Refused with a code."""

from __future__ import annotations

import datetime as dt
import functools
import re
import unicodedata

from ledger.errors import Malformed, Refused
from ledger.records.canonical import is_plain
from ledger.records.dates import day_of
from ledger.records.kinds import Route
from ledger.records.occupations import Catalogue, Occupation, plain_name
from ledger.sheets.sheet import Cell, Odd, shown
from ledger.text import Text

MAX_TEXT = 100

_ODD = {
    "formula": Text("这一格是公式，请改为数值", "a formula: paste the value instead"),
    "merged": Text("这一格是合并单元格，请拆分并逐行填写", "a merged cell: split it and fill every row"),
    "error": Text("这一格是错误值", "an error value"),
    "long": Text("这一格内容过长", "the cell is too long"),
}
_DATE = re.compile(
    r"([0-9]{4})(?:([-/.])([0-9]{1,2})\2([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日|([0-9]{2})([0-9]{2}))"
    r"(?:[ T]?00?:00(?::00)?(?:\.0+)?)?"
)
_SERIAL_1900, _SERIAL_1904 = dt.date(1899, 12, 30).toordinal(), dt.date(1904, 1, 1).toordinal()
_SERIALS = range(25_000, 110_000)  # 1968..2201: what a serial date of a roster can be
_CODE_AND_NAME = re.compile(r"([0-9]-[0-9]{2}-[0-9]{2}-[0-9]{2})[-_:：/ (]*(.*?)\)?")
_NOTHING = frozenset(("", "-", "--", "---", "/", "\\", "无", "—", "——", "n/a", "none", "null"))
_ROUTES = {
    **{route.name.lower(): route for route in Route},
    "": Route.EXAM, "考试": Route.EXAM, "考核": Route.EXAM, "初次": Route.INITIAL, "定级": Route.INITIAL,
    "晋级": Route.STEP_UP, "直接认定": Route.DIRECT, "竞赛": Route.COMPETITION, "以赛代评": Route.COMPETITION,
    "破格": Route.EXCEPTIONAL, "换发": Route.CONVERSION,
}  # fmt: skip


def text_of(cell: Cell) -> str:
    """The text of a cell: NFC, outer blanks and a leading text mark (') gone. Refused CELL_* for odd cells."""
    if isinstance(cell, Odd):
        raise Refused(f"CELL_{cell.kind.upper()}", "cell", _ODD[cell.kind])
    text = cell if isinstance(cell, str) else shown(cell)
    return unicodedata.normalize("NFC", text).strip().removeprefix("'").strip()


def plain_text(cell: Cell) -> str:
    """A free text (employer, body): one line of at most 100 printable characters; placeholders mean nothing."""
    return _plain_line(text_of(cell))


@functools.lru_cache(maxsize=4096)  # employers and bodies repeat through a roster
def _plain_line(text: str) -> str:
    line = " ".join(text.split())
    if line.lower() in _NOTHING:
        return ""
    if len(line) > MAX_TEXT or not all(c.isprintable() and unicodedata.category(c) != "Co" for c in line):
        raise Refused(
            "TEXT_INVALID",
            "text",
            Text(f"超过 {MAX_TEXT} 字或有不可见字符", f"over {MAX_TEXT} characters, or a hidden character"),
        )
    return line


def trade(cell: Cell) -> str:
    """A trade in the one spelling that is signed and compared (NFC, single blanks, printable); "" = none.

    Refused TRADE_FORM, or CELL_* as `text_of`.
    """
    line = " ".join(text_of(cell).split())
    if line.lower() in _NOTHING:
        return ""
    if not is_plain(line):
        raise _refused("TRADE_FORM", "工种名称中有不可见字符", "a hidden character in the trade")
    return line


def exact_text(cell: Cell, code: str) -> str:
    """A number of a person or certificate, which a spreadsheet must not have turned into a number."""
    if isinstance(cell, float | bool | dt.date):
        raise Refused(
            code,
            "cell",
            Text(
                "以数字保存，末几位可能已丢失；请把该列设为文本后重填",
                "saved as a number, so digits may be lost: use text",
            ),
        )
    return text_of(cell)


def day(cell: Cell, *, date1904: bool = False) -> int:
    """The day (days since 1970-01-01) of yyyy-mm-dd, yyyy/m/d, yyyy.m.d, yyyy年m月d日, yyyymmdd, a date cell or a
    serial number. Refused DATE_MISSING or DATE_FORM.
    """
    if isinstance(cell, dt.date):
        return _day(cell.year, cell.month, cell.day)
    if isinstance(cell, float) and cell.is_integer() and int(cell) in _SERIALS:
        return _day_of_serial(int(cell), date1904)
    text = "".join(unicodedata.normalize("NFKC", text_of(cell)).split("'"))
    if not text:
        raise Refused("DATE_MISSING", "date", Text("没有填写日期", "the date is empty"))
    match = _DATE.fullmatch(text) if len(text) <= 40 else None
    if not match:
        raise _bad_date()
    year, _, *parts = match.groups()
    month, date = (int(part) for part in parts if part)
    return _day(int(year), month, date)


def occupation(name: str, code: str, trade: str, catalogue: Catalogue) -> Occupation:
    """The occupation meant by a name (which may carry its code in front), a code column, and a trade.

    Refused OCCUPATION_MISSING, OCCUPATION_UNKNOWN, OCCUPATION_CODE_MISMATCH or OCCUPATION_AMBIGUOUS.
    """
    plain, code = plain_name(name), plain_name(code)
    both = _CODE_AND_NAME.fullmatch(plain)
    if both:
        if code and code != both.group(1):
            raise _mismatch()
        code, plain = both.groups()
    if not plain and not code:
        raise _refused("OCCUPATION_MISSING", "没有填写职业", "the occupation is empty")
    by_code = catalogue.find(code) if code else None
    if code and by_code is None:
        raise _refused("OCCUPATION_UNKNOWN", "职业目录中没有这个编码", "no such code in the catalogue")
    found = by_code
    if plain and (by_code is None or plain not in (by_code.name, *by_code.trades)):
        found = catalogue.find_by_name(plain, trade)
    if found is None:
        raise _refused("OCCUPATION_UNKNOWN", "职业目录中没有这个职业", "no such occupation in the catalogue")
    if by_code is not None and found != by_code:
        raise _mismatch()
    return found


def route(text: str) -> Route:
    """How the grade was reached; empty means an examination. Refused ROUTE_UNKNOWN."""
    found = _ROUTES.get(plain_name(text).lower())
    if found is None:
        raise _refused("ROUTE_UNKNOWN", "不认识的认定分类", "unknown route")
    return found


def _day_of_serial(serial: int, date1904: bool) -> int:
    found = dt.date.fromordinal(serial + (_SERIAL_1904 if date1904 else _SERIAL_1900))
    return _day(found.year, found.month, found.day)


def _day(year: int, month: int, date: int) -> int:
    try:
        return day_of(dt.date(year, month, date))
    except (ValueError, Malformed):
        raise _bad_date()


def _bad_date() -> Refused:
    return _refused(
        "DATE_FORM",
        "日期不存在或格式不对，应为 2025-11-20",
        "no such day, or not a date: write 2025-11-20",
    )


def _mismatch() -> Refused:
    return _refused("OCCUPATION_CODE_MISMATCH", "职业名称与编码不一致", "name and code are different occupations")


def _refused(code: str, zh: str, en: str) -> Refused:
    return Refused(code, "cell", Text(zh, en))

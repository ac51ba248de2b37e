"""Cells of a decision table as people write them in a sheet. Pure.

    三级, 四级          in            >= 12 · <= 23 · 12..23      ranges, both ends inclusive
    not 三级            not, not in   < 2025-01-01 · > 2024-12-31  before and after (dates)
    + a, b - c          sets: with these and without those        absent          known not to exist
    (empty)             any

Values: whole numbers, yuan for money (12.50), dates yyyy-mm-dd, yes/no, words of an enum, grades by name (三级, 高级工,
level III) and never by a bare number, which could be the ordinal or the national level.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from ledger.errors import Refused
from ledger.records.dates import date_of, format_day
from ledger.records.grades import Ladder, parse_grade
from ledger.text import Text
from verifier.eligibility.cells import Cell, Test
from verifier.eligibility.explain import yuan
from verifier.eligibility.kinds import Kind, ValueType
from verifier.eligibility.people import folded

_RANGE: Final = re.compile(r"(.+?)\s*\.\.\s*(.+)")
_SIGNS: Final = {">=": Test.FROM, "<=": Test.TO, "<": Test.BEFORE, ">": Test.AFTER}
_MONEY: Final = re.compile(r"(\d{1,10})(?:\.(\d{1,2}))?")


def write_cell(cell: Cell | None, type_: ValueType, ladder: Ladder) -> str:
    """A cell as it stands in a sheet."""
    if cell is None:
        return ""
    said = {test: [write_value(value, type_, ladder) for value in values] for test, values in cell.said}
    if Test.ABSENT in said:
        return "absent"
    if Test.FROM in said and Test.TO in said:
        return f"{said[Test.FROM][0]}..{said[Test.TO][0]}"
    parts = []
    for test, values in said.items():
        joined = ", ".join(values)
        sign = next((sign for sign, named in _SIGNS.items() if named is test), "")
        if test in (Test.NOT, Test.NOT_IN):
            sign = "not"
        elif test is Test.HAS:
            sign = "+"
        elif test is Test.LACKS:
            sign = "-"
        parts.append(f"{sign} {joined}".strip())
    return " ".join(parts)


def write_value(value: int | str, type_: ValueType, ladder: Ladder) -> str:
    """One value of a cell or an output."""
    kind = type_.kind
    if kind is Kind.MONEY:
        return yuan(int(value)).replace(",", "")
    if kind is Kind.DATE:
        return format_day(int(value))
    if kind is Kind.GRADE:
        return ladder.by_ordinal(int(value)).zh
    if kind is Kind.BOOL:
        return "yes" if value else "no"
    return str(value)


def read_cell(text: str, type_: ValueType, ladder: Ladder) -> Any:
    """What the TOML has for the cell; None for an empty one. Raises Refused NOTATION."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain or plain == "any":
        return None
    if plain in ("absent", "无此项"):
        return {"absent": True}
    if type_.kind is Kind.SET:
        return _set(plain)
    for sign in (">=", "<=", "<", ">"):
        if plain.startswith(sign):
            return _edge(sign, plain.removeprefix(sign), type_, ladder)
    negated = re.fullmatch(r"(?:not |不是|非)\s*(.+)", plain)
    ranged = _RANGE.fullmatch(plain)
    if ranged is not None:
        return {"from": read_value(ranged[1], type_, ladder), "to": read_value(ranged[2], type_, ladder)}
    values = [read_value(each, type_, ladder) for each in _split(negated[1] if negated else plain)]
    if negated:
        return {"not": values[0]} if len(values) == 1 else {"not_in": values}
    return values[0] if len(values) == 1 else values


def read_value(text: str, type_: ValueType, ladder: Ladder) -> Any:
    """One value, as TOML has it. Raises Refused NOTATION."""
    plain, kind = text.strip(), type_.kind
    if kind is Kind.GRADE:
        if plain.isdigit():
            raise _wrong(plain, "等级请写名称（三级、高级工），不写数字", "write a grade by name, not by number")
        try:
            return parse_grade(plain, ladder).ordinal
        except Refused:
            return _by_name(plain, ladder)
    if kind is Kind.DATE:
        try:
            return dt.date.fromisoformat(plain)
        except ValueError:
            raise _wrong(plain, "应为日期 yyyy-mm-dd", "must be a date yyyy-mm-dd")
    if kind is Kind.BOOL:
        if plain.lower() not in ("yes", "no", "是", "否", "true", "false"):
            raise _wrong(plain, "应为 yes 或 no", "must be yes or no")
        return plain.lower() in ("yes", "是", "true")
    if kind is Kind.MONEY:
        match = _MONEY.fullmatch(plain)
        if match is None:
            raise _wrong(plain, "应为金额（元）", "must be an amount in yuan")
        return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if kind is Kind.INT:
        if not re.fullmatch(r"-?\d{1,10}", plain):
            raise _wrong(plain, "应为整数", "must be a whole number")
        return int(plain)
    return plain


def _edge(sign: str, rest: str, type_: ValueType, ladder: Ladder) -> Any:
    value = read_value(rest, type_, ladder)
    if sign in (">=", "<="):
        return {_SIGNS[sign].value: value}
    if type_.kind is Kind.DATE:
        return {_SIGNS[sign].value: value}
    raise _wrong(rest, "< 和 > 只用于日期，数用 >= 和 <=", "< and > are for dates; write >= or <= for numbers")


def _set(plain: str) -> Any:
    found: dict[str, list[str]] = {}
    for sign, words in re.findall(r"([+-])\s*([^+-]+)", plain):
        found["has" if sign == "+" else "lacks"] = _split(words)
    if not found:
        raise _wrong(plain, "集合写作 + 含有 - 不含", "a set is written: + with these - without those")
    return found


def _split(text: str) -> list[str]:
    return [each.strip() for each in re.split(r"[,;、]", text) if each.strip()]


def _by_name(text: str, ladder: Ladder) -> int:
    for grade in ladder.grades:
        if folded(text) in (folded(grade.zh), folded(grade.zh_formal), folded(grade.en)):
            return grade.ordinal
    raise _wrong(text, "不是等级名称", "not the name of a grade")


def _wrong(text: str, zh: str, en: str) -> Refused:
    return Refused("NOTATION", text[:40], Text(f"“{text[:40]}”：{zh}", f"“{text[:40]}”: {en}"))


def days_of(cell: Cell | None) -> Sequence[dt.date | None]:
    """First and last day of a row's validity."""
    said = {test: values[0] for test, values in cell.said} if cell is not None else {}
    first, last = said.get(Test.FROM), said.get(Test.TO)
    return (None if first is None else date_of(int(first)), None if last is None else date_of(int(last)))

"""What was found, for people: a table for the terminal and a sheet with only the rows to fix."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from openpyxl import Workbook

from issuer.roster.check import RosterReport
from ledger.durable import replace_file
from ledger.progress import display_width
from ledger.sheets.inert import append_texts, book_bytes
from ledger.sheets.problem import ERROR, NOTE, WARNING, Problem
from ledger.sheets.sheet import Cell, Sheet, shown
from ledger.text import Text

MAX_LINES = 10_000
_MARKS = {ERROR: "✗", WARNING: "!", NOTE: "·"}
_PROBLEM_TITLE, _ROW_TITLE = "问题 Problem", "原行号 Row"


def render_report(report: RosterReport, *, lang: str = "both", limit: int = MAX_LINES) -> str:
    """A text table: mark, row, column, value, what is wrong. `lang` is "zh", "en" or "both"."""
    listed = [*report.notes, *report.problems][:limit]
    cells = [(_MARKS[p.severity], str(p.row) if p.row else "", p.column, p.value, said(p.text, lang)) for p in listed]
    heads = ("", said(Text("行", "row"), lang), said(Text("列", "column"), lang), said(Text("内容", "value"), lang))
    widths = [max(map(display_width, (head, *(cell[at] for cell in cells)))) for at, head in enumerate(heads)]
    table = [(*heads, said(Text("问题", "problem"), lang)), *cells] if cells else []
    lines = ["  ".join([*map(_pad, cell[:4], widths), cell[4]]).rstrip() for cell in table]
    found = sum(report.totals.values())
    if found > len(listed):
        more = found - len(listed)
        lines.append(said(Text(f"……另有 {more} 条未列出", f"… and {more} more not listed"), lang))
    summary = Text(
        f"{report.row_count} 行，可发证 {len(report.rows)} 行，有错 {len(report.error_rows)} 行；"
        f"错误 {report.count(ERROR)}，警告 {report.count(WARNING)}，提示 {report.count(NOTE)}；编码 {report.encoding}",
        f"{report.row_count} rows, {len(report.rows)} ready, {len(report.error_rows)} with errors; "
        f"{report.count(ERROR)} errors, {report.count(WARNING)} warnings, {report.count(NOTE)} notes; "
        f"read as {report.encoding}",
    )
    lines.extend([summary.zh, summary.en] if lang == "both" else [summary.of(lang)])
    return "\n".join(lines) + "\n"


def write_fix_sheet(path: Path, sheet: Sheet, problems: Sequence[Problem]) -> int:
    """Write an xlsx of only the rows with errors, original columns plus the problem and the row; returns how many.

    Every cell is text, and no text can start a formula. The result can be corrected and read again as a roster.
    """
    wrong: dict[int, list[str]] = {}
    for problem in problems:
        if problem.severity == ERROR:
            wrong.setdefault(problem.row, []).append(f"{problem.column}：{problem.text.both()}")
    book = Workbook(write_only=True)
    page = book.create_sheet("Sheet1")
    titles = sheet.header.titles
    append_texts(page, (*titles, _PROBLEM_TITLE, _ROW_TITLE))
    rows = [row for row in sheet.rows if row.number in wrong]
    for row in rows:
        texts = [_full(row.cell(at)) for at in range(len(titles))]
        told = "；".join(wrong[row.number][:20])[:2_000]
        append_texts(page, (*texts, told, str(row.number)))
    replace_file(path, book_bytes(book))
    return len(rows)


def _pad(text: str, columns: int) -> str:
    return text + " " * (columns - display_width(text))


def said(text: Text, lang: str) -> str:
    """One or both sides of a message."""
    return text.both() if lang == "both" else text.of(lang)


def _full(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    return cell.isoformat() if isinstance(cell, dt.date) else shown(cell)

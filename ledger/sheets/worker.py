"""The process that opens a workbook: bytes on standard input, JSON lines on standard output; its
arguments are the form (form.py) that the sheet has, and how many rows are wanted.

    line 1     {"sheet", "titles", "header_row", "above": rows over the header as texts, "date1904",
               "notes": [[code, zh, en, severity]]} or
               {"refused": [code, field, zh, en]}
    line 2..   [row number, [cell ...]]    cell: text | number | true/false | ["d", "yyyy-mm-dd"] | ["o", kind, shown]

It limits itself before it reads a byte: memory, CPU seconds, no core, no new files. Whatever goes wrong, the parent
sees either a refusal or a dead process.
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from ledger.errors import Refused
from ledger.records.notice import Notice
from ledger.sheets.columns import HEADER_ROWS, Header, find_header
from ledger.sheets.container import check_container, open_archive, read_part, refused
from ledger.sheets.csvtext import header_not_found, too_long
from ledger.sheets.form import Form, parse_form
from ledger.sheets.markup import Markup, read_markup
from ledger.sheets.parts import sheet_parts, uses_1904
from ledger.sheets.sheet import MAX_CELL, MAX_ROWS
from ledger.text import Text

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 120
MAX_OUTPUT = 256 * 1024 * 1024
_ROW_BYTES = 4096  # of a row, on average: what is wanted bounds what the other process has to hold
_LEAST_OUTPUT = 1024 * 1024


def limit_this_process() -> None:
    """Lower the limits for good; a parser that runs away is killed by the kernel."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def read_workbook(raw: bytes, form: Form, most_rows: int = MAX_ROWS + 1) -> Iterator[bytes]:
    """The output lines for one workbook; Refused when it is not one that may be read."""
    archive = open_archive(raw)
    check_container(archive)
    parts = {name: read_part(archive, name) for name in archive.namelist() if name.endswith((".xml", ".rels"))}
    locations = sheet_parts(parts)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        sheet, header, above, markup, hidden = _choose(book, locations, parts, form)
        notes = _notes(markup, hidden, header.row)
        head = {
            "sheet": sheet.name,
            "titles": header.titles,
            "header_row": header.row,
            "above": above,
            "date1904": uses_1904(parts),
            "notes": [[n.code, n.text.zh, n.text.en, n.severity] for n in notes],
        }
        yield msgspec.json.encode(head)
        yield from itertools.islice(_rows(sheet.iter_rows(), header.row, markup, most_output(most_rows)), most_rows)
    except CalamineError:
        raise refused("FILE_DAMAGED", "工作簿内容已损坏", "the workbook is damaged")


def _choose(
    book: CalamineWorkbook, locations: dict[str, str], parts: dict[str, bytes], form: Form
) -> tuple[CalamineSheet, Header, list[list[str]], Markup, list[str]]:
    """The one visible sheet with a header, the texts above it, and the names of the hidden sheets."""
    found: list[tuple[CalamineSheet, Header, list[list[str]], Markup]] = []
    hidden = []
    for listed in book.sheets_metadata:
        if listed.typ != SheetTypeEnum.WorkSheet or listed.name not in locations:
            continue
        if listed.visible != SheetVisibleEnum.Visible:
            hidden.append(listed.name)
            continue
        markup = read_markup(parts[locations[listed.name]])  # before the reader: it refuses what is too wide
        sheet = book.get_sheet_by_name(listed.name)
        first = [[_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False, nrows=HEADER_ROWS)]
        header = find_header(enumerate(first, 1), form)
        if header:
            found.append((sheet, header, first[: header.row - 1], markup))
    if not found:
        raise header_not_found(form)
    if len(found) > 1:
        names = "、".join(_printable(sheet.name) for sheet, *_ in found[:5])
        raise refused(
            "SHEET_AMBIGUOUS",
            f"有多个工作表像名单，请只留一个：{names}",
            f"several sheets look like rosters; keep one: {names}",
        )
    return (*found[0], hidden)


def most_output(most_rows: int) -> int:
    """Bytes of all rows together."""
    return min(MAX_OUTPUT, max(_LEAST_OUTPUT, most_rows * _ROW_BYTES))


def _rows(rows: Iterator[Sequence[Any]], header_row: int, markup: Markup, most_bytes: int) -> Iterator[bytes]:
    kept = size = 0
    upcoming = sorted(markup.merges, reverse=True)
    open_merges: list[tuple[int, int, int, int]] = []
    for number, row in enumerate(rows, 1):
        if number <= header_row:
            continue
        cells = [_cell(cell) for cell in row]
        while upcoming and upcoming[-1][0] <= number:
            open_merges.append(upcoming.pop())
        open_merges = [merge for merge in open_merges if merge[2] >= number]
        _mark(cells, number, markup, open_merges)
        while cells and cells[-1] == "":
            cells.pop()
        if not any(not isinstance(cell, str) or cell.strip() for cell in cells):
            continue
        line = msgspec.json.encode([number, cells])
        kept += 1
        size += len(line)
        if kept > MAX_ROWS:
            raise too_long()
        if size > most_bytes:
            raise refused("FILE_LIMITS", "文件过大，无法读取", "too large to be read")
        yield line


def _mark(cells: list[Any], number: int, markup: Markup, merges: list[tuple[int, int, int, int]]) -> None:
    """Put a mark over every cell of this row whose value must not be used. `merges` are those that cross it."""
    if markup.formulas or markup.errors:
        for at, cell in enumerate(cells):
            if (number, at) in markup.formulas:
                cells[at] = ["o", "formula", _printable(str(cell))]
            elif (number, at) in markup.errors:
                cells[at] = ["o", "error", ""]
    for _, first_column, _, last_column in merges:
        for at in range(first_column, min(last_column + 1, len(cells))):
            cells[at] = ["o", "merged", _printable(str(cells[at]))]


def _cell(cell: Any) -> Any:
    if isinstance(cell, str):
        return cell if len(cell) <= MAX_CELL else ["o", "long", _printable(cell)]
    if isinstance(cell, dt.datetime | dt.date):
        return ["d", f"{cell.year:04d}-{cell.month:02d}-{cell.day:02d}"]
    if isinstance(cell, bool | int | float):
        return cell
    return str(cell)


def _text(cell: Any) -> str:
    return str(cell)[:MAX_CELL]


def _notes(markup: Markup, hidden: list[str], header_row: int) -> list[Notice]:
    notes = []
    if hidden:
        said = Text(f"{len(hidden)} 个隐藏的工作表未读取", f"{len(hidden)} hidden sheets were not read")
        notes.append(Notice("SHEETS_HIDDEN", said, "warning"))
    rows = [row for row in markup.hidden_rows if row > header_row]
    if rows:
        listed = ", ".join(map(str, rows[:10]))
        said = Text(f"{len(rows)} 个隐藏行也已读取：{listed}", f"{len(rows)} hidden rows were read too: {listed}")
        notes.append(Notice("ROWS_HIDDEN", said, "warning"))
    return notes


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:60])


def main() -> None:
    """Read standard input, write the lines, end. A refusal may also follow rows: the parent then drops them."""
    limit_this_process()
    out = sys.stdout.buffer
    try:
        for line in read_workbook(sys.stdin.buffer.read(), parse_form(sys.argv[1]), int(sys.argv[2])):
            out.write(line + b"\n")
    except Refused as refusal:
        said = [refusal.code, refusal.field, refusal.text.zh, refusal.text.en]
        out.write(msgspec.json.encode({"refused": said}) + b"\n")
    out.flush()


if __name__ == "__main__":
    main()

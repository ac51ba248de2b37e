"""Writes a workbook or a CSV out of rows: the process behind `writing`, a page on standard input, the file on standard
output.

The summary stands on a second sheet of a workbook, below the rows of a CSV. Blank rows and the rows over the header
stand where they stood; every text is inert. Formulas come back as the values that were read, and looks are not kept.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from ledger.sheets.inert import append_texts, book_bytes, inert

SUMMARY_SHEET: Final = "核验摘要 Summary"
_NO_NAME: Final = re.compile(r"[\[\]:*?/\\]")  # ECMA-376 18.2.19, and what the programs refuse besides
_LONGEST_NAME: Final = 31
_MAX_GAP: Final = 5_000  # blank rows kept between two rows


class Page(msgspec.Struct):
    """A sheet to be written: rows by number, cells as text, number, boolean, or ["d", ISO date]."""

    kind: str
    name: str
    codec: str
    separator: str
    rows: list[tuple[int, list[Any]]]
    summary: list[tuple[str, str]]


def render(page: Page) -> bytes:
    """The file of a page."""
    return _render_csv(page) if page.kind == "csv" else _render_xlsx(page)


def _placed(rows: Sequence[tuple[int, list[Any]]]) -> Iterator[list[Any]]:
    """The rows with the blank ones between them."""
    at = 1
    for number, cells in rows:
        yield from ([] for _ in range(min(number - at, _MAX_GAP)))
        yield cells
        at = number + 1


def _render_csv(page: Page) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=page.separator, lineterminator="\r\n")
    for cells in _placed(page.rows):
        writer.writerow([_csv_text(cell) for cell in cells])
    writer.writerow([])
    writer.writerow([SUMMARY_SHEET])
    writer.writerows([inert(item), inert(content)] for item, content in page.summary)
    return out.getvalue().encode(page.codec, "replace")


def _render_xlsx(page: Page) -> bytes:
    book = Workbook(write_only=True)
    first = book.create_sheet(_NO_NAME.sub("_", inert(page.name))[:_LONGEST_NAME])
    for cells in _placed(page.rows):
        first.append(_xlsx_cells(first, cells))
    second = book.create_sheet(SUMMARY_SHEET)
    second.column_dimensions["A"].width, second.column_dimensions["B"].width = 44, 90
    for line in page.summary:
        append_texts(second, line)
    return book_bytes(book)


def _xlsx_cells(sheet: Any, cells: Sequence[Any]) -> Iterator[Any]:
    text = WriteOnlyCell(sheet)
    text.number_format = "@"
    for cell in cells:
        if isinstance(cell, str):
            if not cell:
                yield None
                continue
            text.value = inert(cell)
            text.data_type = "s"  # never "f", whatever the text starts with
            yield text
        elif isinstance(cell, list):
            day = WriteOnlyCell(sheet, dt.date.fromisoformat(cell[1]))
            day.number_format = "yyyy-mm-dd"
            yield day
        else:
            yield cell


def _csv_text(cell: Any) -> str:
    if isinstance(cell, list):
        return str(cell[1])
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return inert(str(cell))


def main() -> None:
    sys.stdout.buffer.write(render(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Page)))


if __name__ == "__main__":
    main()

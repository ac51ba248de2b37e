"""A sheet as read: cells with their row numbers, before anybody asks what they mean."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ledger.records.notice import Notice
from ledger.sheets.columns import Header

MAX_ROWS = 200_000  # of a file; a record key signs at most 100,000 certificates
LAST_ROW = 1_048_576  # of any spreadsheet program
MAX_COLUMNS = 64
MAX_CELL = 2_048  # characters kept of one cell; longer cells become Odd("long")


@dataclass(frozen=True, slots=True)
class Odd:
    """A cell whose value must not be used: `kind` is formula, merged, error or long; `shown` is for people."""

    kind: str
    shown: str


Cell = str | float | bool | dt.date | Odd


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row: its number as the spreadsheet program shows it (from 1), and its cells from column A on."""

    number: int
    cells: tuple[Cell, ...]

    def cell(self, at: int) -> Cell:
        """The cell in column `at` (from 0), empty text beyond the end."""
        return self.cells[at] if at < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows below the header; blank rows are left out, the others keep their numbers."""

    kind: str  # "xlsx" | "csv"
    name: str  # of the sheet inside a workbook; "" for CSV
    encoding: str  # for people: "xlsx", "UTF-8", "UTF-8 (BOM)", "UTF-16", "GBK", "GB 18030"
    separator: str  # "," | ";" | tab; "" for a workbook
    header: Header
    rows: tuple[SheetRow, ...]
    notes: tuple[Notice, ...] = ()
    date1904: bool = False
    above: tuple[tuple[str, ...], ...] = ()  # the texts of the rows over the header, from row 1 on


def shown(cell: Cell, limit: int = 60) -> str:
    """A cell for people: at most `limit` characters, no control or hidden characters."""
    if isinstance(cell, Odd):
        text = cell.shown
    elif isinstance(cell, float):
        text = str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    else:
        text = str(cell)
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"

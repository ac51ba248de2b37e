"""Texts for a sheet that somebody will open: no spreadsheet program runs them (ASVS 1.2.10)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

# The wide forms too, which East Asian editions of spreadsheet programs take for the ordinary ones.
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def inert(text: str) -> str:
    """`text` so that no spreadsheet program runs it: control characters gone, a ' before = + - @, their wide forms and
    tabs, also where blanks come first."""
    clean = text if text.isprintable() else "".join(c for c in text if c in "\t\n" or c.isprintable())
    return f"'{clean}" if clean.lstrip(" ").startswith(_ACTIVE) else clean


def append_texts(page: Any, texts: Sequence[str]) -> None:
    """Append a row to a write-only sheet: every cell is text, and no text can start a formula (`inert`)."""
    page.append(_text_cells(page, texts))


def book_bytes(book: Workbook) -> bytes:
    """The xlsx file of a workbook that is filled."""
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _text_cells(page: Any, texts: Sequence[str]) -> Iterator[Any]:
    cell = WriteOnlyCell(page)
    cell.number_format = "@"
    for text in texts:  # one cell serves for all: the writer is done with it when it asks for the next
        cell.value = inert(text)
        cell.data_type = "s"  # never "f", whatever the text starts with
        yield cell

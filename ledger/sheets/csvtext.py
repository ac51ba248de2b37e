"""CSV as offices save it: which encoding, which separator, where it breaks. Never guesses silently."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator

from ledger.errors import Refused
from ledger.records.notice import Notice
from ledger.sheets.columns import HEADER_ROWS, Header, find_header
from ledger.sheets.container import refused
from ledger.sheets.form import Form
from ledger.sheets.sheet import LAST_ROW, MAX_CELL, MAX_COLUMNS, MAX_ROWS, Cell, Odd, Sheet, SheetRow
from ledger.text import Text

SEPARATORS = (",", ";", "\t")
_PROBE = 65_536  # characters looked at to find the header
_RECORD = MAX_COLUMNS * 32_768  # characters of one row: spreadsheet programs have at most 32,767 in a cell
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def read_csv(raw: bytes, notes: tuple[Notice, ...], form: Form, most_rows: int = MAX_ROWS + 1) -> Sheet:
    """The sheet of a CSV file, of which `most_rows` rows are read.

    Refused CSV_ENCODING, CSV_NUL, CSV_QUOTES, CSV_CELL, HEADER_NOT_FOUND, FILE_TOO_LONG, FILE_TOO_WIDE.
    """
    text, encoding = decode(raw)
    separator, header, above = _find_header(text, form)
    rows = tuple(itertools.islice(_rows(text, separator, header.row), most_rows))
    if encoding not in ("UTF-8", "UTF-8 (BOM)"):
        said = Text(f"按 {encoding} 编码读取，请核对姓名是否正确", f"read as {encoding}: check that names look right")
        notes = (*notes, Notice("CSV_ENCODING_USED", said))
    return Sheet("csv", "", encoding, separator, header, rows, notes, above=above)


def decode(raw: bytes) -> tuple[str, str]:
    """Text and the name of its encoding, from a fixed list: BOMs first, then UTF-8, GBK, GB 18030.

    Refused CSV_NUL (also UTF-16 without a mark) or CSV_ENCODING, naming the line.
    """
    for mark, codec, label in (
        (codecs.BOM_UTF8, "utf-8", "UTF-8 (BOM)"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
    ):
        if raw.startswith(mark):
            return _without_nul(_decode(raw[len(mark) :], codec)), label
    if b"\x00" in raw:
        raise refused("CSV_NUL", "文件含有空字节，不是文本文件", "the file has NUL bytes: it is not text")
    if "姓名".encode() in raw[:_PROBE]:
        return _decode(raw, "utf-8"), "UTF-8"
    for codec, label in (("utf-8", "UTF-8"), ("gbk", "GBK")):
        try:
            return raw.decode(codec), label
        except UnicodeDecodeError:
            continue
    return _decode(raw, "gb18030"), "GB 18030"


def _decode(raw: bytes, codec: str) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise refused(
            "CSV_ENCODING",
            f"第 {line} 行的编码与文件其余部分不一致，请另存为 UTF-8",
            f"line {line} is not in the encoding of the file; save it as UTF-8",
        )


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise refused("CSV_NUL", "文件含有空字节，不是文本文件", "the file has NUL bytes: it is not text")
    return text


def _find_header(text: str, form: Form) -> tuple[str, Header, tuple[tuple[str, ...], ...]]:
    probe = text[:_PROBE]
    best: tuple[int, str, Header, list[list[str]]] | None = None
    for separator in SEPARATORS:
        try:
            first = list(itertools.islice(csv.reader(io.StringIO(probe, newline=""), delimiter=separator), HEADER_ROWS))
        except csv.Error:
            continue
        header = find_header(enumerate(first, 1), form)
        if header and (best is None or len(header.places) > best[0]):
            best = (len(header.places), separator, header, first)
    if best is None:
        raise header_not_found(form)
    return best[1], best[2], tuple(map(tuple, best[3][: best[2].row - 1]))


def header_not_found(form: Form) -> Refused:
    """No row names the columns: a wrong sheet, or an empty one."""
    titles = [form.title(name) for name in form.required]
    return refused(
        "HEADER_NOT_FOUND",
        f"前 {HEADER_ROWS} 行没有找到表头（{'、'.join(titles)}等列名）",
        f"no header ({', '.join(titles)} …) in the first {HEADER_ROWS} rows: is it the right sheet?",
    )


def each_line(text: str) -> Iterator[str]:
    """The lines of a text with their ends, one by one: they are not all in memory."""
    return (found.group() for found in _LINE.finditer(text))


class _Lines:
    """What the reader of CSV gets: the lines one by one, and no row that goes on for ever."""

    def __init__(self, text: str) -> None:
        self._lines = each_line(text)
        self._row = 1
        self._length = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._length += len(line)
        if self._length > _RECORD:
            raise _too_wide(self._row)
        if self._row > LAST_ROW:
            raise too_long()
        return line

    def begin_row(self, number: int) -> None:
        self._row, self._length = number, 0


def _rows(text: str, separator: str, header_row: int) -> Iterator[SheetRow]:
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    started = 1
    kept = 0
    shared: dict[str, str] = {}  # rosters repeat their values: keep each text once
    try:
        for number, record in enumerate(reader, 1):
            if number > header_row and any(cell.strip() for cell in record):
                kept += 1
                if kept > MAX_ROWS:
                    raise too_long()
                if len(record) > MAX_COLUMNS:
                    raise _too_wide(number)
                yield SheetRow(number, tuple(_cell(shared.setdefault(cell, cell)) for cell in record))
            started = reader.line_num + 1
            lines.begin_row(number + 1)
    except csv.Error as error:
        if "field larger" in str(error):
            raise refused(
                "CSV_CELL", f"第 {started} 行起有一格过长", f"a cell that starts at line {started} is too long"
            )
        raise refused(
            "CSV_QUOTES",
            f"第 {started} 行起引号不成对",
            f"the quotes from line {started} on do not pair",
        )


def _too_wide(row: int) -> Refused:
    return refused("FILE_TOO_WIDE", f"第 {row} 行超过 {MAX_COLUMNS} 列", f"row {row} is too wide")


def too_long() -> Refused:
    """More rows than one file may have."""
    return refused("FILE_TOO_LONG", f"超过 {MAX_ROWS} 行，请拆分", f"more than {MAX_ROWS} rows: split the file")


def _cell(text: str) -> Cell:
    return text if len(text) <= MAX_CELL else Odd("long", text[:60])

"""The packaged reference files, the grade ladder and the occupation catalogue, and their exact bytes."""

from __future__ import annotations

import csv
import functools
import io
from importlib import resources
from pathlib import Path

from ledger.errors import Malformed, Unavailable
from ledger.records.grades import Ladder, parse_ladder
from ledger.records.occupations import Catalogue, import_catalogue, parse_catalogue, plain_name
from ledger.text import Text

LADDER_FILE = "ladder/2022.json"
CATALOGUE_FILE = "catalogue/2022-sample.json"
MAX_LIST_BYTES = 16 * 1024 * 1024

_HEADERS = {"职业编码": 0, "职业代码": 0, "编码": 0, "code": 0, "职业名称": 1, "职业": 1, "name": 1,
            "工种": 2, "工种名称": 2, "trades": 2}  # fmt: skip


def ladder_bytes() -> bytes:
    """The packaged ladder file, byte for byte: SHA-256 of this goes on the log."""
    return _read(LADDER_FILE)


def catalogue_bytes() -> bytes:
    """The packaged catalogue file, byte for byte: SHA-256 of this goes on the log."""
    return _read(CATALOGUE_FILE)


@functools.cache
def load_ladder() -> Ladder:
    """The packaged eight-grade ladder (人社部发〔2022〕14号)."""
    return parse_ladder(ladder_bytes())


@functools.cache
def load_catalogue() -> Catalogue:
    """The packaged catalogue: the occupations whose codes are certain, and some flagged `confirmed` false."""
    return parse_catalogue(catalogue_bytes())


def import_catalogue_file(path: Path, version: str, *, base: Catalogue | None = None) -> bytes:
    """The canonical catalogue file made from an official list (CSV in UTF-8, or xlsx): code, name, trades.

    The columns are the first three, or those named in the first row (职业编码, 职业名称, 工种). Unavailable when
    the file cannot be read, Malformed when it is no such list, Refused (a row) from `import_catalogue`.
    """
    try:
        raw = path.read_bytes()
    except OSError:
        raise Unavailable(Text("无法读取名单", "the list cannot be read"))
    if len(raw) > MAX_LIST_BYTES:
        raise Malformed(Text("名单超过 16 MiB", "the list is over 16 MiB"))
    table = _xlsx_rows(raw) if raw.startswith(b"PK") else _csv_rows(raw)
    rows = [row for row in table if any(cell.strip() for cell in row)]
    places = {
        _HEADERS[cell]: at for at, cell in enumerate(map(plain_name, rows[0] if rows else ())) if cell in _HEADERS
    }
    if places:
        rows = rows[1:]
    places = places or {0: 0, 1: 1, 2: 2}
    if not rows or not {0, 1} <= places.keys():
        raise Malformed(
            Text("名单没有数据行，或缺少编码列、名称列", "the list has no rows, or no column of codes or names")
        )

    def cell(row: list[str], column: int) -> str:
        at = places.get(column, len(row))
        return row[at] if at < len(row) else ""

    return import_catalogue([(cell(row, 0), cell(row, 1), cell(row, 2)) for row in rows], version, base=base)


def _csv_rows(raw: bytes) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(raw.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise Malformed(Text("名单不是 UTF-8 编码的 CSV", "the list is not CSV in UTF-8"))


def _xlsx_rows(raw: bytes) -> list[list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook  # loads a native module: only when needed

    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(raw)).get_sheet_by_index(0)
        return [[str(cell) for cell in row] for row in sheet.to_python()]
    except CalamineError:
        raise Malformed(Text("名单不是 xlsx 工作簿", "the list is not an xlsx workbook"))


def _read(name: str) -> bytes:
    return resources.files("ledger.records").joinpath(name).read_bytes()

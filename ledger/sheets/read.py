"""Open a sheet, whatever it calls itself, and give back its rows as read.

The kind is decided by content, not by name. Workbooks are opened by another process (`worker`) under memory and CPU
limits; CSV is read here. Nothing but the four errors of `ledger.errors` comes out.
"""

from __future__ import annotations

import datetime as dt
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

import ledger
from ledger.errors import Refused, cannot
from ledger.records.notice import Notice
from ledger.sheets.columns import find_header
from ledger.sheets.container import refused
from ledger.sheets.csvtext import header_not_found, read_csv
from ledger.sheets.form import Form, format_form
from ledger.sheets.sheet import MAX_ROWS, Cell, Odd, Sheet, SheetRow
from ledger.text import Text

MAX_BYTES = 64 * 1024 * 1024
WORKER_SECONDS = 300  # wall clock; the worker's own CPU limit is lower

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_KINDS = {
    b"%PDF": ("这是 PDF 文件", "this is a PDF"),
    b"\x89PNG": ("这是图片", "this is a picture"),
    b"\xff\xd8\xff": ("这是图片", "this is a picture"),
    b"Rar!": ("这是压缩包", "this is an archive"),
    b"7z\xbc\xaf": ("这是压缩包", "this is an archive"),
}


def read_sheet_bytes(raw: bytes, file_name: str, form: Form, most_rows: int = MAX_ROWS + 1) -> Sheet:
    """The sheet (xlsx or CSV) of this form; `file_name` only serves to notice that it names another kind. Rows below
    `most_rows` are not looked at: whoever takes fewer gives one more than that, and refuses the sheet that has it.

    Raises Refused FILE_*, CSV_*, HEADER_NOT_FOUND or SHEET_AMBIGUOUS when it is no such sheet, Unavailable when the
    reading process cannot be started.
    """
    if len(raw) > MAX_BYTES:
        raise refused("FILE_TOO_LARGE", "文件超过 64 MB", "the file is over 64 MB")
    if not raw.strip():
        raise refused("FILE_EMPTY", "文件是空的", "the file is empty")
    suffix = Path(file_name).suffix.lower()
    if raw.startswith(_OLE):
        raise _ole(raw)
    for magic, said in _KINDS.items():
        if raw.startswith(magic):
            raise refused("FILE_KIND", f"{said[0]}，不是名单", f"{said[1]}, not a roster")
    if raw.startswith(b"PK"):
        if suffix == ".xlsm":
            raise refused("FILE_MACRO", "请另存为不含宏的 xlsx", "a macro workbook: save it as plain xlsx")
        return _read_xlsx(raw, _kind_notes(suffix, ".xlsx"), form, most_rows)
    if raw[:2048].lstrip().lower().startswith((b"<html", b"<!doctype", b"<table", b"<?xml")):
        raise refused("FILE_KIND", "这是网页，不是工作簿，请另存为 xlsx", "a web page, not a workbook: save it as xlsx")
    return read_csv(raw, _kind_notes(suffix, ".csv", ".txt", ".tsv"), form, most_rows)


def _read_xlsx(raw: bytes, notes: tuple[Notice, ...], form: Form, most_rows: int) -> Sheet:
    answers = map(_answer, io.BytesIO(_run_worker(raw, form, most_rows)))
    try:
        head = next(answers)
        header = find_header([(head["header_row"], head["titles"])], form)
        shared: dict[str, str] = {}
        rows = tuple(_row(answer, shared) for answer in answers)
        told = tuple(Notice(code, Text(zh, en), severity) for code, zh, en, severity in head["notes"])
        if header is None:
            raise header_not_found(form)
        above = tuple(tuple(map(str, row)) for row in head["above"])
        return Sheet("xlsx", head["sheet"], "xlsx", "", header, rows, (*notes, *told), head["date1904"], above)
    except (msgspec.DecodeError, StopIteration, KeyError, TypeError, ValueError, AssertionError):
        raise _limits()


def _run_worker(raw: bytes, form: Form, most_rows: int) -> bytes:
    root = str(Path(ledger.__file__).parents[1])
    command = [sys.executable, "-m", "ledger.sheets.worker", format_form(form), str(most_rows)]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=raw,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env={"PYTHONPATH": root, "LANG": "C.UTF-8"},
            timeout=WORKER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _limits()
    except OSError as error:
        raise cannot(Text("无法启动读取表格的进程", "the reading process cannot be started"), error)
    if done.returncode != 0:
        raise _limits()
    return done.stdout


def _answer(line: bytes) -> Any:
    """One line of the worker. Raises Refused where it says so, after whatever rows."""
    answer = msgspec.json.decode(line)
    if isinstance(answer, dict) and "refused" in answer:
        code, field, zh, en = answer["refused"]
        raise Refused(code, field, Text(zh, en))
    return answer


def _row(answer: Any, shared: dict[str, str]) -> SheetRow:
    number, cells = answer
    return SheetRow(number, tuple(_cell(cell, shared) for cell in cells))


def _cell(cell: object, shared: dict[str, str]) -> Cell:
    match cell:
        case str(text):
            return shared.setdefault(text, text)
        case ["d", str(text)]:
            return dt.date.fromisoformat(text)
        case ["o", str(kind), str(shown)]:
            return Odd(kind, shown)
        case bool(value):
            return value
        case int(value) | float(value):
            return float(value)
    raise ValueError("unknown cell from the reading process")


def _kind_notes(suffix: str, *expected: str) -> tuple[Notice, ...]:
    if suffix in ("", *expected):
        return ()
    said = Text(
        f"文件名是 {suffix[:8]}，内容是 {expected[0]}，按内容读取",
        f"named {suffix[:8]} but the content is {expected[0]}: read as that",
    )
    return (Notice("FILE_KIND_MISMATCH", said, "warning"),)


def _ole(raw: bytes) -> Refused:
    if "EncryptedPackage".encode("utf-16-le") in raw:
        return refused("FILE_ENCRYPTED", "文件有密码，请去掉密码再导入", "the file has a password; remove it")
    return refused("FILE_OLE", "这是旧版 xls 文件，请另存为 xlsx", "an old .xls file: save it as xlsx")


def _limits() -> Refused:
    return refused("FILE_LIMITS", "文件过大或已损坏，无法读取", "too large or too damaged to be read")

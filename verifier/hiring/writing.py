"""The same sheet again, with the columns that answer behind its own, and the summary of it: what `rendering` writes in
a process of its own, so that no page waits for it."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

import ledger
from ledger.errors import Unavailable
from ledger.sheets.sheet import Cell, Odd, Sheet
from ledger.text import Text
from verifier.hiring.checking import ListResult
from verifier.hiring.rendering import Page
from verifier.hiring.rows import COLUMNS, say
from verifier.hiring.sheets import titles_of
from verifier.hiring.summary import Summary
from verifier.messages import Messages, say_time
from verifier.verdict import Code

SECONDS: Final = 120
TYPES: Final = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
}
CODECS: Final = {
    "UTF-8": "utf-8",
    "UTF-8 (BOM)": "utf-8-sig",
    "UTF-16": "utf-16",
    "GBK": "gb18030",
    "GB 18030": "gb18030",
}


def write_result(sheet: Sheet, result: ListResult, messages: Messages, lang: str) -> bytes:
    """The bytes of the file that goes back. Blocks: call it in a thread. Raises Unavailable."""
    return write_page(page_of(sheet, result, messages, lang))


def write_page(page: Page) -> bytes:
    """The bytes of a page. Blocks: call it in a thread. Raises Unavailable."""
    root = str(Path(ledger.__file__).parents[1])
    command = [sys.executable, "-m", "verifier.hiring.rendering"]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=msgspec.msgpack.encode(page),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env={"PYTHONPATH": root, "LANG": "C.UTF-8"},
            timeout=SECONDS,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise Unavailable(
            Text("写表格的进程没有应答，请重试", "the writing process did not answer; try again")
        ) from error
    if done.returncode != 0:
        raise Unavailable(Text("写表格的进程失败，请重试", "the writing process failed; try again"))
    return done.stdout


def page_of(sheet: Sheet, result: ListResult, messages: Messages, lang: str) -> Page:
    """What to write. `lang`: zh, en or both."""
    titles = list(titles_of(sheet))
    rows: list[tuple[int, list[Any]]] = [(at, list(texts)) for at, texts in enumerate(sheet.above, 1) if any(texts)]
    if sheet.header.row:
        answering = [say(messages.labels[key], lang) for key in COLUMNS]
        rows.append((sheet.header.row, [*titles, *answering]))
    for row in sheet.rows:
        cells = [plain_cell(row.cell(at)) for at in range(len(titles))]
        rows.append((row.number, [*cells, *result.rows[row.number].columns]))
    codec = CODECS.get(sheet.encoding, "utf-8-sig")
    name = sheet.name or "Sheet1"
    return Page(sheet.kind, name, codec, sheet.separator, rows, summary_lines(result.summary, messages, lang))


def summary_lines(summary: Summary, messages: Messages, lang: str) -> list[tuple[str, str]]:
    """The summary for people, and what a program verifies it by."""
    said = {key: say(messages.labels[key], lang) for key in _SUMMARY_WORDS}
    lines = [
        (said["hiring_verifier"], summary.verifier),
        (said["hiring_finished"], say_time(summary.finished_ms, "en" if lang == "en" else "zh")),
        (said["hiring_rows"], str(summary.rows)),
    ]
    for code, count in summary.counts:
        lines.append((f"{code}  {say(messages.wordings[Code(code)].title, lang)}", str(count)))
    for log in summary.logs:
        time = say_time(log.time_ms, "en" if lang == "en" else "zh")
        lines.append((said["hiring_log"], f"{log.origin}  {log.size}  {log.root.hex()}  {time}"))
    lines.append((said["hiring_digest"], summary.digest.hex()))
    if not summary.public:
        return [*lines, (said["hiring_signature"], said["hiring_unsigned"])]
    shown = summary.as_json()
    return [
        *lines,
        (said["hiring_key"], summary.public.hex()),
        (said["hiring_statement"], str(shown["statement"])),
        (said["hiring_signature"], str(shown["signature"])),
    ]


_SUMMARY_WORDS: Final = (
    "hiring_verifier", "hiring_finished", "hiring_rows", "hiring_log", "hiring_digest", "hiring_key",
    "hiring_statement", "hiring_signature", "hiring_unsigned",
)  # fmt: skip


def plain_cell(cell: Cell) -> Any:
    """A cell that was read, as a page has it."""
    if isinstance(cell, Odd):
        return cell.shown
    return ["d", cell.isoformat()] if isinstance(cell, dt.date) else cell

"""Whether an answered list is as it was signed: its summary, and the digest of what stands in its rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.sheets.form import Form
from ledger.sheets.inert import inert
from ledger.sheets.read import read_sheet_bytes
from ledger.sheets.sheet import Sheet
from ledger.text import Text
from verifier.hiring.rendering import SUMMARY_SHEET
from verifier.hiring.rows import COLUMNS
from verifier.hiring.sheets import LIST, asked_texts, cell_text
from verifier.hiring.summary import Summary, parse_summary, result_digest
from verifier.hiring.writing import summary_lines
from verifier.messages import Messages

# The second sheet has no header: its first line names the verifier, in one of the languages.
_SUMMARY: Final = Form(
    "summary", {"item": ("核验方", "checkedby", "核验方/checkedby")}, required=(), listed=(), least=1
)


@dataclass(frozen=True, slots=True)
class VerifiedList:
    """A list that is as it was signed. `known`: by a key that the reader knows."""

    summary: Summary
    known: bool


def verify_list(raw: bytes, known_keys: Collection[bytes], messages: Messages) -> VerifiedList:
    """Raises Malformed when it is no answered list with a signed summary, Unverified when it was changed; Refused as
    `read_sheet_bytes`."""
    sheet = read_sheet_bytes(raw, "", LIST)
    lines = _summary_lines(raw, sheet)
    labels = messages.labels
    statement = _line(lines, {labels["hiring_statement"].zh, labels["hiring_statement"].en})
    summary = parse_summary(statement, _line(lines, {labels["hiring_signature"].zh, labels["hiring_signature"].en}))
    summary.verify_signature()
    if not any(lines == _written(sheet, summary, messages, lang) for lang in ("zh", "en", "both")):
        raise Unverified(
            Text(
                "汇总与签署的不同，或其后另有内容",
                "the summary is not the one that was signed, or something stands behind it",
            )
        )
    rows = [row for row in sheet.rows if row.number < _end(sheet)]
    last = len(sheet.header.titles) - len(COLUMNS)
    if last < 0:
        raise Malformed(Text("已核验的名单应有结果列", "an answered list has columns that answer"))
    found = [
        (
            row.number,
            asked_texts(row, sheet.header),
            tuple(cell_text(row.cell(at)) for at in range(last, last + len(COLUMNS))),
        )
        for row in rows
    ]
    if len(rows) != summary.rows or result_digest(found) != summary.digest:
        raise Unverified(Text("各行与签署的不同", "the rows are not those that were signed"))
    return VerifiedList(summary, summary.public in known_keys)


def _summary_lines(raw: bytes, sheet: Sheet) -> list[tuple[str, str]]:
    if sheet.kind == "csv":
        end = _end(sheet)
        rows = [row for row in sheet.rows if row.number > end]
    else:
        rows = list(read_sheet_bytes(raw, "", _SUMMARY).rows)
    return [(cell_text(row.cell(0)), cell_text(row.cell(1))) for row in rows]


def _written(sheet: Sheet, summary: Summary, messages: Messages, lang: str) -> list[tuple[str, str]]:
    """The lines that `_summary_lines` finds below a list with this summary."""
    lines = [(inert(item), inert(content)) for item, content in summary_lines(summary, messages, lang)]
    return lines if sheet.kind == "csv" else lines[1:]  # the first is the header of the second sheet


def _end(sheet: Sheet) -> int:
    """The row in a CSV where the summary begins."""
    if sheet.kind != "csv":
        return 2**31
    return next((row.number for row in sheet.rows if row.cell(0) == SUMMARY_SHEET), 2**31)


def _line(lines: list[tuple[str, str]], names: set[str]) -> str:
    for item, content in lines:
        if names & set(item.split(" / ")):
            return content.removeprefix("'")  # base64 that begins with + was made inert
    raise Malformed(Text("已核验的名单应有汇总", "an answered list has a summary"))

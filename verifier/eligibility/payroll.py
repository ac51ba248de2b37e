"""Payroll: the staff list in, the same sheet back with the wage of each person by the employer's own wage table.

The result file of the last run is given back in to be compared with: person by person by the employee id. Or the same
list is worked out for another day too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ledger.errors import Refused
from ledger.sheets.form import Form
from ledger.sheets.read import read_sheet_bytes
from ledger.sheets.sheet import Cell, Sheet
from ledger.text import Text
from verifier.eligibility.people import MAX_ROWS, PERSON, People, folded
from verifier.eligibility.results import GRADE, GRADE_THEN, RESULT, TOTAL, Answered, Before, Columns
from verifier.hiring.rendering import SUMMARY_SHEET, Page
from verifier.hiring.sheets import cell_text, titles_of
from verifier.hiring.writing import CODECS, plain_cell

_NOT_ANSWERED: Final = Text(
    "不是上次的结果文件：缺少“{titles}”列", "not the result file of a last run: it has no column {titles}"
)
_TOO_LONG: Final = Text(
    "上次的结果文件最多 {n} 行，请将它与名单按人员同样拆分，逐份比较",
    "A last result file has at most {n} rows: split it and the list alike, person by person, and compare part by part",
)


def _spellings(text: Text) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(folded, (text.zh, text.en, text.both()))))


_COLUMNS: Final = {
    "person": PERSON,
    "result": _spellings(RESULT),
    "grade": (*_spellings(GRADE), *_spellings(GRADE_THEN)),
    "total": _spellings(TOTAL),
}
_RESULT_FILE: Final = Form("result", _COLUMNS, required=("person", "total"), listed=("person", "total"), least=3)


def read_before(raw: bytes, file_name: str, max_rows: int = MAX_ROWS) -> dict[str, Before]:
    """By employee id what the last result file says. Blocks. Raises Refused FILE_*, CSV_*, HEADER_NOT_FOUND,
    NOT_A_RESULT, LIST_TOO_LONG; Unavailable."""
    sheet = read_sheet_bytes(raw, file_name, _RESULT_FILE, max_rows + 1)
    places = sheet.header.places
    if not {"person", "total", "result"} <= places.keys():
        titles = "、".join((RESULT.both(), TOTAL.both()))
        raise Refused("NOT_A_RESULT", "previous", _NOT_ANSWERED.format(titles=titles))
    found: dict[str, Before] = {}
    for at, row in enumerate(sheet.rows):
        if sheet.kind == "csv" and row.cell(0) == SUMMARY_SHEET:
            break  # what stands below is about the run
        if at >= max_rows:
            raise Refused("LIST_TOO_LONG", "previous", _TOO_LONG.format(n=max_rows))
        person = cell_text(row.cell(places["person"])).strip()
        if not person or person in found:
            continue  # a further certificate of the same person
        grade = cell_text(row.cell(places["grade"])) if "grade" in places else ""
        found[person] = Before(_fen(row.cell(places["total"])), grade, cell_text(row.cell(places["result"])))
    return found


def page_of(people: People, answered: list[Answered], columns: Columns, summary: list[tuple[str, str]]) -> Page:
    """The sheet that goes back: its own columns, then those that answer."""
    sheet = people.sheet
    answers = dict(_answers(answered, columns))
    names = list(titles_of(sheet))
    rows: list[tuple[int, list[Any]]] = [(at, list(texts)) for at, texts in enumerate(sheet.above, 1) if any(texts)]
    rows.append((sheet.header.row, [*names, *columns.titles()]))
    for row in sheet.rows:
        cells = [plain_cell(row.cell(at)) for at in range(len(names))]
        rows.append((row.number, [*cells, *answers[row.number]]))
    return Page(sheet.kind, _name(sheet), CODECS.get(sheet.encoding, "utf-8-sig"), sheet.separator, rows, summary)


def _answers(answered: list[Answered], columns: Columns) -> Iterator[tuple[int, list[Any]]]:
    for one in answered:
        yield one.person.row, columns.cells(one)
        for question in one.person.questions[1:]:
            yield question.row, columns.beside(one.person.row)


def _name(sheet: Sheet) -> str:
    return sheet.name or "Sheet1"


def _fen(cell: Cell) -> int | None:
    if isinstance(cell, float):
        return round(cell * 100)
    text = cell_text(cell).replace(",", "").strip()
    whole, _, part = text.partition(".")
    if not whole.lstrip("-").isdigit() or (part and not part.isdigit()):
        return None
    fen = int(whole.lstrip("-")) * 100 + int(part[:2].ljust(2, "0") or 0)
    return -fen if whole.startswith("-") else fen

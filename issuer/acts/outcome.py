"""What is handed back of an act, made from its journal alone: one line for every line that was signed.

results.xlsx   row, number, name, what was asked, log index, status, note; link and QR text where one was issued
problems.xlsx  the rows to fix, when there are any        summary.json  the same for programs
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook

from issuer import results
from issuer.acts.act import Done, Told
from issuer.config import IssuerSettings
from issuer.issue import Proposed
from issuer.receipt import Placed
from issuer.results import Issued, issued_of, refusal_value
from issuer.roster.report import write_fix_sheet
from ledger.durable import replace_file
from ledger.errors import Refused, cannot_create
from ledger.records.proposal import format_proposal
from ledger.sheets.inert import append_texts, book_bytes
from ledger.sheets.problem import ERROR
from ledger.text import Text

_TITLES: Final = (
    "行号 Row", "证书编号 Number", "姓名 Name", "事项 Act", "日志序号 Log index", "状态 Status", "说明 Note",
    "网址 Link", "二维码内容 QR text",
)  # fmt: skip
_PROPOSALS: Final = "proposals"
_LOGGED: Final = Text("已入账", "logged")
_REFUSED: Final = Text("被拒", "refused")
_UNANSWERED: Final = Text("待答复", "unanswered")
_AWAITED: Final = Text("待主管部门签署", "to be signed by the authority")


def write_outcome(out: Path, done: Done, issued: list[Issued]) -> dict[str, Any]:
    """Write the sheets and the summary, and return the summary. Raises Unavailable (disk)."""
    results.prepare_folder(out)
    problems = [problem for problem in done.checked.problems if problem.severity == ERROR]
    fix = out / results.PROBLEMS
    if problems and done.source.sheet is not None:
        write_fix_sheet(fix, done.source.sheet, problems)
    else:
        fix.unlink(missing_ok=True)
    if done.told() or done.awaited():
        _write_sheet(out / results.RESULTS, done, {item.number: item for item in issued})
    for one in done.awaited():
        path = proposal_path(out, one)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise cannot_create(path.parent, error) from error
        replace_file(path, format_proposal(one.proposal))
    summary = summary_of(done)
    results.write_summary(out / results.SUMMARY, summary)
    return summary


def proposal_path(out: Path, one: Proposed) -> Path:
    return out / _PROPOSALS / f"{one.face.number}.proposal"


def issued_by(done: Done, settings: IssuerSettings) -> list[Issued]:
    """What is to be printed: what the act issued, and what it corrected, with what it says now."""
    changes = done.register.changes
    issued = results.all_issued(done.state, settings, changes)
    for certificate, _ in done.state.logged():
        held = done.register.find(certificate.number)
        if held is not None and held.correction == certificate:
            issued.append(issued_of(held.certificate, held.placed, settings.verify_url, held.correction))
    return issued


def status_text(told: Told) -> Text:
    if isinstance(told.answer, Placed):
        return _LOGGED
    return _REFUSED if isinstance(told.answer, Refused) else _UNANSWERED


def summary_of(done: Done) -> dict[str, Any]:
    """summary.json. Times are ms since 1970."""
    lines = []
    for told in done.told():
        line: dict[str, Any] = {"row": told.named.row, "number": told.named.number, "status": status_text(told).en}
        if isinstance(told.answer, Placed):
            line |= {"index": told.answer.proof.index, "time": told.answer.time}
        elif isinstance(told.answer, Refused):
            line |= refusal_value(told.answer)
        lines.append(line)
    return {
        "batch": done.act_id.hex(),
        "act": done.state.header.file_name if done.state.header else "",
        "logged": sum(isinstance(told.answer, Placed) for told in done.told()),
        "refused": sum(isinstance(told.answer, Refused) for told in done.told()),
        "unanswered": sum(told.answer is None for told in done.told()),
        "awaited": [{"row": one.row, "number": one.face.number} for one in done.awaited()],
        "problems": len(done.checked.error_rows),
        "repeated": done.repeated,
        "lines": lines,
    }


def _write_sheet(path: Path, done: Done, issued: dict[str, Issued]) -> None:
    book = Workbook(write_only=True)
    page = book.create_sheet("Results")
    append_texts(page, _TITLES)
    command = done.state.header.file_name.split(" ")[0] if done.state.header else ""
    lines: list[tuple[int, tuple[str, ...]]] = []
    for told in done.told():
        number, answer = told.named.number, told.answer
        index = str(answer.proof.index) if isinstance(answer, Placed) else ""
        note = f"{answer.code} {answer.text.both()}" if isinstance(answer, Refused) else ""
        item = issued.get(number)
        codes = (item.link, item.qr_text) if item else ("", "")
        line = (number, _name(done, number), command, index, status_text(told).both(), note, *codes)
        lines.append((told.named.row, line))
    for one in done.awaited():
        lines.append((one.row, (one.face.number, one.face.name, command, "", _AWAITED.both(), "", "", "")))
    for row, texts in sorted(lines):
        append_texts(page, [str(row), *texts])
    replace_file(path, book_bytes(book))


def _name(done: Done, number: str) -> str:
    held = done.register.find(number)
    return held.current.face.name if held else ""

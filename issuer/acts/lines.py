"""The lines of an act: rows of a sheet, or the one that a command names; and the words in their cells."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

from issuer.register import Held, Register
from issuer.roster import values
from ledger.errors import Refused, cannot
from ledger.records import canonical
from ledger.records.kinds import Reason
from ledger.records.number import parse_number
from ledger.records.reasons import reason_text
from ledger.sheets.form import Form
from ledger.sheets.problem import ERROR, Problem
from ledger.sheets.read import MAX_BYTES, read_sheet_bytes
from ledger.sheets.sheet import Cell, Sheet, shown
from ledger.text import Text

T = TypeVar("T")

_UNKNOWN: Final = Text("本机构的已入账证书中没有这个编号", "none of this body's logged certificates has this number")
_REASON_MISSING: Final = Text("没有填写原因", "the reason is empty")
_REASON_UNKNOWN: Final = Text("不认识的原因，可填：{known}", "unknown reason; write one of: {known}")
_REASON_UNFIT: Final = Text("这个原因不适用，可填：{known}", "this reason does not fit; write one of: {known}")
_FUTURE: Final = Text("日期在将来", "the date is in the future")


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its number in the sheet, and its cells by field of the form."""

    row: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Source:
    """Where an act's lines come from. `digest` names the act: the sheet's exact bytes, or the command's words."""

    name: str
    digest: bytes
    form: Form
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...] = ()  # of the sheet as a whole
    sheet: Sheet | None = None
    date1904: bool = False


def read_sheet(path: Path, form: Form) -> Source:
    """Read a sheet once. Raises Unavailable when it cannot be read from disk, and as `read_sheet_bytes`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise cannot(Text("无法读取表格", "the sheet cannot be read"), error) from error
    sheet = read_sheet_bytes(raw, path.name, form)
    places = sheet.header.places
    lines: tuple[Line, ...] = ()
    if sheet.header.complete:
        lines = tuple(Line(row.number, {name: row.cell(at) for name, at in places.items()}) for row in sheet.rows)
    problems = [*sheet.header.problems]
    problems += [Problem(0, "", "", notice.code, notice.text, notice.severity) for notice in sheet.notes]
    if not sheet.rows:
        problems.append(Problem(0, "", "", "SHEET_EMPTY", Text("表头下面没有数据行", "no rows under the header")))
    return Source(path.name, sha256(raw).digest(), form, lines, tuple(problems), sheet, sheet.date1904)


def one_line(form: Form, **cells: str) -> Source:
    """The line that a command gives in words; the same words are the same act."""
    given = {name: text for name, text in cells.items() if text}
    words: list[canonical.Value] = [[name, text] for name, text in sorted(given.items())]
    return Source("", sha256(canonical.encode(words)).digest(), form, (Line(1, given),))


@dataclass(slots=True)
class Reading:
    """What is read of one line so far, and every problem of its cells."""

    form: Form
    line: Line
    date1904: bool
    problems: list[Problem] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        return any(problem.severity == ERROR for problem in self.problems)

    def cell(self, name: str) -> Cell:
        return self.line.cells.get(name, "")

    def given(self, name: str) -> bool:
        cell = self.cell(name)
        return not isinstance(cell, str) or bool(cell.strip())

    def take(self, name: str, read: Callable[[Cell], T]) -> T | None:
        """The value of a cell; None and a problem when it has none."""
        try:
            return read(self.cell(name))
        except Refused as refusal:
            self.add(name, refusal.code, refusal.text)
            return None

    def add(self, name: str, code: str, text: Text, severity: str = ERROR) -> None:
        value = shown(self.cell(name))
        self.problems.append(Problem(self.line.row, self.form.title(name), value, code, text, severity))

    def day(self, name: str, default: int, latest: int | None = None) -> int | None:
        """A day, `default` where the cell is empty, not after `latest`."""
        if not self.given(name):
            return default
        found = self.take(name, lambda cell: values.day(cell, date1904=self.date1904))
        if found is not None and latest is not None and found > latest:
            self.add(name, "DATE_IN_FUTURE", _FUTURE)
            return None
        return found

    def reason(self, allowed: Sequence[Reason], default: Reason | None = None) -> Reason | None:
        if default is not None and not self.given("reason"):
            return default
        return self.take("reason", lambda cell: parse_reason(values.text_of(cell), allowed))

    def number(self) -> str | None:
        """The certificate number in its normal form."""
        return self.take("number", lambda cell: parse_number(values.exact_text(cell, "NUMBER_NUMERIC")).text)

    def held(self, register: Register) -> Held | None:
        """The body's own certificate that the line names."""
        number = self.number()
        found = register.find(number) if number is not None else None
        if number is not None and found is None:
            self.add("number", "NUMBER_UNKNOWN", _UNKNOWN)
        return found


class Repeats:
    """Finds numbers that a sheet names twice: the first is no more certain than the others."""

    def __init__(self) -> None:
        self._first: dict[str, Reading] = {}
        self._told: set[str] = set()

    def check(self, reading: Reading, number: str) -> None:
        first = self._first.setdefault(number, reading)
        if first is reading:
            return
        _repeat(reading, first.line.row)
        if number not in self._told:
            self._told.add(number)
            _repeat(first, reading.line.row)


def parse_reason(text: str, allowed: Sequence[Reason]) -> Reason:
    """A reason by its Chinese or English words, or by the name or number of its code.

    Refused REASON_MISSING, REASON_UNKNOWN, or REASON_UNFIT when it is none of `allowed`.
    """
    plain = _plain(text)
    if not plain:
        raise Refused("REASON_MISSING", "reason", _REASON_MISSING)
    found = _REASONS.get(plain)
    if found is not None and found in allowed:
        return found
    known = (
        "、".join(reason_text(reason).zh for reason in allowed),
        ", ".join(reason.name.lower() for reason in allowed),
    )
    code, said = ("REASON_UNKNOWN", _REASON_UNKNOWN) if found is None else ("REASON_UNFIT", _REASON_UNFIT)
    raise Refused(code, "reason", Text(said.zh.format(known=known[0]), said.en.format(known=known[1])))


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text[:80]).lower()
    return "".join(char for char in folded if char.isalnum())


_REASONS: Final[Mapping[str, Reason]] = {
    _plain(spelling): reason
    for reason in Reason
    for spelling in (reason.name, str(int(reason)), reason_text(reason).zh, reason_text(reason).en)
}


def _repeat(reading: Reading, row: int) -> None:
    reading.add("number", "NUMBER_REPEATED", Text(f"与第 {row} 行重复", f"repeats row {row}"))

"""One row of a roster into one certificate to be: every problem of the row at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from issuer.roster import values
from issuer.roster.forms import column_title
from ledger.errors import Refused
from ledger.records.documents import UNKNOWN_COUNTRY, IdDocument, parse_document, review_document
from ledger.records.grades import Grade, Ladder, parse_grade
from ledger.records.kinds import Audience, Route
from ledger.records.names import normalise_name
from ledger.records.notice import Notice
from ledger.records.number import CertificateNumber, diagnose_number, parse_number
from ledger.records.occupations import Catalogue, Occupation
from ledger.sheets.problem import ERROR, NOTE, WARNING, Problem
from ledger.sheets.sheet import Cell, SheetRow, shown
from ledger.text import Text

T = TypeVar("T")

_SCORES = ("theory_score", "practical_score", "review_score")


@dataclass(frozen=True, slots=True)
class RosterRow:
    """A row that may be issued. Days since 1970-01-01; `audience` is that of the filing row that covers it."""

    row: int  # as in the sheet
    name: str
    document: IdDocument
    employer: str  # "" = not given
    occupation: Occupation
    trade: str  # "" = none
    grade: Grade
    number: CertificateNumber
    issue_day: int
    assessment_day: int  # the issue day where the sheet has no such column
    route: Route
    audience: Audience
    assessor: str
    issuing_body: str
    photo: str  # file name as given, "" = none
    scores: tuple[tuple[str, str], ...]  # (title of the column, text)


@dataclass(slots=True)
class Reading:
    """What could be read of a row so far; None where it could not. `problems` says why."""

    row: int
    name: str | None = None
    document: IdDocument | None = None
    occupation: Occupation | None = None
    grade: Grade | None = None
    number: CertificateNumber | None = None
    issue_day: int | None = None
    assessment_day: int | None = None
    route: Route | None = None
    trade: str | None = None
    texts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether the row must not be issued."""
        return any(problem.severity == ERROR for problem in self.problems)

    def complete(self, audience: Audience) -> RosterRow:
        """The finished row, when nothing is wrong with it."""
        assert self.name is not None and self.document is not None and self.occupation is not None
        assert self.grade is not None and self.number is not None and self.route is not None
        assert self.issue_day is not None and self.assessment_day is not None and self.trade is not None
        return RosterRow(
            row=self.row,
            name=self.name,
            document=self.document,
            employer=self.texts.get("employer", ""),
            occupation=self.occupation,
            trade=self.trade,
            grade=self.grade,
            number=self.number,
            issue_day=self.issue_day,
            assessment_day=self.assessment_day,
            route=self.route,
            audience=audience,
            assessor=self.texts.get("assessor", ""),
            issuing_body=self.texts.get("issuing_body", ""),
            photo=self.texts.get("photo", ""),
            scores=tuple((column_title(name), self.texts[name]) for name in _SCORES if self.texts.get(name)),
        )


class RowReader:
    """Reads the rows of one sheet: `places` of its header, the ladder, the catalogue, and today."""

    def __init__(
        self, places: Mapping[str, int], ladder: Ladder, catalogue: Catalogue, today_day: int, *, date1904: bool
    ) -> None:
        self._places = places
        self._ladder = ladder
        self._catalogue = catalogue
        self._today = today_day
        self._date1904 = date1904
        self._grades: dict[str, Grade] = {}  # spellings met so far: a handful

    def read(self, row: SheetRow) -> Reading:
        """Everything that can be read of this row, and every problem of its cells."""
        reading = Reading(row.number)
        for name in ("employer", "assessor", "issuing_body", "photo", *_SCORES):
            reading.texts[name] = self._try(reading, row, name, values.plain_text) or ""
        reading.trade = self._try(reading, row, "trade", values.trade)
        self._read_person(reading, row)
        self._read_occupation(reading, row)
        reading.grade = self._try(reading, row, "grade", self._grade)
        if reading.grade and not reading.grade.issuable:
            said = Text("不是发证的等级（属于岗位聘任）", "not a grade that certificates are issued for: a post")
            self.add(reading, row, "grade", "GRADE_NOT_ISSUABLE", said)
        self._read_number(reading, row)
        reading.issue_day = self._try(reading, row, "issue_date", self._day)
        reading.assessment_day = reading.issue_day
        if values_given(self._cell(row, "assessment_date")):
            reading.assessment_day = self._try(reading, row, "assessment_date", self._day)
        reading.route = self._try(reading, row, "route", lambda cell: values.route(values.text_of(cell)))
        return reading

    def add(self, reading: Reading, row: SheetRow, name: str, code: str, text: Text, severity: str = ERROR) -> None:
        """Note a problem about the cell of column `name`."""
        value = shown(self._cell(row, name))
        reading.problems.append(Problem(row.number, column_title(name), value, code, text, severity))

    def _read_person(self, reading: Reading, row: SheetRow) -> None:
        named = self._try(reading, row, "name", lambda cell: normalise_name(values.text_of(cell)))
        if named:
            reading.name = named[0]
            self._notices(reading, row, "name", named[1])
        kind = self._try(reading, row, "document_type", values.text_of)
        country = (self._try(reading, row, "country", values.text_of) or "").upper()
        if country and not (len(country) == 3 and country.isascii() and country.isalpha()):
            said = Text("国家代码应为三个字母，如 USA", "a country is three letters, such as USA")
            self.add(reading, row, "country", "COUNTRY_FORM", said)
            return
        number = self._try(reading, row, "document_number", lambda cell: values.exact_text(cell, "DOCUMENT_NUMERIC"))
        if kind is None or number is None:
            return
        try:
            reading.document = parse_document(kind, number, today_day=self._today, country=country or UNKNOWN_COUNTRY)
        except Refused as refusal:
            column = "document_type" if refusal.code == "DOCUMENT_TYPE" else "document_number"
            self.add(reading, row, column, refusal.code, refusal.text)
            return
        notices = review_document(kind, reading.document, today_day=self._today)
        self._notices(reading, row, "document_number", notices)

    def _read_occupation(self, reading: Reading, row: SheetRow) -> None:
        code = self._try(reading, row, "occupation_code", values.text_of) or ""
        found = self._try(
            reading,
            row,
            "occupation",
            lambda cell: values.occupation(values.text_of(cell), code, reading.trade or "", self._catalogue),
        )
        reading.occupation = found
        if found and reading.trade and found.trades and reading.trade not in found.trades:
            said = Text("职业目录的该职业下没有这个工种", "the catalogue lists no such trade for it")
            self.add(reading, row, "trade", "TRADE_UNKNOWN", said, WARNING)

    def _read_number(self, reading: Reading, row: SheetRow) -> None:
        text = self._try(reading, row, "number", lambda cell: values.exact_text(cell, "NUMBER_NUMERIC"))
        if text is None:
            return
        try:
            reading.number = parse_number(text)
        except Refused:
            for problem in diagnose_number(text):
                self.add(reading, row, "number", f"NUMBER_{problem.code}", problem.text)

    def _day(self, cell: Cell) -> int:
        return values.day(cell, date1904=self._date1904)

    def _try(self, reading: Reading, row: SheetRow, name: str, read: Callable[[Cell], T]) -> T | None:
        try:
            return read(self._cell(row, name))
        except Refused as refusal:
            self.add(reading, row, name, refusal.code, refusal.text)
            return None

    def _cell(self, row: SheetRow, name: str) -> Cell:
        at = self._places.get(name)
        return "" if at is None else row.cell(at)

    def _grade(self, cell: Cell) -> Grade:
        text = values.text_of(cell)
        if text not in self._grades:
            self._grades[text] = parse_grade(text, self._ladder)
        return self._grades[text]

    def _notices(self, reading: Reading, row: SheetRow, name: str, notices: tuple[Notice, ...]) -> None:
        for notice in notices:
            severity = WARNING if notice.severity == WARNING else NOTE
            self.add(reading, row, name, notice.code, notice.text, severity)


def values_given(cell: Cell) -> bool:
    """Whether a cell holds anything at all."""
    return not isinstance(cell, str) or bool(cell.strip())

"""A whole roster against the filing, itself and the log. Nothing is signed from a row that has an error.

All problems of all rows come at once; beyond 10,000 only their number is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from issuer.roster.forms import column_title
from issuer.roster.rows import Reading, RosterRow, RowReader
from issuer.roster.terms import FilingTerms
from ledger.records.grades import Ladder
from ledger.records.kinds import Audience
from ledger.records.number import GRADE_22, OPAQUE, cross_check
from ledger.records.occupations import Catalogue
from ledger.records.status import MAX_LAG_DAYS
from ledger.sheets.columns import Header
from ledger.sheets.problem import ERROR, NOTE, WARNING, Problem
from ledger.sheets.sheet import Sheet, SheetRow, shown
from ledger.text import Text

MAX_PROBLEMS = 10_000


@dataclass(frozen=True, slots=True)
class RosterReport:
    """The outcome. `rows` may be issued; rows in `error_rows` may not; `problems` is capped, `totals` is not."""

    rows: tuple[RosterRow, ...]
    row_count: int  # rows below the header that are not blank
    problems: tuple[Problem, ...]  # by row; at most MAX_PROBLEMS
    totals: Mapping[tuple[str, str], int]  # (severity, code) -> how many, all counted
    error_rows: frozenset[int]
    notes: tuple[Problem, ...]  # about the file as a whole
    encoding: str
    columns: Header

    @property
    def clean(self) -> bool:
        """Whether every row may be issued, and there is one."""
        return not self.error_rows and self.columns.complete and bool(self.rows)

    def count(self, severity: str) -> int:
        """How many problems of this severity there are, beyond the cap too."""
        return sum(number for (kind, _), number in self.totals.items() if kind == severity)


def check_roster(
    sheet: Sheet,
    terms: FilingTerms,
    ladder: Ladder,
    catalogue: Catalogue,
    today_day: int,
    on_log: Callable[[str], bool] | None = None,
    *,
    late: bool = False,
) -> RosterReport:
    """Check every row. `on_log(number text)` tells whether a number is taken (pass `taken.__contains__`); `late`: for a
    late permit, which lets in what is more than 60 days old and old numbers, and nothing else.

    Raises nothing for bad rows: a report without rows, or with a header that is not complete, says why.
    """
    check = _Check(sheet, terms, ladder, catalogue, today_day, on_log or (lambda number: False), late=late)
    if sheet.header.complete:
        for row in sheet.rows:
            check.row(row)
    return check.report()


class _Check:
    def __init__(
        self,
        sheet: Sheet,
        terms: FilingTerms,
        ladder: Ladder,
        catalogue: Catalogue,
        today_day: int,
        on_log: Callable[[str], bool],
        *,
        late: bool,
    ) -> None:
        self._late = late
        self._sheet, self._terms, self._ladder = sheet, terms, ladder
        self._today, self._on_log = today_day, on_log
        self._reader = RowReader(sheet.header.places, ladder, catalogue, today_day, date1904=sheet.date1904)
        self._rows: dict[int, RosterRow] = {}
        self._problems: list[Problem] = []
        self._totals: Counter[tuple[str, str]] = Counter()
        self._error_rows: set[int] = set()
        # First row of each number, certificate and person (with the name there), to find repeats.
        self._seen: dict[Hashable, tuple[int, str]] = {}
        self._repeated: set[Hashable] = set()

    def row(self, row: SheetRow) -> None:
        reading = self._reader.read(row)
        audience = self._against_filing(reading, row)
        self._dates(reading, row)
        self._bodies(reading, row)
        if reading.number and self._on_log(reading.number.text):
            self._add(reading, row, "number", "NUMBER_ON_LOG", "日志中已有这个证书编号", "this number is on the log")
        self._repeats(reading, row)
        for problem in reading.problems:
            self._keep(problem)
        if audience is not None and not reading.wrong:
            self._rows[row.number] = reading.complete(audience)

    def report(self) -> RosterReport:
        for problem in self._file_notes():
            self._keep(problem)
        self._problems.sort(key=lambda problem: problem.row)
        in_rows = tuple(problem for problem in self._problems if problem.row > self._sheet.header.row)
        return RosterReport(
            rows=tuple(row for number, row in self._rows.items() if number not in self._error_rows),
            row_count=len(self._sheet.rows),
            problems=in_rows,
            totals=self._totals,
            error_rows=frozenset(self._error_rows),
            notes=tuple(problem for problem in self._problems if problem.row <= self._sheet.header.row),
            encoding=self._sheet.encoding,
            columns=self._sheet.header,
        )

    def _against_filing(self, reading: Reading, row: SheetRow) -> Audience | None:
        """The audience of the filing row that covers this one, or None and a problem."""
        grade, occupation, issued = reading.grade, reading.occupation, reading.issue_day
        if reading.number and grade and issued is not None:
            for problem in cross_check(
                reading.number,
                filing_number=self._terms.filing_number,
                window=self._terms.window,
                issue_day=issued,
                grade_ordinal=grade.ordinal,
                ladder=self._ladder,
            ):
                of_window = problem.code in ("FILING_NOT_STARTED", "FILING_ENDED")
                code = problem.code if of_window else f"NUMBER_{problem.code}"
                column = "issue_date" if of_window else "number"
                self._reader.add(reading, row, column, code, problem.text)
        if reading.number and reading.number.scheme not in ((GRADE_22, OPAQUE) if self._late else (GRADE_22,)):
            said = Text("只能登记 22 位等级证书编号", "only numbers of the 22-character grade scheme can be logged")
            self._reader.add(reading, row, "number", "NUMBER_SCHEME", said)
        if not (grade and grade.issuable and occupation):
            return None
        matching = self._terms.matching(occupation.code, reading.trade or "", grade.ordinal)
        if not matching:
            filed = any(line.occupation == occupation.code for line in self._terms.rows)
            if filed:
                self._add(
                    reading,
                    row,
                    "grade",
                    "GRADE_NOT_FILED",
                    "该职业（工种）备案不含这个等级",
                    "the filing lacks this grade of it",
                )
            else:
                self._add(
                    reading,
                    row,
                    "occupation",
                    "OCCUPATION_NOT_FILED",
                    "职业不在备案范围",
                    "occupation not in the filing",
                )
            return None
        begun = [line for line in matching if issued is None or line.first_day <= issued]
        if not begun:
            self._add(
                reading,
                row,
                "issue_date",
                "ROW_NOT_STARTED",
                "该备案项目在发证日期尚未生效",
                "filed from a later day on",
            )
            return None
        if len({line.audience for line in begun}) > 1:
            said = Text("备案有多个评价对象，按第一项处理", "several audiences are filed: the first is used")
            self._reader.add(reading, row, "occupation", "AUDIENCE_ASSUMED", said, NOTE)
        return begun[0].audience

    def _dates(self, reading: Reading, row: SheetRow) -> None:
        issued, assessed = reading.issue_day, reading.assessment_day
        if issued is None:
            return
        if issued > self._today:
            self._add(
                reading, row, "issue_date", "ISSUE_IN_FUTURE", "发证日期在将来", "the issue date is in the future"
            )
        elif self._late != (self._today - issued > MAX_LAG_DAYS):  # the log's ISSUED_TOO_LATE
            if self._late:
                zh, en = "未超过期限，无须补录许可，请用 issue 签发", "not late: no permit is needed, use issue"
                self._add(reading, row, "issue_date", "ISSUE_NOT_LATE", zh, en)
            else:
                zh = f"发证已超过 {MAX_LAG_DAYS} 天，须先取得补录许可（late-permit）"
                en = f"over {MAX_LAG_DAYS} days old: needs a late permit first (late-permit)"
                self._add(reading, row, "issue_date", "ISSUE_LATE", zh, en)
        if assessed is not None and assessed > issued:
            self._add(
                reading,
                row,
                "assessment_date",
                "ASSESSMENT_AFTER_ISSUE",
                "评价日期晚于发证日期",
                "assessed after issue",
            )
        if reading.occupation and not reading.occupation.in_force(issued):
            self._add(
                reading,
                row,
                "occupation",
                "OCCUPATION_NOT_IN_FORCE",
                "该职业编码当日不在用",
                "code not in force that day",
            )

    def _bodies(self, reading: Reading, row: SheetRow) -> None:
        for name in ("assessor", "issuing_body"):
            given = reading.texts.get(name, "")
            if given and given != self._terms.name:
                said = Text("与备案的机构名称不一致", "differs from the registered name of the body")
                self._reader.add(reading, row, name, "BODY_NAME_DIFFERS", said, WARNING)

    def _repeats(self, reading: Reading, row: SheetRow) -> None:
        number, document, name = reading.number, reading.document, reading.name or ""
        if number:
            self._repeat(reading, row, ("number", number.text), "number", "NUMBER_REPEATED")
        if document is None:
            return
        person = document.identity
        first = self._seen.setdefault(("person", person), (row.number, name))
        if name and first[1] and first[1] != name:
            zh, en = f"与第 {first[0]} 行证件相同而姓名不同", f"row {first[0]} has this document under another name"
            self._add(reading, row, "name", "PERSON_TWO_NAMES", zh, en)
        if reading.occupation and reading.grade and reading.trade is not None:  # as the log's DUPLICATE_GRADE
            certificate = ("certificate", person, reading.occupation.lineage, reading.grade.ordinal, reading.trade)
            self._repeat(reading, row, certificate, "document_number", "CERTIFICATE_REPEATED")

    def _repeat(self, reading: Reading, row: SheetRow, key: Hashable, name: str, code: str) -> None:
        value = shown(row.cell(self._sheet.header.places[name]))
        first, first_value = self._seen.setdefault(key, (row.number, value))
        if first == row.number:
            return
        self._add(reading, row, name, code, f"与第 {first} 行重复", f"repeats row {first}")
        if key not in self._repeated:  # the first of them is no more certain than the others
            self._repeated.add(key)
            said = Text(f"与第 {row.number} 行重复", f"repeats row {row.number}")
            self._keep(Problem(first, column_title(name), first_value, code, said))

    def _add(self, reading: Reading, row: SheetRow, name: str, code: str, zh: str, en: str) -> None:
        self._reader.add(reading, row, name, code, Text(zh, en))

    def _keep(self, problem: Problem) -> None:
        self._totals[problem.severity, problem.code] += 1
        if problem.severity == ERROR and problem.row > self._sheet.header.row:
            self._error_rows.add(problem.row)
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)

    def _file_notes(self) -> list[Problem]:
        header = self._sheet.header
        found = list(header.problems)
        for notice in self._sheet.notes:
            found.append(Problem(0, "", "", notice.code, notice.text, notice.severity))
        if not self._sheet.rows:
            said = Text("表头下面没有数据行", "there are no rows under the header")
            found.append(Problem(0, "", "", "ROSTER_EMPTY", said))
        if "assessment_date" not in header.places and self._sheet.rows:
            said = Text("没有评价日期一列，按发证日期处理", "no assessment date column: the issue date is used")
            found.append(Problem(0, column_title("assessment_date"), "", "ASSESSMENT_ASSUMED", said, NOTE))
        return found

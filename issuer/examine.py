"""A roster before anything is signed: every problem of every row, and for each clean row the order to issue it.

The roster's own check (roster/check.py) knows filing, ladder, catalogue and the log's numbers; here comes what only
issuing knows: the standard and audience that will be signed, the characters the print font has, the photos.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from issuer.batch import Order
from issuer.config import IssuerSettings
from issuer.draft import Terms
from issuer.photos import Photo, find_photo, read_photo
from issuer.roster.check import MAX_PROBLEMS, RosterReport, check_roster
from issuer.roster.forms import ROSTER, column_title
from issuer.roster.rows import RosterRow
from issuer.roster.terms import FilingTerms
from ledger.errors import Malformed, Refused, Unavailable, cannot
from ledger.printing.fonts import Fonts
from ledger.records.authority import Filing
from ledger.records.kinds import Audience, Route
from ledger.records.number import normal_text
from ledger.reference_data import load_catalogue, load_ladder
from ledger.sheets.problem import ERROR, WARNING, Problem
from ledger.sheets.read import MAX_BYTES, read_sheet_bytes
from ledger.sheets.sheet import Sheet
from ledger.text import Text
from ledger.wire import MAX_NUMBERS

_AUDIENCE = Text("备案不含所设的评价对象", "the filing does not cover the audience set in issuer.toml")
_MAX_TRADE = 64  # characters, as the issue statement holds (records/issue.py)
_TRADE = Text("工种名称过长，最多 64 字", "the trade is too long, at most 64 characters")
_NO_PHOTO = Text("没有找到照片", "no photo was found")
_BAD_PHOTO = Text("照片无法读取（须为 JPEG 或 PNG）", "the photo cannot be read (JPEG or PNG is needed)")


@dataclass(frozen=True, slots=True)
class Roster:
    """A roster file as read. `sha256` names its batch."""

    file_name: str
    sha256: bytes
    sheet: Sheet

    def numbers(self) -> list[str]:
        """The certificate numbers that its rows name, in normal form, as far as they are text."""
        at = self.sheet.header.places.get("number")
        if at is None:
            return []
        cells = (row.cell(at) for row in self.sheet.rows)
        texts = dict.fromkeys(normal_text(cell) for cell in cells if isinstance(cell, str))
        return [text for text in texts if 1 <= len(text) <= 64]


@dataclass(frozen=True, slots=True)
class Examined:
    """What may be issued and what not. `report` holds the problems of both checks."""

    roster: Roster
    report: RosterReport
    orders: tuple[Order, ...]


def open_roster(path: Path) -> Roster:
    """Read a roster file once, so that what is checked is what names the batch.

    Raises Unavailable when it cannot be read from disk, and as `read_sheet_bytes`.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise cannot(Text(f"名单读不出来：{path}", f"the roster cannot be read: {path}"), error) from error
    return Roster(path.name, sha256(raw).digest(), read_sheet_bytes(raw, path.name, ROSTER))


async def ask_taken(numbers: Sequence[str], taken_numbers: Callable[[Sequence[str]], Awaitable[set[str]]]) -> set[str]:
    """Which of any number of certificate numbers are on the log."""
    taken: set[str] = set()
    for start in range(0, len(numbers), MAX_NUMBERS):
        taken |= await taken_numbers(numbers[start : start + MAX_NUMBERS])
    return taken


def examine(
    roster: Roster,
    filing: Filing,
    settings: IssuerSettings,
    fonts: Fonts,
    today_day: int,
    *,
    taken: Container[str] = frozenset(),
    photos: Path | None = None,
    decided: Container[int] = frozenset(),
    late: bool = False,
) -> Examined:
    """Check everything. `decided` are rows signed in an earlier run: they are not ordered again, nor reported on."""
    terms = FilingTerms.of(filing)
    report = check_roster(
        roster.sheet, terms, load_ladder(), load_catalogue(), today_day, taken.__contains__, late=late
    )
    examiner = _Examiner(terms, settings, fonts, photos, routed="route" in roster.sheet.header.places)
    orders, problems = [], []
    for row in report.rows:
        if row.row in decided:
            continue
        found, order = examiner.row(row)
        problems += found
        if order is not None:
            orders.append(order)
    return Examined(roster, _without(_added(report, problems), decided), tuple(orders))


class _Examiner:
    def __init__(
        self, terms: FilingTerms, settings: IssuerSettings, fonts: Fonts, photos: Path | None, *, routed: bool
    ) -> None:
        self._terms, self._settings, self._fonts, self._photos = terms, settings, fonts, photos
        self._routed = routed

    def row(self, row: RosterRow) -> tuple[list[Problem], Order | None]:
        problems: list[Problem] = []
        audience = self._audience(row)
        if audience is None:
            problems.append(_problem(row, "occupation", "AUDIENCE_NOT_FILED", row.occupation.name, _AUDIENCE))
        if len(row.trade) > _MAX_TRADE:
            problems.append(_problem(row, "trade", "TRADE_LONG", row.trade[:40], _TRADE))
        for column, text in (("name", row.name), ("trade", row.trade), ("document_number", row.document.number)):
            try:
                self._fonts.check(column, text)
            except Refused as refusal:
                problems.append(_problem(row, column, refusal.code, text[:60], refusal.text))
        photo, about_photo = self._photo(row)
        problems += about_photo
        if any(problem.severity == ERROR for problem in problems) or audience is None:
            return problems, None
        settings = self._settings
        terms = Terms(
            filing_number=settings.filing_number,
            route=row.route if self._routed else Route[settings.route.upper()],
            audience=audience,
            standard=row.occupation.standard_id or settings.standard_for(row.occupation.code),
        )
        return problems, Order(row, terms, photo)

    def _audience(self, row: RosterRow) -> Audience | None:
        """The one set, when some filing row covers this certificate for it on its issue date."""
        if self._settings.audience == "filed":
            return row.audience
        wanted = Audience[self._settings.audience.upper()]
        matching = self._terms.matching(row.occupation.code, row.trade, row.grade.ordinal)
        covered = any(line.audience is wanted and line.first_day <= row.issue_day for line in matching)
        return wanted if covered else None

    def _photo(self, row: RosterRow) -> tuple[Photo | None, list[Problem]]:
        if self._photos is None:
            return None, []
        path = find_photo(self._photos, row.photo, row.document.number, row.number.text)
        if path is None:
            return None, [_problem(row, "photo", "PHOTO_MISSING", row.photo, _NO_PHOTO, WARNING)]
        try:
            return read_photo(path), []
        except (Malformed, Unavailable):
            return None, [_problem(row, "photo", "PHOTO_UNREADABLE", path.name, _BAD_PHOTO)]


def refusals_as_problems(refused: Iterable[tuple[int, str, Refused]]) -> list[Problem]:
    """What the ledger said about rows (row, number, refusal), in the form in which the check speaks."""
    return [
        Problem(row, column_title("number"), number, refusal.code, refusal.text) for row, number, refusal in refused
    ]


def _problem(row: RosterRow, column: str, code: str, value: str, text: Text, severity: str = ERROR) -> Problem:
    return Problem(row.row, column_title(column), value, code, text, severity)


def _added(report: RosterReport, problems: Sequence[Problem]) -> RosterReport:
    """The report with further problems, within its cap; rows with errors are no longer ready."""
    if not problems:
        return report
    wrong = {problem.row for problem in problems if problem.severity == ERROR}
    room = max(0, MAX_PROBLEMS - len(report.problems))
    return replace(
        report,
        rows=tuple(row for row in report.rows if row.row not in wrong),
        problems=tuple(sorted((*report.problems, *problems[:room]), key=lambda problem: problem.row)),
        totals=Counter(report.totals) + Counter((problem.severity, problem.code) for problem in problems),
        error_rows=report.error_rows | wrong,
    )


def _without(report: RosterReport, decided: Container[int]) -> RosterReport:
    """The report without what is said about rows that an earlier run decided."""
    gone = [problem for problem in report.problems if problem.row in decided]
    if not gone:
        return report
    return replace(
        report,
        problems=tuple(problem for problem in report.problems if problem.row not in decided),
        totals=Counter(report.totals) - Counter((problem.severity, problem.code) for problem in gone),
        error_rows=frozenset(row for row in report.error_rows if row not in decided),
    )

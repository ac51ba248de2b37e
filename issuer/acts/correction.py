"""Corrections: another name, or another ID document, under the same number.

A change of document asks the ledger for the track of the new person, and moves the certificate there. Name and
document together could make it anybody's: that only the authority may sign, and a proposal is drawn up for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from issuer.acts.act import Checked, Item
from issuer.acts.lines import Reading, Repeats, Source
from issuer.acts.redraw import Redrawn, person_of, redraw_corrected
from issuer.batch import GROUP, World, ask
from issuer.issue import Proposed, Signed, seal
from issuer.register import Held, Register
from issuer.roster import values
from ledger.errors import Refused
from ledger.printing.fonts import Fonts
from ledger.records.authority import Filing
from ledger.records.dates import format_day
from ledger.records.documents import UNKNOWN_COUNTRY, IdDocument, parse_document
from ledger.records.kinds import Reason
from ledger.records.life import Correct
from ledger.records.names import normalise_name
from ledger.records.reasons import reason_text
from ledger.records.statements import issuer_entry, propose
from ledger.sheets.problem import ERROR, NOTE, WARNING
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer

REASONS: Final = (Reason.NAME_CHANGED, Reason.DATA_ERROR, Reason.AUTHORITY_DECISION, Reason.OTHER)
_NOTHING: Final = Text("姓名和证件都没有变化", "neither the name nor the document changes")
_COUNTRY: Final = Text("国家代码应为三个字母，如 USA", "a country is three letters, such as USA")
_BOTH: Final = Text(
    "姓名和证件同时更改，须由主管部门签署：将写出提案文件",
    "name and document both change: the authority has to sign, a proposal file will be written",
)


@dataclass(frozen=True, slots=True)
class Amendment:
    """One certificate and what changes of it."""

    row: int
    held: Held
    reason: Reason
    day: int
    name: str  # "": stays
    document: IdDocument | None  # None: stays

    @property
    def both(self) -> bool:
        return bool(self.name) and self.document is not None


class CorrectAct:
    """`origin` is the log's: the authority's statements name it."""

    command = "correct"
    chunk = GROUP

    def __init__(self, filing: Filing, register: Register, today: int, *, origin: str, fonts: Fonts) -> None:
        self._filing, self._register, self._today = filing, register, today
        self._origin, self._fonts = origin, fonts

    def check(self, source: Source) -> Checked:
        repeats = Repeats()
        readings, found = [], []
        for line in source.lines:
            reading = Reading(source.form, line, source.date1904)
            readings.append(reading)
            held = reading.held(self._register)
            reason = reading.reason(REASONS)
            day = reading.day("effective_date", self._today, latest=self._today)
            name, document = self._name(reading), self._document(reading)
            if held is None:
                continue
            repeats.check(reading, held.number)
            if name == held.current.face.name:
                name = ""
            if document is not None and _same(document, held):
                document = None
            if not name and document is None and not reading.wrong:
                reading.add("name", "NOTHING_CHANGES", _NOTHING)
            if reason is None or day is None:
                continue
            amendment = Amendment(line.row, held, reason, day, name, document)
            if amendment.both:
                reading.add("name", "AUTHORITY_NEEDED", _BOTH, NOTE)
            found.append(amendment)
        problems = tuple(problem for reading in readings for problem in reading.problems)
        wrong = {problem.row for problem in problems if problem.severity == ERROR}
        return Checked(tuple(item for item in found if item.row not in wrong), (*source.problems, *problems))

    def preview(self, items: Sequence[Item]) -> list[str]:
        lines = []
        for item in _amendments(items):
            old = item.held.current.face.name
            what = [f"{old} → {item.name}"] if item.name else [old]
            if item.document is not None:
                what.append(f"{item.document.type_name.zh} …{item.document.last4}")
            said = f"{reason_text(item.reason).both()}  {format_day(item.day)}"
            lines.append(f"  {item.row}: {item.held.number}  {'  '.join(what)}  {said}")
        return lines

    async def sign(self, items: Sequence[Item], signer: Ed25519Signer, world: World) -> Sequence[Signed | Proposed]:
        amendments = _amendments(items)
        moving = [item for item in amendments if item.document is not None]
        persons = [person_of(item.held, item.document) for item in moving]
        tracks = await ask(lambda: world.client.tracks(persons), world) if persons else []
        track_of = {item.row: track for item, track in zip(moving, tracks, strict=True)}
        return [self._sign(item, track_of.get(item.row, b""), signer, world) for item in amendments]

    def _sign(self, item: Amendment, track: bytes, signer: Ed25519Signer, world: World) -> Signed | Proposed:
        drawn = redraw_corrected(item.row, item.held, item.name, item.document, world.random_bytes)
        said = Correct(
            cert_key=item.held.cert_key,
            reason=item.reason,
            effective_day=item.day,
            face=drawn.face.digest(),
            rest=drawn.rest,
            track_id=b"" if track == item.held.track_id else track,
            issuer="" if item.both else self._filing.number,
        )
        if item.both:
            return _proposed(drawn, said, self._origin)
        return seal(drawn, issuer_entry(said, signer))

    def _name(self, reading: Reading) -> str:
        if not reading.given("name"):
            return ""
        named = reading.take("name", lambda cell: normalise_name(values.text_of(cell)))
        if named is None:
            return ""
        for notice in named[1]:
            severity = WARNING if notice.severity == WARNING else NOTE
            reading.add("name", notice.code, notice.text, severity)
        self._glyphs(reading, "name", named[0])
        return named[0]

    def _document(self, reading: Reading) -> IdDocument | None:
        if not reading.given("document_number"):
            return None
        document = take_document(reading, self._today)
        if document is not None:
            self._glyphs(reading, "document_number", document.number)
        return document

    def _glyphs(self, reading: Reading, column: str, text: str) -> None:
        try:
            self._fonts.check(column, text)
        except Refused as refusal:
            reading.add(column, refusal.code, refusal.text)


def take_document(reading: Reading, today: int) -> IdDocument | None:
    """The ID document of a line; None and its problems when there is none."""
    kind = reading.take("document_type", values.text_of)
    number = reading.take("document_number", lambda cell: values.exact_text(cell, "DOCUMENT_NUMERIC"))
    country = (reading.take("country", values.text_of) or "").upper()
    if country and not (len(country) == 3 and country.isascii() and country.isalpha()):
        reading.add("country", "COUNTRY_FORM", _COUNTRY)
        return None
    if kind is None or number is None:
        return None
    try:
        return parse_document(kind, number, today_day=today, country=country or UNKNOWN_COUNTRY)
    except Refused as refusal:
        column = "document_type" if refusal.code == "DOCUMENT_TYPE" else "document_number"
        reading.add(column, refusal.code, refusal.text)
        return None


def _same(document: IdDocument, held: Held) -> bool:
    """Whether the certificate names this very document already."""
    return held.current.openings[0].value == [document.type_code, document.country, document.number]


def _proposed(drawn: Redrawn, said: Correct, origin: str) -> Proposed:
    return Proposed(
        drawn.row,
        drawn.secret,
        drawn.holder_code,
        propose(origin, said),
        drawn.face,
        drawn.digests,
        drawn.openings,
        drawn.thumbnail,
        drawn.face_nonce,
        drawn.rest_nonce,
    )


def _amendments(items: Sequence[Item]) -> list[Amendment]:
    found = [item for item in items if isinstance(item, Amendment)]
    assert len(found) == len(items), "an act signs what it checked"
    return found

"""Appointments: 特级技师 and 首席技师, posts that a body with that grant gives for a time.

A post builds on a certificate: one of this body by its number, any other by its cert key (64 hex digits, as pages and
bundles show it). It has a secret, a number with a letter in it, a code and a bundle of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from issuer.acts.act import Checked, Item
from issuer.acts.correction import take_document
from issuer.acts.lines import Reading, Repeats, Source
from issuer.acts.redraw import Redrawn
from issuer.batch import GROUP, World, ask
from issuer.draft import RandomBytes
from issuer.issue import Proposed, Signed, seal
from issuer.photos import Photo, find_photo, read_photo
from issuer.register import Register
from issuer.roster import values
from ledger.errors import Malformed, Refused, Unavailable
from ledger.printing.fonts import Fonts
from ledger.records import canonical
from ledger.records.appointment import Appoint
from ledger.records.authority import Filing
from ledger.records.commitments import FaceOpening, Field, FieldOpening, rest_digests
from ledger.records.dates import date_of, format_day
from ledger.records.documents import IdDocument
from ledger.records.envelope import NONCE_BYTES
from ledger.records.grades import Grade, parse_grade
from ledger.records.names import normalise_name
from ledger.records.number import GRADE_22, cross_check, parse_number
from ledger.records.occupations import Occupation
from ledger.records.secret import SECRET_BYTES, cert_key_of
from ledger.records.statements import issue_entry
from ledger.reference_data import load_catalogue, load_ladder
from ledger.sheets.problem import ERROR, NOTE, WARNING
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from ledger.wire import PersonLineage

_CERT_KEY: Final = re.compile(r"[0-9a-f]{64}")
_NO_POST: Final = Text("不是聘任岗位，应为特级技师或首席技师", "no post: write 特级技师 or 首席技师")
_NOT_GRANTED: Final = Text("备案未授权评聘该岗位", "the filing does not grant appointing this post")
_NOT_FILED: Final = Text("职业不在备案范围", "occupation not in the filing")
_SCHEME: Final = Text("岗位编号第 16 位应为字母", "the number of a post has a letter at place 16")
_TAKEN: Final = Text("本机构已用过这个编号", "this body used this number before")
_NO_BASIS: Final = Text("没有填写聘任文件", "the basis is empty")
_LONG: Final = Text("内容过长，最多 64 字", "too long, at most 64 characters")
_ORDER: Final = Text("聘期结束早于开始", "the post ends before it begins")
_PREREQUISITE: Final = Text(
    "须填本机构的高级技师证书编号，或他处证书的密钥（64 位十六进制）",
    "write the number of this body's own certificate, or the cert key of another's (64 hex digits)",
)
_NO_PHOTO: Final = Text("没有找到照片，或无法读取", "no photo was found, or it cannot be read")
_MAX_TEXT: Final = 64


@dataclass(frozen=True, slots=True)
class NewPost:
    """One line that may be signed."""

    row: int
    name: str
    document: IdDocument
    employer: str
    occupation: Occupation
    trade: str
    grade: Grade
    number: str
    issue_day: int
    first_day: int
    last_day: int  # 0: open
    basis: str
    prerequisite: bytes
    photo: Photo | None


class AppointAct:
    command = "appoint"
    chunk = GROUP

    def __init__(self, filing: Filing, register: Register, today: int, *, fonts: Fonts, photos: Path | None) -> None:
        self._filing, self._register, self._today = filing, register, today
        self._fonts, self._photos = fonts, photos
        self._ladder, self._catalogue = load_ladder(), load_catalogue()

    def check(self, source: Source) -> Checked:
        repeats = Repeats()
        readings, found = [], []
        for line in source.lines:
            reading = Reading(source.form, line, source.date1904)
            readings.append(reading)
            post = self._read(reading)
            number = reading.cell("number")
            if isinstance(number, str) and number.strip():
                repeats.check(reading, number.strip())
            if post is not None:
                found.append(post)
        problems = tuple(problem for reading in readings for problem in reading.problems)
        wrong = {problem.row for problem in problems if problem.severity == ERROR}
        return Checked(tuple(item for item in found if item.row not in wrong), (*source.problems, *problems))

    def preview(self, items: Sequence[Item]) -> list[str]:
        return [
            f"  {post.row}: {post.name}  {post.number}  {post.occupation.name} {post.trade}  {post.grade.zh}  "
            f"{format_day(post.first_day)} – {format_day(post.last_day) if post.last_day else ''}"
            for post in _posts(items)
        ]

    async def sign(self, items: Sequence[Item], signer: Ed25519Signer, world: World) -> Sequence[Signed | Proposed]:
        posts = _posts(items)
        persons = [PersonLineage(*post.document.identity, post.occupation.lineage) for post in posts]
        tracks = await ask(lambda: world.client.tracks(persons), world)
        signed = []
        for post, track in zip(posts, tracks, strict=True):
            drawn = _draw(post, world.random_bytes)
            said = Appoint(
                cert_key=cert_key_of(drawn.secret),
                filing_number=self._filing.number,
                occupation=post.occupation.code,
                trade=post.trade,
                grade=post.grade.ordinal,
                issue_day=post.issue_day,
                first_day=post.first_day,
                last_day=post.last_day,
                basis=post.basis,
                track_id=track,
                face=drawn.face.digest(),
                rest=drawn.rest,
                prerequisite=post.prerequisite,
            )
            signed.append(seal(drawn, issue_entry(said, signer)))
        return signed

    def _read(self, reading: Reading) -> NewPost | None:
        name = self._name(reading)
        document = take_document(reading, self._today)
        employer = reading.take("employer", values.plain_text) or ""
        trade = reading.take("trade", values.trade) or ""
        grade = self._grade(reading)
        occupation = self._occupation(reading, trade)
        issue_day = reading.day("issue_date", self._today, latest=self._today)
        first = reading.take("first_day", lambda cell: values.day(cell, date1904=reading.date1904))
        last = reading.day("last_day", 0)
        basis = self._basis(reading)
        prerequisite = self._prerequisite(reading)
        number = self._number(reading, issue_day, grade)
        photo = self._photo(reading, document)
        for column, text in (
            ("name", name or ""),
            ("trade", trade),
            ("document_number", document.number if document else ""),
        ):
            try:
                self._fonts.check(column, text)
            except Refused as refusal:
                reading.add(column, refusal.code, refusal.text)
        if first is not None and last and last < first:
            reading.add("last_day", "POST_ORDER", _ORDER)
        if name is None or document is None or grade is None or occupation is None or issue_day is None:
            return None
        if first is None or last is None or basis is None or prerequisite is None or number is None:
            return None
        return NewPost(
            reading.line.row, name, document, employer, occupation, trade, grade, number, issue_day, first, last,
            basis, prerequisite, photo,
        )  # fmt: skip

    def _name(self, reading: Reading) -> str | None:
        named = reading.take("name", lambda cell: normalise_name(values.text_of(cell)))
        if named is None:
            return None
        for notice in named[1]:
            reading.add("name", notice.code, notice.text, WARNING if notice.severity == WARNING else NOTE)
        return named[0]

    def _grade(self, reading: Reading) -> Grade | None:
        grade = reading.take("grade", lambda cell: parse_grade(values.text_of(cell), self._ladder))
        if grade is None:
            return None
        if grade.ordinal not in (7, 8):
            reading.add("grade", "GRADE_NO_POST", _NO_POST)
            return None
        if grade.ordinal not in self._filing.grants:
            reading.add("grade", "GRANT", _NOT_GRANTED)
        return grade

    def _occupation(self, reading: Reading, trade: str) -> Occupation | None:
        code = reading.take("occupation_code", values.text_of) or ""
        found = reading.take(
            "occupation", lambda cell: values.occupation(values.text_of(cell), code, trade, self._catalogue)
        )
        filed = found is not None and any(
            row.occupation == found.code and row.trade in ("", trade) for row in self._filing.rows
        )
        if found is not None and not filed:
            reading.add("occupation", "OCCUPATION_NOT_FILED", _NOT_FILED)
        if len(trade) > _MAX_TEXT:
            reading.add("trade", "TRADE_LONG", _LONG)
        return found

    def _number(self, reading: Reading, issue_day: int | None, grade: Grade | None) -> str | None:
        number = reading.take("number", lambda cell: parse_number(values.exact_text(cell, "NUMBER_NUMERIC")))
        if number is None:
            return None
        if number.scheme == GRADE_22:
            reading.add("number", "NUMBER_SCHEME", _SCHEME)
        elif issue_day is not None and grade is not None:
            for problem in cross_check(
                number,
                filing_number=self._filing.number,
                window=(self._filing.first_day, self._filing.last_day),
                issue_day=issue_day,
                grade_ordinal=grade.ordinal,
                ladder=self._ladder,
            ):
                reading.add("number", f"NUMBER_{problem.code}", problem.text)
        if self._register.find(number.text) is not None:
            reading.add("number", "NUMBER_ON_LOG", _TAKEN)
        return number.text

    def _basis(self, reading: Reading) -> str | None:
        basis = reading.take("basis", values.plain_text)
        if basis is not None and not basis:
            reading.add("basis", "BASIS_MISSING", _NO_BASIS)
        elif basis is not None and len(basis) > _MAX_TEXT:
            reading.add("basis", "BASIS_LONG", _LONG)
        return basis

    def _prerequisite(self, reading: Reading) -> bytes | None:
        text = reading.take("prerequisite", lambda cell: values.exact_text(cell, "NUMBER_NUMERIC"))
        if text is None:
            return None
        if _CERT_KEY.fullmatch(text.lower()):
            return bytes.fromhex(text)
        held = None
        if text:
            try:
                held = self._register.find(parse_number(text).text)
            except Refused:
                held = None
        if held is None:
            reading.add("prerequisite", "PREREQUISITE", _PREREQUISITE)
            return None
        return held.cert_key

    def _photo(self, reading: Reading, document: IdDocument | None) -> Photo | None:
        if self._photos is None or document is None:
            return None
        given = reading.take("photo", values.plain_text) or ""
        number = reading.cell("number")
        path = find_photo(self._photos, given, document.number, number if isinstance(number, str) else "")
        try:
            if path is not None:
                return read_photo(path)
        except (Malformed, Unavailable):
            pass
        reading.add("photo", "PHOTO_MISSING", _NO_PHOTO, WARNING)
        return None


def _draw(post: NewPost, random_bytes: RandomBytes) -> Redrawn:
    """Everything random of one post, once."""
    secret, code = random_bytes(SECRET_BYTES), random_bytes(SECRET_BYTES)
    document = post.document
    content: dict[Field, canonical.Value] = {Field.ID_DOCUMENT: [document.type_code, document.country, document.number]}
    if post.photo is not None:
        content[Field.PHOTO] = post.photo.digest
    if post.employer:
        content[Field.EMPLOYER] = post.employer
    if document.birth_day is not None:
        content[Field.BIRTH_YEAR] = date_of(document.birth_day).year
    openings = {field: FieldOpening(field, random_bytes(16), content[field]) for field in Field if field in content}
    absent = {field: random_bytes(32) for field in Field if field not in openings}
    return Redrawn(
        row=post.row,
        secret=secret,
        holder_code=code,
        face=FaceOpening(random_bytes(16), post.number, post.name),
        digests=rest_digests(openings, absent),
        openings=tuple(openings.values()),
        thumbnail=post.photo.thumbnail if post.photo else b"",
        face_nonce=random_bytes(NONCE_BYTES),
        rest_nonce=random_bytes(NONCE_BYTES),
    )


def _posts(items: Sequence[Item]) -> list[NewPost]:
    found = [item for item in items if isinstance(item, NewPost)]
    assert len(found) == len(items), "an act signs what it checked"
    return found

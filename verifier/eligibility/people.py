"""Sheets of people: certificates row by row, and a column for each fact that a pack asks for.

Columns: 工号 person id · 链接 or 编号 with 姓名 (as in a hiring list) · each input of the pack under its name or label.
Rows with the same person id belong together: the first has the facts and the certificate applied with, the others are
further certificates. A cell that cannot be read is told and never taken for a "no".
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Refused
from ledger.records.documents import CITIZEN, IdDocument
from ledger.records.grades import Ladder, parse_grade
from ledger.sheets.form import Form
from ledger.sheets.read import read_sheet_bytes
from ledger.sheets.sheet import Cell, Odd, Sheet, SheetRow
from ledger.text import Text
from verifier.eligibility.kinds import Kind
from verifier.eligibility.pack import Input, Pack
from verifier.hiring.sheets import LIST, Question, cell_text

MAX_ROWS: Final = 20_000
PERSON: Final = (
    "工号", "员工编号", "员工号", "人员编号", "申请编号", "employeeid", "staffid", "personid", "applicantid",
)  # fmt: skip
_DOCUMENT: Final = {
    "document": ("证件号码", "身份证号", "身份证号码", "idnumber", "documentnumber"),
    "document_type": ("证件类型", "documenttype"),
    "country": ("国籍", "签发国家", "country"),
}
THIS: Final = "this"  # in an earlier benefit: of the certificate that is applied with
_EMPTY: Final = Text("名单没有可处理的行", "The sheet has no row to work on")
_TOO_LONG: Final = Text("最多 {n} 行，请拆分", "At most {n} rows: split the sheet")
_COLUMNS: Final = Text(
    "需要“链接”一列、“证书编号”和“姓名”两列，或本规则所用信息的列：{names}",
    "A sheet needs a column “link”, or “certificate number” and “name”, or columns of the facts: {names}",
)
_YES: Final = frozenset({"是", "yes", "true", "y", "1", "有", "√", "✓"})
_NO: Final = frozenset({"否", "no", "false", "n", "0", "无", "×"})
_SPLIT: Final = re.compile(r"[,，;；、|\n]+")
_CLAIMS: Final = re.compile(r"[;；\n]+")
_MONEY: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,2}))?")
_NONE: Final = frozenset({"无", "none", "-", "没有"})


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a sheet. `problems`: cells whose fact could not be read."""

    id: str
    questions: tuple[Question, ...]  # one for each row; the first is applied with
    facts: Mapping[str, object]  # as `read_facts` takes them
    problems: tuple[Text, ...]
    document: IdDocument | None = None  # only where a payer asks whether the benefit was claimed

    @property
    def row(self) -> int:
        return self.questions[0].row


@dataclass(frozen=True, slots=True)
class People:
    """A sheet as read: to give back, and who is in it, in order."""

    sheet: Sheet
    people: tuple[Person, ...]


def form_of(pack: Pack) -> Form:
    """The columns of a sheet of people for one pack."""
    columns: dict[str, tuple[str, ...]] = {"person": PERSON}
    columns |= {name: LIST.columns[name] for name in ("link", "number", "name")}
    used = {title for titles in columns.values() for title in titles}
    if pack.claim is not None:
        columns |= _DOCUMENT
        used.update(title for titles in _DOCUMENT.values() for title in titles)
    for name, each in pack.inputs.items():
        said = [each.text.zh, name, each.text.en, _short(each.text.zh), _short(each.text.en)]
        titles = tuple(title for title in dict.fromkeys(map(folded, said)) if title and title not in used)
        used.update(titles)
        columns[f"fact:{name}"] = titles
    return Form("people", columns, required=(), listed=(), least=1)


def read_people(
    raw: bytes, file_name: str, pack: Pack, ladder: Ladder, max_rows: int = MAX_ROWS, *, documents: bool = False
) -> People:
    """The people of a workbook or CSV; their ID numbers only with `documents`. Blocks: call it in a thread.

    Raises Refused FILE_*, CSV_*, HEADER_NOT_FOUND, LIST_*; Unavailable."""
    sheet = read_sheet_bytes(raw, file_name, form_of(pack), max_rows + 1)
    places = sheet.header.places
    facts = {name.removeprefix("fact:"): at for name, at in places.items() if name.startswith("fact:")}
    if not sheet.header.complete or not ("link" in places or {"number", "name"} <= places.keys() or facts):
        names = "、".join(each.text.both() for each in pack.inputs.values())
        raise Refused("LIST_COLUMNS", "file", _COLUMNS.format(names=names))
    if len(sheet.rows) > max_rows:
        raise Refused("LIST_TOO_LONG", "file", _TOO_LONG.format(n=max_rows))
    if not sheet.rows:
        raise Refused("LIST_EMPTY", "file", _EMPTY)
    return People(sheet, tuple(_people(sheet, facts, pack, ladder, documents=documents)))


def _people(sheet: Sheet, facts: Mapping[str, int], pack: Pack, ladder: Ladder, *, documents: bool) -> Iterator[Person]:
    places, together = sheet.header.places, dict[str, list[SheetRow]]()
    for row in sheet.rows:
        said = _text(row, places.get("person"))
        together.setdefault(said or f"#{row.number}", []).append(row)
    for key, rows in together.items():
        given, problems = dict[str, object](), list[Text]()
        for name, at in facts.items():
            try:
                value = read_cell(rows[0].cell(at), pack.inputs[name], ladder)
            except Refused as refused:
                label = pack.inputs[name].text
                problems.append(Text(f"{label.zh}：{refused.text.zh}", f"{label.en}: {refused.text.en}"))
                continue
            if value is not None:
                given[name] = value
        questions = tuple(_question(row, places) for row in rows)
        document = _document(rows[0], places) if documents else None
        yield Person("" if key.startswith("#") else key, questions, given, tuple(problems), document)


def _document(row: SheetRow, places: Mapping[str, int]) -> IdDocument | None:
    """None for an empty cell, and for what is no such document."""
    number = _text(row, places.get("document"))
    kind, country = _text(row, places.get("document_type")), _text(row, places.get("country"))
    try:
        return IdDocument(kind or CITIZEN, country or "CHN", number) if number else None
    except Malformed:
        return None


def _question(row: SheetRow, places: Mapping[str, int]) -> Question:
    cells = {name: row.cell(places[name]) for name in ("link", "number", "name") if name in places}
    odd = next((cell for cell in cells.values() if isinstance(cell, Odd)), None)
    if odd is not None:
        return Question(row.number, odd=odd)
    texts = {name: cell_text(cell).strip() for name, cell in cells.items()}
    return Question(row.number, texts.get("link", ""), texts.get("number", ""), texts.get("name", ""))


def _text(row: SheetRow, at: int | None) -> str:
    return "" if at is None else cell_text(row.cell(at)).strip()


def read_cell(cell: Cell, about: Input, ladder: Ladder) -> object | None:
    """The fact in a cell, as `read_facts` takes it; None for an empty one. Raises Refused CELL_*."""
    kind = about.type.kind
    if isinstance(cell, Odd):
        raise _wrong("公式、合并或出错的单元格，请填写数值", "a formula, merged or faulty cell: write the value")
    if isinstance(cell, dt.date):
        if kind is not Kind.DATE:
            raise _wrong("不应是日期", "must not be a date")
        return cell.isoformat()
    if isinstance(cell, bool):
        cell = "yes" if cell else "no"
    if isinstance(cell, float):
        if kind is Kind.MONEY:
            return round(cell * 100)
        if not cell.is_integer():
            raise _wrong("应为整数", "must be a whole number")
        cell = str(int(cell))
    return read_text(cell, about, ladder)


def read_text(text: str, about: Input, ladder: Ladder) -> object | None:
    """The fact that a person typed, as `read_facts` takes it; None for nothing. Raises Refused CELL, GRADE_*."""
    plain = unicodedata.normalize("NFKC", text).strip()
    return _from_text(plain, about, ladder) if plain else None


def _from_text(text: str, about: Input, ladder: Ladder) -> object | None:
    kind, plain = about.type.kind, text.casefold()
    if about.type.optional and plain in _NONE:
        return None
    if kind is Kind.BOOL:
        if plain in _YES or plain in _NO:
            return plain in _YES
        raise _wrong("应为“是”或“否”", "must be yes or no")
    if kind is Kind.GRADE:
        return parse_grade(text, ladder).ordinal
    if kind is Kind.DATE:
        match = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?", text)
        return f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}" if match else text
    if kind is Kind.INT:
        if text.isascii() and text.isdigit() and len(text) < 12:
            return int(text)
        raise _wrong("应为整数", "must be a whole number")
    if kind is Kind.MONEY:
        match = _MONEY.fullmatch(text.replace(",", ""))
        if match is None:
            raise _wrong("应为金额（元）", "must be an amount in yuan")
        return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if kind is Kind.ENUM:
        return _word(text, about)
    if kind is Kind.SET:
        return [] if plain in _NONE else [_word(each.strip(), about) for each in _SPLIT.split(text) if each.strip()]
    return [] if plain in _NONE else [_claim(each.split(), ladder) for each in _CLAIMS.split(text) if each.strip()]


def _claim(words: Sequence[str], ladder: Ladder) -> dict[str, object]:
    """`ui-skill-subsidy 6-18-01-01 三级 2023-09-01`, and 本证书 behind it where it was for this certificate."""
    same = len(words) == 5 and words[4].casefold() in ("本证书", "this", "same")
    if len(words) != 4 and not same:
        raise _wrong(
            "往次待遇写作：项目 职业编码 等级 日期（同一证书再写“本证书”），多项用；分隔，没有写“无”",
            "an earlier benefit is written: scheme, occupation code, grade, date (and “this” for the same "
            "certificate); separate several by ; and write none for none",
        )
    scheme, lineage, grade, day = words[:4]
    certificate = THIS if same else "0" * 64
    ordinal = parse_grade(grade, ladder).ordinal
    return {"scheme": scheme, "lineage": lineage, "grade": ordinal, "day": day, "certificate": certificate}


def _word(text: str, about: Input) -> str:
    for word, label in about.labels.items():
        if folded(text) in (folded(word), folded(label.zh), folded(label.en)):
            return word
    choices = " | ".join(label.both() for label in about.labels.values())
    raise _wrong(f"应为其中之一：{choices}", f"must be one of: {choices}")


def folded(title: str) -> str:
    """A title or word as columns are compared: one width, no blanks, no case."""
    return re.sub(r"[*:\s]+", "", unicodedata.normalize("NFKC", title[:80])).lower()


def template_titles(pack: Pack, lang: str) -> Sequence[str]:
    """The header of an empty sheet for one pack."""
    titles = [("工号", "Employee ID"), ("链接", "Link"), ("姓名", "Name")]
    titles += [(each.text.zh, each.text.en) for each in pack.inputs.values()]
    return [en if lang == "en" else zh for zh, en in titles]


def _short(title: str) -> str:
    """A label without what stands in brackets."""
    return re.sub(r"[(（].*?[)）]", "", title)


def _wrong(zh: str, en: str) -> Refused:
    return Refused("CELL", "cell", Text(zh, en))

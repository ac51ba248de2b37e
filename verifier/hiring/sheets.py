"""What a hiring list looks like: which columns ask something, and which ones answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from ledger.errors import Malformed, Refused
from ledger.records.notice import Notice
from ledger.sheets.columns import Header
from ledger.sheets.csvtext import decode, each_line
from ledger.sheets.form import Form
from ledger.sheets.read import read_sheet_bytes
from ledger.sheets.sheet import Cell, Odd, Sheet, SheetRow, shown
from ledger.text import Text
from verifier.hiring.pictures import Pictures, is_pictures, open_pictures

LIST: Final = Form(
    "hiring-list",
    {
        "file": ("文件file", "文件名", "file"),
        "link": (
            "链接", "证书链接", "查询链接", "证书网址", "查询网址", "网址", "二维码", "二维码内容", "证书二维码",
            "link", "url", "certificatelink", "qr", "qrcode", "qrtext",
        ),
        "number": ("证书编号", "证书编码", "证书号码", "证书号", "编号", "certificatenumber", "certificateno.",
                   "certificateno", "number"),
        "name": ("姓名", "持证人", "持证人姓名", "应聘者", "应聘者姓名", "名字", "name", "holder", "fullname"),
    },
    required=(),
    listed=(),
    least=1,
)  # fmt: skip
MAX_ROWS: Final = 10_000
_LOOKED_AT: Final = 50  # lines that tell whether a text without a header has one link a line
_FILE_TITLE: Final = "文件 File"
_TOO_LONG: Final = Text("最多 {n} 行，请拆分", "At most {n} rows: split the list")
_EMPTY: Final = Text("名单没有可核验的行", "The list has no row to check")
_NO_HEADER: Final = Text(
    "前 10 行没有找到表头：需要“链接”一列，或“证书编号”和“姓名”两列",
    "No header in the first 10 rows: a list needs a column “link”, or “certificate number” and “name”",
)
_COLUMNS: Final = Text(
    "需要“链接”一列，或“证书编号”和“姓名”两列",
    "A list needs a column “link”, or the two columns “certificate number” and “name”",
)


@dataclass(frozen=True, slots=True)
class Question:
    """What one row asks. `odd`: a cell of it whose value must not be used."""

    row: int  # as the spreadsheet program numbers it
    link: str = ""
    number: str = ""
    name: str = ""
    odd: Odd | None = None
    picture: int | None = None  # place in the archive


@dataclass(frozen=True, slots=True)
class HiringList:
    """A list as read: the sheet to give back, and what its rows ask, in order."""

    sheet: Sheet
    questions: tuple[Question, ...]
    pictures: Pictures | None = None

    @property
    def notes(self) -> tuple[Notice, ...]:
        return self.sheet.notes


def read_list(raw: bytes, file_name: str, max_rows: int = MAX_ROWS) -> HiringList:
    """A list out of a workbook, a CSV, a text with one link a line, or an archive of pictures and PDFs. Blocks: call it
    in a thread. Raises Refused FILE_*, CSV_*, HEADER_NOT_FOUND, LIST_*; Unavailable."""
    if is_pictures(raw):
        pictures = open_pictures(raw)
        return _checked(_of_pictures(pictures), max_rows)
    return _checked(_of_sheet(_read(raw, file_name, max_rows + 1)), max_rows)


def _read(raw: bytes, file_name: str, most_rows: int) -> Sheet:
    try:
        return read_sheet_bytes(raw, file_name, LIST, most_rows)
    except Refused as refused:
        if refused.code != "HEADER_NOT_FOUND":
            raise
        if raw.startswith(b"PK"):
            raise Refused("HEADER_NOT_FOUND", "file", _NO_HEADER) from refused
        text, _ = decode(raw)
        lines = [line for line in islice(each_line(text), _LOOKED_AT) if line.strip()]
        if not lines or not all(line.lstrip(' "').startswith("http") for line in lines):
            raise Refused("HEADER_NOT_FOUND", "file", _NO_HEADER) from refused
        suffix = Path(file_name).suffix or ".txt"
        under_title = f"{LIST.title('link')}\n".encode() + text.encode()
        return read_sheet_bytes(under_title, f"links{suffix}", LIST, most_rows)


def _of_sheet(sheet: Sheet) -> HiringList:
    places = sheet.header.places
    if not sheet.header.complete or not ("link" in places or {"number", "name"} <= places.keys()):
        raise Refused("LIST_COLUMNS", "file", _COLUMNS)
    return HiringList(sheet, tuple(_question(row, sheet.header) for row in sheet.rows))


def _question(row: SheetRow, header: Header) -> Question:
    cells = {name: row.cell(at) for name, at in header.places.items()}
    odd = next((cell for cell in cells.values() if isinstance(cell, Odd)), None)
    if odd is not None:
        return Question(row.number, odd=odd)
    texts = {name: cell_text(cell).strip() for name, cell in cells.items()}
    return Question(row.number, texts.get("link", ""), texts.get("number", ""), texts.get("name", ""))


def _of_pictures(pictures: Pictures) -> HiringList:
    rows = tuple(SheetRow(number, (name,)) for number, name in enumerate(pictures.names, 2))
    sheet = Sheet("xlsx", "Sheet1", "zip", "", Header(1, (_FILE_TITLE,), {"file": 0}), rows)
    questions = tuple(Question(row.number, picture=at) for at, row in enumerate(rows))
    return HiringList(sheet, questions, pictures)


def _checked(found: HiringList, max_rows: int) -> HiringList:
    if len(found.questions) > max_rows:
        raise Refused("LIST_TOO_LONG", "file", _TOO_LONG.format(n=max_rows))
    if not found.questions:
        raise Refused("LIST_EMPTY", "file", _EMPTY)
    return found


def cell_text(cell: Cell) -> str:
    """A cell as text, whole."""
    return cell if isinstance(cell, str) else shown(cell, 1_000)


def asked_texts(row: SheetRow, header: Header) -> tuple[str, ...]:
    """The cells of a row that ask, in the order of the form: what the digest of a result covers."""
    return tuple(cell_text(row.cell(header.places[name])) for name in LIST.columns if name in header.places)


def titles_of(sheet: Sheet) -> Iterator[str]:
    """The titles of the original columns, as many as any row has cells."""
    width = max([len(sheet.header.titles), *(len(row.cells) for row in sheet.rows)])
    for at in range(width):
        yield sheet.header.titles[at] if at < len(sheet.header.titles) else ""


def parse_lang(text: str) -> str:
    """zh, en or both; "" is both. Raises Malformed."""
    if text not in ("", "zh", "en", "both"):
        raise Malformed(Text("lang：zh、en 或 both", "lang: zh, en or both"))
    return text or "both"

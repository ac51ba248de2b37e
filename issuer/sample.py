"""A sample roster: the 11-column reporting sheet filled with people who visibly do not exist.

Surnames are 例, 样, 示, 虚 and 拟 (example, sample, show, void, fictional). ID numbers stand under region code 000000,
which GB/T 2260 assigns to nowhere, with right check digits. The same arguments give the same bytes.
"""

from __future__ import annotations

import io
import random
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from issuer.roster.forms import REPORTING_SHEET, column_title
from ledger.durable import replace_file
from ledger.errors import Malformed
from ledger.records.dates import date_of, format_day
from ledger.records.documents import check_digit
from ledger.records.number import build_number
from ledger.records.occupations import Catalogue, Occupation
from ledger.sheets.inert import book_bytes
from ledger.text import Text

SAMPLE_FILING = "Y000051990001"
SAMPLE_BODY = "示例职业技能评价中心（样本）"
SAMPLE_EMPLOYER = "示例制造有限公司（样本）"
REGION = "000000"  # not assigned
MAX_ROWS = 100_000

_LEVELS = (5, 5, 4, 4, 4, 3, 3, 3, 3, 2)  # national levels, as often as listed
_SURNAMES = "例样示虚拟"
_GIVEN = "安宁和平文明知远思齐若水清扬嘉禾子衿承志海川雨桐星辰一诺喆垚犇龘"
_DOTTED = ("例买提·样吐逊", "示古丽·例买提", "扎西·样顿", "虚拉·例才让", "拟丽娜·示阿依")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def write_sample_roster(
    path: Path,
    rows: int = 200,
    filing_number: str = SAMPLE_FILING,
    seed: int = 1,
    *,
    issue_day: int,
    catalogue: Catalogue,
    body: str = SAMPLE_BODY,
) -> None:
    """Write an xlsx of `rows` (1..100,000) clean rows, all issued on `issue_day` (days since 1970-01-01).

    Numbers of one (filing, year, level) start at `seed` * 1000 + 1 modulo their range, so other seeds are other
    certificates. Malformed for arguments out of range, Unavailable when the file cannot be written.
    """
    if not 1 <= rows <= MAX_ROWS or not 0 <= seed < 800:
        raise Malformed(
            Text("示例为 1 到 100,000 行，种子为 0 到 799", "a sample has 1 to 100,000 rows and a seed from 0 to 799")
        )
    book = Workbook()
    page = book.active
    page.title = "上报数据"
    page.append([column_title(name) for name in REPORTING_SHEET])
    for line in sample_lines(rows, filing_number, seed, issue_day=issue_day, catalogue=catalogue, body=body):
        page.append(line)
    for at, wide in enumerate((16, 14, 22, 28, 26, 14, 14, 26, 14, 32, 32), 1):
        page.column_dimensions[get_column_letter(at)].width = wide
        page.cell(1, at).font = Font(bold=True)
    page.freeze_panes = "A2"
    for row in page.iter_rows(min_row=2):
        for cell in row:
            cell.number_format = "@"
    replace_file(path, _without_clock(book_bytes(book)))


def sample_lines(
    rows: int, filing_number: str, seed: int, *, issue_day: int, catalogue: Catalogue, body: str = SAMPLE_BODY
) -> Iterator[list[str]]:
    """The rows of the sample as texts, in the order of the reporting sheet. Every row is another person."""
    draw = random.Random(seed)  # noqa: S311  (visibly invented people, not secrets)
    occupations = _occupations(catalogue)
    year = date_of(issue_day).year
    used: dict[int, int] = {}
    for at in range(rows):
        occupation = occupations[at % len(occupations)]
        level = draw.choice(_LEVELS)
        used[level] = used.get(level, seed * 1000) + 1
        trade = draw.choice(occupation.trades) if occupation.trades else "--"
        yield [
            _name(draw, at),
            "居民身份证",
            _document(seed, at),
            SAMPLE_EMPLOYER,
            occupation.name,
            trade,
            _spelling(draw, level),
            build_number(filing_number, year, level, used[level]),
            format_day(issue_day),
            body,
            body,
        ]


def _occupations(catalogue: Catalogue) -> tuple[Occupation, ...]:
    return tuple(occupation for occupation in catalogue.occupations if occupation.confirmed)


def _name(draw: random.Random, at: int) -> str:
    if at % 20 == 7:
        return _DOTTED[at // 20 % len(_DOTTED)]
    return draw.choice(_SURNAMES) + "".join(draw.choice(_GIVEN) for _ in range(draw.choice((1, 2, 2, 2, 3))))


def _document(seed: int, at: int) -> str:
    """18 digits: birth dates repeat every 26 * 12 * 27 rows, then the sequence moves on, so none repeats.

    Up to 8,424 rows, other seeds are other people too.
    """
    years, months, days = 26, 12, 27
    turn, place = divmod(at, years * months * days)
    birth = f"{1975 + place % years}{place // years % months + 1:02d}{place // (years * months) + 1:02d}"
    first17 = f"{REGION}{birth}{(seed + 83 * turn) % 1000:03d}"
    return first17 + check_digit(first17)


def _spelling(draw: random.Random, level: int) -> str:
    names = {5: "五级/初级工", 4: "四级/中级工", 3: "三级/高级工", 2: "二级/技师"}
    return draw.choice((str(level), f"{level}级", names[level], names[level], chr(0xFF10 + level)))


def _without_clock(raw: bytes) -> bytes:
    """The workbook with every time in it fixed, so that its bytes follow from its content."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "docProps/core.xml":
                part = re.sub(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", b"1980-01-01T00:00:00Z", part)
            new.writestr(zipfile.ZipInfo(name, _ZIP_TIME), part, zipfile.ZIP_DEFLATED)
    return made.getvalue()

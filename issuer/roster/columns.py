"""Which column is which: the 11-column reporting sheet (domain 3.4) recognised by name, in any order.

The header may stand below title rows, within the first ten rows. Required columns that are missing and columns
that appear twice are errors; the rest of the eleven may be missing, and unknown columns are left alone: both noted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from issuer.roster.problem import ERROR, NOTE, Problem
from ledger.text import Text

HEADER_ROWS = 10  # how far down a header is looked for
_RECOGNISED_AT_LEAST = 3

# Field -> (title in the reporting sheet, other spellings seen).
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("姓名", "考生姓名", "名字", "name"),
    "document_type": ("证件类型", "证件种类", "身份证件类型", "idtype", "documenttype"),
    "document_number": ("证件号码", "证件号", "身份证号", "身份证号码", "身份证件号码", "公民身份号码", "idnumber"),
    "employer": ("所在单位", "工作单位", "单位名称", "单位", "employer"),
    "occupation": ("职业名称", "职业", "职业工种名称", "认定职业", "occupation"),
    "trade": ("工种名称", "工种", "职业方向", "工种/职业方向", "工种(职业方向)", "trade"),
    "grade": ("职业技能等级", "技能等级", "等级", "认定等级", "证书等级", "级别", "grade", "level"),
    "number": ("证书编号", "证书编码", "证书号码", "证书号", "certificatenumber"),
    "issue_date": ("发证日期", "证书版面发证日期", "颁发日期", "发证时间", "issuedate"),
    "assessor": ("评价机构", "评价机构名称", "认定机构", "assessmentbody"),
    "issuing_body": ("发证机构", "发证机构名称", "发证单位", "issuingbody"),
    "assessment_date": ("评价日期", "考核日期", "认定日期", "考试日期", "assessmentdate"),
    "occupation_code": ("职业编码", "职业代码", "occupationcode"),
    "country": ("国籍", "国家或地区", "签发国家", "country"),
    "route": ("认定分类", "评价方式", "认定方式", "route"),
    "photo": ("照片", "照片文件", "photo"),
    "theory_score": ("理论成绩", "理论知识成绩", "理论", "theoryscore"),
    "practical_score": ("技能成绩", "实操成绩", "操作技能成绩", "技能", "practicalscore"),
    "review_score": ("综合评审成绩", "综合评审", "reviewscore"),
}
REPORTING_SHEET = tuple(COLUMNS)[:11]
REQUIRED = ("name", "document_number", "occupation", "grade", "number", "issue_date")
_FIELD_OF = {title: name for name, titles in COLUMNS.items() for title in titles}
_HINT = re.compile(r"\((必填|选填|可选|required|optional|yyyy-?mm-?dd)\)|[*:]+|\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header is and what it says. `places` maps fields of COLUMNS to column positions from 0."""

    row: int
    titles: tuple[str, ...]
    places: Mapping[str, int]
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether rows can be read at all: no column required is missing or named twice."""
        return not any(problem.severity == ERROR for problem in self.problems)


def column_title(name: str) -> str:
    """The title of a field in the reporting sheet, used in every problem."""
    return COLUMNS[name][0]


def find_header(rows: Iterable[tuple[int, Sequence[str]]]) -> Header | None:
    """The row, among the first ten given as (number, texts), that names most columns; None below three."""
    best: tuple[int, int, Sequence[str]] | None = None
    for seen, (number, texts) in enumerate(rows):
        if seen >= HEADER_ROWS:
            break
        recognised = len({_FIELD_OF[t] for t in map(_plain, texts) if t in _FIELD_OF})
        if recognised >= _RECOGNISED_AT_LEAST and (best is None or recognised > best[0]):
            best = (recognised, number, texts)
    return _read_header(best[1], best[2]) if best else None


def _read_header(row: int, texts: Sequence[str]) -> Header:
    places: dict[str, int] = {}
    problems = []
    for at, raw in enumerate(texts):
        title = _plain(raw)
        name = _FIELD_OF.get(title)
        if name is None:
            if title:
                said = Text("不认识的列，未使用", "unknown column, not used")
                problems.append(Problem(row, _short(raw), "", "COLUMN_UNKNOWN", said, NOTE))
        elif name in places:
            said = Text("这一列出现了两次", "this column appears twice")
            problems.append(Problem(row, column_title(name), _short(raw), "COLUMN_DUPLICATE", said))
        else:
            places[name] = at
    for name in REPORTING_SHEET:
        if name not in places:
            required = name in REQUIRED
            said = (
                Text("缺少必需的列", "a required column is missing")
                if required
                else Text("没有这一列", "no such column")
            )
            severity = ERROR if required else NOTE
            problems.append(Problem(row, column_title(name), "", "COLUMN_MISSING", said, severity))
    return Header(row, tuple(_short(text) for text in texts), places, tuple(problems))


def _plain(text: str) -> str:
    return _HINT.sub("", unicodedata.normalize("NFKC", text[:80])).lower()


def _short(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:40]

"""The eight-grade ladder ("新八级工", 人社部发〔2022〕14号), read from data so that a later ladder is a file.

Two numbers describe a grade and never mix: the *ordinal* 1..8 rises with skill and is ours; the *national
level* 5..1 falls with skill and is what people write and certificates print. A bare digit in a text is always
the national level. 特级 and 首席 are posts that an employer appoints to; 学徒工 is a post below the certificates.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass

from ledger.errors import Malformed, Refused
from ledger.text import Text

FORMAT = "certledger/ladder/v1"
MAX_BYTES = 64 * 1024
NATURES = ("post", "certificate", "appointment")
ANY_LETTER = "A-Z"  # number_mark of appointments: a letter; which one is not confirmed in public

_FIELDS = ("ordinal", "national_level", "zh", "zh_formal", "en", "nature", "number_mark")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
_NUMERALS = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5}
_LEVEL = re.compile(r"([1-5]|[一二三四五])级?")
_JOINERS = re.compile(r"[/()、,\\|·-]+")


@dataclass(frozen=True, slots=True)
class Grade:
    """One rung. `zh` 高级工, `zh_formal` 三级/高级工 (as printed), `en` Level III / Senior worker."""

    ordinal: int  # 1..8, rising with skill
    national_level: int | None  # 5..1, falling with skill; None where no digit exists
    zh: str
    zh_formal: str
    en: str
    nature: str  # "post" | "certificate" | "appointment"
    number_mark: str  # character 16 of the certificate number: "1".."5", ANY_LETTER, or "" for none

    def __post_init__(self) -> None:
        if type(self.ordinal) is not int or not 1 <= self.ordinal <= 8:
            raise Malformed("grade ordinal outside 1..8")
        if self.nature not in NATURES:
            raise Malformed("grade nature")
        if not (self.zh and self.zh_formal and self.en):
            raise Malformed("grade without names")
        certificate = self.nature == "certificate"
        if certificate != (self.national_level is not None):
            raise Malformed("exactly the certificate grades have a national level")
        if certificate and self.national_level != 7 - self.ordinal:
            raise Malformed("national level does not fall as the ordinal rises")
        marks = {"certificate": str(self.national_level), "appointment": ANY_LETTER, "post": ""}
        if self.number_mark != marks[self.nature]:
            raise Malformed("grade mark of the certificate number")

    @property
    def issuable(self) -> bool:
        """Whether an `issue` statement may carry it. Appointments need `appoint`; 学徒工 has neither."""
        return self.nature == "certificate"

    @property
    def text(self) -> Text:
        """The grade for people: 三级/高级工 and Level III / Senior worker."""
        return Text(self.zh_formal, self.en)


@dataclass(frozen=True, slots=True)
class Ladder:
    """All eight grades of one published ladder, by ordinal."""

    version: str
    grades: tuple[Grade, ...]

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise Malformed("ladder version")
        if tuple(grade.ordinal for grade in self.grades) != (1, 2, 3, 4, 5, 6, 7, 8):
            raise Malformed("a ladder lists the ordinals 1..8 once each, rising")
        if any(len({getattr(grade, name) for grade in self.grades}) != 8 for name in ("zh", "zh_formal", "en")):
            raise Malformed("two grades share a name")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the exact file bytes (the form is canonical, so they follow from the value)."""
        return hashlib.sha256(format_ladder(self)).digest()

    def by_ordinal(self, ordinal: int) -> Grade:
        """The grade with this ordinal 1..8. Malformed otherwise."""
        if type(ordinal) is not int or not 1 <= ordinal <= 8:
            raise Malformed("grade ordinal outside 1..8")
        return self.grades[ordinal - 1]

    def by_level(self, level: int) -> Grade:
        """The grade with this national level 5..1 (1 = 高级技师). Malformed otherwise."""
        if type(level) is not int or not 1 <= level <= 5:
            raise Malformed("national level outside 1..5")
        return self.grades[6 - level]


def format_ladder(ladder: Ladder) -> bytes:
    """The canonical file: UTF-8 JSON, one grade per line. Its SHA-256 goes on the log."""
    lines = ",\n".join(_dump({name: getattr(grade, name) for name in _FIELDS}) for grade in ladder.grades)
    return f'{{"format":"{FORMAT}","version":"{ladder.version}","grades":[\n{lines}\n]}}\n'.encode()


def parse_ladder(raw: bytes) -> Ladder:
    """The ladder of a canonical file; Malformed for any other bytes (also another spelling of the same)."""
    if len(raw) > MAX_BYTES:
        raise Malformed("ladder file over 64 KiB")
    try:
        outer = json.loads(raw)
        if outer["format"] != FORMAT:
            raise Malformed("not a ladder file")
        grades = tuple(Grade(**item) for item in outer["grades"])
        ladder = Ladder(outer["version"], grades)
        same = format_ladder(ladder) == raw
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Malformed("ladder file")
    if not same:
        raise Malformed("ladder file is not in its canonical form")
    return ladder


def parse_grade(text: str, ladder: Ladder) -> Grade:
    """The grade that people mean by `3`, `3级`, `三级`, `三级/高级工`, `高级工(三级)`, `３` or `特级技师`.

    A bare digit is the national level 5..1, never the ordinal. Raises Refused GRADE_MISSING, GRADE_UNKNOWN
    (includes 6, 7, 8 and anything else outside 5..1) or GRADE_CONFLICT (`三级/技师`: the parts disagree).
    """
    if len(text) > 64:
        raise _refused("GRADE_UNKNOWN", "不是技能等级", "not a skill grade")
    plain = "".join(unicodedata.normalize("NFKC", text).split()).removeprefix("职业技能等级")
    if not plain:
        raise _refused("GRADE_MISSING", "没有填写技能等级", "the grade is empty")
    found = {_part(part, ladder) for part in _JOINERS.split(plain) if part}
    if len(found) > 1 and None not in found:
        raise _refused("GRADE_CONFLICT", "等级的两种写法不一致", "the two parts of the grade disagree")
    grade = found.pop() if len(found) == 1 else None
    if grade is None:
        raise _refused(
            "GRADE_UNKNOWN",
            "不是技能等级；请填写 5～1（五级～一级）或等级名称，例如 三级/高级工",
            "not a skill grade; write 5..1 (national level) or the name, for example 三级/高级工",
        )
    return grade


def _part(part: str, ladder: Ladder) -> Grade | None:
    level = _LEVEL.fullmatch(part)
    if level:
        mark = level.group(1)
        return ladder.by_level(_NUMERALS[mark] if mark in _NUMERALS else int(mark))
    for grade in ladder.grades:
        head, _, tail = grade.zh_formal.partition("/")
        if part in (grade.zh, head + tail, tail + head):
            return grade
    return None


def _dump(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _refused(code: str, zh: str, en: str) -> Refused:
    return Refused(code, "grade", Text(zh, en))

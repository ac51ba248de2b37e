"""The number doctor: explains a mistyped certificate number before anybody is asked for it. Pure.

    examine("y 0000 51 001064 72 4 000017", today=…, level=3)

says part by part what the number says (`parts`), everything that cannot be (`problems`), and, where exactly one reading
is left, what was probably meant (`suggestion`). There is no check digit, so a number without problems proves nothing.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from ledger.records.dates import date_of
from ledger.records.grades import Ladder
from ledger.records.number import CLASSES, PROVINCES, diagnose_number, normal_text, parse_number
from ledger.text import Text

LEVELS: Final = (5, 4, 3, 2, 1)  # national levels, rising
_CUTS: Final = (
    ("class", 0, 1),
    ("body", 1, 5),
    ("province", 5, 7),
    ("site", 7, 13),
    ("year", 13, 15),
    ("grade", 15, 16),
    ("sequence", 16, 22),
)
_LABELS: Final = {
    "class": Text("机构类别", "Kind of body"),
    "body": Text("机构编码", "Body code"),
    "province": Text("省份", "Province"),
    "site": Text("站点编号", "Site"),
    "year": Text("年份", "Year"),
    "grade": Text("等级", "Grade"),
    "sequence": Text("流水号", "Sequence"),
}
_DIGITS: Final = str.maketrans("OQDILZSB", "00011258")
_SEPARATORS: Final = dict.fromkeys(map(ord, "-‐‑‒–—―−－_.·•/\\,，、:：()（）[]【】"))
_NO_SUCH: Final = Text("没有这个代码", "no such code")


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the number, in reading order: what it is, its characters, what they say, whether they can be."""

    label: Text
    shown: str
    meaning: Text
    fits: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that cannot be. `positions` count characters from 1; () when it is about the whole."""

    code: str
    positions: tuple[int, ...]
    text: Text


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`number`: as it would be looked up, in its normal form. Without problems it may be."""

    number: str
    problems: tuple[Problem, ...]
    parts: tuple[Part, ...]  # of 22 characters; () otherwise
    suggestion: str | None  # the one number that was probably meant, grouped for reading


def examine(typed: str, *, today: int, ladder: Ladder, level: int | None = None) -> Diagnosis:
    """What is wrong with a number as typed. `today`: days since 1970; `level`: the national level that the person has
    chosen beside it (5 to 1), if any. Never raises."""
    number = normal_text(typed)
    problems = _problems(typed, today, ladder, level)
    parts = _parts(number, today, ladder, level) if len(number) == 22 else ()
    return Diagnosis(number, problems, parts, _suggestion(typed, today, ladder, level) if problems else None)


def _problems(typed: str, today: int, ladder: Ladder, level: int | None) -> tuple[Problem, ...]:
    found = [Problem(one.code, one.positions, one.text) for one in diagnose_number(typed)]
    number = normal_text(typed)
    if len(number) == 22 and number[:1] in CLASSES:
        found += _later_problems(number, today, ladder, level)
    elif len(number) == 21 and number.isascii() and number.isdigit():
        text = Text("缺少开头的字母（Y、S 或 J）", "the letter at the beginning (Y, S or J) is missing")
        found = [Problem("FIRST_LETTER", (1,), text)]
    return tuple(found)


def _later_problems(number: str, today: int, ladder: Ladder, level: int | None) -> list[Problem]:
    """What only today's date and the chosen grade tell of 22 characters."""
    found = []
    year, last = number[13:15], date_of(today).year
    if year.isascii() and year.isdigit() and 2000 + int(year) > last:
        text = Text(f"第 14～15 位表示 20{year} 年，尚未到来", f"characters 14-15 say 20{year}, which is in the future")
        found.append(Problem("YEAR", (14, 15), text))
    mark = number[15]
    if level is not None and mark != str(level):
        said, chosen = _said_grade(mark, ladder), ladder.by_level(level).text
        text = Text(
            f"第 16 位表示{said.zh}，您选择的是{chosen.zh}", f"character 16 says {said.en}, but you chose {chosen.en}"
        )
        found.append(Problem("GRADE_CHOSEN", (16,), text))
    return found


def _suggestion(typed: str, today: int, ladder: Ladder, level: int | None) -> str | None:
    """The one reading of it that has no problem: without separators, digits for the letters that look like them, one
    doubled character left out, or one that is missing beside the first letter put back."""
    plain = unicodedata.normalize("NFKC", typed[:128]).translate(_SEPARATORS)
    plain = "".join(plain.split()).upper()
    read = _digits(plain)
    if len(read) == 23:
        candidates = {_digits(read[:at] + read[at + 1 :]) for at in range(23)}
    elif len(read) == 21 and read.isdigit():
        candidates = {letter + read for letter in CLASSES}
    else:
        candidates = {read}
    good = {one for one in candidates if len(one) == 22 and not _problems(one, today, ladder, level)}
    if len(good) != 1 or (only := good.pop()) == normal_text(typed):
        return None
    return parse_number(only).grouped


def _digits(plain: str) -> str:
    """Digits where only digits can be, for letters that are drawn like them; S for a 5 at the beginning."""
    if not plain:
        return plain
    first = "S" if plain[0] == "5" and len(plain) > 21 else plain[0]
    rest = plain[1:].translate(_DIGITS)
    letter = plain[15:16]
    if letter.isalpha() and letter not in "OQDILZSB" and len(plain) >= 16:
        rest = rest[:14] + letter + rest[15:]
    return first + rest


def _parts(number: str, today: int, ladder: Ladder, level: int | None) -> tuple[Part, ...]:
    wrong = {at for one in _problems(number, today, ladder, level) for at in one.positions}
    return tuple(
        Part(
            _LABELS[name],
            number[start:end],
            _meaning(name, number[start:end], ladder),
            not wrong & set(range(start + 1, end + 1)),
        )
        for name, start, end in _CUTS
    )


def _meaning(name: str, shown: str, ladder: Ladder) -> Text:
    if name == "class":
        return CLASSES.get(shown, _NO_SUCH)
    if name == "province":
        province = PROVINCES.get(shown)
        return Text(province, province) if province else _NO_SUCH
    if name == "year":
        return Text(f"20{shown} 年", f"20{shown}") if shown.isascii() and shown.isdigit() else _NO_SUCH
    if name == "grade":
        return _said_grade(shown, ladder)
    return Text("—", "—")


def _said_grade(mark: str, ladder: Ladder) -> Text:
    if mark in "12345":
        return ladder.by_level(int(mark)).text
    return Text("特级技师聘任", "a post, not a grade") if mark.isascii() and mark.isalpha() else _NO_SUCH

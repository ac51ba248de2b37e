"""The certificate number of 职业技能等级证书: 22 characters, a letter and 21 digits.

    1      2-5        6-7        8-13   14-15  16     17-22
    class  body code  province   site   year   grade  sequence       filing number = characters 1-13

There is no check digit: a well-formed number proves nothing. The class letter does not tell the kind of body
(colleges have Y). 特级技师 numbers carry a letter at 16 (which one is not confirmed: `letter_unconfirmed`).
Numbers of other schemes (16-digit 职业资格, 13-digit Shanghai, 20-character pilot) are kept as opaque text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ledger.errors import Malformed, Refused
from ledger.records.dates import date_of, format_day
from ledger.records.grades import ANY_LETTER, Ladder
from ledger.text import Text

MAX_CHARACTERS = 64
GRADE_22, SPECIAL_22, OPAQUE = "grade-22", "special-22", "opaque"
CLASSES = {
    "Y": Text("用人单位或院校", "employer or school"),
    "S": Text("社会培训评价组织", "social assessment body"),
    "J": Text("技工院校（部分省份）", "technician school (some provinces)"),
}
# GB/T 2260, first two digits.
PROVINCES = {
    "11": "北京", "12": "天津", "13": "河北", "14": "山西", "15": "内蒙古", "21": "辽宁", "22": "吉林",
    "23": "黑龙江", "31": "上海", "32": "江苏", "33": "浙江", "34": "安徽", "35": "福建", "36": "江西",
    "37": "山东", "41": "河南", "42": "湖北", "43": "湖南", "44": "广东", "45": "广西", "46": "海南",
    "50": "重庆", "51": "四川", "52": "贵州", "53": "云南", "54": "西藏", "61": "陕西", "62": "甘肃",
    "63": "青海", "64": "宁夏", "65": "新疆", "71": "台湾", "81": "香港", "82": "澳门",
}  # fmt: skip

_FORM_22 = re.compile(r"[YSJ][0-9]{14}[1-5A-Z][0-9]{6}")
_FILING = re.compile(r"[YSJ][0-9]{12}")
_ATTEMPT = re.compile(r"[A-Z][0-9].*|[YSJ](?![A-Z]{2}[0-9]{17}$).*|.{22}", re.DOTALL)
_OPAQUE = re.compile(r"[0-9A-Z][0-9A-Z-]{4,30}[0-9A-Z]")
_LOOKALIKE = {"O": "0", "Q": "0", "D": "0", "I": "1", "L": "1", "Z": "2", "S": "5", "B": "8"}


@dataclass(frozen=True, slots=True)
class CertificateNumber:
    """A number read into its parts: `text` in normal form, `raw` as typed. Opaque numbers have empty parts."""

    raw: str
    text: str
    scheme: str  # GRADE_22 | SPECIAL_22 | OPAQUE
    issuer_class: str = ""
    body_code: str = ""  # 0001-9999 first filed with the ministry, 0000 filed with a province
    province: str = ""
    site: str = ""
    year: int | None = None  # four digits: 2000 + characters 14-15
    grade_mark: str = ""  # "1".."5" national level, or a letter (appointments)
    sequence: int | None = None  # 1..999999

    @property
    def filing_number(self) -> str:
        """Characters 1-13, the filing (备案) it was issued under; "" for an opaque number."""
        return "" if self.scheme == OPAQUE else self.text[:13]

    @property
    def flags(self) -> tuple[str, ...]:
        """What readers should say about it: `letter_unconfirmed`, `scheme_opaque`, or nothing."""
        return {SPECIAL_22: ("letter_unconfirmed",), OPAQUE: ("scheme_opaque",)}.get(self.scheme, ())

    @property
    def grouped(self) -> str:
        """For reading aloud: `Y 0000 51 001064 25 3 000017`."""
        return self.text if self.scheme == OPAQUE else _grouped_22(self.text)


@dataclass(frozen=True, slots=True)
class NumberProblem:
    """One thing wrong with a number. `positions` count characters from 1, () when it is about the whole."""

    code: str
    positions: tuple[int, ...]
    text: Text


def parse_number(text: str) -> CertificateNumber:
    """The number people typed: NFKC, upper case and without spaces, `raw` kept.

    Refused with the first code of `diagnose_number` when it is not a number of any known form.
    """
    problems = diagnose_number(text)
    if problems:
        raise Refused(problems[0].code, "number", problems[0].text)
    plain = normal_text(text)
    if not _FORM_22.fullmatch(plain):
        return CertificateNumber(text, plain, OPAQUE)
    return CertificateNumber(
        raw=text,
        text=plain,
        scheme=GRADE_22 if plain[15].isdigit() else SPECIAL_22,
        issuer_class=plain[0],
        body_code=plain[1:5],
        province=plain[5:7],
        site=plain[7:13],
        year=2000 + int(plain[13:15]),
        grade_mark=plain[15],
        sequence=int(plain[16:]),
    )


def grouped(text: str) -> str:
    """A number for reading aloud, in its parts where it has some; what is no number of a known form stays as it is."""
    if _FORM_22.fullmatch(text) and text[5:7] in PROVINCES and text[16:] != "000000":
        return _grouped_22(text)  # as below, without the doctor
    try:
        return parse_number(text).grouped
    except Refused:
        return text


def check_number(text: str) -> CertificateNumber:
    """For signed text: the number, already in its normal form; Malformed or Refused otherwise."""
    number = parse_number(text)
    if number.text != text:
        raise Malformed("certificate number is not in its normal form")
    return number


def check_filing_number(text: str) -> str:
    """Return a filing number: class letter and 12 digits, a known province. Malformed otherwise."""
    if type(text) is not str or not _FILING.fullmatch(text) or text[5:7] not in PROVINCES:
        raise Malformed("filing number is not a class letter and 12 digits with a known province")
    return text


def build_number(filing_number: str, year: int, level: int | str, sequence: int) -> str:
    """The number of a filing, issue year (four digits), national level 1..5 (or a letter), sequence."""
    check_filing_number(filing_number)
    mark = str(level)
    if not 2000 <= year <= 2099 or not re.fullmatch(r"[1-5A-Z]", mark) or not 1 <= sequence <= 999_999:
        raise Malformed("year, level or sequence of a certificate number")
    return f"{filing_number}{year % 100:02d}{mark}{sequence:06d}"


def normal_text(text: str) -> str:
    """NFKC, no white space, upper case: the form numbers are compared, signed and indexed in."""
    return "".join(unicodedata.normalize("NFKC", text[: MAX_CHARACTERS * 2]).split()).upper()


def diagnose_number(text: str) -> tuple[NumberProblem, ...]:
    """The number doctor: everything wrong with the form, by position; () for a good or an opaque number.

    Codes: EMPTY, LENGTH, CHARACTER, CLASS, PROVINCE, GRADE, SEQUENCE. Never raises.
    """
    plain = normal_text(text)
    if not plain:
        return (NumberProblem("EMPTY", (), Text("没有填写证书编号", "the number is empty")),)
    if len(text) > MAX_CHARACTERS or len(plain) > MAX_CHARACTERS:
        return (_length(len(plain)),)
    if not _ATTEMPT.fullmatch(plain):
        return () if _OPAQUE.fullmatch(plain) else (_characters(plain, _strange(plain)),)
    if len(plain) != 22:
        strange = tuple(at for at, c in enumerate(plain, 1) if not (c.isascii() and c.isalnum()))
        return (_length(len(plain)), *((_characters(plain, strange),) if strange else ()))
    return tuple(_diagnose_22(plain))


def _grouped_22(text: str) -> str:
    return f"{text[0]} {text[1:5]} {text[5:7]} {text[7:13]} {text[13:15]} {text[15]} {text[16:]}"


def _diagnose_22(plain: str) -> list[NumberProblem]:
    problems = []
    if plain[0] not in CLASSES:
        problems.append(_problem("CLASS", 1, 1, "第 1 位应为 Y、S 或 J", "character 1 must be Y, S or J"))
    strange = tuple(at for at, c in enumerate(plain, 1) if at not in (1, 16) and c not in "0123456789")
    if strange:
        problems.append(_characters(plain, strange))
    if not {6, 7} & set(strange) and plain[5:7] not in PROVINCES:
        problems.append(_problem("PROVINCE", 6, 7, "第 6～7 位不是省级代码", "characters 6-7 are not a province code"))
    if plain[15] not in "12345" and not ("A" <= plain[15] <= "Z"):
        problems.append(_problem("GRADE", 16, 16, "第 16 位等级应为 1～5", "character 16, the grade, must be 1..5"))
    if plain[16:] == "000000":
        problems.append(_problem("SEQUENCE", 17, 22, "流水号从 000001 开始", "the sequence starts at 000001"))
    return problems


def cross_check(
    number: CertificateNumber,
    *,
    filing_number: str,
    window: tuple[int, int] | None,
    issue_day: int,
    grade_ordinal: int,
    ladder: Ladder,
) -> tuple[NumberProblem, ...]:
    """Compare a number with its certificate. `window` = first and last day of the filing; None = unknown.

    Codes: FILING_MISMATCH, YEAR, GRADE, FILING_NOT_STARTED, FILING_ENDED. An opaque number says nothing about
    filing, year and grade, so only the window is checked for it.
    """
    problems = []
    grade = ladder.by_ordinal(grade_ordinal)
    if number.scheme != OPAQUE:
        if number.filing_number != filing_number:
            differ = tuple(at for at in range(1, 14) if number.text[at - 1] != filing_number[at - 1 : at])
            problems.append(
                NumberProblem(
                    "FILING_MISMATCH",
                    differ,
                    Text("前 13 位与评价机构备案号不一致", "characters 1-13 are not this body's filing number"),
                )
            )
        year = date_of(issue_day).year
        if number.year != year:
            problems.append(
                _problem(
                    "YEAR",
                    14,
                    15,
                    f"第 14～15 位年份与发证日期（{year} 年）不一致",
                    f"characters 14-15 do not match the issue year {year}",
                )
            )
        mark = ANY_LETTER if number.scheme == SPECIAL_22 else number.grade_mark
        if mark != grade.number_mark:
            problems.append(
                _problem(
                    "GRADE",
                    16,
                    16,
                    f"第 16 位与技能等级（{grade.zh_formal}）不一致",
                    f"character 16 does not match the grade ({grade.en})",
                )
            )
    if window is not None and issue_day < window[0]:
        since = format_day(window[0])
        said = Text(f"发证日期早于备案有效期（{since} 起）", f"issued before the filing starts on {since}")
        problems.append(NumberProblem("FILING_NOT_STARTED", (), said))
    if window is not None and issue_day > window[1]:
        until = format_day(window[1])
        said = Text(f"发证日期晚于备案有效期（至 {until}）", f"issued after the filing ends on {until}")
        problems.append(NumberProblem("FILING_ENDED", (), said))
    return tuple(problems)


def _strange(plain: str) -> tuple[int, ...]:
    found = tuple(at for at, c in enumerate(plain, 1) if not (c.isascii() and (c.isalnum() or c == "-")))
    return found or (1, len(plain))


def _characters(plain: str, positions: tuple[int, ...]) -> NumberProblem:
    first = positions[0]
    digit = _LOOKALIKE.get(plain[first - 1])
    hint_zh, hint_en = (f"（是不是数字 {digit}？）", f" (the digit {digit}?)") if digit else ("", "")
    listed = ", ".join(map(str, positions[:8]))
    return NumberProblem(
        "CHARACTER",
        positions,
        Text(f"第 {listed} 位有不允许的字符{hint_zh}", f"a character that cannot be there at {listed}{hint_en}"),
    )


def _length(count: int) -> NumberProblem:
    return NumberProblem("LENGTH", (), Text(f"应为 22 位，现为 {count} 位", f"{count} characters instead of 22"))


def _problem(code: str, first: int, last: int, zh: str, en: str) -> NumberProblem:
    return NumberProblem(code, tuple(range(first, last + 1)), Text(zh, en))

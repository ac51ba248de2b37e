"""People's names: one normal form, one allowed set, one way to mask.

Signed text is already normal (`check_name`); import makes it so and says what it changed (`normalise_name`).
Nothing is normalised after verifying. The interpunct is U+00B7; 50 characters must fit (民委发〔2016〕33号).
"""

from __future__ import annotations

import re
import unicodedata

from ledger.errors import Malformed, Refused
from ledger.records.notice import Notice
from ledger.text import Text

MAX_CHARACTERS = 50
MAX_RAW_CHARACTERS = 400
MIDDLE_DOT = "\u00b7"

_DOTS = dict.fromkeys(map(ord, "\u2022\u30fb\u2027\u22c5\u2219\uff65\u0387\u2024\u25cf\u16eb"), MIDDLE_DOT)
_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u2018\u02bc\uff07"), "'")
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\uff0d"), "-")
# White space that spreadsheets leave behind; everything else invisible is refused.
_SPACES = dict.fromkeys(map(ord, "\t\r\n\u00a0\u2002\u2003\u2009\u202f\u3000"), " ")
_HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_HAN_ONLY = re.compile(f"[{_HAN}]+")
_ORDINARY = re.compile(f"[\u4e00-\u9fff]{{1,{MAX_CHARACTERS}}}")  # in its normal form whatever the rules below
_SPREAD = re.compile(f"(?<=[{_HAN}]) +(?=[{_HAN}])")
_DOT_BETWEEN = re.compile(f"(?<=[{_HAN}])[.\uff0e](?=[{_HAN}])")
_DOT_SPACED = re.compile(f" *{MIDDLE_DOT} *")
_FORMS = re.compile("[\u2e80-\u2fdf\uff21-\uff3a\uff41-\uff5a\uff0e]")
# Letters and marks that draw nothing: names that look alike must be alike.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0000-\U000e0fff]")
_ALLOWED_CATEGORIES = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc")
_ALLOWED_SIGNS = frozenset(f" {MIDDLE_DOT}-'.\u3007")

# 复姓; the first character alone is the surname of everyone else.
_COMPOUND = (
    "欧阳司马上官诸葛东方皇甫尉迟公孙慕容令狐宇文长孙司徒司空夏侯轩辕"
    "端木百里南宫西门东郭独孤拓跋呼延完颜耶律万俟闻人赫连澹台公冶宗政"
    "濮阳淳于单于太叔申屠仲孙钟离鲜于闾丘亓官司寇子车颛孙巫马公西漆雕"
    "乐正壤驷公良夹谷宰父谷梁段干东门南门羊舌微生梁丘左丘第五纳兰叶赫"
    "贺兰即墨北宫公羊富察钮祜"
)
COMPOUND_SURNAMES = frozenset(_COMPOUND[at : at + 2] for at in range(0, len(_COMPOUND), 2))


def normalise_name(raw: str) -> tuple[str, tuple[Notice, ...]]:
    """The normal form of a name as typed, and what was changed to reach it.

    Maps look-alike dots to U+00B7, spaces between Han characters to nothing, radical forms and full-width
    letters to ordinary ones, then NFC. Refused NAME_MISSING, NAME_LENGTH, NAME_CHARACTER, NAME_INTERPUNCT
    or NAME_SPACING when no normal form exists; hidden characters are refused, never dropped.
    """
    if len(raw) > MAX_RAW_CHARACTERS:
        raise _refused("NAME_LENGTH", "姓名超过 50 个字符", "the name is longer than 50 characters")
    notices: list[Notice] = []
    text = " ".join(raw.translate(_SPACES).split(" ")).strip(" ")
    # Forms first: what stands between Han characters is known only when the radicals are Han characters.
    folded = _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    if folded != text:
        notices.append(
            _note(
                "NAME_FORMS_MAPPED",
                "部首或全角字符已换成通用字符",
                "radical or full-width forms were changed",
            )
        )
    dotted = _DOT_SPACED.sub(MIDDLE_DOT, _DOT_BETWEEN.sub(MIDDLE_DOT, folded.translate(_DOTS)))
    if dotted != folded:
        notices.append(_note("NAME_INTERPUNCT_MAPPED", "间隔号已统一为 ·", "the interpunct was changed to U+00B7"))
    closed = re.sub(" {2,}", " ", _SPREAD.sub("", dotted))
    if closed != dotted:
        notices.append(_note("NAME_SPACES_REMOVED", "已去掉姓名中的空格", "spaces inside the name were removed"))
    plain = closed.translate(_APOSTROPHES).translate(_HYPHENS)
    name = unicodedata.normalize("NFC", plain)
    if name != plain:
        notices.append(
            _note(
                "NAME_COMPATIBILITY_MAPPED",
                "兼容汉字已换成统一汉字，请核对字形",
                "a compatibility form changed",
            )
        )
    _check(name)
    if len({_script(character) for character in name} - {""}) > 1:
        notices.append(Notice("NAME_MIXED_SCRIPTS", Text("姓名混用了不同文字", "the name mixes scripts"), "warning"))
    return name, tuple(notices)


def check_name(name: str) -> str:
    """For signed text: return a name that is already normal; Malformed otherwise."""
    if _ORDINARY.fullmatch(name):
        return name
    try:
        normal, _ = normalise_name(name)
    except Refused as refused:
        raise Malformed(f"name ({refused.code})")
    if normal != name:
        raise Malformed("name is not in its normal form")
    return name


def mask_name(name: str) -> str:
    """For a page anyone may open: 张*, 张*丰, 欧阳*丽; 买**·吐**; J*** S***. The whole name is never shown.

    Keeps the surname (复姓 too) and, of a given name of two or more characters, the last one.
    """
    if MIDDLE_DOT in name:
        return MIDDLE_DOT.join(_mask_part(part) for part in name.split(MIDDLE_DOT))
    if not _HAN_ONLY.fullmatch(name):
        return " ".join(f"{word[0]}***" for word in name.split(" ") if word)
    surname = 2 if len(name) > 2 and name[:2] in COMPOUND_SURNAMES else 1
    hidden = len(name) - surname
    if hidden < 1:
        return "*"
    return name[:surname] + ("*" if hidden == 1 else "*" * (hidden - 1) + name[-1])


def _mask_part(part: str) -> str:
    return part[:1] + "*" * max(1, len(part) - 1) if _HAN_ONLY.fullmatch(part) else f"{part[:1]}***"


def _check(name: str) -> None:
    if not name:
        raise _refused("NAME_MISSING", "没有填写姓名", "the name is empty")
    if len(name) > MAX_CHARACTERS:
        raise _refused("NAME_LENGTH", "姓名超过 50 个字符", "the name is longer than 50 characters")
    for at, character in enumerate(name, 1):
        if not _allowed(character):
            shown = f"U+{ord(character):04X}"
            raise _refused(
                "NAME_CHARACTER",
                f"姓名第 {at} 个字符（{shown}）不允许：数字、符号、隐藏或自造字符",
                f"character {at} of the name ({shown}) is not allowed: digit, sign, hidden or private character",
            )
    parts = re.split(f"[{MIDDLE_DOT} ]", name)
    if MIDDLE_DOT in name and not all(parts):
        raise _refused("NAME_INTERPUNCT", "间隔号位置不对", "an interpunct at an end or doubled")
    if any(not _begins(part[0]) for part in parts):
        raise _refused("NAME_CHARACTER", "姓名的每一部分应以文字开头", "each part of a name starts with a letter")
    if re.search(f"[{_HAN}] [{_HAN}]|  ", name):
        raise _refused("NAME_SPACING", "姓名中有多余空格", "spaces inside the name")
    marks = "".join("m" if unicodedata.category(c)[0] == "M" else "." for c in name)
    if "mmm" in marks:
        raise _refused("NAME_CHARACTER", "姓名中附加符号过多", "too many combining marks in the name")


def _allowed(character: str) -> bool:
    if character in _ALLOWED_SIGNS:
        return True
    if _BLANK.match(character):
        return False
    # Planes 2 and 3 are ideographs only; newer extensions than this Python knows count as such.
    if "\U00020000" <= character <= "\U0003fffd":
        return True
    return unicodedata.category(character) in _ALLOWED_CATEGORIES


def _begins(character: str) -> bool:
    """Letters and ideographs begin a part of a name; signs and combining marks do not."""
    return bool(_HAN_ONLY.match(character)) or unicodedata.category(character)[0] == "L"


def _script(character: str) -> str:
    """Latin, Greek and Cyrillic look alike; Han and everything else do not matter here."""
    first = unicodedata.name(character, "").partition(" ")[0]
    return first if first in ("LATIN", "GREEK", "CYRILLIC") else ""


def _note(code: str, zh: str, en: str) -> Notice:
    return Notice(code, Text(zh, en))


def _refused(code: str, zh: str, en: str) -> Refused:
    return Refused(code, "name", Text(zh, en))

"""The one font of everything we print: Noto Serif SC, TrueType, SIL Open Font License 1.1 (see fonts/OFL.txt).

It is vendored because Debian's Noto CJK is CFF, which reportlab cannot embed, and no 仿宋 face with an open licence
was complete (Zhuque Fangsong is a preview). A character the font lacks would print as an empty box without any
warning, so every text is checked before a certificate is issued.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reportlab.pdfbase import pdfmetrics, ttfonts

from ledger.errors import Refused, Unavailable
from ledger.text import Text

FONT_NAME: Final = "NotoSerifSC"

_FOLDER: Final = Path(__file__).with_name("fonts")
_FILE: Final = "NotoSerifSC_400Regular.ttf"
_ASTRAL: Final = re.compile(r"(<[0-9A-F]{2}> )<([0-9A-F]{5,6})>")
_MISSING: Final = Text("字体中没有以下字符，无法印刷：{which}", "The print font lacks these characters: {which}")


@dataclass(frozen=True, slots=True)
class Fonts:
    """A font registered with reportlab in this process, and the code points it has a glyph for."""

    name: str
    covered: frozenset[int]

    def __post_init__(self) -> None:
        assert self.name and ord("一") in self.covered, "a CJK font"

    def missing_glyphs(self, text: str) -> str:
        """The characters of `text` that cannot be printed, each once, in order; empty when all can."""
        return "".join(dict.fromkeys(char for char in text if ord(char) not in self.covered))

    def check(self, field: str, text: str) -> None:
        """Raises Refused GLYPH_MISSING naming the characters as U+XXXX. Call it before a row is issued."""
        missing = self.missing_glyphs(text)
        if missing:
            which = ", ".join(f"{char if char.isprintable() else '?'} U+{ord(char):04X}" for char in missing)
            raise Refused("GLYPH_MISSING", field, _MISSING.format(which=which))


@functools.cache
def load_fonts() -> Fonts:
    """Read, check (SHA-256 against fonts/checksums.txt) and register the font, once per process (about 0.1 s).

    Raises Unavailable when the file is absent or is not the one that was vendored.
    """
    try:
        content = (_FOLDER / _FILE).read_bytes()
        listed = (_FOLDER / "checksums.txt").read_text("ascii").split()
    except OSError as error:
        raise Unavailable(
            Text("没有安装打印字体：请重新安装本程序", "the print font is not installed; install this program again")
        ) from error
    if listed[listed.index(_FILE) - 1] != hashlib.sha256(content).hexdigest():
        raise Unavailable(
            Text(
                "打印字体已损坏（校验值不符）：请重新安装本程序",
                "the print font is damaged: its checksum differs; install this program again",
            )
        )
    font = _Font(FONT_NAME, io.BytesIO(content), asciiReadable=0)
    pdfmetrics.registerFont(font)
    return Fonts(FONT_NAME, frozenset(font.face.charToGlyph))


class _Font(ttfonts.TTFont):  # type: ignore[misc]
    """reportlab writes code points beyond U+FFFF into the ToUnicode map as five hex digits; PDF 32000-1 9.10.3 wants
    UTF-16, and without it a name with such a character could be read but neither searched nor copied."""

    def addObjects(self, doc: Any) -> None:  # noqa: N802  reportlab's name
        super().addObjects(doc)
        for key, value in doc.idToObject.items():
            if key.startswith("toUnicodeCMap:"):
                value.content = _ASTRAL.sub(_as_utf16, value.content)


def _as_utf16(match: re.Match[str]) -> str:
    return f"{match[1]}<{chr(int(match[2], 16)).encode('utf-16-be').hex().upper()}>"

"""What a values-only reader does not tell about a sheet: formulas, error cells, merged ranges, hidden rows.

One search over the raw XML decides whether there is anything to tell; only then is it parsed (expat, no entities).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from ledger.sheets.container import refused
from ledger.sheets.sheet import MAX_COLUMNS, MAX_ROWS

_INTERESTING = re.compile(
    rb"""<(?:[\w.-]+:)?(?:f[\s/>]|mergeCell[\s/>])|\st=["']e["']|<(?:[\w.-]+:)?row\s[^>]*\shidden=["'](?:1|true)"""
)
# A column beyond MAX_COLUMNS: BM.. (BL is the 64th) or three letters. One such cell makes the reader's area huge.
_FAR_COLUMN = re.compile(rb"""\sr=["'](?:[A-Z]{3,}|[C-Z][A-Z]|B[M-Z])[0-9]""")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_MAX_MERGES = 50_000


@dataclass(slots=True)
class Markup:
    """Positions are (row from 1, column from 0)."""

    formulas: set[tuple[int, int]] = field(default_factory=set)
    errors: set[tuple[int, int]] = field(default_factory=set)
    merges: list[tuple[int, int, int, int]] = field(default_factory=list)  # first row, column, last row, column
    hidden_rows: list[int] = field(default_factory=list)


def read_markup(raw: bytes) -> Markup:
    """The markup of one worksheet part. Refused FILE_TOO_WIDE, FILE_TOO_LONG or FILE_XML."""
    if _FAR_COLUMN.search(raw):
        raise refused("FILE_TOO_WIDE", f"超过 {MAX_COLUMNS} 列", f"more than {MAX_COLUMNS} columns")
    markup = Markup()
    if _INTERESTING.search(raw):
        _Reader(markup).read(raw)
    return markup


class _Reader:
    """An expat handler that follows rows and cells; cells without `r` take the next place, as the format says."""

    def __init__(self, markup: Markup) -> None:
        self._markup = markup
        self._row = 0
        self._column = -1

    def read(self, raw: bytes) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        try:
            parser.Parse(raw, True)
        except expat.ExpatError:
            raise refused("FILE_XML", "工作表内容已损坏", "the sheet is damaged")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "c":
            place = _place(attributes.get("r", ""))
            self._row, self._column = place if place else (self._row, self._column + 1)
            if attributes.get("t") == "e":
                self._markup.errors.add((self._row, self._column))
        elif name == "row":
            given = attributes.get("r", "")
            self._row = int(given) if given.isascii() and given.isdigit() and len(given) < 8 else self._row + 1
            self._column = -1
            if attributes.get("hidden") in ("1", "true"):
                self._markup.hidden_rows.append(self._row)
        elif name == "f":
            self._markup.formulas.add((self._row, self._column))
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        if len(self._markup.formulas) > MAX_ROWS * 4 or len(self._markup.merges) > _MAX_MERGES:
            raise refused("FILE_TOO_LONG", "公式或合并单元格过多", "too many formulas or merged cells")

    def _merge(self, ref: str) -> None:
        first, _, last = ref.partition(":")
        start, end = _place(first), _place(last or first)
        if start and end:
            self._markup.merges.append((*start, *end))


def _place(reference: str) -> tuple[int, int] | None:
    match = _REFERENCE.fullmatch(reference)
    if not match:
        return None
    column = 0
    for letter in match.group(1):
        column = column * 26 + ord(letter) - 64
    return int(match.group(2)), column - 1

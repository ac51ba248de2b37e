"""Which column is which: those of a form recognised by name, in any order.

The header may stand below title rows, within the first ten rows. Required columns that are missing and columns
that appear twice are errors; the rest of those listed may be missing, and unknown columns are left alone: both noted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger.sheets.form import Form
from ledger.sheets.problem import ERROR, NOTE, Problem
from ledger.text import Text

HEADER_ROWS = 10  # how far down a header is looked for

_HINT = re.compile(r"\((必填|选填|可选|required|optional|yyyy-?mm-?dd)\)|[*:]+|\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header is and what it says. `places` maps fields of the form to column positions from 0."""

    row: int
    titles: tuple[str, ...]
    places: Mapping[str, int]
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether rows can be read at all: no column required is missing or named twice."""
        return not any(problem.severity == ERROR for problem in self.problems)


def find_header(rows: Iterable[tuple[int, Sequence[str]]], form: Form) -> Header | None:
    """The row, among the first ten given as (number, texts), that names most columns of the form; None when too few."""
    best: tuple[int, int, Sequence[str]] | None = None
    for seen, (number, texts) in enumerate(rows):
        if seen >= HEADER_ROWS:
            break
        recognised = len({form.field_of(title) for title in map(_plain, texts)} - {None})
        if recognised >= form.least and (best is None or recognised > best[0]):
            best = (recognised, number, texts)
    return _read_header(best[1], best[2], form) if best else None


def _read_header(row: int, texts: Sequence[str], form: Form) -> Header:
    places: dict[str, int] = {}
    problems = []
    for at, raw in enumerate(texts):
        title = _plain(raw)
        name = form.field_of(title)
        if name is None:
            if title:
                said = Text("不认识的列，未使用", "unknown column, not used")
                problems.append(Problem(row, _short(raw), "", "COLUMN_UNKNOWN", said, NOTE))
        elif name in places:
            said = Text("这一列出现了两次", "this column appears twice")
            problems.append(Problem(row, form.title(name), _short(raw), "COLUMN_DUPLICATE", said))
        else:
            places[name] = at
    for name in form.listed:
        if name not in places:
            required = name in form.required
            said = (
                Text("缺少必需的列", "a required column is missing")
                if required
                else Text("没有这一列", "no such column")
            )
            severity = ERROR if required else NOTE
            problems.append(Problem(row, form.title(name), "", "COLUMN_MISSING", said, severity))
    return Header(row, tuple(_short(text) for text in texts), places, tuple(problems))


def _plain(text: str) -> str:
    return _HINT.sub("", unicodedata.normalize("NFKC", text[:80])).lower()


def _short(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:40]

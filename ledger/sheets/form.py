"""One kind of sheet, by its columns: found under any of their spellings, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ledger.errors import Malformed


@dataclass(frozen=True, slots=True)
class Form:
    """`columns` maps a field to its spellings, the title that problems name first; `listed` are those whose absence is
    told; a row counts as the header when it names at least `least` of the columns.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]
    listed: tuple[str, ...]
    least: int

    def __post_init__(self) -> None:
        titles = [title for spellings in self.columns.values() for title in spellings]
        assert len(titles) == len(set(titles)), "a title means one column"
        assert set(self.required) <= set(self.listed) <= set(self.columns)
        assert 1 <= self.least <= len(self.columns)

    def title(self, name: str) -> str:
        """The title of a field, used in every problem."""
        return self.columns[name][0]

    def field_of(self, title: str) -> str | None:
        """The field that a title (as columns.py folds it) stands for."""
        return next((name for name, titles in self.columns.items() if title in titles), None)


def format_form(form: Form) -> str:
    """One line, for the process that reads workbooks."""
    return msgspec.json.encode(form).decode()


def parse_form(text: str) -> Form:
    """What `format_form` wrote. Raises Malformed."""
    try:
        return msgspec.json.decode(text, type=Form)
    except msgspec.MsgspecError:
        raise Malformed("form of a sheet") from None

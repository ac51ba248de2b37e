"""One thing about a roster that a person should see: where, what was there, and why it matters."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.text import Text

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """`row` as in the sheet (0 = the file as a whole), `column` the Chinese title, `value` already safe to show.

    `code` is stable; only severity "error" keeps a row from being issued.
    """

    row: int
    column: str
    value: str
    code: str
    text: Text
    severity: str = ERROR

    def __post_init__(self) -> None:
        assert self.severity in (ERROR, WARNING, NOTE), self.severity

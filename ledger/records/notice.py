"""A remark about one value that does not stop it: shown to people, kept out of what is signed."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.text import Text


@dataclass(frozen=True, slots=True)
class Notice:
    """What was noticed while reading a value. `code` is stable; `severity` is "warning" or "note"."""

    code: str
    text: Text
    severity: str = "note"

    def __post_init__(self) -> None:
        assert self.severity in ("warning", "note"), self.severity

"""A sentence in the two languages of the product, kept together so that neither is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_REPEATED: Final = 500  # characters


@dataclass(frozen=True, slots=True)
class Text:
    """One message for people: Chinese first, English complete. Neither side may be empty."""

    zh: str
    en: str

    def __post_init__(self) -> None:
        assert self.zh and self.en, "a message needs both languages"

    def format(self, **values: object) -> Text:
        """Fill the same named values into both languages."""
        return Text(self.zh.format(**values), self.en.format(**values))

    def of(self, lang: str) -> str:
        """The side for `lang` ("zh" or "en"); anything else is shown in Chinese."""
        return self.en if lang == "en" else self.zh

    def both(self) -> str:
        """For terminals and sheets, where both are shown on one line."""
        return f"{self.zh} / {self.en}"


def shown(text: str) -> str:
    """What cannot drive a terminal, nor turn the line around: a control or format character is a "?"."""
    return "".join(char if char.isprintable() else "?" for char in text)


def repeated(text: str) -> str:
    """As much as is said again of what somebody else sent and nobody signed."""
    return shown(text[:_REPEATED]) or "-"

"""What the issuer's filing (备案) allows, as far as a roster is checked against it before signing."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.records.authority import Filing, FilingRow
from ledger.records.number import check_filing_number
from ledger.text import Text


@dataclass(frozen=True, slots=True)
class FilingTerms:
    """Number, registered name, window (first and last day, inclusive) and rows of one filing."""

    filing_number: str
    name: str
    window: tuple[int, int]
    rows: tuple[FilingRow, ...]

    def __post_init__(self) -> None:
        check_filing_number(self.filing_number)
        if not self.name or self.window[1] < self.window[0] or not self.rows:
            raise Malformed(
                Text(
                    "备案内容：没有名称、没有行，或止期早于起期",
                    "filing terms: no name, no rows, or a window that ends before it begins",
                )
            )

    @classmethod
    def of(cls, filing: Filing) -> FilingTerms:
        """The terms of a filing statement as logged."""
        return cls(filing.number, filing.name, (filing.first_day, filing.last_day), filing.rows)

    def matching(self, occupation: str, trade: str, grade: int) -> tuple[FilingRow, ...]:
        """The rows that cover this occupation code, trade ("" = none) and grade ordinal, whatever the day."""
        return tuple(
            row
            for row in self.rows
            if row.occupation == occupation and row.trade in ("", trade) and grade in row.grades
        )

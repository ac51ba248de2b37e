"""What a benchmark says: figures of several runs each, with the target they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity. The median of the runs counts; their range says how far to trust it."""

    name: str  # dotted, stable: what programs look for
    text: str
    unit: str
    runs: tuple[float, ...]
    target: float | None = None
    at_most: bool = False  # the target is an upper bound
    against: str = ""  # the machine limit to be set in relation to

    def __post_init__(self) -> None:
        assert self.runs, "a figure has at least one run"

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target

    @property
    def bound(self) -> str:
        if self.target is None:
            return ""
        return f"{'≤' if self.at_most else '≥'} {say(self.target)}"


def say(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile, 0 < share <= 1."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)]

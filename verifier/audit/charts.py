"""Bars as inline SVG: no script, no style attribute, nothing from outside, so the strictest CSP shows them. Pure.

Colours are classes, so the page decides them for light and dark. Every chart stands beside a table with the same
numbers; the SVG is for the eye only and hidden from screen readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 640
_HEIGHT: Final = 200
_LEFT, _BOTTOM, _TOP = 56, 26, 10
_ROW: Final = 26


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, and how much it stands for."""

    label: str
    value: int


def columns(bars: Sequence[Bar], *, labels: int = 8) -> str:
    """Upright bars over time or bins, with about `labels` of their labels below and three grid lines."""
    top = _ceiling(max((bar.value for bar in bars), default=0))
    plot_w, plot_h = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - _TOP
    parts = [_open(_WIDTH, _HEIGHT)]
    for share in (0, 1, 2):
        y = _TOP + plot_h * (2 - share) / 2
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        said = _short(top * share // 2) if top > 1 or share != 1 else ""
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{said}</text>')
    step = plot_w / max(len(bars), 1)
    width = max(min(step * 0.8, 40), 1)
    every = max(1, -(-len(bars) // labels))
    for at, bar in enumerate(bars):
        x = _LEFT + step * at + (step - width) / 2
        height = plot_h * bar.value / top
        if bar.value:
            height = max(height, 1)
            parts.append(
                f'<rect class="bar" x="{x:.1f}" y="{_TOP + plot_h - height:.1f}" width="{width:.1f}"'
                f' height="{height:.1f}"><title>{escape(bar.label)}: {bar.value:,}</title></rect>'
            )
        if at % every == 0:
            parts.append(
                f'<text class="tick" x="{x + width / 2:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
                f"{escape(bar.label)}</text>"
            )
    return "".join([*parts, "</svg>"])


def rows(bars: Sequence[Bar]) -> str:
    """Lying bars, one below the other, label at the left and number at the end."""
    height = max(len(bars), 1) * _ROW + 8
    left = min(260, 12 + max((_columns(bar.label) for bar in bars), default=0) * 7)
    top = max((bar.value for bar in bars), default=0) or 1
    plot = _WIDTH - left - 70
    parts = [_open(_WIDTH, height)]
    for at, bar in enumerate(bars):
        y = at * _ROW + 4
        width = max(plot * bar.value / top, 1 if bar.value else 0)
        parts.append(
            f'<text class="name" x="{left - 8}" y="{y + 16}" text-anchor="end">{escape(_cut(bar.label, 34))}</text>'
            f'<rect class="bar" x="{left}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 8}"/>'
            f'<text class="tick" x="{left + width + 6:.1f}" y="{y + 16}">{bar.value:,}</text>'
        )
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class Share:
    """A bar of 0 to 100 %, and where a mark stands to compare it with, if there is one."""

    label: str
    percent: float  # beyond 100 it is drawn as 100; the number says what it is
    mark: float | None = None


def shares(bars: Sequence[Share]) -> str:
    """Lying bars on one scale of 0 to 100 %, each with its mark."""
    height = max(len(bars), 1) * _ROW + 8
    left = min(260, 12 + max((_columns(bar.label) for bar in bars), default=0) * 7)
    plot = _WIDTH - left - 70
    parts = [_open(_WIDTH, height)]
    for at, bar in enumerate(bars):
        y = at * _ROW + 4
        width = plot * min(bar.percent, 100) / 100
        parts.append(
            f'<text class="name" x="{left - 8}" y="{y + 16}" text-anchor="end">{escape(_cut(bar.label, 34))}</text>'
            f'<rect class="bar" x="{left}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 8}"/>'
            f'<text class="tick" x="{left + plot + 8}" y="{y + 16}">{bar.percent:.1f}%</text>'
        )
        if bar.mark is not None:
            x = left + plot * min(bar.mark, 100) / 100
            parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + _ROW - 2}"/>')
    return "".join([*parts, "</svg>"])


def _open(width: int, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true" focusable="false">'
    )


def _ceiling(value: int) -> int:
    """The next round number: 1, 2, 3, 4, 6 or 8 times a power of ten, at least 1."""
    power = int("1" + "0" * (len(str(value)) - 1))
    return next((step * power for step in (1, 2, 3, 4, 6, 8) if step * power >= value), 10 * power)


def _short(value: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return str(value)


def _columns(text: str) -> int:
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)


def _cut(text: str, width: int) -> str:
    while _columns(text) > width:
        text = text[:-2] + "…"
    return text

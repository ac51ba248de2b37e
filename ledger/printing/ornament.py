"""The guilloche border and the rosette of the certificate, written once as PDF operators and reused in every file."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, Final

Colour = tuple[float, float, float]

RED: Final[Colour] = (0.55, 0.13, 0.12)
GOLD: Final[Colour] = (0.71, 0.57, 0.34)
PALE: Final[Colour] = (0.965, 0.945, 0.905)

_MARGIN: Final = 31.2  # points from the paper's edge to the outer rule
_BAND: Final = 17.0  # points between outer and inner rule; also the edge of the corner squares
_PERIOD: Final = 19.5  # points, about; stretched so that a side holds a whole number
_WAVE: Final = "wave"


def draw_frame(canvas: Any, width: float, height: float) -> None:
    """On the current page of a reportlab canvas; `width` and `height` of the paper in points."""
    canvas.saveState()
    canvas._code.append(_rosette(width / 2, height * 0.512, 164.0))
    canvas.beginForm(_WAVE, -1, -_BAND, _PERIOD + 1, _BAND)
    canvas._code.append(_wave())
    canvas.endForm()
    for a, b, c, d, e, f in _tiles(width, height):
        canvas._code.append(f"q {a:.5g} {b:.5g} {c:.5g} {d:.5g} {e:.2f} {f:.2f} cm")
        canvas.doForm(_WAVE)
        canvas._code.append("Q")
    canvas._code.append(_rules(width, height))
    canvas.restoreState()


@functools.cache
def _wave() -> str:
    """Three strands over one period, each third of a period behind the last: cubics through quarter periods."""
    amplitude, quarter = _BAND * 0.36, _PERIOD / 4
    rise = amplitude * 2 * math.pi / _PERIOD * quarter / 3  # from a knot to its control point, at full slope
    out = ["0.3 w"]
    for colour, phase in ((GOLD, 0.0), (RED, 2 * math.pi / 3), (GOLD, 4 * math.pi / 3)):
        knots = [
            (step * quarter, amplitude * math.sin(angle), rise * math.cos(angle))
            for step in range(5)
            for angle in (phase + step * math.pi / 2,)
        ]
        out.append(f"{_stroke(colour)} {knots[0][0]:.2f} {knots[0][1]:.2f} m")
        for (x, y, up), (next_x, next_y, next_up) in itertools.pairwise(knots):
            out.append(f"{x + quarter / 3:.2f} {y + up:.2f} {next_x - quarter / 3:.2f} {next_y - next_up:.2f}")
            out.append(f"{next_x:.2f} {next_y:.2f} c")
        out.append("S")
    return " ".join(out)


@functools.cache
def _tiles(width: float, height: float) -> tuple[tuple[float, float, float, float, float, float], ...]:
    """Matrices that lay the periods along the four sides, between the corner squares."""
    low, half = _MARGIN + _BAND, _MARGIN + _BAND / 2
    across, up = width - 2 * low, height - 2 * low
    tiles = []
    for length, cos, sin, x, y in (
        (across, 1, 0, low, half),
        (up, 0, 1, width - half, low),
        (across, -1, 0, width - low, height - half),
        (up, 0, -1, half, height - low),
    ):
        count = round(length / _PERIOD)
        step = length / count
        stretch = step / _PERIOD
        for index in range(count):
            at = (x + cos * step * index, y + sin * step * index)
            tiles.append((stretch * cos, stretch * sin, float(-sin), float(cos), *at))
    return tuple(tiles)


@functools.cache
def _rules(width: float, height: float) -> str:
    """Outer and inner rules, and a square with a diamond on each corner."""
    out = []
    for inset, weight, colour in (
        (_MARGIN, 1.3, RED),
        (_MARGIN + _BAND, 0.5, RED),
        (_MARGIN + _BAND + 3.2, 0.35, GOLD),
    ):
        out.append(f"{_stroke(colour)} {weight} w")
        out.append(f"{inset:.2f} {inset:.2f} {width - 2 * inset:.2f} {height - 2 * inset:.2f} re S")
    half = _BAND / 2
    for x in (_MARGIN + half, width - _MARGIN - half):
        for y in (_MARGIN + half, height - _MARGIN - half):
            out.append(f"{_stroke(RED)} 0.8 w 1 1 1 rg")
            out.append(f"{x - half:.2f} {y - half:.2f} {_BAND} {_BAND} re B")
            for reach, colour in ((half * 0.66, GOLD), (half * 0.36, RED)):
                out.append(" ".join(f"{part:.3g}" for part in colour) + " rg")
                out.append(f"{x - reach:.2f} {y:.2f} m {x:.2f} {y + reach:.2f} l")
                out.append(f"{x + reach:.2f} {y:.2f} l {x:.2f} {y - reach:.2f} l f")
    return " ".join(out)


@functools.cache
def _rosette(x: float, y: float, radius: float) -> str:
    """24 ellipses turned about one centre, so pale that text is read over them."""
    long, short, turn = radius, radius * 0.46, math.radians(7.5)
    bend = 4 / 3 * (math.sqrt(2) - 1)  # cubic for a quarter of an ellipse
    lx, sy = long * bend, short * bend
    ellipse = (
        f"{long:.2f} 0 m {long:.2f} {sy:.2f} {lx:.2f} {short:.2f} 0 {short:.2f} c "
        f"{-lx:.2f} {short:.2f} {-long:.2f} {sy:.2f} {-long:.2f} 0 c "
        f"{-long:.2f} {-sy:.2f} {-lx:.2f} {-short:.2f} 0 {-short:.2f} c "
        f"{lx:.2f} {-short:.2f} {long:.2f} {-sy:.2f} {long:.2f} 0 c S"
    )
    cos, sin = math.cos(turn), math.sin(turn)
    rotate = f"{cos:.6f} {sin:.6f} {-sin:.6f} {cos:.6f} 0 0 cm"
    body = " ".join(f"{rotate} {ellipse}" for _ in range(24))
    return f"q 1 0 0 1 {x:.2f} {y:.2f} cm {_stroke(PALE)} 0.6 w {body} Q"


def _stroke(colour: Colour) -> str:
    return " ".join(f"{part:.3g}" for part in colour) + " RG"

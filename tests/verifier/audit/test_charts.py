"""Bars: as high as their numbers say, readable, and nothing that a strict CSP would refuse."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from verifier.audit.charts import Bar, Share, columns, rows, shares


def sizes(svg: str, name: str) -> list[float]:
    return [float(rect.attrib[name]) for rect in ElementTree.fromstring(svg).iter("rect")]


def test_columns_are_in_proportion() -> None:
    heights = sizes(columns([Bar("a", 100), Bar("b", 50), Bar("c", 0)]), "height")
    assert len(heights) == 2 and heights[0] == pytest.approx(2 * heights[1], abs=0.2)


def test_rows_are_in_proportion() -> None:
    widths = sizes(rows([Bar("甲机构", 100), Bar("乙", 25)]), "width")
    assert widths[0] == pytest.approx(4 * widths[1], abs=0.3)


@pytest.mark.parametrize(("value", "top"), [(1, "1"), (5_175, "6k"), (99, "100"), (1_200_000, "2M"), (7, "8")])
def test_the_axis_ends_at_a_round_number(value: int, top: str) -> None:
    assert f">{top}</text>" in columns([Bar("a", value)])


def test_labels_do_not_crowd() -> None:
    svg = columns([Bar(f"2026-01-{n:02}", n) for n in range(1, 61)])
    assert 6 <= len(re.findall(r"text-anchor=\"middle\"", svg)) <= 8


@pytest.mark.parametrize("draw", [columns, rows])
def test_nothing_from_a_name_gets_into_the_markup(draw: object) -> None:
    svg = draw([Bar('<script>alert("x")</script>', 3)])  # type: ignore[operator]
    assert "<script" not in svg and "style=" not in svg and "href" not in svg
    assert draw([])  # type: ignore[operator]


def test_shares_stand_on_one_scale_with_their_marks() -> None:
    svg = shares([Share("<b>甲</b>", 50.0, 25.0), Share("乙", 100.0), Share("丙", 140.0, 100.0)])
    half, whole, over = sizes(svg, "width")
    assert half == pytest.approx(whole / 2, abs=0.2) and over == whole
    first, second = (float(line.attrib["x1"]) for line in ElementTree.fromstring(svg).iter("line"))
    left = sizes(svg, "x")[0]
    assert (first - left, second - left) == (pytest.approx(whole / 4, abs=0.2), pytest.approx(whole, abs=0.2))
    assert "140.0%" in svg and "<b>" not in svg and shares([])

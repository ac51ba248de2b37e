from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from issuer.exports.card import SIZE, draw_card, draw_cards
from ledger.errors import Malformed
from tests.support.exporting import make_facts, make_post

HOST = "verify.example"


def photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (240, 336), (10, 120, 200)).save(out, "JPEG")
    return out.getvalue()


def test_a_card_shows_what_was_chosen_and_no_more() -> None:
    facts = make_facts(thumbnail=photo())
    plain = draw_card(facts, (), HOST)
    with Image.open(io.BytesIO(plain)) as shown:
        assert shown.size == SIZE
    assert len(plain) < 60_000
    assert draw_card(make_facts(name="另一人", thumbnail=b"", employer="", birth_year=0), (), HOST) == plain
    named = draw_card(facts, ("name",), HOST)
    assert named != plain and named == draw_card(facts, ("name",), HOST)
    with Image.open(io.BytesIO(draw_card(facts, ("name", "photo"), HOST))) as shown:
        red, _, blue = shown.convert("RGB").getpixel((1030, 320))  # type: ignore[misc]
        assert red < 60 and blue > 150


def test_long_names_stay_within_the_frame() -> None:
    long = make_facts(
        name="买" * 50, occupation="生成式人工智能系统应用员" * 3, trade="方向" * 20, body_name="机构" * 30
    )
    for facts in (long, make_post()):
        with Image.open(io.BytesIO(draw_card(facts, ("name",), HOST))) as shown:
            edge = shown.convert("RGB").crop((1140, 60, 1160, 620))
            assert len(edge.getcolors(9) or "") == 1, "nothing is drawn beyond the margin"


def test_another_process_draws_the_same() -> None:
    facts = [make_facts(number=f"Y00005199000126300100{at}") for at in range(3)]
    assert list(draw_cards(facts, ("name",), HOST, apart=True)) == list(draw_cards(facts, ("name",), HOST, apart=False))


def test_a_post_shows_its_term() -> None:
    cards = {draw_card(make_post(last_day=last), ("name",), HOST) for last in (0, 21_000, 21_001)}
    assert len(cards) == 3


def test_a_thumbnail_that_is_none_is_told() -> None:
    """A picture of a few bytes can say that it is enormous."""
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "JPEG")
    huge = re.sub(
        rb"(\xff\xc0\x00\x11\x08)....", lambda found: found[1] + b"\xff" * 4, small.getvalue(), flags=re.DOTALL
    )
    for thumbnail in (huge, b"x", small.getvalue()[:40]):
        with pytest.raises(Malformed):
            draw_card(make_facts(thumbnail=thumbnail), ("photo",), HOST)

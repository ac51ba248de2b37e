"""Filled pages: the words where they belong and escaped, and a gzip stream of pieces that is one."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from verifier.web.moulds import Cast, Mould, Page, mark_of

TEXTS = st.sampled_from(["", "a", "<b>例</b>", "<p>一段较长的文字</p>" * 9, "".join(map(str, range(400))) * 2])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(TEXTS, min_size=3, max_size=9), st.data())
def test_a_filled_page_is_its_texts_and_its_escaped_words(texts: list[str], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, 3), min_size=len(texts) - 1, max_size=len(texts) - 1))
    mould = Mould("".join(text + mark_of(place) for text, place in zip(texts, places, strict=False)) + texts[-1])
    for _ in range(2):  # what one page was packed with is nowhere in the next
        words = data.draw(st.lists(WORDS, min_size=4, max_size=4))
        wanted = "".join(text + str(escape(words[at])) for text, at in zip(texts, places, strict=False)) + texts[-1]
        page = mould.fill(words)
        assert page.text == wanted and page.body == wanted.encode()
        assert gzip.decompress(page.packed()) == page.body


@given(st.lists(TEXTS, min_size=3, max_size=9), st.data())
def test_a_cast_filled_is_the_mould_filled(texts: list[str], data: st.DataObject) -> None:
    """Whichever words are momentary, and however long: the same page, and a stream that gives it."""
    places = data.draw(st.lists(st.integers(0, 3), min_size=len(texts) - 1, max_size=len(texts) - 1))
    momentary = data.draw(st.lists(st.integers(0, 3), unique=True))
    rendered = "".join(text + mark_of(place) for text, place in zip(texts, places, strict=False)) + texts[-1]
    mould = Mould(rendered, momentary)
    words = data.draw(st.lists(WORDS, min_size=4, max_size=4))
    cast = Cast(mould, words)
    for _ in range(2):
        for place in momentary:
            words[place] = data.draw(WORDS | st.integers(0, 70_000).map("例".__mul__))
        page = cast.fill([words[place] for place in momentary])
        assert page.body == mould.fill(words).body
        assert gzip.decompress(page.packed()) == page.body


def test_what_is_momentary_goes_in_as_it_is_while_it_is_short() -> None:
    made = random.Random(1)
    texts = [made.randbytes(300).hex() for _ in range(2)]
    cast = Cast(Mould(mark_of(0).join(texts) + mark_of(1) + "<p>" + "例" * 60, [0]), ["", made.randbytes(40).hex()])
    short, long = (cast.fill([word]) for word in ("A" * 100, "A" * 9000))
    assert b"A" * 100 in short.packed() and b"A" * 100 not in long.packed()
    assert len(long.packed()) < len(short.packed()) + 100
    for page in (short, long):
        assert gzip.decompress(page.packed()) == page.body


def test_marks_of_words_are_not_read_again_in_words() -> None:
    mould = Mould(f"<i>{mark_of(0)}</i>{mark_of(1)}")
    assert mould.fill([mark_of(1), "x"]).text == f"<i>{mark_of(1)}</i>x"


def test_a_page_of_pieces_is_one_stream_with_one_end() -> None:
    texts = [f"<p>第 {at} 段：请核对本人照片和身份证件</p>" * 40 for at in range(4)]
    mould = Mould(mark_of(0).join(texts) + mark_of(1))
    made = random.Random(1)
    page = mould.fill([made.randbytes(64).hex(), "终"])
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(page.packed()) == page.body and unpacker.eof and unpacker.unused_data == b""


def test_a_page_of_one_piece() -> None:
    page = Page("<p>例</p>".encode())
    assert page.text == "<p>例</p>" and gzip.decompress(page.packed()) == page.body


def test_a_mould_needs_words() -> None:
    with pytest.raises(AssertionError):
        Mould("<p>nothing to fill in</p>")

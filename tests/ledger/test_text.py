"""Sentences in two languages, and what is said again of what others sent."""

from __future__ import annotations

import pytest

from ledger.text import Text, repeated, shown


def test_a_text_has_both_languages() -> None:
    text = Text("共 {n} 条", "{n} entries").format(n=3)
    assert (text.of("zh"), text.of("en"), text.of("fr")) == ("共 3 条", "3 entries", "共 3 条")
    assert text.both() == "共 3 条 / 3 entries"
    for zh, en in (("", "nothing"), ("没有", "")):
        with pytest.raises(AssertionError, match="both languages"):
            Text(zh, en)


def test_what_others_sent_drives_no_terminal_and_has_an_end() -> None:
    assert shown("例 a\x1b[2J\x9b\u202e\n\x7f") == "例 a?[2J????"
    assert repeated("too few witnesses") == "too few witnesses"
    assert len(repeated("x" * 100_000)) == 500 and repeated("") == "-"

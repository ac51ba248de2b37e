from __future__ import annotations

import re
from pathlib import Path

import pytest

from ledger.errors import Refused
from ledger.records.refusals import Refusal, refuse, text_of

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("code", Refusal)
def test_each_code_has_a_text_in_both_languages(code: Refusal) -> None:
    assert code.value == code.name and re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code.value)
    text = text_of(code)
    assert re.search(r"[\u4e00-\u9fff]", text.zh) and re.search(r"[a-z]", text.en)
    refusal = refuse(code, "field")
    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.field, refusal.text) == (code.value, "field", text)


def test_no_two_codes_say_the_same() -> None:
    assert len({text_of(code).zh for code in Refusal}) == len({text_of(code).en for code in Refusal}) == len(Refusal)


def test_every_code_is_used_by_the_product() -> None:
    sources = "".join(
        path.read_text()
        for room in ("ledger/records", "ledger/store", "ledger/service")
        for path in (ROOT / room).rglob("*.py")
        if path.name != "refusals.py"
    )
    unused = [code.name for code in Refusal if not re.search(rf"\b(Refusal|_R)\.{code.name}\b", sources)]
    assert unused == []

"""The words of a page: each under the name that the template has for it, and none where there is nothing to say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from ledger.text import Text
from tests.support.verdict_samples import NAME, NUMBER, certificate, sample
from verifier.messages import load_messages
from verifier.verdict import Code, HeldPost
from verifier.web.words import COUNT, MAX_PHOTO, named, words_of

MESSAGES = load_messages()


@pytest.mark.parametrize("code", list(Code))
def test_every_word_has_a_name(code: Code) -> None:
    verdict = sample(code)
    words = words_of(verdict, "zh", MESSAGES, asked="https://verify.example/c/X", means="/c/X/means")
    assert len(words) == COUNT and all(type(word) is str for word in words)
    said = named(words)
    flat = [word for name, word in said.items() if name not in "cip"]
    assert [*flat, *said["c"].values(), *said["i"].values(), *said["p"].values()] == words
    assert said["asked"] == "https://verify.example/c/X" and said["means"] == "/c/X/means"
    assert any(said["c"].values()) == (verdict.certificate is not None)
    assert any(said["i"].values()) == (verdict.issuer is not None)
    assert any(said["p"].values()) == (verdict.proof is not None)


def test_the_words_of_a_certificate() -> None:
    said = named(words_of(sample(Code.VALID), "zh", MESSAGES))["c"]
    assert NAME not in said.values() and NUMBER not in said.values()
    assert said["name"] == "欧阳*样" and said["number"] == "Y 0000 51 001064 25 3 000017"
    assert (said["issued"], said["trade"], said["status"]) == ("2025-11-20", "--", "有效")
    assert said["photo"].startswith("data:image/png;base64,") and said["held"] == said["post"] == said["delay"] == ""


def test_what_a_certificate_may_have_besides() -> None:
    held = HeldPost(Text("特级技师", "Special technician"), 7, 20_400, None)
    view = structs.replace(certificate(), held=held, late=True, issue_day=20_000, photo=bytes(MAX_PHOTO + 1), name=None)
    said = named(words_of(replace(sample(Code.VALID), certificate=view), "en", MESSAGES))["c"]
    assert said["held"] == "Special technician" and said["held_note"].startswith("8 Nov 2025 – ")
    assert "·" in said["delay"] and said["photo"] == "" and said["name"] == ""

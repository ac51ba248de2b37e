"""The printed receipt: one page, both languages, the JSON embedded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as renewed

from ledger.scan import read_pdf
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, octets
from tests.support.verdict_samples import NOW_MS, sample
from verifier.messages import load_messages
from verifier.receipts.paper import print_receipt
from verifier.receipts.receipt import ATTACHED, Receipt, parse_receipt, sign_receipt, without_photo
from verifier.verdict import Code, CurrentGrade, HeldPost, Verdict

MESSAGES = load_messages()
SIGNER = Ed25519Signer(octets("receipts"))
LINK = f"{BASE}/c/0123456789ABCDEFGHJKMNPQRS"


def receipt_of(verdict: Verdict, asked: str = LINK + "#q123") -> Receipt:
    said = without_photo(MESSAGES.as_json(verdict))
    return sign_receipt(Receipt(BASE, asked, b"", NOW_MS, said, None, b"", SIGNER.public), SIGNER)


FAMILIES = {wording.family: code for code, wording in MESSAGES.wordings.items()}


@pytest.mark.parametrize("code", FAMILIES.values())
def test_one_page_for_every_colour(code: Code) -> None:
    receipt = receipt_of(sample(code))
    scan = read_pdf(print_receipt(receipt, MESSAGES))
    assert len(scan.page_texts) == 1 and scan.qr_texts == (LINK,)
    ((name, content),) = scan.attachments
    assert name == ATTACHED and parse_receipt(content) == receipt
    text = "".join(scan.page_texts[0].split())
    wording = MESSAGES.wordings[code].title
    assert wording.zh in text and "".join(wording.en.split()) in text


def test_names_that_the_font_lacks_and_what_is_long() -> None:
    verdict = sample(Code.VALID)
    assert verdict.certificate is not None
    rare = replace(verdict, certificate=renewed(verdict.certificate, name="\U0002a6d6\U000310f0" + "长" * 120))
    text = "".join(read_pdf(print_receipt(receipt_of(rare), MESSAGES)).page_texts[0].split())
    assert "[U+310F0]" in text and "长长" in text


def text_of(verdict: Verdict) -> str:
    scan = read_pdf(print_receipt(receipt_of(verdict), MESSAGES))
    assert len(scan.page_texts) == 1 and scan.qr_texts == (LINK,)
    return "".join(scan.page_texts[0].split())


def test_terms_of_posts_and_corrections_are_in_the_file_that_is_kept() -> None:
    """As on the page and in `check`: an appointment without its term says less than the paper it is about."""
    verdict = sample(Code.VALID_CORRECTED)
    shown = verdict.certificate
    assert shown is not None and shown.corrected_day is not None
    held = HeldPost(Text("特级技师", "Special-grade technician"), 7, 20_454, None)
    other = CurrentGrade(shown.grade, 4, "数控车工", False, 20_440)
    full = text_of(replace(verdict, certificate=renewed(shown, held=held, current=other)))
    assert "信息更正/Detailscorrected2025-12-30" in full
    assert "现任岗位/Postheldnow特级技师/Special-gradetechnician2026-01-01–至今/open" in full
    assert "数控车工三级/高级工/LevelIII/Seniorworker(2025-12-18)" in full
    post = text_of(replace(sample(Code.VALID), certificate=renewed(shown, corrected_day=None, post=(20_454, 20_818))))
    assert "聘期/Termofthepost2026-01-01–2026-12-31" in post
    assert "本证书即持证人在该职业的最高等级" in post and "信息更正" not in post and "现任岗位" not in post


def test_a_foreign_text_gets_no_code() -> None:
    assert read_pdf(print_receipt(receipt_of(sample(Code.WRONG_DOMAIN), "https://evil/c/x"), MESSAGES)).qr_texts == ()


@pytest.mark.parametrize(
    "asked",
    [
        f"{BASE}/c/" + "A" * 2000,
        f"{BASE}/c/0123456789ABCDEFGHJKMNPQRS/../../elsewhere",
        f"{BASE}/c/0123456789ABCDEFGHJKMNPQR)",
        f"{BASE}/c/证书",
        f"{BASE}/c/0123456789ABCDEFGHJKMNPQRS\n",
    ],
)
def test_only_a_certificates_own_address_becomes_a_code_and_a_link(asked: str) -> None:
    """The rest is a stranger's text: printed nowhere, and no reason not to print the page."""
    made = print_receipt(receipt_of(sample(Code.UNREADABLE), asked), MESSAGES)
    assert read_pdf(made).qr_texts == () and b"/URI" not in made

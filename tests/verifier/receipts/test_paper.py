"""The printed receipt: one page, both languages, the JSON embedded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as renewed

from ledger.scan import read_pdf
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, octets
from tests.support.verdict_samples import NOW_MS, sample
from verifier.messages import load_messages
from verifier.receipts.paper import ATTACHED, print_receipt
from verifier.receipts.receipt import Receipt, parse_receipt, sign_receipt, without_photo
from verifier.verdict import Code, Verdict

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

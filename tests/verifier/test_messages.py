"""What is said of back-dating, and that it is said wherever a certificate is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.scan import read_pdf
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, octets
from tests.support.verdict_samples import NOW_MS, sample
from verifier.hiring.rows import COLUMNS, Answer, columns_of
from verifier.hiring.sheets import Question
from verifier.messages import DELAY_SHOWN_DAYS, load_messages
from verifier.receipts.paper import print_receipt
from verifier.receipts.receipt import Receipt, sign_receipt, without_photo
from verifier.report import Printer
from verifier.verdict import CertificateView, Code, Verdict
from verifier.web.words import named, words_of

MESSAGES = load_messages()
DAY_MS = 86_400_000
LOGGED_DAY = 20_500
LOGGED_MS = LOGGED_DAY * DAY_MS + 4 * 3_600_000  # noon in Shanghai
SIGNER = Ed25519Signer(octets("receipts"))


def verdict_of(days: int, *, late: bool = False, logged_at_ms: int | None = LOGGED_MS) -> Verdict:
    """A certificate logged so many days after its issue date."""
    verdict = sample(Code.VALID)
    kept = {name: getattr(verdict.certificate, name) for name in CertificateView.__annotations__}
    view = CertificateView(**kept | {"issue_day": LOGGED_DAY - days, "logged_at_ms": logged_at_ms, "late": late})
    return replace(verdict, certificate=view)


def page(verdict: Verdict) -> str:
    return str(named(words_of(verdict, "zh", MESSAGES))["c"]["delay"])


def terminal(verdict: Verdict) -> str:
    return Printer(MESSAGES, None, colour=False).block(verdict)


def paper(verdict: Verdict) -> str:
    said = without_photo(MESSAGES.as_json(verdict))
    receipt = sign_receipt(Receipt(BASE, "", b"", NOW_MS, said, None, b"", SIGNER.public), SIGNER)
    return read_pdf(print_receipt(receipt, MESSAGES)).page_texts[0]


def sheet(verdict: Verdict) -> str:
    columns = columns_of(Answer(Question(2), verdict), MESSAGES, "both")
    return columns[COLUMNS.index("hiring_explained")]


@pytest.mark.parametrize("shown", [page, terminal, paper, sheet])
def test_back_dating_shows_wherever_a_certificate_is_shown(shown: object) -> None:
    def said(days: int, *, late: bool = False) -> str:
        return "".join(shown(verdict_of(days, late=late)).split())  # type: ignore[operator]

    assert "天登记" not in said(DELAY_SHOWN_DAYS)
    assert "发证后31天登记" in said(DELAY_SHOWN_DAYS + 1) and "补录" not in said(DELAY_SHOWN_DAYS + 1)
    assert "发证后100天登记" in said(100, late=True) and "经主管部门许可补录" in said(100, late=True)
    if shown is not page:
        assert "100daysaftertheissuedate" in said(100, late=True)


def test_the_log_date_is_in_the_text_and_on_paper() -> None:
    assert "上传登记时间 / Entered in the register: 2026-02-16 12:00:00" in terminal(verdict_of(0))
    assert "2026-02-1612:00:00" in "".join(paper(verdict_of(0)).split())
    unknown = verdict_of(0, logged_at_ms=None)
    assert "Entered in the register" not in terminal(unknown) + paper(unknown)
    assert MESSAGES.delay(0, None, late=True) is None

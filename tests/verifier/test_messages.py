"""What is said of back-dating, current grades and posts, and that it is said wherever a certificate is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as renewed

from ledger.scan import read_pdf
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, octets
from tests.support.verdict_samples import NOW_MS, sample
from verifier.hiring.rows import COLUMNS, Answer, columns_of
from verifier.hiring.sheets import Question
from verifier.messages import DELAY_SHOWN_DAYS, load_messages
from verifier.receipts.paper import print_receipt
from verifier.receipts.receipt import Receipt, sign_receipt, without_photo
from verifier.report import Printer
from verifier.verdict import GREEN, CertificateView, Code, HeldPost, Verdict
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
    words = named(words_of(verdict, "zh", MESSAGES))["c"]
    return " ".join(str(words[name]) for name in ("delay", "current_note", "post", "held", "held_note"))


def terminal(verdict: Verdict) -> str:
    return Printer(MESSAGES, None, colour=False).block(verdict)


def paper(verdict: Verdict) -> str:
    said = without_photo(MESSAGES.as_json(verdict))
    receipt = sign_receipt(Receipt(BASE, "", b"", NOW_MS, said, None, b"", SIGNER.public), SIGNER)
    return read_pdf(print_receipt(receipt, MESSAGES)).page_texts[0]


def sheet(verdict: Verdict) -> str:
    columns = columns_of(Answer(Question(2), verdict), MESSAGES, "both")
    return " ".join(
        columns[COLUMNS.index(name)] for name in ("hiring_explained", "hiring_current", "hiring_certificate")
    )


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


@pytest.mark.parametrize("shown", [page, terminal, paper, sheet])
def test_a_current_grade_among_several_logs_names_the_one_that_it_is_known_of(shown: object) -> None:
    """Tracks do not reach from one log into another: the next year's may have a higher grade of the same person."""
    for code in (Code.VALID, Code.VALID_UPGRADED):
        alone = sample(code)
        assert alone.certificate is not None and alone.certificate.current is not None
        current = replace(alone.certificate.current, log="log.example/2026")
        among = replace(alone, certificate=renewed(alone.certificate, current=current))
        assert "log.example/2026" in shown(among) and "仅就登记日志" in shown(among)  # type: ignore[operator]
        assert "仅就登记日志" not in shown(alone)  # type: ignore[operator]


def test_only_a_good_row_asks_to_compare_photo_and_id() -> None:
    for code in Code:
        asked = "请核对本人照片和身份证件" in sheet(sample(code))
        assert asked is (code in GREEN), "nobody compares the photo of a revoked certificate"


@pytest.mark.parametrize("shown", [page, terminal, paper, sheet])
def test_the_term_of_a_post_stands_wherever_a_post_is_shown(shown: object) -> None:
    valid = sample(Code.VALID)
    assert valid.certificate is not None
    post = replace(valid, certificate=renewed(valid.certificate, post=(20_454, 20_818)))
    held = HeldPost(Text("特级技师", "Special-grade technician"), 7, 20_454, None)
    beside = replace(valid, certificate=renewed(valid.certificate, held=held))
    assert "2026-01-01–2026-12-31" in "".join(shown(post).split())  # type: ignore[operator]
    assert "特级技师" in shown(beside) and "2026-01-01–至今" in "".join(shown(beside).split())  # type: ignore[operator]

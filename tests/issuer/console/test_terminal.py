"""How an error reaches the person at the desk, and the program that reads JSON."""

from __future__ import annotations

import json

import pytest

from issuer.__main__ import main
from issuer.console.terminal import NOT_CLEAN, UNAVAILABLE, USAGE, report_error, waiting_told
from ledger.client import Pending
from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.text import Text

AWAY = Text("账本没有答复", "the ledger did not answer")


@pytest.mark.parametrize(
    ("error", "code", "status", "zh", "en"),
    [
        (Unavailable(AWAY), "unavailable", UNAVAILABLE, AWAY.zh, AWAY.en),
        (Pending((), 0, 1), "pending", UNAVAILABLE, "已登记入账", "logged durably"),
        (Refused("NAME", "name", Text("姓名", "a name")), "NAME", NOT_CLEAN, "姓名", "a name"),
        (Unverified("a proof"), "unverified", NOT_CLEAN, "未通过验证：a proof", "does not verify: a proof"),
        (Unverified(AWAY), "unverified", NOT_CLEAN, AWAY.zh, AWAY.en),
        (Malformed("a roster"), "malformed", USAGE, "格式不正确：a roster", "not well formed: a roster"),
        (Malformed(AWAY), "malformed", USAGE, AWAY.zh, AWAY.en),
    ],
)
def test_every_error_is_told_in_both_languages(
    capsys: pytest.CaptureFixture[str], error: CertLedgerError, code: str, status: int, zh: str, en: str
) -> None:
    assert report_error(error, as_json=True) == status
    out, err = capsys.readouterr()
    told = json.loads(out)["error"]
    assert told["code"] == code and told["zh"].startswith(zh) and told["en"].startswith(en)
    assert err == f"{told['zh']} / {told['en']}\n"


def test_why_the_ledger_is_asked_again_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    tell = waiting_told()
    tell(Unavailable(AWAY, retry_after=1))
    tell(Unavailable(AWAY, retry_after=2))
    err = capsys.readouterr().err
    assert err.count(AWAY.zh) == err.count(AWAY.en) == 1


def test_a_disk_that_fails_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> int:
        raise OSError(28, "No space left on device", "out.pdf")

    monkeypatch.setattr("issuer.__main__._run", full)
    assert main(["keygen", "--dir", "desk"]) == UNAVAILABLE
    assert capsys.readouterr().err == "out.pdf：磁盘已满 / out.pdf: No space left on device\n"

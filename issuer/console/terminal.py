"""What the commands share: output, questions, passphrases, and the way of an error to an exit status."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any, Final

from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.keystore import read_passphrase
from ledger.progress import Progress
from ledger.settings import BadSettings
from ledger.text import Text

OK, NOT_CLEAN, USAGE, UNAVAILABLE = 0, 1, 2, 3
PASSPHRASE_ENV: Final = "CERT_ISSUER_PASSPHRASE"  # noqa: S105  (the name of a variable)
_PROMPT: Final = Text("发证密钥口令", "passphrase of the issuer's keys")
_WAITING: Final = Text("等待后重试：{why_zh}", "waiting, then trying again: {why_en}")
_USAGE_CODES: Final = ("passphrase_missing", "passphrase_mismatch")


def passphrase(arguments: Namespace, *, confirm: bool = False) -> bytes:
    return read_passphrase(PASSPHRASE_ENV, _PROMPT, arguments.passphrase_file, confirm=confirm)


def say(text: str) -> None:
    """A line of the result."""
    print(text)


def say_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1))


def tell(text: str) -> None:
    """A line beside the result."""
    print(text, file=sys.stderr)


def ask(question: Text) -> bool:
    """Yes only when a person at a terminal says so."""
    if not sys.stdin.isatty():
        tell(Text("不在终端中，请加 --yes", "not a terminal: add --yes").both())
        return False
    tell(question.both() + " [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes", "是")


def waiting_told() -> Callable[[Unavailable], None]:
    """Says why the ledger is asked again, once for each reason: a bar that stands still tells nobody."""
    told: set[str] = set()

    def tell_waiting(error: Unavailable) -> None:
        why = error.what
        if why.en not in told:
            told.add(why.en)
            waiting = _WAITING.format(why_zh=why.zh, why_en=why.en)
            tell(("\n" if sys.stderr.isatty() else "") + waiting.both())

    return tell_waiting


def progress(total: int | None, label: Text, *, quiet: bool = False, done: int = 0) -> Progress:
    return Progress(total, label, sys.stderr, time.monotonic, quiet=quiet, done=done)


def report_error(error: CertLedgerError, *, as_json: bool) -> int:
    """Tell a person or a program what went wrong, and give the exit status."""
    if isinstance(error, Refused):
        code, said = error.code, error.text
    else:
        code, said = type(error).__name__.lower(), _said(error)
    if as_json:
        say_json({"error": {"code": code, "zh": said.zh, "en": said.en}})
    tell(said.both())
    if isinstance(error, Unavailable):
        return UNAVAILABLE
    if isinstance(error, Malformed | BadSettings) or code in _USAGE_CODES:
        return USAGE
    return NOT_CLEAN


def _said(error: CertLedgerError) -> Text:
    if isinstance(error, Unavailable):
        return error.what
    if isinstance(error, Malformed | Unverified) and error.text is not None:
        return error.text
    if isinstance(error, Unverified):
        return Text(f"未通过验证：{error}", f"does not verify: {error}")
    return Text(f"格式不正确：{error}", f"not well formed: {error}")

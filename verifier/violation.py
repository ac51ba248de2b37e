"""What is wrong with a log that a verifier follows, told apart by what it means for whoever asks. Pure."""

from __future__ import annotations

from typing import Final

from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.text import Text

NOT_PINNED: Final = "not the pinned genesis"
GRAVITY: Final = (0, 3, 2, 1)  # exit statuses, the gravest last: what a command over several logs ends with


class Violation(Unverified):
    """The log, or whoever serves it, broke a rule. `index` is the first bad entry, where one is to blame."""

    def __init__(self, message: str | Text, *, index: int | None = None, proven: bool = True) -> None:
        super().__init__(message if index is None else f"entry {index}: {message}")
        self.reason = str(self) if index is None else str(message)
        self.index = index
        self.proven = proven  # by the log's own signatures, so that trying again is pointless


class Unwitnessed(Violation):
    """A checkpoint that the policy's quorum does not stand behind."""

    def __init__(self, message: str | Text) -> None:
        super().__init__(message, proven=False)


class ClocksDiffer(Violation):
    """A checkpoint from the future: the log's clock or our own is wrong."""

    def __init__(self, message: str | Text) -> None:
        super().__init__(message, proven=False)


def say_failure(error: CertLedgerError) -> str:
    """What went wrong while a log was followed, for people."""
    if isinstance(error, Refused):
        return error.text.both()
    if isinstance(error, Violation) and error.proven:
        return f"日志违反规则，已停止 / the log broke a rule, so following has stopped: {error}"
    if isinstance(error, Unverified):
        return f"未通过验证 / does not verify: {error.both()}"
    assert isinstance(error, Malformed | Unavailable), "there are four"
    said = error.both() if isinstance(error, Malformed) else error.what.both()
    return f"暂时无法更新 / cannot be brought up to date now: {said}"


def exit_status(error: Exception) -> int:
    """How a command that ended with it exits."""
    if isinstance(error, Unverified):
        return 3 if isinstance(error, Violation) and not error.proven else 1
    return 2 if isinstance(error, Refused | Malformed) else 3

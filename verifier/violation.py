"""What is wrong with a log that a verifier follows, told apart by what it means for whoever asks. Pure."""

from __future__ import annotations

from typing import Final

from ledger.errors import Unverified

NOT_PINNED: Final = "not the pinned genesis"


class Violation(Unverified):
    """The log, or whoever serves it, broke a rule. `index` is the first bad entry, where one is to blame."""

    def __init__(self, message: str, *, index: int | None = None, proven: bool = True) -> None:
        super().__init__(message if index is None else f"entry {index}: {message}")
        self.reason = message
        self.index = index
        self.proven = proven  # by the log's own signatures, so that trying again is pointless


class Unwitnessed(Violation):
    """A checkpoint that the policy's quorum does not stand behind."""

    def __init__(self, message: str) -> None:
        super().__init__(message, proven=False)


class ClocksDiffer(Violation):
    """A checkpoint from the future: the log's clock or our own is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, proven=False)

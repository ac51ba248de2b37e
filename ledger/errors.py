"""The four ways a request can fail, told apart by whose fault it is.

    CertLedgerError
    ├── Malformed     the bytes are not of the form (never worth retrying)
    ├── Unverified    the evidence does not hold: a signature, a proof, a digest
    │   └── Damaged   and it is our own store's: never the fault of whoever asked
    ├── Refused       the rules say no, with a code that programs can act on
    └── Unavailable   the world did not answer; says nothing about the thing asked

A bug is an AssertionError and becomes a 500; nothing in the product catches it.
"""

from __future__ import annotations

from ledger.text import Text


class CertLedgerError(Exception):
    """Base of everything this product raises on purpose."""


class Malformed(CertLedgerError):
    """The bytes are not of the form. `what` names the form; hostile input is never echoed."""


class Unverified(CertLedgerError):
    """Well-formed evidence that does not prove what it should. `text` is for people who can do something about it."""

    def __init__(self, message: str, *, text: Text | None = None) -> None:
        super().__init__(message)
        self.text = text


class Damaged(Unverified):
    """What our own store holds does not prove what it was committed with; `fsck` says what is wrong."""


class Refused(CertLedgerError):
    """The rules refuse. `code` is stable and typed; `field` names what to look at; `text` is for people."""

    def __init__(self, code: str, field: str, text: Text) -> None:
        super().__init__(f"{code} ({field}): {text.en}")
        self.code = code
        self.field = field
        self.text = text


class Unavailable(CertLedgerError):
    """Something outside (network, disk, other program) did not answer. `retry_after` is in seconds; `text` is for
    people who can do more than try again.
    """

    def __init__(self, message: str, *, retry_after: int | None = None, text: Text | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.text = text

"""One certificate as a register has it: the statements that its state names, and the state. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.authority import Filing
from ledger.records.issue import Issue
from ledger.records.life import Correct
from ledger.records.state import CertificateState
from ledger.records.statements import Statement
from ledger.records.status import Authentic, check_grant, check_scope


@dataclass(frozen=True, slots=True)
class Logged:
    """The statement that issued a certificate, its signature checked, and what became of it.

    `commitments` and `event` are the statements that the state names beside it; None where it is the issuing one.
    """

    authentic: Authentic
    state: CertificateState
    highest: Issue | None = None  # the statement behind the track's highest grade, where it is another certificate
    commitments: Statement | None = None
    event: Statement | None = None

    def __post_init__(self) -> None:
        assert isinstance(self.statement.body, Issue | Appoint), "a certificate is issued or appointed"

    @property
    def statement(self) -> Statement:
        return self.authentic.statement

    @property
    def issued(self) -> CertificateBody:
        body = self.statement.body
        assert isinstance(body, Issue | Appoint)
        return body

    @property
    def correction(self) -> Correct | None:
        """The correction whose commitments are in force, if there is one."""
        body = self.commitments.body if self.commitments else None
        return body if isinstance(body, Correct) else None

    @property
    def face_digest(self) -> bytes:
        """What number and name open now."""
        return self.correction.face if self.correction else self.issued.face

    def check(self) -> None:
        """Raises Unverified unless the statements are those that the state names."""
        issue = self.state.issue_leaf
        for leaf, statement in ((self.state.commitment_leaf, self.commitments), (self.state.event_leaf, self.event)):
            if leaf != (statement.leaf_hash if statement else issue):
                raise Unverified("the register has another statement than the state names")
        if self.commitments is not None and self.correction is None:
            raise Unverified("commitments in force come from a correction or from the issuing statement")


def check_filed(terms: Filing, body: CertificateBody) -> None:
    """Whether the filing covered this certificate or post at its issue date. Raises Refused."""
    if isinstance(body, Appoint):
        check_grant(terms, body)
    else:
        check_scope(terms, body)

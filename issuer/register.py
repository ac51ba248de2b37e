"""What a body holds: each of its certificates as its own journals have it now, found by number.

Batches issue; acts reissue, appoint and correct. What the authority did to a certificate is not in here, nor needed:
the ledger judges every act again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from issuer.issue import SignedCertificate
from issuer.receipt import Placed
from issuer.state import BatchState
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.issue import Issue
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Correct, EndAppointment, Listed, Range, Ruling
from ledger.records.secret import cert_key_of
from ledger.records.statements import Body, parse_statement

NamedState = tuple[bytes, BatchState]  # with the ID of its batch or act


@dataclass(slots=True)
class Changes:
    """What the logged acts of this folder did. Cert keys to what concerns them."""

    corrections: dict[bytes, SignedCertificate] = field(default_factory=dict)  # the newest: current openings
    successors: dict[bytes, bytes] = field(default_factory=dict)  # replaced by
    events: dict[bytes, int] = field(default_factory=dict)  # log index of the last statement of ours
    issued: list[tuple[SignedCertificate, Placed]] = field(default_factory=list)  # reissues and posts
    ruled: set[tuple[bytes, Kind, Reason, int]] = field(default_factory=set)  # cert key, what, why, effective day
    ranges: set[tuple[Range, Kind, Reason, int]] = field(default_factory=set)  # the same of whole stretches


@dataclass(frozen=True, slots=True)
class Held:
    """A logged certificate, and the newest correction of it."""

    certificate: SignedCertificate  # as issued
    placed: Placed
    correction: SignedCertificate | None = None

    @property
    def number(self) -> str:
        return self.certificate.number

    @property
    def cert_key(self) -> bytes:
        return cert_key_of(self.certificate.secret)

    @property
    def current(self) -> SignedCertificate:
        """Whose openings hold now."""
        return self.correction or self.certificate

    @property
    def body(self) -> CertificateBody:
        """What was issued."""
        body = _body(self.certificate)
        assert isinstance(body, Issue | Appoint), "the register lists certificates"
        return body

    @property
    def track_id(self) -> bytes:
        """The track that the certificate stands in now."""
        corrected = _body(self.correction) if self.correction else None
        return (corrected.track_id if isinstance(corrected, Correct) else b"") or self.body.track_id


@dataclass(frozen=True, slots=True)
class Register:
    """Every certificate of the folder that has not been replaced, by number."""

    changes: Changes
    held: dict[str, Held]

    def find(self, number: str) -> Held | None:
        return self.held.get(number)

    def between(self, first: int, last: int) -> list[Held]:
        """Those whose statements stand in this stretch of the log, in its order."""
        found = [held for held in self.held.values() if first <= held.placed.proof.index <= last]
        return sorted(found, key=lambda held: held.placed.proof.index)

    def last_event(self, cert_key: bytes) -> int:
        """The log index of the last statement of ours about this certificate after its issue; -1: there was none."""
        return self.changes.events.get(cert_key, -1)


def read_changes(acts: Iterable[NamedState]) -> Changes:
    """Fold the journals of all acts; by log index, whatever order they were begun in."""
    changes = Changes()
    placed: dict[bytes, int] = {}
    for _, state in acts:
        for statement, answer in state.stated():
            said = parse_statement(statement.entry).body
            for named in statement.about:
                _mark(changes, named.cert_key, answer)
                if isinstance(said, EndAppointment) or (isinstance(said, Ruling) and isinstance(said.whom, Listed)):
                    changes.ruled.add((named.cert_key, said.kind, said.reason, said.effective_day))
            if isinstance(said, Ruling) and isinstance(said.whom, Range):
                changes.ranges.add((said.whom, said.kind, said.reason, said.effective_day))
        for certificate, answer in state.logged():
            cert_key = cert_key_of(certificate.secret)
            _mark(changes, cert_key, answer)
            body = _body(certificate)
            if isinstance(body, Correct):
                if answer.proof.index > placed.get(cert_key, -1):
                    placed[cert_key] = answer.proof.index
                    changes.corrections[cert_key] = certificate
                continue
            changes.issued.append((certificate, answer))
            if isinstance(body, Issue) and body.replaces:
                changes.successors[body.replaces] = cert_key
                _mark(changes, body.replaces, answer)
    return changes


def read_register(batches: Iterable[NamedState], changes: Changes) -> Register:
    """Every certificate of the batches and acts."""
    issued = [pair for _, state in batches for pair in state.logged()] + changes.issued
    held = {}
    for certificate, answer in issued:
        cert_key = cert_key_of(certificate.secret)
        if cert_key not in changes.successors:
            held[certificate.number] = Held(certificate, answer, changes.corrections.get(cert_key))
    return Register(changes, held)


def is_correction(certificate: SignedCertificate) -> bool:
    """Whether these openings correct a certificate rather than issue one."""
    return isinstance(_body(certificate), Correct)


def _mark(changes: Changes, cert_key: bytes, answer: Placed) -> None:
    changes.events[cert_key] = max(answer.proof.index, changes.events.get(cert_key, -1))


def _body(certificate: SignedCertificate) -> Body:
    return parse_statement(certificate.entry).body

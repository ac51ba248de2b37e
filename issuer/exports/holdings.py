"""Every certificate that a body's journals have in the log, with the statements whose openings were ever exported.

Unlike what is printed, certificates that a reissue replaced are among them: their exports are still out there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from issuer.config import IssuerSettings
from issuer.register import Changes, NamedState, is_correction
from issuer.results import Issued, issued_of
from ledger.records.kinds import KeyStatus
from ledger.records.secret import cert_key_of
from ledger.records.statements import parse_statement
from ledger.records.supervision import KeyStanding


@dataclass(frozen=True, slots=True)
class Holding:
    """A certificate as it is now. `batch`: the batch or act that issued it."""

    batch: bytes
    item: Issued
    places: tuple[int, ...]  # log indexes of the issue and of each correction, rising
    replaced: bool

    @property
    def cert_key(self) -> bytes:
        return cert_key_of(self.item.certificate.secret)


def read_holdings(states: Iterable[NamedState], settings: IssuerSettings, changes: Changes) -> list[Holding]:
    """`states`: of all batches and acts, in any order. Sorted by log index."""
    issued, corrections = [], dict[bytes, list[int]]()
    for name, state in states:
        for certificate, placed in state.logged():
            cert_key = cert_key_of(certificate.secret)
            if is_correction(certificate):
                corrections.setdefault(cert_key, []).append(placed.proof.index)
            else:
                issued.append((placed.proof.index, name, certificate, placed))
    found = []
    for index, name, certificate, placed in sorted(issued, key=lambda one: one[0]):
        cert_key = cert_key_of(certificate.secret)
        item = issued_of(certificate, placed, settings.verify_url, changes.corrections.get(cert_key))
        places = (index, *sorted(corrections.get(cert_key, [])))
        found.append(Holding(name, item, places, cert_key in changes.successors))
    return found


def stated_keys(acts: Iterable[NamedState]) -> dict[bytes, tuple[KeyStatus, int]]:
    """What this body's own acts say about its keys: public key to the worst status and the day it was stated.

    Those that the authority declared compromised are not here.
    """
    found: dict[bytes, tuple[KeyStatus, int]] = {}
    for _, state in acts:
        for statement, _ in state.stated():
            said = parse_statement(statement.entry).body
            if isinstance(said, KeyStanding) and said.status > found.get(said.public, (KeyStatus.LIVE, 0))[0]:
                found[said.public] = (said.status, said.day)
    return found

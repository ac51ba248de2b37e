"""A log's state in memory: the fold without a store, for tests of the fold and its vectors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from ledger.errors import Refused
from ledger.records.authority import Filing, Genesis
from ledger.records.claim_state import (
    ClaimState,
    claim_map_key,
    encode_nullifier,
    nullifier_map_key,
    nullifier_value,
)
from ledger.records.refusals import Refusal
from ledger.records.state import (
    AuthorityState,
    CertificateState,
    FilingState,
    authority_map_key,
    certificate_map_key,
    filing_map_key,
)
from ledger.records.statements import Statement
from ledger.records.status import (
    Authentic,
    Change,
    Member,
    Moment,
    apply,
    authenticate_authority,
    authenticate_record,
)
from ledger.store.view import StoreView
from tests.support.builders import TIME, Body, Named, cert_key, make_authority, make_body


class MemoryLog:
    """Folds one statement after the other. `size` counts admitted statements; there are no seals."""

    def __init__(self) -> None:
        self.size = 0
        self.view = StoreView(None)
        self.certificates: dict[bytes, CertificateState] = {}
        self.claims: dict[bytes, ClaimState] = {}
        self.nullifiers: dict[bytes, bytes] = {}

    @property
    def authority(self) -> AuthorityState | None:
        return self.view.authority

    @property
    def filings(self) -> dict[str, FilingState]:
        return self.view.filings

    def filing(self, number: str) -> FilingState | None:
        return self.view.filing(number)

    def certificate(self, cert_key: bytes) -> CertificateState | None:
        member = self.view.member(cert_key)
        return None if member is None else member[1]

    def track(self, track_id: bytes) -> Mapping[bytes, Member]:
        return self.view.track(track_id)

    def authenticate(self, statement: Statement) -> Authentic:
        """Step 6 under the keys that the state lists, as admission does it."""
        if statement.envelope.single:
            filing = self.filings[statement.envelope.issuer]
            found = filing.terms.record_key(statement.kid)
            assert found is not None
            return authenticate_record(statement, found.public)
        body = statement.body
        authority = body if isinstance(body, Genesis) else self.authority
        assert authority is not None
        return authenticate_authority(statement, authority)

    def add(self, statement: Statement | Authentic, time: int = TIME) -> Change:
        """Fold a statement at log time `time` (ms) and keep its change. Raises what the fold raises."""
        authentic = statement if isinstance(statement, Authentic) else self.authenticate(statement)
        moment = Moment(self.size, time)
        change = apply(self.view, authentic, moment)
        self.size += 1
        self.view.take(change, authentic.statement, moment)
        self.certificates.update(change.certificates)
        self.claims.update(change.claims)
        self.nullifiers.update(change.nullifiers)
        return change

    def leaves(self) -> dict[bytes, bytes]:
        """The state map: key to value, 32 bytes each."""
        found = {certificate_map_key(cert_key): state.value() for cert_key, state in self.certificates.items()}
        if self.authority is not None and self.authority.in_map:
            found[authority_map_key(self.authority.origin)] = self.authority.value()
        found |= {claim_map_key(leaf): claim.value() for leaf, claim in self.claims.items()}
        for nullifier, leaf in self.nullifiers.items():
            found[nullifier_map_key(nullifier)] = nullifier_value(encode_nullifier(leaf))
        return found | {filing_map_key(number): state.value() for number, state in self.filings.items()}

    def state(self, named: Named) -> CertificateState:
        """The state of a certificate that is there."""
        return self.certificates[cert_key(named)]

    def statuses(self, *named: Named) -> list[str]:
        """What has become of certificates, in words."""
        return [self.state(one).status.name.lower() for one in named]

    def terms(self, number: str) -> Filing:
        return self.filings[number].terms


def begin(*bodies: Body) -> MemoryLog:
    """A log with its genesis and these filings (one standard filing when none is given)."""
    log, authority = MemoryLog(), make_authority()
    log.add(authority.sign(authority.genesis))
    for body in bodies or (make_body(),):
        log.add(authority.sign(body.filing))
    return log


def snapshot(log: MemoryLog) -> Any:
    return copy.deepcopy((log.size, log.certificates, vars(log.view)))


def refusal(log: MemoryLog, statement: Statement | Authentic, time: int = TIME) -> Refusal:
    """The code with which the log refuses; a refused statement changes nothing."""
    before = snapshot(log)
    with pytest.raises(Refused) as caught:
        log.add(statement, time)
    assert snapshot(log) == before
    return Refusal(caught.value.code)

"""A log's state in dictionaries: the fold's View without a store, for tests of the fold and its vectors."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.records.authority import Filing, Genesis
from ledger.records.issue import Issue
from ledger.records.kinds import Kind
from ledger.records.state import CertificateState, FilingState, certificate_map_key, filing_map_key
from ledger.records.statements import Statement
from ledger.records.status import Authentic, Change, Moment, apply, authenticate_authority, authenticate_record
from tests.support.builders import TIME

Members = dict[bytes, tuple[Issue, CertificateState]]


class MemoryLog:
    """Folds one statement after the other. `size` counts admitted statements; there are no seals."""

    def __init__(self) -> None:
        self.size = 0
        self.authority: Genesis | None = None
        self.filings: dict[str, FilingState] = {}
        self.certificates: dict[bytes, CertificateState] = {}
        self.tracks: dict[bytes, Members] = {}
        self.versions: set[tuple[Kind, str]] = set()

    def filing(self, number: str) -> FilingState | None:
        return self.filings.get(number)

    def certificate(self, cert_key: bytes) -> CertificateState | None:
        return self.certificates.get(cert_key)

    def track(self, track_id: bytes) -> Mapping[bytes, tuple[Issue, CertificateState]]:
        return self.tracks.get(track_id, {})

    def published(self, kind: Kind, version: str) -> bool:
        return (kind, version) in self.versions

    def authenticate(self, statement: Statement) -> Authentic:
        """Step 6 under the keys that the state lists, as admission does it."""
        body = statement.body
        if isinstance(body, Issue):
            filing = self.filings[body.filing_number]
            found = filing.terms.record_key(statement.kid)
            assert found is not None
            return authenticate_record(statement, found.public)
        authority = body if isinstance(body, Genesis) else self.authority
        assert authority is not None
        return authenticate_authority(statement, authority)

    def add(self, statement: Statement | Authentic, time: int = TIME) -> Change:
        """Fold a statement at log time `time` (ms) and keep its change. Raises what the fold raises."""
        authentic = statement if isinstance(statement, Authentic) else self.authenticate(statement)
        change = apply(self, authentic, Moment(self.size, time))
        self.size += 1
        self.authority = change.authority or self.authority
        self.filings.update(change.filings)
        if change.joined is not None:
            track_id, cert_key, issue = change.joined
            self.tracks.setdefault(track_id, {})[cert_key] = (issue, change.certificates[cert_key])
        for cert_key, state in change.certificates.items():
            members = self.tracks[state.track_id]
            members[cert_key] = (members[cert_key][0], state)
        self.certificates.update(change.certificates)
        if change.published is not None:
            self.versions.add(change.published)
        return change

    def leaves(self) -> dict[bytes, bytes]:
        """The state map: key to value, 32 bytes each."""
        found = {certificate_map_key(cert_key): state.value() for cert_key, state in self.certificates.items()}
        return found | {filing_map_key(number): state.value() for number, state in self.filings.items()}

    def terms(self, number: str) -> Filing:
        return self.filings[number].terms

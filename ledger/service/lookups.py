"""A certificate by its number and the name on it, out of the private index: for verifiers and payers alike.

    1 row          of (number, name); beside each stands one that is sealed here and now for nobody, so that an unknown
                   number and another name are the same work and the same answer
    2 open         the row that was found, or that one
    3 counts       only while the log has published the certificate, its number has not moved on, and the commitments
                   that count are still those of the row
    4 void         where a reissue became void, its number is again that of the certificate before, whose salt is not
                   here: unavailable, never a "no"

Nothing is kept. Who may ask, and how often, is for the callers to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Unavailable
from ledger.records.commitments import NAME_CHARS, NUMBER_CHARS
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.state import CertificateState
from ledger.records.statements import parse_statement
from ledger.service.private_index import Found, PrivateIndex
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateStore, entry_at

_NOBODY: Final = Found(bytes(32), bytes(16), bytes(32))


def check_pair(number: str, name: str) -> None:
    """Raises Malformed for what no certificate can have on its face."""
    if not (1 <= len(number) <= NUMBER_CHARS and 1 <= len(name) <= NAME_CHARS):
        raise Malformed("a number or a name is missing or too long")


@dataclass(frozen=True, slots=True)
class Lookups:
    """What a look-up needs. `published`: leaves under the checkpoint that readers see."""

    index: PrivateIndex
    store: PrivateStore
    integrator: Integrator
    published: Callable[[], int]

    async def find(self, pairs: Sequence[tuple[str, str]]) -> list[Found | None]:
        """What each number with a name (in their normal forms) leads to, in order. Raises Unavailable."""
        blanks = [self.index.lookup_row(number, name, _NOBODY) for number, name in pairs]
        rows = await self.store.index([row.hmac for row in blanks])  # 1
        found = []
        for (number, name), blank in zip(pairs, blanks, strict=True):
            opened = self.index.open_lookup(number, name, rows.get(blank.hmac, blank.body))  # 2
            state = await self.integrator.certificate(opened.cert_key)
            found.append(opened if state is not None and await self._counts(opened, state) else None)
        return found

    async def _counts(self, found: Found, state: CertificateState) -> bool:
        if state.status is CertificateStatus.VOID:  # 4
            body = parse_statement(await entry_at(self.store, state.issue_index)).body
            if isinstance(body, Issue) and body.replaces:
                raise Unavailable("the number of a void reissue: its first certificate is found by its code alone")
        moved = state.status is CertificateStatus.REPLACED
        return not moved and found.leaf_hash == state.commitment_leaf and state.issue_index < self.published()  # 3

"""A certificate by its number and the name on it, out of the private index: for verifiers and payers alike.

    1 row          of (number, name), under one of its keys; beside each stands one that is sealed here and now for
                   nobody, so that an unknown number and another name are the same work and the same answer
    2 open         the row that was found, or that one; a damaged one is no answer to this question
    3 counts       only while the log has published the certificate, its number has not moved on, and the commitments
                   that count are still those of the row
    4 void         where a reissue became void, its number is again that of the certificate before, whose salt is not
                   here: no answer to this question, never a "no", and the others have theirs

Nothing is kept. Who may ask, and how often, is for the callers to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records.commitments import NAME_CHARS, NUMBER_CHARS
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.state import CertificateState
from ledger.records.statements import parse_statement
from ledger.service.private_index import Found, PrivateIndex, lookup_keys, place_of
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateStore, entry_at

_NOBODY: Final = Found(bytes(32), bytes(16), bytes(32))

journal = logging.getLogger(__name__)


class Unanswered(Enum):
    """Why a number and a name that are known lead to nothing that can be shown."""

    VOID_REISSUE = "void_reissue"  # 4
    DAMAGED = "damaged"  # 2


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

    async def find(self, pairs: Sequence[tuple[str, str]]) -> list[Found | Unanswered | None]:
        """What each number with a name (in their normal forms) leads to, whatever becomes of the others."""
        keys = [lookup_keys(self.index.number_keys(one), self.index.lookup_hmac(one, name)) for one, name in pairs]
        blanks = [self.index.seal_lookup(number, name, _NOBODY) for number, name in pairs]
        rows = await self.store.index([key for those in keys for key in those])  # 1
        found: list[Found | Unanswered | None] = []
        for (number, name), those, blank in zip(pairs, keys, blanks, strict=True):
            try:
                opened = self.index.open_lookup(number, name, rows.get(place_of(those, rows), blank))  # 2
            except Unverified:
                journal.error("a look-up row is damaged")
                found.append(Unanswered.DAMAGED)
                continue
            state = await self.integrator.certificate(opened.cert_key)
            if state is None:
                found.append(None)
            elif await self._moved_back(state):  # 4
                found.append(Unanswered.VOID_REISSUE)
            else:
                found.append(opened if self._counts(opened, state) else None)
        return found

    async def _moved_back(self, state: CertificateState) -> bool:
        if state.status is not CertificateStatus.VOID:
            return False
        body = parse_statement(await entry_at(self.store, state.issue_index)).body
        return isinstance(body, Issue) and bool(body.replaces)

    def _counts(self, found: Found, state: CertificateState) -> bool:
        moved = state.status is CertificateStatus.REPLACED
        return not moved and found.leaf_hash == state.commitment_leaf and state.issue_index < self.published()  # 3

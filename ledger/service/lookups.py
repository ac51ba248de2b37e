"""A certificate by its number and the name on it, out of the private index: for verifiers and payers alike.

    0 now          there is a checkpoint, and newer ones will come from here: a log that has stopped, or lost its place,
                   may be an old copy, whose "no" would be wrong
    1 row          of (number, name), under one of its keys; beside each stands one that is sealed here and now for
                   nobody, so that an unknown number and another name are the same work and the same answer
    2 open         the row that was found, or that one; a damaged one is no answer to this question
    3 void         where a reissue became void, its number is again that of the certificate before, whose salt is not
                   here: no answer to this question, never a "no", and the others have theirs
    4 counts       only while the log has published the certificate, its number has not moved on, and the commitments
                   that count are still those of the row
    5 pending      where a reissue or correction is logged and not published, readers see the certificate of before,
                   to which no row leads any more: no answer to this question either

Nothing is kept. Who may ask, and how often, is for the callers to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ledger.errors import Malformed, Unavailable, Unverified
from ledger.records.commitments import NAME_CHARS, NUMBER_CHARS
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.state import CertificateState
from ledger.service.private_index import Found, PrivateIndex, lookup_keys, place_of
from ledger.service.publisher import Publisher
from ledger.service.standby import Place
from ledger.store.integrate import Integrator
from ledger.store.protocol import PrivateStore
from ledger.text import Text

_NOBODY: Final = Found(bytes(32), bytes(16), bytes(32))

journal = logging.getLogger(__name__)


class Unanswered(Enum):
    """Why a number and a name that are known lead to nothing that can be shown."""

    VOID_REISSUE = "void_reissue"  # 3
    PENDING = "pending"  # 5
    DAMAGED = "damaged"  # 2


def check_pair(number: str, name: str) -> None:
    """Raises Malformed for what no certificate can have on its face."""
    if not (1 <= len(number) <= NUMBER_CHARS and 1 <= len(name) <= NAME_CHARS):
        raise Malformed("a number or a name is missing or too long")


def published_size(publisher: Publisher, place: Place) -> int:
    """Step 0 of a running log: leaves under the checkpoint that readers see."""
    if not place.is_held:
        raise Unavailable(
            Text("可能已由另一进程主持该日志，请重试", "another process may lead this log; ask again"), retry_after=2
        )
    return publisher.shown().size


@dataclass(frozen=True, slots=True)
class Lookups:
    """What a look-up needs. `published`: leaves under the checkpoint that readers see; raises Unavailable as step 0."""

    index: PrivateIndex
    store: PrivateStore
    integrator: Integrator
    published: Callable[[], int]

    async def find(self, pairs: Sequence[tuple[str, str]]) -> list[Found | Unanswered | None]:
        """What each number with a name (in their normal forms) leads to, whatever becomes of the others.

        Raises Unavailable."""
        published = self.published()  # 0
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
            found.append(None if state is None else _counting(opened, state, published))
        return found


def _counting(found: Found, state: CertificateState, published: int) -> Found | Unanswered | None:
    reissue = state.kind is Kind.REISSUE
    if reissue and state.status is CertificateStatus.VOID:  # 3
        return Unanswered.VOID_REISSUE
    moved = state.status is CertificateStatus.REPLACED
    counts = state.issue_index < published and not moved and found.leaf_hash == state.commitment_leaf  # 4
    if state.event_index < published:
        return found if counts else None
    if state.issue_index >= published:
        return Unanswered.PENDING if reissue else None
    # 5: its newest event is not published; where nothing was ever corrected or replaced, that changes no row.
    return found if counts and state.commitment_leaf == state.issue_leaf else Unanswered.PENDING

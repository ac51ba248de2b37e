"""What a watcher is told about: how a certificate stands, and what became of it between two moments. Pure.

    suspended, restored, revoked, replaced, ended   its own status
    corrected                                       number, name or other commitments were corrected
    upgraded, grade_fell                            the holder's current grade in this occupation rose above it, or fell

Told is the difference between what was told last and what holds now: of a certificate that was suspended and restored
while nobody looked, nothing. Nothing of it is personal: the public log says all of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from ledger.errors import Malformed
from ledger.records.kinds import CertificateStatus
from ledger.records.state import CertificateState


class Change(StrEnum):
    """Kinds of events. The spelling is public."""

    SUSPENDED = "suspended"
    RESTORED = "restored"
    REVOKED = "revoked"
    REPLACED = "replaced"
    ENDED = "ended"
    CORRECTED = "corrected"
    UPGRADED = "upgraded"
    GRADE_FELL = "grade_fell"
    OBJECTED = "objected"  # the holder objects: the watch ends


_BY_STATUS = {
    CertificateStatus.IN_FORCE: Change.RESTORED,
    CertificateStatus.SUSPENDED: Change.SUSPENDED,
    CertificateStatus.REVOKED: Change.REVOKED,
    CertificateStatus.VOID: Change.REVOKED,
    CertificateStatus.REPLACED: Change.REPLACED,
    CertificateStatus.ENDED: Change.ENDED,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a certificate stands. `commitments`: leaf hash (hex) of the statement that holds them."""

    status: str  # in lower case, as in verdicts
    effective_day: int
    commitments: str
    current: int  # ordinal of the highest grade in force of its track; 0: none, or not linked

    def format(self) -> str:
        return json.dumps([self.status, self.effective_day, self.commitments, self.current], separators=(",", ":"))


def parse_standing(text: str) -> Standing:
    """What `Standing.format` wrote. Raises Malformed."""
    try:
        match json.loads(text):
            case [str(status), int(day), str(commitments), int(current)]:
                return Standing(status, day, commitments, current)
    except ValueError:
        pass
    raise Malformed("standing of a watched certificate")


def standing_of(state: CertificateState) -> Standing:
    """How the register has it."""
    highest = state.summary.highest
    return Standing(
        state.status.name.lower(), state.effective_day, state.commitment_leaf.hex(), highest.grade if highest else 0
    )


def changes(before: Standing, now: Standing) -> list[Change]:
    """What to tell, the weightiest first."""
    found = []
    if before.status != now.status:
        found.append(_BY_STATUS[CertificateStatus[now.status.upper()]])
    if before.commitments != now.commitments:
        found.append(Change.CORRECTED)
    if now.status == before.status == "in_force" and now.current != before.current:
        found.append(Change.UPGRADED if now.current > before.current else Change.GRADE_FELL)
    elif now.current > before.current and before.status == now.status:
        found.append(Change.UPGRADED)
    return found

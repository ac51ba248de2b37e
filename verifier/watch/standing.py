"""What a watcher is told about: how a certificate stands, and what became of it between two moments. Pure.

    suspended, restored, revoked, replaced, ended   its own status
    corrected                                       number, name or other commitments were corrected
    upgraded, grade_fell                            the holder's current grade in this occupation rose above it, or fell

Told is the difference between what was told last and what holds now: of a certificate that was suspended and restored
while nobody looked, nothing. Nothing of it is personal: the public log says all of it.

While a log on which the last telling rests is silent, only worse news is told, and only by logs on which it rests too:
the same bytes stand in both, so that the silent one's answer could not make them better.
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

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
# As of verdicts about the same bytes: the least favourable counts.
_FAVOUR: Final = {
    CertificateStatus.REVOKED: 0,
    CertificateStatus.VOID: 0,
    CertificateStatus.REPLACED: 0,
    CertificateStatus.ENDED: 1,
    CertificateStatus.SUSPENDED: 2,
    CertificateStatus.IN_FORCE: 3,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a certificate stands. `commitments`: leaf hash (hex) of the statement that holds them. `origins`: the logs
    whose answers counted, first the one that tells it; none: not known, as of watches of before."""

    status: str  # in lower case, as in verdicts
    effective_day: int
    commitments: str
    current: int  # ordinal of the highest grade in force of its track; 0: none, or not linked
    origins: tuple[str, ...] = ()

    @property
    def favour(self) -> int:
        """The higher, the more favourable."""
        return _FAVOUR[CertificateStatus[self.status.upper()]]

    def with_silent(self, known: Standing, missed: Set[str]) -> Standing:
        """The same, told to whom `known` was told: it goes on resting on the logs of that which were missed."""
        kept = tuple(origin for origin in known.origins if origin in missed and origin not in self.origins)
        return replace(self, origins=self.origins + kept)

    def format(self) -> str:
        fields = [self.status, self.effective_day, self.commitments, self.current, self.origins]
        return json.dumps(fields, separators=(",", ":"))


def parse_standing(text: str) -> Standing:
    """What `Standing.format` wrote, or wrote before it named origins. Raises Malformed."""
    try:
        match json.loads(text):
            case [str(status), int(day), str(commitments), int(current), *rest]:
                return Standing(status, day, commitments, current, _parse_origins(rest))
    except ValueError:
        pass
    raise Malformed("standing of a watched certificate")


def _parse_origins(rest: list[object]) -> tuple[str, ...]:
    match rest:
        case []:
            return ()
        case [list(origins)] if all(isinstance(origin, str) for origin in origins):
            return tuple(origins)
    raise Malformed("standing of a watched certificate")


def standing_of(state: CertificateState, origin: str) -> Standing:
    """How the register of one log has it."""
    highest = state.summary.highest
    grade = highest.grade if highest else 0
    status, leaf = state.status.name.lower(), state.commitment_leaf.hex()
    return Standing(status, state.effective_day, leaf, grade, (origin,))


def least_favourable(standings: Sequence[Standing]) -> Standing:
    """Of the same certificate in several logs; of equals the first."""
    told = min(standings, key=lambda one: one.favour)
    return replace(told, origins=told.origins + sum((one.origins for one in standings if one is not told), ()))


def may_tell(known: Standing, now: Standing, silent: Set[str], behind: Set[str]) -> bool:
    """Whether `now` is told to whom `known` was told last, while some logs are silent and others have answered with
    less than was told already."""
    rests, rested = set(now.origins), set(known.origins)
    if rests & behind:
        return False
    missed = silent | behind
    if (rested and not rested & missed) or not missed:
        return True
    return rests <= rested and now.favour < known.favour


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

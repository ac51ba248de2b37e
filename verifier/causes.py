"""Why a verdict is what its code says, where that has more than one cause: the closed list, and what is told with each.

Page, API and command line name the cause in a verdict's detail; the words for each are in `verdicts.json`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Cause(StrEnum):
    """`cause` in a verdict's detail. The spelling is as public as that of the codes."""

    # suspended: by whom, which is whom to ask
    ISSUER = "issuer"
    AUTHORITY = "authority"
    FILING = "filing"  # the authority suspended the body's filing
    REGISTER = "register"  # by a statement about something else, such as a reissue that became void

    # revoked: by what, where that is no ruling about this certificate
    REPLACED = "replaced"  # a new certificate stands in its place: the holder has that one
    KEY = "key"  # signed with a key that was compromised; `filing`: the authority cancelled the body's filing

    # stale
    HALTED = "halted"  # the log is proven to have broken its rules: trying again is pointless
    STOPPED = "stopped"  # this verifier's follower ended by a fault of its own
    QUORUM = "quorum"  # too few witnesses stand behind anything newer
    AUDITOR = "auditor"  # no map auditor vouches for the state, and it was not recomputed here
    OVERTAKEN = "overtaken"  # the log is closed, and its successor's data is missing
    CLOCK = "clock"  # the log's clock and ours differ
    BEHIND = "behind"  # the ledger's index names what this register does not hold yet
    CARRIED = "carried"  # the holder's file is too old by itself, and nobody else was reached
    QUIET = "quiet"  # the ledger answers, and shows nothing newer
    UNREACHED = "unreached"  # nothing newer was reached
    KIT = "kit"  # the offline kit is too old, or this clock is wrong


_WHY: Final = frozenset({"since", "reason_zh", "reason_en"})
# The values that each sentence needs.
SUSPENDED_BY: Final[Mapping[Cause, frozenset[str]]] = MappingProxyType(
    {Cause.ISSUER: _WHY, Cause.AUTHORITY: _WHY, Cause.FILING: _WHY, Cause.REGISTER: frozenset({"since"})}
)
REVOKED_BY: Final[Mapping[Cause, frozenset[str]]] = MappingProxyType(
    dict.fromkeys((Cause.REPLACED, Cause.KEY, Cause.FILING), _WHY)
)
STALE_BY: Final[Mapping[Cause, frozenset[str]]] = MappingProxyType(
    dict.fromkeys([cause for cause in Cause if cause not in {*SUSPENDED_BY, *REVOKED_BY}], frozenset())
)

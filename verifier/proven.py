"""Evidence judged by this verifier's trust: what is proven, and whether enough others stand behind it. Pure.

A checkpoint short of its witnesses is still the log's own word: its content is shown as genuine, but is never current.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Unverified
from ledger.records.evidence import Evidence
from ledger.records.evidence_check import ProvenState, verify_evidence, verify_stapled
from ledger.tlog.policy import NO_WITNESSES
from verifier.trust import Trust


@dataclass(frozen=True, slots=True)
class Proven:
    """A proven state, and who vouches for its checkpoint besides the log."""

    state: ProvenState
    witnessed: bool  # the policy's quorum of witnesses, where it asks for one

    @property
    def audited(self) -> bool:
        """A pinned map auditor cosigned this very checkpoint: its state is the right fold of the log."""
        return self.state.opened.auditor_time_s is not None


def open_evidence(evidence: Evidence, trust: Trust, now_ms: int, *, stapled: bool = False) -> Proven:
    """Check evidence under the pinned keys. Raises Unverified (or Malformed) when it does not prove what it says."""
    check = verify_stapled if stapled else verify_evidence
    latest_s = (now_ms + trust.max_skew_ms) // 1000
    pinned = evidence, trust.origin, trust.keys
    try:
        return Proven(check(*pinned, trust.policy, trust.map_auditors, latest_s=latest_s), witnessed=True)
    except Unverified:
        if not trust.policy.has_quorum:
            raise
    return Proven(check(*pinned, NO_WITNESSES, trust.map_auditors, latest_s=latest_s), witnessed=False)

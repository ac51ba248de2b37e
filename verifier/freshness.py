"""Step 9 of the check: whether what a register says may be taken for how things stand now, and if not, why."""

from __future__ import annotations

from verifier import steps
from verifier.causes import Cause
from verifier.register import Register
from verifier.trust import Trust
from verifier.verdict import Finding, Source


def is_fresh(register: Register, trust: Trust, now_ms: int) -> bool:
    """Whether it is recent, with the quorum and somebody who recomputed the state, and follows a log that goes on. An
    answer about an earlier moment does not grow old; a carried one has a limit of its own."""
    if register.halted or register.overtaken or not register.witnessed or not register.vouched:
        return False
    carried = register.source is Source.BUNDLE
    return register.historic or trust.is_fresh(register.time_ms, now_ms, carried=carried)


def why_stale(register: Register, trust: Trust, now_ms: int, *, fresh: bool) -> Cause:
    """Why it cannot be said how things stand now. `fresh`: the register is, but does not hold what it was asked for."""
    if register.halted:
        return Cause.STOPPED if register.lag is Cause.STOPPED else Cause.HALTED
    if not register.witnessed:
        return Cause.QUORUM
    if not register.vouched:
        return Cause.AUDITOR
    if register.overtaken:
        return Cause.OVERTAKEN
    if register.time_ms > now_ms + trust.max_skew_ms:
        return Cause.CLOCK
    if fresh:
        return Cause.BEHIND
    if register.source is Source.BUNDLE:
        return Cause.CARRIED
    if register.source is Source.EVIDENCE:
        return Cause.QUORUM if trust.policy.has_quorum else Cause.QUIET
    return register.lag


def freshness_of(register: Register | None, *, fresh: bool) -> Finding:
    """What the step found."""
    if register is None:
        return steps.FRESH_NOT
    if register.halted:
        return steps.FRESH_STOPPED if register.lag is Cause.STOPPED else steps.FRESH_HALTED
    if not register.witnessed:
        return steps.QUORUM_MISSING
    if not register.vouched:
        return steps.AUDITOR_MISSING
    if register.overtaken:
        return steps.OVERTAKEN
    if register.historic:
        return steps.HISTORIC
    return steps.FRESH if fresh else steps.FRESH_NOT

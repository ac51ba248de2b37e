"""Every reason for which a register is not how things stand now: never fresh, its own cause, its own finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.tlog.policy import Policy
from tests.support.witnesses import Cosigner, quorum
from tests.verifier.test_trust import build
from verifier import steps
from verifier.causes import Cause
from verifier.freshness import freshness_of, is_fresh, why_stale
from verifier.register import Register
from verifier.trust import Trust
from verifier.verdict import Finding, Outcome, Source

NOW = 1_800_000_000_000
TRUST = build(freshness_s=120, max_skew_s=5)
OLD, AHEAD = NOW - 120_001, NOW + 5_001
WITNESSED = quorum(1, Cosigner("w"))


def register(**changes: object) -> Register:
    return replace(Register(1, bytes(32), NOW, None, None), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "cause", "finding"),
    [
        ({"halted": True}, Cause.HALTED, steps.FRESH_HALTED),
        ({"halted": True, "lag": Cause.STOPPED, "witnessed": False}, Cause.STOPPED, steps.FRESH_STOPPED),
        ({"witnessed": False, "vouched": False}, Cause.QUORUM, steps.QUORUM_MISSING),
        ({"vouched": False, "historic": True}, Cause.AUDITOR, steps.AUDITOR_MISSING),
        ({"overtaken": True, "time_ms": AHEAD}, Cause.OVERTAKEN, steps.OVERTAKEN),
        ({"time_ms": AHEAD, "source": Source.BUNDLE}, Cause.CLOCK, steps.FRESH_NOT),
        ({"time_ms": OLD}, Cause.UNREACHED, steps.FRESH_NOT),
        ({"time_ms": OLD, "lag": Cause.QUIET}, Cause.QUIET, steps.FRESH_NOT),
        ({"time_ms": OLD - TRUST.bundle_age_ms, "source": Source.BUNDLE}, Cause.CARRIED, steps.FRESH_NOT),
        ({"time_ms": OLD, "source": Source.EVIDENCE}, Cause.QUIET, steps.FRESH_NOT),
    ],
)
def test_what_is_not_fresh_says_why(changes: dict[str, object], cause: Cause, finding: Finding) -> None:
    found = register(**changes)
    assert not is_fresh(found, TRUST, NOW)
    assert why_stale(found, TRUST, NOW, fresh=False) is cause
    assert freshness_of(found, fresh=False) == finding and finding.outcome is not Outcome.PASS


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({}, steps.FRESH),
        ({"time_ms": OLD + 1}, steps.FRESH),
        ({"time_ms": AHEAD - 1}, steps.FRESH),
        ({"time_ms": 0, "historic": True}, steps.HISTORIC),
        ({"time_ms": OLD, "source": Source.BUNDLE}, steps.FRESH),
    ],
)
def test_what_is(changes: dict[str, object], finding: Finding) -> None:
    found = register(**changes)
    assert is_fresh(found, TRUST, NOW) and freshness_of(found, fresh=True) == finding
    assert why_stale(found, TRUST, NOW, fresh=True) is Cause.BEHIND


def test_old_evidence_of_a_log_with_witnesses_lacks_them_and_nothing_is_not_fresh() -> None:
    policy: Policy = WITNESSED
    trust: Trust = replace(TRUST, policy=policy)
    assert why_stale(register(time_ms=OLD, source=Source.EVIDENCE), trust, NOW, fresh=False) is Cause.QUORUM
    assert freshness_of(None, fresh=False) == steps.FRESH_NOT

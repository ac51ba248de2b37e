"""The causes are two closed lists that share nothing."""

from __future__ import annotations

from verifier.causes import STALE_BY, SUSPENDED_BY, Cause


def test_every_cause_is_of_one_code() -> None:
    assert set(SUSPENDED_BY) | set(STALE_BY) == set(Cause) and not set(SUSPENDED_BY) & set(STALE_BY)
    assert len(SUSPENDED_BY) == 4 and Cause.KIT in STALE_BY
    assert not any(STALE_BY.values()), "what stale needs is in every verdict: its time"

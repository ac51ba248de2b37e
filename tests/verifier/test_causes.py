"""The causes are closed lists, one for each code that has any."""

from __future__ import annotations

from verifier.causes import REVOKED_BY, STALE_BY, SUSPENDED_BY, Cause


def test_every_cause_is_of_one_code() -> None:
    assert set(SUSPENDED_BY) | set(REVOKED_BY) | set(STALE_BY) == set(Cause)
    assert not (set(SUSPENDED_BY) | set(REVOKED_BY)) & set(STALE_BY)
    assert set(SUSPENDED_BY) & set(REVOKED_BY) == {Cause.FILING}, "a filing is suspended, or cancelled"
    assert len(SUSPENDED_BY) == 4 and Cause.KIT in STALE_BY
    assert not any(STALE_BY.values()), "what stale needs is in every verdict: its time"

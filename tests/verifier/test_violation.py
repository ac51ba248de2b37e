"""What a violation says, and which of them trying again can mend."""

from __future__ import annotations

from ledger.errors import Unverified
from verifier.violation import ClocksDiffer, Unwitnessed, Violation


def test_a_violation_names_the_entry_that_is_to_blame() -> None:
    found = Violation("no seal in sight", index=7)
    assert isinstance(found, Unverified) and str(found) == "entry 7: no seal in sight"
    assert (found.reason, found.index, found.proven) == ("no seal in sight", 7, True)


def test_what_may_be_the_doing_of_whoever_stands_between_is_not_proven() -> None:
    for kind in (Unwitnessed, ClocksDiffer):
        found = kind("checkpoint: no")
        assert isinstance(found, Violation) and not found.proven and found.index is None

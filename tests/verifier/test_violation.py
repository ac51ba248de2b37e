"""What a violation says, and which of them trying again can mend."""

from __future__ import annotations

from ledger.errors import Unavailable, Unverified
from ledger.text import Text
from verifier.violation import ClocksDiffer, Unwitnessed, Violation, say_failure


def test_a_violation_names_the_entry_that_is_to_blame() -> None:
    found = Violation("no seal in sight", index=7)
    assert isinstance(found, Unverified) and str(found) == "entry 7: no seal in sight"
    assert (found.reason, found.index, found.proven) == ("no seal in sight", 7, True)


def test_what_may_be_the_doing_of_whoever_stands_between_is_not_proven() -> None:
    for kind in (Unwitnessed, ClocksDiffer):
        found = kind("checkpoint: no")
        assert isinstance(found, Violation) and not found.proven and found.index is None


def test_a_world_that_does_not_answer_is_told_in_both_languages() -> None:
    said = say_failure(Unavailable(Text("账本没有答复", "the ledger did not answer")))
    assert said.endswith(": 账本没有答复 / the ledger did not answer") and "暂时无法更新" in said

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import Malformed
from verifier.watch.standing import Change, Standing, changes, least_favourable, may_tell, parse_standing

BEFORE = Standing("in_force", 20_000, "aa", 4)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (BEFORE, []),
        (Standing("suspended", 20_001, "aa", 0), [Change.SUSPENDED]),
        (Standing("revoked", 20_001, "aa", 3), [Change.REVOKED]),
        (Standing("void", 20_001, "aa", 3), [Change.REVOKED]),
        (Standing("replaced", 20_001, "aa", 0), [Change.REPLACED]),
        (Standing("ended", 20_001, "aa", 0), [Change.ENDED]),
        (Standing("in_force", 20_001, "bb", 4), [Change.CORRECTED]),
        (Standing("in_force", 20_000, "aa", 5), [Change.UPGRADED]),
        (Standing("in_force", 20_000, "aa", 3), [Change.GRADE_FELL]),
        (Standing("in_force", 20_000, "bb", 5), [Change.CORRECTED, Change.UPGRADED]),
        (Standing("revoked", 20_001, "bb", 0), [Change.REVOKED, Change.CORRECTED]),
    ],
)
def test_what_is_told(now: Standing, told: list[Change]) -> None:
    assert changes(BEFORE, now) == told
    assert parse_standing(now.format()) == now


def test_back_in_force() -> None:
    suspended = Standing("suspended", 20_001, "aa", 0)
    assert changes(suspended, BEFORE) == [Change.RESTORED]
    assert changes(suspended, Standing("suspended", 20_001, "aa", 5)) == [Change.UPGRADED]


def test_the_logs_that_it_rests_on_are_kept() -> None:
    both = replace(BEFORE, origins=("a", "b"))
    assert parse_standing(both.format()) == both
    assert parse_standing('["in_force",20000,"aa",4]') == BEFORE, "of watches of before"


@pytest.mark.parametrize("worse", ["suspended", "ended", "revoked", "void", "replaced"])
def test_the_least_favourable_tells(worse: str) -> None:
    good, bad = replace(BEFORE, origins=("a",)), Standing(worse, 20_001, "aa", 0, ("b",))
    for one in ((good, bad), (bad, good)):
        assert least_favourable(one) == replace(bad, origins=("b", "a"))
    assert least_favourable((good, replace(good, origins=("b",)))).origins == ("a", "b")


SUSPENDED = Standing("suspended", 20_001, "aa", 0)


@pytest.mark.parametrize(
    ("known", "now", "silent", "behind", "told"),
    [
        ((BEFORE, "a"), (SUSPENDED, "a"), "", "", True),
        ((SUSPENDED, "a"), (BEFORE, "a"), "", "", True),
        ((SUSPENDED, "a"), (BEFORE, "a"), "b", "", True),  # b had nothing to say
        ((SUSPENDED, "ba"), (BEFORE, "a"), "b", "", False),  # b may have suspended it
        ((BEFORE, "ab"), (SUSPENDED, "a"), "b", "", True),  # nothing that b says makes it better
        ((BEFORE, "b"), (SUSPENDED, "a"), "b", "", False),  # a copy, or what b took over
        ((BEFORE, "a"), (SUSPENDED, "a"), "", "a", False),  # as it was once
        ((BEFORE, "a"), (SUSPENDED, "a"), "", "b", True),
        ((SUSPENDED, "ab"), (BEFORE, "ab"), "", "b", False),
        ((BEFORE, ""), (SUSPENDED, "a"), "", "", True),
        ((BEFORE, ""), (SUSPENDED, "a"), "b", "", False),
    ],
)
def test_what_waits_for_a_silent_log(
    known: tuple[Standing, str], now: tuple[Standing, str], silent: str, behind: str, told: bool
) -> None:
    before, after = (replace(one, origins=tuple(origins)) for one, origins in (known, now))
    assert may_tell(before, after, set(silent), set(behind)) is told


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '["a","b","c",1]', "null", '["in_force",1,"",1,"a"]', '["in_force",1,"",1,[1]]',
     '["in_force",1,"",1,[],[]]'],
)  # fmt: skip
def test_rubbish(text: str) -> None:
    with pytest.raises(Malformed):
        parse_standing(text)

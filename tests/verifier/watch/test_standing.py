from __future__ import annotations

import pytest

from ledger.errors import Malformed
from verifier.watch.standing import Change, Standing, changes, parse_standing

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


@pytest.mark.parametrize("text", ["", "[]", "{", '["a","b","c",1]', "null"])
def test_rubbish(text: str) -> None:
    with pytest.raises(Malformed):
        parse_standing(text)

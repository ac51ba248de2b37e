"""The budget of a filing: a burst, then a rate; one filing's appetite is not another's."""

from __future__ import annotations

import pytest

from ledger.errors import Unavailable
from ledger.service.budget import Budget


def test_a_burst_then_a_rate_and_when_to_come_again() -> None:
    budget = Budget(10.0, 100)
    budget.take("a", 60, 0.0)
    budget.take("a", 40, 0.0)
    with pytest.raises(Unavailable) as failure:
        budget.take("a", 25, 0.0)
    assert failure.value.retry_after == 3
    with pytest.raises(Unavailable):
        budget.take("a", 25, 2.0)
    budget.take("a", 25, 2.5)
    budget.take("b", 100, 2.5)


def test_a_refusal_takes_nothing_and_rest_fills_no_more_than_the_burst() -> None:
    budget = Budget(1.0, 10)
    budget.take("a", 8, 0.0)
    for _ in range(5):
        with pytest.raises(Unavailable):
            budget.take("a", 3, 0.0)
    budget.take("a", 2, 0.0)
    budget.take("a", 10, 10_000.0)
    with pytest.raises(Unavailable):
        budget.take("a", 1, 10_000.0)


def test_names_that_have_all_of_theirs_again_are_forgotten() -> None:
    budget = Budget(1.0, 2)
    for at in range(10_000):
        budget.take(str(at), 1, float(at))
    assert len(budget._left) < 2_000
    budget.give_back("0", 1)
    budget.take("9999", 1, 9_999.0)
    with pytest.raises(Unavailable):
        budget.take("9999", 1, 9_999.0)


def test_names_are_bounded_and_room_comes_back() -> None:
    """Who asks under ever new names, all of which have to be remembered for hours, gets no more of our memory."""
    budget = Budget(1 / 3600, 2, most=100)
    for at in range(100):
        budget.take(str(at), 1, float(at))
    for _ in range(2):
        with pytest.raises(Unavailable) as failure:
            budget.take("one more", 1, 100.0)
        assert failure.value.retry_after
    budget.take("7", 1, 100.0)
    with pytest.raises(Unavailable):
        budget.take("7", 1, 100.0)
    assert len(budget._left) == 100
    budget.take("one more", 1, 3700.0)
    assert len(budget._left) <= 3


def test_a_clock_that_goes_back_gives_nothing() -> None:
    budget = Budget(10.0, 10)
    budget.take("a", 10, 100.0)
    with pytest.raises(Unavailable):
        budget.take("a", 1, 50.0)

"""Log time: rises by at least a millisecond, follows small corrections, stops at leaps, and goes on afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Unavailable
from ledger.service.clock import BACK_MS, FORWARD_MS, ClockStopped, LogClock

START = 1_790_000_000_000


class Hands:
    """A wall clock and a steady one, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.steady = START, 77

    def clock(self) -> LogClock:
        return LogClock(lambda: self.wall, lambda: self.steady)

    def pass_time(self, ms: int, *, leap: int = 0) -> None:
        self.wall += ms + leap
        self.steady += ms


def test_a_later_moment_is_its_own_time_and_an_equal_one_is_the_next_millisecond() -> None:
    hands = Hands()
    clock = hands.clock()
    assert clock.batch_time(START - 10) == START
    assert clock.batch_time(START) == START + 1
    assert clock.batch_time(START + 1) == START + 2, "as often as it is asked within one millisecond"
    hands.pass_time(5)
    assert clock.batch_time(START + 2) == START + 5


def test_slightly_behind_the_log_goes_on_and_far_behind_stops() -> None:
    clock = Hands().clock()
    assert clock.batch_time(START + BACK_MS) == START + BACK_MS + 1
    with pytest.raises(ClockStopped) as stopped:
        clock.batch_time(START + BACK_MS + 1)
    assert stopped.value.retry_after
    assert isinstance(stopped.value, Unavailable)


@pytest.mark.parametrize("leap", [-BACK_MS - 1, -3_600_000, -10 * 365 * 86_400_000, FORWARD_MS + 1, 3_600_000, 10**11])
def test_a_leap_stops_signing_until_the_clock_is_right_again(leap: int) -> None:
    hands = Hands()
    clock = hands.clock()
    hands.pass_time(1000, leap=leap)
    for _ in range(3):
        with pytest.raises(ClockStopped):
            clock.batch_time(START)
        with pytest.raises(ClockStopped):
            clock.now_s()
        hands.pass_time(1000)
    hands.wall -= leap
    assert clock.batch_time(START) == START + 4000
    assert clock.now_s() == (START + 4000) // 1000


@pytest.mark.parametrize("leap", [-BACK_MS, -1000, 1000, FORWARD_MS])
def test_a_small_step_is_no_leap_and_time_still_rises(leap: int) -> None:
    hands = Hands()
    clock = hands.clock()
    last = clock.batch_time(START)
    hands.pass_time(1, leap=leap)
    assert clock.batch_time(last) > last


def test_the_time_of_signatures_does_not_go_back() -> None:
    """Neither with a step that is no leap, nor with a leap that was followed and is undone: that is lived through."""
    hands = Hands()
    clock = hands.clock()
    signed = clock.now_s()
    hands.pass_time(1000, leap=-4000)
    assert clock.now_s() == signed
    hands.pass_time(5000)
    assert clock.now_s() == signed + 2
    hands.pass_time(0, leap=200_000)
    for _ in range(5000):
        hands.pass_time(100)
        ahead = clock.now_s()
    hands.wall -= 200_000
    for ask in (clock.now_s, lambda: clock.batch_time(START)):  # no statement is taken that would have to wait
        with pytest.raises(ClockStopped, match="goes on from there"):
            ask()
    clock.anew().now_s()
    hands.pass_time(200_000)
    assert clock.now_s() == ahead and clock.batch_time(START) > START


def test_slow_drift_is_followed_for_ever() -> None:
    hands = Hands()
    clock, last = hands.clock(), START
    for _ in range(2000):
        hands.pass_time(1000, leap=40)  # 80 s in the end, 40 ms at a time
        last = clock.batch_time(last)
    assert last == hands.wall


def test_a_leap_that_was_followed_and_is_undone_needs_no_new_start() -> None:
    """Within the limit a leap is taken for drift, and a busy log follows it in minutes. Put right again, the clock is
    right: what was sealed ahead of it only has to be lived through."""
    hands = Hands()
    clock, last = hands.clock(), START
    hands.pass_time(0, leap=200_000)
    for _ in range(5000):
        hands.pass_time(100)
        last = clock.batch_time(last)
    hands.wall -= 200_000
    with pytest.raises(ClockStopped):
        clock.batch_time(last)
    hands.pass_time(200_001)
    assert clock.batch_time(last) == hands.wall
    hands.wall += 3_600_000
    with pytest.raises(ClockStopped):
        clock.batch_time(last)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(-7000, 400_000)), max_size=60))
def test_whatever_the_clock_does_times_strictly_rise(steps: list[tuple[int, int]]) -> None:
    hands = Hands()
    clock, last = hands.clock(), START
    for ms, leap in steps:
        hands.pass_time(ms, leap=leap)
        try:
            time = clock.batch_time(last)
        except ClockStopped:
            hands.wall -= leap
            continue
        assert time > last
        assert time >= hands.wall
        last = time

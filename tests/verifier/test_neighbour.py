"""Who is silent is left alone for a while, by either of two clocks, and no longer than until it is heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable, Unverified
from ledger.text import Text
from verifier.neighbour import Neighbour

ALONE_MS = 5_000


class Street:
    """A neighbour, what it was asked, and the clock."""

    def __init__(self, *, wait_s: float | None = 0.01, late_s: float | None = None) -> None:
        self.now, self.silences, self.asked, self.ended = 1_800_000_000_000, 0, 0, 0
        self.neighbour = Neighbour(
            Text("账本", "the ledger"),
            lambda: self.now,
            wait_s=wait_s,
            late_s=late_s,
            alone_ms=ALONE_MS,
            tell=self.told,
        )

    def told(self) -> None:
        self.silences += 1

    async def ask(self, outcome: Any = "yes", free: asyncio.Event | None = None) -> Any:
        """`free`: when it answers."""

        async def question() -> Any:
            self.asked += 1
            try:
                if free is not None:
                    await free.wait()
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
            finally:
                self.ended += 1

        return await self.neighbour.ask(question)

    async def hang(self) -> None:
        with pytest.raises(Unavailable, match="the ledger does not answer"):
            await self.ask(free=asyncio.Event())


async def test_one_that_let_its_time_pass_is_left_alone_and_asking_makes_that_neither_shorter_nor_longer() -> None:
    street = Street()
    await street.hang()
    assert (street.asked, street.ended, street.silences) == (1, 1, 1), "what it was asked ends with that"
    for _ in range(5):
        street.now += ALONE_MS // 5 - 1
        assert street.neighbour.is_silent
        with pytest.raises(Unavailable, match="the ledger did not answer a moment ago"):
            await street.ask()
    street.now += 5
    assert not street.neighbour.is_silent and await street.ask() == "yes"
    assert (street.asked, street.silences) == (2, 1)


@pytest.mark.parametrize("clock", ["the clock", "the loop's"])
async def test_a_pause_ends_by_either_clock(clock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    street, loop = Street(), asyncio.get_running_loop()
    await street.hang()
    if clock == "the clock":
        stands = loop.time()
        monkeypatch.setattr(loop, "time", lambda: stands)
        street.now += ALONE_MS
    else:
        street.now -= 3_600_000
        assert street.neighbour.is_silent
        later = loop.time() + ALONE_MS / 1000
        monkeypatch.setattr(loop, "time", lambda: later)
    assert not street.neighbour.is_silent


@pytest.mark.parametrize("heard", ["yes", Refused("X", "-", Text("-", "-")), Unverified("another token")])
async def test_an_answer_of_the_meantime_ends_it(heard: Any) -> None:
    street, free = Street(wait_s=None), asyncio.Event()
    beside = asyncio.create_task(street.ask(heard, free))
    await asyncio.sleep(0)
    street.neighbour._wait_s = 0.01
    await street.hang()
    assert street.neighbour.is_silent
    free.set()
    await asyncio.wait([beside])
    assert not street.neighbour.is_silent
    assert beside.exception() is heard if isinstance(heard, Exception) else beside.result() == heard


async def test_no_answer_of_the_meantime_does_not() -> None:
    street, free = Street(wait_s=None), asyncio.Event()
    down = Unavailable(Text("没有应答", "503"))
    beside, given_up = (asyncio.create_task(street.ask(down, free)) for _ in range(2))
    await asyncio.sleep(0)
    street.neighbour._wait_s = 0.01
    await street.hang()
    given_up.cancel()
    free.set()
    await asyncio.wait([beside, given_up])
    assert beside.exception() is down and given_up.cancelled() and street.neighbour.is_silent


@pytest.mark.parametrize(("late_s", "is_late"), [(None, False), (60.0, False), (0.0, True)])
async def test_a_failure_is_silence_where_it_came_late(late_s: float | None, is_late: bool) -> None:
    street, away = Street(wait_s=None, late_s=late_s), Unavailable(Text("没有应答", "it is away"), retry_after=7)
    with pytest.raises(Unavailable) as caught:
        await street.ask(away)
    assert caught.value is away, "when to come again is said there"
    assert street.neighbour.is_silent is is_late and street.silences == is_late


async def test_whoever_gives_up_asking_ends_the_work_and_is_no_silence() -> None:
    street = Street(wait_s=None, late_s=0.0)
    asking = asyncio.create_task(street.ask(free=asyncio.Event()))
    while not street.asked:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert street.ended == 1 and not street.neighbour.is_silent and not street.silences

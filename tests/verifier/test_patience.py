"""Of several logs one that hangs is waited for a moment, and then for a while not at all; alone it is waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from ledger.errors import Refused, Unavailable
from ledger.text import Text
from tests.verifier.test_several import Desk, desk, pool
from verifier.known_log import KnownLog
from verifier.patience import ALONE_MS, Patience

__all__ = ["desk", "pool"]  # fixtures
SOON_S = 0.01


class Questions:
    """What logs are asked. `hanging`: the origins of those that say nothing; `cut`: of those whose work was ended."""

    def __init__(self, *hanging: str) -> None:
        self.hanging, self.asked, self.cut = set(hanging), list[str](), list[str]()

    async def __call__(self, log: KnownLog) -> str:
        origin = log.trust.origin
        self.asked.append(origin)
        if origin in self.hanging:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cut.append(origin)
                raise
        return origin


@pytest.fixture
async def patience(desk: Desk) -> AsyncIterator[tuple[Desk, Patience, CollectorRegistry]]:
    registry = CollectorRegistry()
    yield desk, Patience([one.known for one in desk.logs], lambda: desk.now, registry, SOON_S), registry


async def test_one_that_hangs_is_waited_for_once_in_a_while(
    patience: tuple[Desk, Patience, CollectorRegistry], caplog: pytest.LogCaptureFixture
) -> None:
    desk, asking, registry = patience
    first, second = [one.log.origin for one in desk.logs]
    ask, running = Questions(second), asyncio.all_tasks()
    with caplog.at_level(logging.WARNING, "verifier"):
        one, other = await asking.each(ask)
    assert one == first and isinstance(other, Unavailable)
    assert ask.cut == [second] and asyncio.all_tasks() == running, "what is given up has ended"
    assert [record.getMessage() for record in caplog.records] == [f"replica of {second}: no answer in time"]
    late = [registry.get_sample_value("certverifier_late_answers_total", {"origin": log}) for log in (first, second)]
    assert late == [0, 1]
    one, other = await asking.each(ask)
    assert one == first and isinstance(other, Unavailable)
    assert ask.asked == [first, second, first], "it is left alone"
    desk.now += ALONE_MS - 1
    await asking.each(ask)
    assert ask.asked.count(second) == 1
    desk.now += 1
    ask.hanging.clear()
    assert await asking.each(ask) == [first, second]


async def test_a_clock_that_is_set_back_leaves_nobody_alone_for_longer(
    patience: tuple[Desk, Patience, CollectorRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, asking, _ = patience
    first, second = [one.log.origin for one in desk.logs]
    ask, loop = Questions(second), asyncio.get_running_loop()
    await asking.each(ask)
    desk.now -= 3_600_000
    ask.hanging.clear()
    assert isinstance((await asking.each(ask))[1], Unavailable)
    later = loop.time() + ALONE_MS / 1000
    monkeypatch.setattr(loop, "time", lambda: later)
    assert await asking.each(ask) == [first, second]


async def test_an_answer_of_the_meantime_ends_it(patience: tuple[Desk, Patience, CollectorRegistry]) -> None:
    """One question was slow, not the log."""
    desk, asking, _ = patience
    known, origin, open_now = desk.logs[1].known, desk.logs[1].log.origin, asyncio.Event()

    async def slow(log: KnownLog) -> str:
        await open_now.wait()
        return log.trust.origin

    asking._replicas[origin]._wait_s = 120.0
    beside = asyncio.create_task(asking.of(known, slow))
    await asyncio.sleep(0)
    asking._replicas[origin]._wait_s = SOON_S
    with pytest.raises(Unavailable, match="does not answer"):
        await asking.of(known, Questions(origin))
    with pytest.raises(Unavailable, match="a moment ago"):
        await asking.of(known, Questions())
    open_now.set()
    assert await beside == origin
    assert await asking.of(known, Questions()) == origin


async def test_whoever_gives_up_asking_ends_the_work(patience: tuple[Desk, Patience, CollectorRegistry]) -> None:
    desk, _, _ = patience
    ask = Questions(*(one.log.origin for one in desk.logs))
    patient = Patience([one.known for one in desk.logs], lambda: desk.now, CollectorRegistry(), 120.0)
    asking = asyncio.create_task(patient.each(ask))
    while len(ask.asked) < 2:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sorted(ask.cut) == sorted(ask.asked)


async def test_what_else_a_log_raises_is_raised(patience: tuple[Desk, Patience, CollectorRegistry]) -> None:
    async def refusing(log: KnownLog) -> None:
        raise Refused("X", log.trust.origin, Text("-", "-"))

    with pytest.raises(Refused):
        await patience[1].each(refusing)


async def test_the_only_log_and_one_without_a_replica_are_waited_for(desk: Desk) -> None:
    first, second = desk.logs
    second.known.replica, replica = None, second.known.replica
    slow_ones = (
        (Patience([first.known], lambda: desk.now, CollectorRegistry(), 0.0), first.known),
        (Patience([first.known, second.known], lambda: desk.now, CollectorRegistry(), 0.0), second.known),
    )
    for asking, known in slow_ones:

        async def slow(log: KnownLog) -> str:
            for _ in range(20):
                await asyncio.sleep(0)
            return log.trust.origin

        assert await asking.of(known, slow) == known.trust.origin
    second.known.replica = replica
    with pytest.raises(Unavailable):
        await slow_ones[1][0].of(second.known, slow)

"""Questions that are put together: each gets its own answer, none an old one, and nobody's failure is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ledger.store import gathering
from ledger.store.gathering import BESIDE, MOST, Gathering


class Server:
    """Answers when it is told to, with how many questions it had heard when each came."""

    def __init__(self) -> None:
        self.heard: list[list[int]] = []
        self.open: list[asyncio.Future[None]] = []
        self.gathering = Gathering(self.ask)

    async def ask(self, keys: Sequence[int]) -> dict[int, str]:
        self.heard.append(list(keys))
        number, go = len(self.heard), asyncio.get_running_loop().create_future()
        self.open.append(go)
        await go
        return {key: f"{key} of {number}" for key in keys}

    def begin(self, *keys: int) -> list[asyncio.Task[str]]:
        return [asyncio.create_task(self.one(key)) for key in keys]

    async def one(self, key: int) -> str:
        return await self.gathering(key)

    def answer(self, error: Exception | None = None) -> None:
        go = self.open.pop(0)
        if error is None:
            go.set_result(None)
        else:
            go.set_exception(error)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(gathering, "SLOW_S", 3600.0)  # nothing is slow unless a test says so
    return Server()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_alone_is_asked_for_at_once(server: Server) -> None:
    for number in (1, 2):
        (asking,) = server.begin(7)
        await settle()
        server.answer()
        assert await asking == f"7 of {number}"
    assert server.heard == [[7], [7]]


async def test_who_asks_again_the_moment_they_are_answered_is_answered() -> None:
    async def ask(keys: Sequence[int]) -> dict[int, int]:
        return {key: -key for key in keys}

    gathering = Gathering(ask)

    async def in_turn(first: int) -> list[int]:
        return [await gathering(key) for key in range(first, first + 20)]

    async with asyncio.timeout(60):
        found = await asyncio.gather(*(in_turn(first) for first in range(0, 60, 20)))
    assert [value for one in found for value in one] == [-key for key in range(60)]


async def test_what_is_asked_meanwhile_goes_together_each_key_once(server: Server) -> None:
    first = server.begin(1, 2)
    await settle()
    later = server.begin(3, 4, 3)
    await settle()
    assert server.heard == [[1, 2]]
    server.answer()
    assert await asyncio.gather(*first) == ["1 of 1", "2 of 1"]
    await settle()
    server.answer()
    assert await asyncio.gather(*later) == ["3 of 2", "4 of 2", "3 of 2"]
    assert server.heard == [[1, 2], [3, 4]]


async def test_no_question_is_answered_by_one_sent_before_it(server: Server) -> None:
    first = server.begin(1)
    await settle()
    again = server.begin(1)
    await settle()
    server.answer()
    assert await first[0] == "1 of 1"
    await settle()
    assert not again[0].done() and server.heard == [[1], [1]]
    server.answer()
    assert await again[0] == "1 of 2"


async def test_a_failure_is_that_of_who_was_asked_for(server: Server) -> None:
    first = server.begin(1, 2)
    await settle()
    later = server.begin(3)
    await settle()
    server.answer(OSError("gone"))
    assert [str(error) for error in await asyncio.gather(*first, return_exceptions=True)] == ["gone", "gone"]
    await settle()
    server.answer()
    assert await later[0] == "3 of 2"


async def test_who_gives_up_takes_nobody_along(server: Server) -> None:
    first = server.begin(1, 2)
    await settle()
    waiting = server.begin(3, 4)
    await settle()
    first[0].cancel()
    waiting[0].cancel()
    server.answer()
    assert await first[1] == "2 of 1"
    await settle()
    server.answer()
    assert await waiting[1] == "4 of 2"
    assert server.heard == [[1, 2], [4]], "nobody waits for 3 any more"
    assert first[0].cancelled() and waiting[0].cancelled()


async def test_beside_a_slow_answer_others_go_but_not_without_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "SLOW_S", -1.0)  # everything is slow
    tasks = []
    for key in range(BESIDE + 3):
        tasks += server.begin(key)
        await settle()
    assert server.heard == [[key] for key in range(BESIDE)]
    while server.open:
        server.answer()
        await settle()
    assert server.heard[BESIDE:] == [list(range(BESIDE, BESIDE + 3))]
    assert [task.result() for task in tasks[:BESIDE]] == [f"{key} of {key + 1}" for key in range(BESIDE)]


async def test_one_question_has_an_end(server: Server) -> None:
    tasks = server.begin(*range(MOST + 1))
    await settle()
    server.answer()
    await settle()
    server.answer()
    await asyncio.gather(*tasks)
    assert list(map(len, server.heard)) == [MOST, 1]


async def test_closing_cancels_who_waits(server: Server) -> None:
    tasks = server.begin(1)
    await settle()
    tasks += server.begin(2)
    await settle()
    await server.gathering.close()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    await server.gathering.close()

"""Questions of one kind that are asked at about the same time, put to a database together.

An answer from a server costs this process more than the few rows in it. So what is asked while a question is on its way
waits for that one and goes with all others that wait: a log that few people ask adds nothing to its answers, a busy one
asks less often than it is asked. While an answer is slow, which is a disk's doing, further questions go beside it.

A question is never answered by one that was sent before it was asked: all that was committed by then is seen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar, cast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
MOST: Final = 256  # that go together
BESIDE: Final = 4  # on their way at once
SLOW_S: Final = 0.005


class Gathering(Generic[K, V]):
    """`ask` is given different keys and answers for all of them; what it raises is raised to each who asked."""

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._ask = ask
        self._waiting: deque[tuple[K, asyncio.Future[V]]] = deque()
        self._asking: set[asyncio.Task[None]] = set()
        self._sent = 0.0  # when the last question went, by the loop's clock

    async def __call__(self, key: K) -> V:
        """The answer for one key. Raises as `ask`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V] = loop.create_future()
        self._waiting.append((key, answer))
        if not self._asking or (len(self._asking) < BESIDE and loop.time() - self._sent > SLOW_S):
            self._sent = loop.time()
            # A task of its own, which begins when all who ask now have asked; and who gives up takes nobody along.
            self._asking.add(loop.create_task(self._ask_for_all()))
        return await answer

    async def _ask_for_all(self) -> None:
        """Ask until nobody waits."""
        try:
            while self._waiting:
                asked = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
                await self._ask_for([(key, answer) for key, answer in asked if not answer.done()])
        finally:  # here and not when the task is over: who was just answered may ask again before that
            self._asking.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _ask_for(self, asked: Sequence[tuple[K, asyncio.Future[V]]]) -> None:
        if not asked:
            return
        self._sent = asyncio.get_running_loop().time()
        try:
            found = await self._ask(list(dict.fromkeys(key for key, _ in asked)))
            answers = [found[key] for key, _ in asked]
        except BaseException as error:
            for _, answer in asked:
                if isinstance(error, Exception) and not answer.done():
                    answer.set_exception(error)
                else:
                    answer.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for (_, answer), value in zip(asked, answers, strict=True):
            if not answer.done():
                answer.set_result(value)

    async def close(self) -> None:
        """Ask no more; whoever still waits is cancelled."""
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        while self._waiting:
            self._waiting.popleft()[1].cancel()

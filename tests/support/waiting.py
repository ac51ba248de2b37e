"""Waiting for what something else brings about, with a deadline: a test that hangs says nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")
PATIENCE_S: Final = 180.0  # of every wait, on a machine that has much else to do


async def until(found: Callable[[], T | None], every_s: float = 0.01) -> T:
    """The first answer that counts as true, asked for again and again beside what the loop does."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < end_s, "it never became so"
        await asyncio.sleep(every_s)
    return value


async def until_told(ask: Callable[[], Awaitable[T | None]], every_s: float = 0.05) -> T:
    """The same of what has to be awaited."""
    async with asyncio.timeout(PATIENCE_S):
        while not (value := await ask()):
            await asyncio.sleep(every_s)
    return value


def until_seen(found: Callable[[], T | None], every_s: float = 0.02) -> T:
    """The same where there is no loop, or it may stand still."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < end_s, "it never became so"
        time.sleep(every_s)
    return value

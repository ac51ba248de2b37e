"""Empty sheets: each made once, and what cannot be made is told to all that wait at the same time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ledger.errors import Unavailable
from ledger.text import Text
from verifier.eligibility.rooms import Templates


async def test_each_is_made_once_and_a_failure_is_told_to_all_that_wait() -> None:
    templates, free, made = Templates(), threading.Event(), list[str]()

    def make(outcome: str) -> bytes:
        made.append(outcome)
        free.wait(60)
        if outcome == "fails":
            raise Unavailable(Text("没有应答", "the writing process did not answer"))
        return outcome.encode()

    waiting = [asyncio.create_task(templates.of("pack", "zh", lambda: make("fails"))) for _ in range(5)]
    while not made:
        await asyncio.sleep(0.01)
    waiting[0].cancel()
    free.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError), "whoever goes away takes it from nobody"
    assert all(isinstance(one, Unavailable) for one in told[1:]) and made == ["fails"]
    for _ in range(2):
        assert await templates.of("pack", "zh", lambda: make("sheet")) == b"sheet"
    with pytest.raises(Unavailable):
        await templates.of("pack", "en", lambda: make("fails"))
    assert made == ["fails", "sheet", "fails"]

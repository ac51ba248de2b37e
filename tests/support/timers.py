"""Deadlines that pass when a test says so, whatever the machine is doing: some timers of some class, on this loop.

timers = HeldTimers(monkeypatch, EdgeProtocol, "_header_late", "_body_late")    none of them runs out by itself
timers.running                          the callbacks that are waited for, in the order they were started
await timers.until("_body_late")        until just these are
await timers.passes("_header_late")     that deadline is over
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.waiting import until

_NEVER_S = 3600.0


class HeldTimers:
    """Holds what `call_at` and `call_later` are told to call of objects of this kind, by these names; with None for a
    kind, functions of these names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type | None, *names: str) -> None:
        self._started: list[tuple[str, Callable[[], None], asyncio.TimerHandle]] = []
        loop = asyncio.get_running_loop()
        real = loop.call_at

        def call_at(when: float, callback: Any, *args: Any, **more: Any) -> asyncio.TimerHandle:
            of = getattr(callback, "__self__", None)
            name = getattr(callback, "__name__", "")
            if not (of is None if kind is None else isinstance(of, kind)) or name not in names:
                return real(when, callback, *args, **more)
            handle = real(when + _NEVER_S, callback, *args, **more)
            self._started.append((name, partial(callback, *args), handle))
            return handle

        monkeypatch.setattr(loop, "call_at", call_at)  # call_later calls it too

    @property
    def running(self) -> list[str]:
        return [name for name, _, handle in self._started if not handle.cancelled()]

    async def until(self, *names: str) -> None:
        await until(lambda: self.running == list(names))

    async def passes(self, name: str) -> None:
        """This one, which is the only one or will be soon."""
        await self.until(name)
        ((_, callback, handle),) = [each for each in self._started if not each[2].cancelled()]
        handle.cancel()
        callback()

    def pass_all(self) -> None:
        """Every one that runs now."""
        for _, callback, handle in [each for each in self._started if not each[2].cancelled()]:
            handle.cancel()
            callback()

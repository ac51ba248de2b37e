"""What `serve` puts together: the rest of it is asked over HTTP in test_main and tests/flows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.verifier.test_several import Desk, desk, pool
from verifier.serving import _offered

__all__ = ["desk", "pool"]  # fixtures


class Shelf:
    """Says what kits are made of, and for how long."""

    def __init__(self) -> None:
        self.offered = list[Sequence[Any]]()
        self.renewing = asyncio.Event()

    @asynccontextmanager
    async def kept_fresh(self, sources: Sequence[Any]) -> AsyncIterator[None]:
        self.offered.append(sources)
        self.renewing.set()
        try:
            yield
        finally:
            self.renewing.clear()


async def test_kits_are_made_once_every_log_is_open(desk: Desk) -> None:
    """By a kit that lacks one, that one's certificates would be red as those of a body that nobody has filed."""
    known, shelf, opened = [one.known for one in desk.logs], Shelf(), asyncio.Event()
    known[1].replica, late = None, known[1].replica

    async def all_open() -> None:
        await opened.wait()

    async with asyncio.timeout(120), _offered(shelf, known, all_open):  # type: ignore[arg-type]
        for _ in range(10):
            await asyncio.sleep(0)
        assert not shelf.offered
        known[1].replica = late
        opened.set()
        await shelf.renewing.wait()
        assert shelf.offered == [[(one.replica, one.trust) for one in known]]
    assert not shelf.renewing.is_set()
    opened.clear()
    async with _offered(shelf, known, all_open):  # type: ignore[arg-type]
        pass
    assert len(shelf.offered) == 1

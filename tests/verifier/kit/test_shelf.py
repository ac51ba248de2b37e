"""The kits of a serving verifier: renewed, and the one before stays where a new one cannot be made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Unavailable
from tests.support.kits import LIMIT_MS, MAKER, MAKER_KEY, kit_desk, live_through
from verifier.kit import shelf as shelves
from verifier.kit.format import open_kit
from verifier.kit.shelf import Shelf
from verifier.violation import Violation


async def test_it_is_renewed_and_survives_a_failure(tmp_path: Path) -> None:
    async with kit_desk(tmp_path) as desk:
        await live_through(desk)
        await desk.replica.poll(desk.log.time)
        now = [desk.log.time]
        shelf = Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, lambda: now[0])
        async with shelf.kept_fresh([(desk.replica, desk.trust)], every_s=0.02):
            async with asyncio.timeout(120):
                while not shelf.raw:
                    await asyncio.sleep(0.01)
                first, tag = shelf.raw, shelf.tag
                now[0] += 1000
                while shelf.raw == first:
                    await asyncio.sleep(0.01)
                assert shelf.tag != tag
                desk.replica.halted = Violation("test")
                await asyncio.sleep(0.1)
        kit = open_kit(shelf.raw, [MAKER_KEY])
        assert kit.made_ms == now[0] and kit.logs[0].origin == desk.trust.origin


async def test_after_a_failure_it_tries_again_soon_then_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that has just started has verified nothing: its first kit comes a moment after the first poll."""
    failing, pauses = iter([*[True] * 7, False, True, False]), list[float]()

    async def renew(self: Shelf, sources: Any) -> None:
        if next(failing, None):
            raise Unavailable("nothing verified yet")

    async def sleep(pause_s: float, real: Any = asyncio.sleep) -> None:
        pauses.append(pause_s)
        await real(0 if len(pauses) < 10 else 600)

    monkeypatch.setattr(Shelf, "renew", renew)
    monkeypatch.setattr(shelves.asyncio, "sleep", sleep)
    async with Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, lambda: 0).kept_fresh([], every_s=1800), asyncio.timeout(120):
        while len(pauses) < 10:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.01)
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15, 1800, 0.5, 1800]

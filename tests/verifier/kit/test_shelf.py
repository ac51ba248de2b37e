"""The kits of a serving verifier: renewed, and the one before stays where a new one cannot be made."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.kits import LIMIT_MS, MAKER, MAKER_KEY, kit_desk, live_through
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

"""The kits of a serving verifier: renewed, and the one before stays where a new one cannot be made."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Unavailable, Unverified
from ledger.text import Text
from tests.support.kits import LIMIT_MS, MAKER, MAKER_KEY, kit_desk, live_through
from verifier.kit import shelf as shelves
from verifier.kit.format import Halt, open_kit
from verifier.kit.shelf import Shelf
from verifier.violation import Violation


async def test_it_is_renewed_and_survives_a_failure(tmp_path: Path) -> None:
    async with kit_desk(tmp_path) as desk:
        await live_through(desk)
        await desk.replica.poll(desk.log.time)
        now = [desk.log.time]
        shelf = Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, lambda: now[0])
        async with shelf.kept_fresh(lambda: [(desk.replica, desk.trust)], every_s=0.02):
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


async def test_a_log_that_cannot_be_read_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One database that is down costs no other log its freshness."""
    names = [f"log.test.example/{at}" for at in "ab"]
    async with kit_desk(tmp_path / "a", names[0]) as one, kit_desk(tmp_path / "b", names[1], "b") as two:
        for desk in (one, two):
            await desk.issue("valid")
            await desk.replica.poll(desk.log.time)
        now = [one.log.time]
        shelf = Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, lambda: now[0])
        down = [(None, one.trust), (two.replica, two.trust)]
        with pytest.raises(Unavailable):
            await shelf.renew(down)  # and there is no kit before
        await shelf.renew([(one.replica, one.trust), (two.replica, two.trust)])
        before = open_kit(shelf.raw, [MAKER_KEY])
        now[0] += 3_600_000
        await two.renew(now[0])
        caplog.clear()
        await shelf.renew(down)
        kit = open_kit(shelf.raw, [MAKER_KEY])
        assert kit.logs[0] == before.logs[0] and kit.logs[1].as_of_ms == now[0] == kit.made_ms
        assert f"{names[0]} cannot be read (left as it was)" in caplog.text

        async def damaged() -> bytes:
            raise Unverified("the store is damaged")

        monkeypatch.setattr(one.replica.integrator.store, "checkpoint", damaged)
        one.replica.halted = Violation("a second history")
        caplog.clear()
        await shelf.renew([(one.replica, one.trust), (two.replica, two.trust)])
        halted = open_kit(shelf.raw, [MAKER_KEY]).logs[0]
        assert halted == replace(before.logs[0], halt=Halt.PROVEN), "of what is no longer followed nothing stays green"
        assert f"kit: {names[0]}: no longer followed" in caplog.text


async def test_after_a_failure_it_tries_again_soon_then_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that has just started has verified nothing: its first kit comes a moment after the first poll."""
    failing, pauses = iter([*[True] * 7, False, True, False]), list[float]()

    async def renew(self: Shelf, sources: Any) -> None:
        if next(failing, None):
            raise Unavailable(Text("没有应答", "nothing verified yet"))

    async def sleep(pause_s: float, real: Any = asyncio.sleep) -> None:
        pauses.append(pause_s)
        await real(0 if len(pauses) < 10 else 600)

    monkeypatch.setattr(Shelf, "renew", renew)
    monkeypatch.setattr(shelves.asyncio, "sleep", sleep)
    async with Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, lambda: 0).kept_fresh(list, every_s=1800), asyncio.timeout(120):
        while len(pauses) < 10:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.01)
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15, 1800, 0.5, 1800]

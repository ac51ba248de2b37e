"""A slice of scripts/claims on each store: races, payments with revocations inside, kill -9, and the replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.claiming import Claiming
from tests.support.postgres import postgres_server

CASES = {"postgresql": (12, 0), "sqlite killed": (40, 2)}  # copies of each claim, kills


@pytest.mark.parametrize("name", CASES)
async def test_no_benefit_is_reserved_or_paid_twice(name: str, tmp_path: Path) -> None:
    copies, kills = CASES[name]
    server = postgres_server() if name.startswith("postgresql") else None
    place = server.place("claiming") if server else ""
    claiming = await Claiming.begin(
        tmp_path / "log", keys=8, payers=2, store=place, owner=server.owner(place) if server else ""
    )
    try:
        told = await claiming.race(copies, kills=kills)
        assert told["answers"] == {"reserved": 8, "ALREADY_CLAIMED": 8 * (copies - 1)}
        await claiming.pay(4)
        assert claiming.live.stop() == 0
        found = await claiming.check()
        assert found["reserved_or_paid"] == 8
    finally:
        claiming.live.kill()

"""What the site's one connection to SQLite has by itself; the contract is in `test_opening`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from verifier.site import sqlite


async def test_nobody_waits_for_ever_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.prepare(tmp_path / "site.db")
    site = sqlite.open_store(tmp_path / "site.db")
    monkeypatch.setattr(sqlite, "_TURN_S", 0.01)

    async def begun() -> None:
        async with site.transaction():
            pass

    async with asyncio.timeout(60):
        async with site.transaction():
            for asking in (site.fetch("SELECT 1"), site.execute("DELETE FROM migration"), begun()):
                with pytest.raises(Unavailable, match="turn"):
                    await asking
        monkeypatch.setattr(sqlite, "_TURN_S", 60.0)
        assert await site.fetch("SELECT 1") == [(1,)]
        await begun()
    await site.close()

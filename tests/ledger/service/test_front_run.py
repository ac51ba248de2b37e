"""What a front is made of when it serves, over a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ledger.edge import Site
from ledger.errors import Unavailable
from ledger.keystore import KeyFile, new_key
from ledger.service import front_run
from ledger.service.backlog import IN_FRONT_S, START
from ledger.service.front_run import INDEX, FrontSettings, serve_front
from tests.support.ports import free_port
from tests.support.service_room import AUTHORITY, Room
from tests.support.stores import PostgresKind
from tests.support.waiting import PATIENCE_S


async def test_what_a_front_lets_wait_is_the_shorter_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    create = front_run.create_front_app
    monkeypatch.setattr(front_run, "create_front_app", lambda front: made.append(front) or create(front))
    monkeypatch.setattr(front_run, "look_rarely", lambda: None)  # it is for good, and this process goes on
    room = Room(tmp_path, PostgresKind())
    async with room.open(run=False):
        await room.store.put_meta({"origin": AUTHORITY.origin.encode()})
        settings = FrontSettings(
            AUTHORITY.origin,
            room.kind.place(tmp_path / "log.db"),
            (f"http://127.0.0.1:{free_port()}",),
            "http://127.0.0.1:8700",
            port=0,
            examiners=0,
        )
        keys = KeyFile({INDEX: new_key(INDEX, "of the test", created_day=0, random_bytes=bytes)})
        ready: asyncio.Future[Site] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve_front(settings, keys, on_ready=ready.set_result))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
            assert ready.done(), serving.result()
            (front,) = made
            with front.backlog.through(int(START * IN_FRONT_S)):
                front.backlog.check()
                with front.backlog.through(1), pytest.raises(Unavailable):
                    front.backlog.check()
                url = ready.result().url + "/metrics"
                async with aiohttp.ClientSession() as session, session.get(url) as answer:
                    said = await answer.text()
                assert f"certledger_front_wait_seconds {front.backlog.wait_s}\n" in said, "it is that one"
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

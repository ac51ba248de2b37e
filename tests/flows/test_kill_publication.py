"""kill -9 of a real ledger in the very moment in which a witness hears of a head: the next start finishes that head."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.policy import format_policy
from ledger.wire import Logged
from tests.support.fake_witness import FakeWitness, policy_of
from tests.support.live_ledger import LiveLedger, distinct, drafted, live_body

# Which witness hears of it, and whether it keeps the head or dies with it.
MOMENTS = [(who, mode) for who in (0, 1) for mode in ("honest", "hang")]


async def test_killed_while_a_witness_hears_of_it(tmp_path: Path) -> None:
    body = live_body("heard")
    live = LiveLedger.create(tmp_path / "log", "heard", policy="policy.txt")
    heads: dict[int, bytes] = {}
    async with FakeWitness("w1") as one, FakeWitness("w2") as two:
        witnesses = (one, two)
        policy = policy_of(witnesses, 2)
        (live.folder / "policy.txt").write_text(format_policy(policy), "utf-8")

        async def check(size: int = 0) -> None:
            """What readers see has its quorum, and no size has two roots."""
            opened = open_cosigned((await live.fetch("/checkpoint"))[2], live.authority.origin, live.keys, policy)
            assert opened.checkpoint.size >= size
            for checkpoint in (opened.checkpoint, *(each.seen.checkpoint for each in witnesses if each.seen)):
                assert heads.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root

        await asyncio.to_thread(live.start)
        try:
            await live.file(body)
            labels = distinct("heard", len(MOMENTS))
            for label, (who, mode) in zip(labels, MOMENTS, strict=True):
                async with live.client(body) as client:
                    (certificate,) = await drafted(client, body, label)
                    await check()
                    assert live.process is not None
                    pid, heard = live.process.pid, witnesses[who]

                    def kill(pid: int = pid, heard: FakeWitness = heard) -> None:
                        os.kill(pid, signal.SIGKILL)
                        heard.answer = lambda: None

                    heard.mode, heard.answer = mode, kill
                    with pytest.raises(Unavailable):
                        await client.submit([certificate.submission()])
                assert live.kill() == -9
                heard.mode = "honest"
                heard.released.set()
                heard.released = asyncio.Event()
                for each in witnesses:
                    if each.seen is not None:
                        heads.setdefault(each.seen.checkpoint.size, each.seen.checkpoint.root)
                await asyncio.to_thread(live.start)
                async with live.client(body) as client:
                    asked = [await client.statement(certificate.statement.identity, at) for at in range(max(heads) + 9)]
                    again = await client.submit([certificate.submission()])
                (found,) = [each for each in asked if each is not None]  # committed before a witness heard of it
                live.check(again, [certificate.statement.entry])
                for answer, before in zip(again.answers, found.answers, strict=True):
                    assert isinstance(answer, Logged) and isinstance(before, Logged) and answer.index == before.index
                await check()
            assert await asyncio.to_thread(live.stop) == 0
        finally:
            await asyncio.to_thread(live.kill)

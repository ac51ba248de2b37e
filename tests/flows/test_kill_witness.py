"""kill -9 of a real witness: between store and answer, before the store, and at any moment under load."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from ledger.tlog.add_checkpoint import checkpoint_path
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.policy import parse_policy
from tests.support.growing_log import GrowingLog, Head
from tests.support.live_witness import LiveWitness

ORIGIN = "log.example/killed"
KILLS = 8
SEED = 20261125
DIE = """
import os, signal
from verifier.witness.state import WitnessState
advance = WitnessState.advance
def die(self, origin, old, new):
    {before}
    done = advance(self, origin, old, new)
    os.kill(os.getpid(), signal.SIGKILL)
    return done
WitnessState.advance = die
"""
AFTER_STORE, BEFORE_STORE = DIE.format(before="pass"), DIE.format(before="os.kill(os.getpid(), signal.SIGKILL)")


@dataclass
class Client:
    live: LiveWitness
    session: aiohttp.ClientSession
    log: GrowingLog = field(default_factory=lambda: GrowingLog(ORIGIN))

    async def add(self, body: bytes) -> tuple[int, bytes]:
        """Status and body; 0 when there was no answer."""
        try:
            async with self.session.post(self.live.url + "/add-checkpoint", data=body) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, OSError):
            return 0, b""

    async def shown(self) -> tuple[int, bytes] | None:
        """Size and root that a monitor sees; None before the first."""
        async with self.session.get(f"{self.live.url}/{checkpoint_path(ORIGIN)}") as response:
            if response.status == 404:
                return None
            note = await response.read()
        opened = open_cosigned(note, ORIGIN, self.log.vkeys, parse_policy(self.live.policy))
        return opened.checkpoint.size, opened.checkpoint.root


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    live = LiveWitness.create(tmp_path / "w", GrowingLog(ORIGIN).vkeys)
    async with aiohttp.ClientSession() as session:
        try:
            yield Client(live, session)
        finally:
            live.kill()


async def test_killed_between_store_and_answer_it_keeps_its_word(client: Client) -> None:
    live, log = client.live, client.log
    head, other = log.grown(b"a", b"b"), log.grown(b"a", b"B")
    await asyncio.to_thread(live.start, AFTER_STORE)
    assert await client.add(head.request()) == (0, b"")
    assert await asyncio.to_thread(live.wait) == -9
    await asyncio.to_thread(live.start)
    assert await client.shown() == (2, head.root), "it is remembered though nobody got the answer"
    assert await client.add(other.request()) == (409, b"2\n"), "the other tree of that size comes too late"
    assert (await client.add(other.request(old=2)))[0] == 422
    assert await client.add(head.request()) == (409, b"2\n"), "the same request is told the size"
    assert (await client.add(head.request(old=2)))[0] == 200, "and from there gets what it asked for"
    log.adopt(head)
    assert (await client.add(log.grown(b"c").request()))[0] == 200


async def test_killed_before_the_store_it_has_promised_nothing(client: Client) -> None:
    live, log = client.live, client.log
    head, other = log.grown(b"a", b"b"), log.grown(b"a", b"B")
    await asyncio.to_thread(live.start, BEFORE_STORE)
    assert await client.add(head.request()) == (0, b"")
    assert await asyncio.to_thread(live.wait) == -9
    await asyncio.to_thread(live.start)
    assert await client.shown() is None
    assert (await client.add(other.request()))[0] == 200
    assert await client.add(head.request()) == (409, b"2\n")


async def test_killed_at_any_moment_no_answer_is_taken_back(client: Client) -> None:
    """Pairs race while the witness dies; each start finds what was answered last, or what was under way."""
    live, log, draw = client.live, client.log, random.Random(SEED)
    roots: dict[int, bytes] = {}
    answered, at = 0, 0
    await asyncio.to_thread(live.start)
    for _ in range(KILLS):
        under_way: list[Head] = []
        assert live.process is not None
        rest, fuse_s, kill = draw.randint(2, 9), draw.uniform(0.0, 0.03), live.process.kill
        while True:
            at, rest = at + 1, rest - 1
            if rest == 0:
                asyncio.get_running_loop().call_later(fuse_s, kill)
            leaf = b"%d" % at
            under_way = [log.grown(leaf), log.grown(leaf + b"'", leaf)]
            answers = await asyncio.gather(*(client.add(head.request()) for head in under_way))
            won = [head for head, (status, _) in zip(under_way, answers, strict=True) if status == 200]
            assert len(won) <= 1
            for head in won:
                assert roots.setdefault(head.size, head.root) == head.root
                answered = head.size
                log.adopt(head)
            if not won:
                assert 0 in [status for status, _ in answers], answers
                break
        assert await asyncio.to_thread(live.wait) == -9
        await asyncio.to_thread(live.start)
        shown = await client.shown()
        for head in under_way:  # stored, but the answer was lost: the log asks again from there
            if shown == (head.size, head.root) and log.size < head.size:
                assert (await client.add(head.request(old=head.size)))[0] == 200
                assert roots.setdefault(head.size, head.root) == head.root
                answered = head.size
                log.adopt(head)
        assert (shown[0] if shown else 0) == log.size == answered
    assert len(roots) > KILLS

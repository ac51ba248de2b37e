"""A sequencer that dies or hangs is replaced by one that stands by; whatever it does afterwards, there is one log."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger.errors import Unavailable, Unverified
from tests.support.builders import Certificate
from tests.support.fronts import LiveFront
from tests.support.live_ledger import START_S, LiveLedger, distinct, drafted, live_body
from tests.support.ports import free_port
from tests.support.postgres import Server, postgres_server
from tests.support.sequencers import Fleet, disturb, status
from tests.support.waiting import until

ROUNDS = 4  # `scripts/faults --kind fleets` has hundreds


@pytest.fixture
def server() -> Server:
    return postgres_server()


async def test_a_standby_takes_over_from_one_that_was_killed_and_from_one_that_hangs(
    server: Server, tmp_path: Path
) -> None:
    body = live_body("standby")
    fleet = await asyncio.to_thread(Fleet.create, server, tmp_path, "standby", 2, takeover_ms=8000)
    labels = distinct("standby", 60)
    try:
        await asyncio.gather(*(asyncio.to_thread(member.start, "--standby") for member in fleet.members))
        first = await fleet.leader()
        (second,) = [member for member in fleet.members if member is not first]
        assert [await status(second, path, START_S) for path in ("/livez", "/metrics", "/readyz")] == [200, 200, 503]
        await first.file(body)
        async with first.client(body) as client:
            certificates = await drafted(client, body, *labels)

        async def load(some: range) -> None:
            for at in some:
                await fleet.submit(body, certificates[2 * at : 2 * at + 2])

        async with fleet.watched():
            # 1 killed under load
            sending = [asyncio.create_task(load(range(at, 20, 2))) for at in range(2)]
            await until(lambda: any(one.done() for one in sending) or len(fleet.acks) >= 8, 0.005)
            assert first.kill() == -9
            await asyncio.gather(*sending)
            assert await fleet.leader() is second
            assert len(fleet.acks) == 40
            # 2 hanging: stopped until the other one has gone on
            await asyncio.to_thread(first.start, "--standby")
            assert second.process is not None
            before = second.stderr.read_text("utf-8")
            os.kill(second.process.pid, signal.SIGSTOP)
            await load(range(20, 30))
            assert await fleet.leader(second) is first
            os.kill(second.process.pid, signal.SIGCONT)
            assert await asyncio.to_thread(second.process.wait, START_S) == 1
            words = second.stderr.read_text("utf-8")[len(before) :]
            assert "TAKEN_OVER" in words and "待命" in words and "Traceback" not in words
        assert len(fleet.acks) == 60
        entries = await fleet.judge()
        assert set(fleet.acks) <= set(entries)
        assert first.stop() == 0
    finally:
        fleet.end()


async def test_five_that_are_stopped_woken_and_killed_at_random_never_fork(server: Server, tmp_path: Path) -> None:
    body, draw = live_body("five"), random.Random(20261126)
    fleet = await asyncio.to_thread(Fleet.create, server, tmp_path, "five", 5, takeover_ms=3000)
    fleet.patience_s = 0.7
    labels = distinct("five", 900)
    try:
        await asyncio.gather(*(asyncio.to_thread(member.start, "--standby") for member in fleet.members))
        await fleet.ask(lambda leader: leader.file(body))

        async def draft(leader: LiveLedger) -> list[Certificate]:
            async with leader.client(body) as client:
                return await drafted(client, body, *labels)

        certificates, done = iter(await fleet.ask(draft)), asyncio.Event()

        async def load() -> None:
            for turn in itertools.count():
                if done.is_set():
                    break
                await fleet.submit(body, [next(certificates) for _ in range(2)])
                await asyncio.sleep(0.1 + turn * turn / 16_000)  # so that there are enough for the slowest machine

        async with fleet.watched():
            sending = [asyncio.create_task(load()) for _ in range(2)]
            happened = await disturb(fleet, draw, ROUNDS)
            done.set()
            await asyncio.gather(*sending)
        assert happened["stopped"] and happened["killed"] and happened["taken over"] + happened["session gone"], (
            happened
        )
        assert len(fleet.acks) > ROUNDS
        await fleet.judge()
    finally:
        fleet.end()


async def test_two_fronts_lose_and_double_nothing_when_the_leader_dies(server: Server, tmp_path: Path) -> None:
    body, url = live_body("fronts"), f"http://127.0.0.1:{free_port()}"
    fleet = await asyncio.to_thread(
        Fleet.create, server, tmp_path, "fronts", 2, takeover_ms=60_000, internal_port=free_port(), public_url=url
    )
    fronts = [
        LiveFront.create(tmp_path / "front 1", fleet.members, url),
        LiveFront.create(tmp_path / "front 2", fleet.members),
    ]
    labels = distinct("fronts", 60)
    try:
        starts = [asyncio.to_thread(member.start, "--standby") for member in fleet.members]
        await asyncio.gather(*starts, *(asyncio.to_thread(front.start) for front in fronts))
        leader = await fleet.leader()
        async with fronts[0].client() as client:
            await client.submit_authority(leader.authority.sign(body.filing).entry)
        async with fronts[0].client(body) as client:
            certificates = await drafted(client, body, *labels)

        async def load(at: int) -> None:
            for start in range(2 * at, 60, 4):
                while True:
                    try:
                        await fleet.submit_to(fronts[at].client(body), certificates[start : start + 2])
                        break
                    except (Unavailable, Unverified):
                        await asyncio.sleep(0.05)

        async with fleet.watched():
            sending = [asyncio.create_task(load(at)) for at in range(2)]
            await until(lambda: any(one.done() for one in sending) or len(fleet.acks) >= 16, 0.005)
            assert leader.kill() == -9
            await asyncio.gather(*sending)
        assert len(fleet.acks) == 60 and await fleet.leader() is not leader
        await fleet.judge()
        assert [front.end() for front in fronts] == [0, 0]
    finally:
        fleet.end()
        for front in fronts:
            if front.process is not None:
                front.end(signal.SIGKILL)


async def test_a_front_finds_who_leads_while_the_one_that_led_stands_still(server: Server, tmp_path: Path) -> None:
    """Its port takes connections, its process says nothing, for as long as it is not woken: with the settings that are
    shipped, of which one answer takes longer than a search."""
    body, labels = live_body("still"), distinct("still", 20)
    fleet = await asyncio.to_thread(
        Fleet.create, server, tmp_path, "still", 2, takeover_ms=4000, internal_port=free_port()
    )
    front = LiveFront.create(tmp_path / "front", fleet.members, answer_ms=15_000, search_ms=5_000)
    try:
        await asyncio.gather(*(asyncio.to_thread(member.start, "--standby") for member in fleet.members))
        await asyncio.to_thread(front.start)
        leader = await fleet.leader()
        await leader.file(body)
        async with leader.client(body) as client:
            certificates = await drafted(client, body, *labels)

        async def sent(some: Sequence[Certificate]) -> None:
            async with asyncio.timeout(START_S):
                while True:
                    try:
                        await fleet.submit_to(front.client(body, total_s=60), some)
                        return
                    except (Unavailable, Unverified):
                        await asyncio.sleep(0.05)

        async with fleet.watched():
            await sent(certificates[:10])
            assert leader.process is not None
            os.kill(leader.process.pid, signal.SIGSTOP)
            try:
                await sent(certificates[10:])
            finally:
                os.kill(leader.process.pid, signal.SIGCONT)
            assert await asyncio.to_thread(leader.process.wait, START_S) == 1
        assert len(fleet.acks) == 20
        await fleet.judge()
        assert front.end() == 0
    finally:
        fleet.end()
        if front.process is not None:
            front.end(signal.SIGKILL)

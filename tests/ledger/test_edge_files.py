"""Descriptors: as many as there may be, and some that no connection takes."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from ledger.edge import protect, start_site
from ledger.edge_files import KEPT, MOST, crowded

ROOT = Path(__file__).parents[2]
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def lowest() -> int:
    free = os.dup(0)
    os.close(free)
    return free


def raised(soft: int, hard: int) -> list[int]:
    """The limits of a process that began with these and raised them."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from ledger.edge_files import raise_limit; raise_limit()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    return [int(word) for word in subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).split()]


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    assert raised(64, 512) == [512, 512]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert raised(64, hard) == [MOST if hard == resource.RLIM_INFINITY else min(hard, MOST), hard]


def test_crowded_is_when_few_are_left(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest() + KEPT + 1, limits[1]))
    assert not crowded()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest() + KEPT, limits[1]))
    assert crowded()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest(), limits[1]))
    assert crowded()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_site_turns_connections_away_before_the_last_descriptor(
    limits: tuple[int, int], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(crowd(limits))


async def crowd(limits: tuple[int, int]) -> None:
    app = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    app.router.add_get("/", answer)
    protect(app)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest() + 64, limits[1]))
    site = await start_site(app, "127.0.0.1", 0)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(limits[1], MOST), "every site raises the limit"
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest() + KEPT + 10, limits[1]))
    told, held = list[bytes](), list[asyncio.StreamWriter]()
    try:
        for _ in range(12):  # each has two descriptors here, its own and the site's
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            held.append(writer)
            writer.write(ASK)
            told.append((await reader.readline())[9:12])
        assert told == sorted(told) and {told[0], told[2], told[-1]} == {b"200", b"503"}, "first some, then none"
        for writer in held[:3]:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(60):
            while crowded():
                await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        held.append(writer)
        writer.write(ASK)
        assert (await reader.readline())[9:12] == b"200"
    finally:
        for writer in held:
            writer.close()
        await site.stop()

"""Which sequencer is asked, and for how long; over real sockets, with sequencers that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.helpers import TimeoutHandle

from ledger.edge import Site, protect, start_site
from ledger.edge_connection import EdgeSettings
from ledger.errors import Unavailable
from ledger.service import front_link as module
from ledger.service.examined import PATH
from ledger.service.front_link import Answer, SequencerLink
from ledger.service.metrics import make_standby_metrics
from ledger.service.standby import waiting_app
from ledger.text import Text
from tests.support.ports import free_port
from tests.support.timers import HeldTimers
from tests.support.waiting import PATIENCE_S, until

NONE: Callable[[], dict[str, str]] = dict
ANSWER, WAIT = "__call__", "_release_waiter"  # whose timers are held


@dataclass
class Leader:
    """Answers with what it was asked; `hang` says for how many requests it does not answer at all, and `slow` that it
    answers when the test says so."""

    hang: int = 0
    slow: bool = False
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    unavailable: bool = False
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[Site]:
        async def answer(request: web.Request) -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
            self.asked.append((request.method, request.raw_path, headers, await request.read()))
            if self.hang:
                self.hang -= 1
                await asyncio.sleep(600)
            if self.slow:
                await self.answers.wait()
            if self.unavailable:
                raise Unavailable(Text("没有应答", "too many statements are waiting"), retry_after=1)
            return web.Response(status=202, body=b"said", headers={"Location": "/x", "Retry-After": "2"})

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        protect(app)
        site = await start_site(app, "127.0.0.1", port, EdgeSettings(stop_seconds=0.1))
        try:
            yield site
        finally:
            await site.stop()


@asynccontextmanager
async def standby() -> AsyncIterator[Site]:
    site = await start_site(waiting_app(make_standby_metrics()), "127.0.0.1", 0)
    try:
        yield site
    finally:
        await site.stop()


def link(*addresses: str, search_s: float = 120.0) -> SequencerLink:
    return SequencerLink(addresses, answer_s=60.0, search_s=search_s)


@pytest.fixture(autouse=True)
def connections_have_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CONNECT_S", 60.0)


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> HeldTimers:
    """Of the answers."""
    return HeldTimers(monkeypatch, TimeoutHandle, ANSWER)


@pytest.fixture
async def patience(monkeypatch: pytest.MonkeyPatch) -> HeldTimers:
    """Of the waits for an answer, with one alone and beside the others: those of `asyncio.wait`."""
    return HeldTimers(monkeypatch, None, WAIT)


async def asked(leader: Leader, sending: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
    """What is sent, once `leader` has it and hangs, or is slow."""
    task = asyncio.create_task(sending)
    await until(lambda: leader.asked)
    return task


async def answered(leader: Leader, timers: HeldTimers, sending: Coroutine[Any, Any, Answer]) -> Answer:
    """What comes when the time for the first answer of `leader`, which hangs, is over."""
    task = await asked(leader, sending)
    await timers.passes(ANSWER)
    return await task


async def test_it_asks_on_until_one_leads_and_stays_with_it() -> None:
    leader = Leader()
    async with standby() as waiting, leader.serve() as site, link("http://127.0.0.1:9", waiting.url, site.url) as sends:
        for _ in range(3):
            answer = await sends.send("POST", "/v1/%2e?a=%20b", lambda: {"Signature": "s", "X": "y"}, b"body")
            assert (answer.status, answer.body, answer.headers["Location"]) == (202, b"said", "/x")
        assert leader.asked == [("POST", "/v1/%2e?a=%20b", {"Signature": "s", "X": "y"}, b"body")] * 3
        assert sends._current == 2


@asynccontextmanager
async def deserted(status: int) -> AsyncIterator[Site]:
    """The TLS proxy of a sequencer that is gone: it answers by itself."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>Bad Gateway</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    site = await start_site(protected(app), "127.0.0.1", 0)
    try:
        yield site
    finally:
        await site.stop()


def protected(app: web.Application) -> web.Application:
    protect(app)
    return app


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_what_the_proxy_of_one_that_is_gone_says_is_nobodys_answer(status: int) -> None:
    leader = Leader()
    async with deserted(status) as gone, leader.serve() as site, link(gone.url, site.url) as sends:
        assert (await sends.send("POST", "/", NONE, b"body")).body == b"said"
        assert sends._current == 1
    async with deserted(status) as gone, link(gone.url, search_s=0.1) as sends:
        with pytest.raises(Unavailable):
            await sends.send("GET", "/", NONE, b"")


async def test_who_stands_by_says_so_without_a_body() -> None:
    """The answer to HEAD has none; a load balancer may ask for nothing else."""
    leader = Leader()
    async with standby() as waiting, leader.serve() as site, link(waiting.url, site.url) as sends:
        assert (await sends.send("HEAD", "/readyz", NONE, b"")).status == 202
        assert sends._current == 1


async def test_submissions_that_wait_take_no_readers_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while witnesses are missing: each waits for seconds until it is answered."""
    monkeypatch.setattr(module, "_CONNECTIONS", 3)
    leader = Leader(slow=True)
    async with leader.serve() as site, link(site.url) as sends, asyncio.timeout(PATIENCE_S):
        posts = [asyncio.create_task(sends.send("POST", PATH, NONE, b"body")) for _ in range(9)]
        await until(lambda: len(leader.asked) == 3)
        leader.slow = False
        for _ in range(9):
            assert (await sends.send("GET", "/checkpoint", NONE, b"")).status == 202
        assert not any(post.done() for post in posts)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)


async def test_to_wait_for_a_connection_is_nobodys_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CONNECTIONS", 1)
    connecting, leader = HeldTimers(monkeypatch, asyncio.Timeout, "_on_timeout"), Leader(slow=True)
    async with leader.serve() as site, link(site.url, search_s=0.0) as sends:
        asking = [asyncio.create_task(sends.send("GET", "/", NONE, b"")) for _ in range(6)]
        await until(lambda: leader.asked)
        running = connecting.running
        leader.answers.set()
        answers = await asyncio.gather(*asking)
        assert running == [], "five wait for the one connection, and no time runs for them"
        assert [answer.status for answer in answers] == [202] * 6 and len(leader.asked) == 6


async def test_one_that_starts_to_lead_meanwhile_is_found() -> None:
    leader = Leader()
    port = free_port()
    async with link(f"http://127.0.0.1:{port}") as sends:
        asking = asyncio.create_task(sends.send("GET", "/checkpoint", NONE, b""))
        await asyncio.sleep(0.3)
        assert not asking.done()
        async with leader.serve(port):
            assert (await asking).status == 202


async def test_one_that_hangs_is_left_after_its_time(timers: HeldTimers) -> None:
    leader, other = Leader(hang=1), Leader()
    async with leader.serve() as site, other.serve() as second, link(site.url, second.url) as sends:
        sending = sends.send("POST", "/v1/statements", NONE, b"sent twice")
        assert (await answered(leader, timers, sending)).body == b"said"
        assert [body for _, _, _, body in leader.asked + other.asked] == [b"sent twice"] * 2


async def test_another_one_is_asked_while_one_hangs_and_first_from_then_on(patience: HeldTimers) -> None:
    """One search is shorter than one answer, as in the settings that are shipped."""
    hung, other = Leader(hang=9), Leader()
    async with hung.serve() as site, other.serve() as second, link(site.url, second.url, search_s=0.0) as sends:
        asking = await asked(hung, sends.send("POST", "/", NONE, b"body"))
        await patience.passes(WAIT)
        assert (await asking).body == b"said"
        for _ in range(2):
            assert (await sends.send("POST", "/", NONE, b"body")).body == b"said"
        assert (len(hung.asked), len(other.asked)) == (1, 3)


async def test_one_that_hangs_keeps_no_connection_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(module, "_CONNECTIONS", 4)
    hung, other = Leader(hang=99), Leader()
    async with (
        hung.serve() as site,
        other.serve() as second,
        SequencerLink([site.url, second.url], answer_s=60.0, search_s=5.0) as sends,
        asyncio.timeout(PATIENCE_S),
    ):
        answers = await asyncio.gather(*(sends.send("POST", "/", NONE, b"body") for _ in range(12)))
        assert [answer.body for answer in answers] == [b"said"] * 12
        assert len(other.asked) == 12


async def test_one_that_takes_over_while_another_hangs_is_found(patience: HeldTimers) -> None:
    hung, other, port = Leader(hang=1), Leader(), free_port()
    async with hung.serve() as site, link(site.url, f"http://127.0.0.1:{port}", search_s=0.0) as sends:
        asking = await asked(hung, sends.send("POST", "/", NONE, b"body"))
        for _ in range(4):
            await until(lambda: asking.done() or patience.running)
            patience.pass_all()
        assert not asking.done(), "the search is over, and one that was asked may answer yet"
        async with other.serve(port):
            while not asking.done():
                await until(lambda: asking.done() or patience.running)
                patience.pass_all()
            assert (await asking).body == b"said"
    assert (len(hung.asked), len(other.asked)) == (1, 1)


async def test_nobody_waits_again_for_one_that_said_nothing_before_others_are_asked(
    timers: HeldTimers, patience: HeldTimers
) -> None:
    hung, other, port = Leader(hang=9), Leader(), free_port()
    async with (
        hung.serve() as site,
        link(site.url, f"http://127.0.0.1:{port}", search_s=0.0) as sends,
        asyncio.timeout(PATIENCE_S),
    ):
        asking = await asked(hung, sends.send("POST", "/", NONE, b"body"))
        await patience.passes(WAIT)
        await timers.passes(ANSWER)
        with pytest.raises(Unavailable):
            await asking
        async with other.serve(port):
            assert (await sends.send("POST", "/", NONE, b"body")).body == b"said"
    assert (len(hung.asked), len(other.asked)) == (1, 1)


async def test_one_that_has_much_to_do_is_asked_once_and_heard(patience: HeldTimers) -> None:
    slow = Leader(slow=True)
    async with slow.serve() as site, standby() as waiting, link(site.url, waiting.url, search_s=0.0) as sends:
        asking = await asked(slow, sends.send("POST", "/", NONE, b"body"))
        for _ in range(4):
            await until(lambda: asking.done() or patience.running)
            patience.pass_all()
        slow.answers.set()
        assert (await asking).body == b"said"
        assert len(slow.asked) == 1 and sends._current == 0


async def test_all_that_hang_are_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    one, other = Leader(hang=99), Leader(hang=99)
    async with (
        one.serve() as site,
        other.serve() as second,
        SequencerLink([site.url, second.url], answer_s=0.2, search_s=0.01) as sends,
    ):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await sends.send("POST", "/", NONE, b"body")
    assert [record.message for record in caplog.records if record.name == module.__name__] == ["no sequencer leads"]


async def test_each_attempt_has_headers_of_its_own(timers: HeldTimers) -> None:
    made = iter("12345")
    leader = Leader(hang=1)
    async with leader.serve() as site, link(site.url) as sends:
        await answered(leader, timers, sends.send("POST", "/", lambda: {"Front-Time": next(made)}, b""))
        assert [headers["Front-Time"] for _, _, headers, _ in leader.asked] == ["1", "2"]


async def test_nobody_is_503_and_what_a_leader_cannot_do_now_is_its_own_answer() -> None:
    async with standby() as waiting, link(waiting.url, "http://127.0.0.1:9", search_s=0.2) as sends:
        with pytest.raises(Unavailable) as told:
            await sends.send("GET", "/", NONE, b"")
        assert told.value.retry_after == 2 and told.value.text is not None and told.value.text.zh
    leader = Leader(unavailable=True)
    async with leader.serve() as site, link(site.url, "http://127.0.0.1:9") as sends:
        answer = await sends.send("GET", "/", NONE, b"")
        assert (answer.status, answer.code, len(leader.asked)) == (503, "unavailable", 1)

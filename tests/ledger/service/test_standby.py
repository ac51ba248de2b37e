"""Taking the place of a sequencer that is gone or silent, and being told that one's own is taken."""

from __future__ import annotations

import asyncio
import json
import re
import time
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from ledger.edge import start_site
from ledger.errors import Refused, Unavailable
from ledger.service import standby
from ledger.service.clock import ClockBehind, ClockStopped
from ledger.service.config import LedgerSettings
from ledger.service.metrics import make_standby_metrics
from ledger.service.standby import Place, check_shared, give_way, hold_place, take_place, waiting_app, why_ended
from ledger.store.opening import create_store, open_store, unseat_writer
from ledger.store.postgres_link import parse_place
from ledger.text import Text
from tests.support.batches import accept, batch
from tests.support.commit_proxy import commit_proxy
from tests.support.postgres import HASTY, Server, postgres_server
from tests.support.waiting import PATIENCE_S, until

GUARD = "postgresql://role@127.0.0.1/elsewhere"
SILENCE_MS = 300
HEARD = (  # of whoever has the lock $1
    "SELECT state_change FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
    " AND (classid::bigint << 32 | objid::bigint) = $1"
)


@pytest.fixture(scope="module")
def server() -> Server:
    return postgres_server()


@pytest.fixture
async def leader(server: Server) -> AsyncIterator[tuple[str, Any]]:
    place = server.place("led")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=HASTY)
    await store.append(batch(None), accept)
    yield place, store
    await store.close()


def settings(place: str, silence_ms: int = SILENCE_MS) -> LedgerSettings:
    return LedgerSettings("log.test.example/standby", store=place, guard=GUARD, takeover_ms=silence_ms)


async def test_while_it_waits_it_is_alive_and_not_ready() -> None:
    site = await start_site(waiting_app(make_standby_metrics()), "127.0.0.1", 0)
    asked = [("GET", "/readyz"), ("GET", "/checkpoint"), ("POST", "/v1/statements"), ("PUT", "/"), ("GET", "/v1/%00")]
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(site.url + "/livez") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
            for method, path in asked:
                async with session.request(method, site.url + path, data=b"x" * 9 * (method == "POST")) as answer:
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
                    assert answer.headers["Cache-Control"] == "no-store"
                    error = json.loads(await answer.read())["error"]
                    assert error["code"] == "standby" and error["zh"] and error["en"]
    finally:
        await site.stop()


@pytest.mark.parametrize("changes", [{"guard": "guard"}, {"store": "log.db"}])
def test_both_store_and_guard_have_to_be_shared(changes: dict[str, str]) -> None:
    place = "postgresql://role@127.0.0.1/log"
    check_shared(settings(place))
    with pytest.raises(Refused, match="STANDBY"):
        check_shared(LedgerSettings(**{"origin": "o.example", "store": place, "guard": GUARD, **changes}))


async def test_it_waits_for_one_that_lives_and_leads_when_that_is_gone(server: Server, leader: tuple[str, Any]) -> None:
    place, store = leader
    fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    holding = asyncio.create_task(hold_place(store, Place(0.3, time.monotonic), fatal))
    waiting = asyncio.create_task(take_place(settings(place, 60_000), Path(), make_standby_metrics()))
    heard: set[Any] = set()  # when the server heard of it, by its own clock: what `unseat` asks for

    def hear() -> bool:
        heard.update(server.sql(place, HEARD, parse_place(place).lock))
        return len(heard) >= 5

    await until(hear, 0.05)
    assert not waiting.done() and not fatal.done(), "one that is heard of keeps its place"
    head = batch(await store.head()).head
    await store.append(batch(await store.head()), accept)
    holding.cancel()
    await store.close()
    taken = await waiting
    assert await taken.head() == head
    await taken.close()


async def test_its_figures_are_there_while_it_waits_and_say_that_it_does() -> None:
    """A meter that answers 503 is an alarm, and it is in order that one stands by."""
    metrics = make_standby_metrics()
    site = await start_site(waiting_app(metrics), "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(site.url + "/metrics") as answer:
                text = await answer.text()
                assert (answer.status, answer.content_type) == (200, "text/plain")
            assert {"certledger_leads 0.0", "certledger_standby_store 1.0"} <= set(text.splitlines())
            for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
                assert re.search(rf"^{name} [0-9]", text, re.MULTILINE), name
            metrics.answers.set(0)
            async with session.get(site.url + "/metrics") as answer:
                assert "certledger_standby_store 0.0" in await answer.text()
            async with session.post(site.url + "/metrics") as answer:
                assert answer.status == 503, "nothing else is answered"
    finally:
        await site.stop()


async def test_its_figures_say_when_the_store_is_away(
    server: Server, leader: tuple[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(standby, "_RETRY_S", 0.01)
    caplog.set_level("INFO", "ledger.service.standby")
    place, store = leader
    fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    holding, metrics = asyncio.create_task(hold_place(store, Place(0.3, time.monotonic), fatal)), make_standby_metrics()
    tried, take = 0, standby.open_store

    async def counted(*given: Any, **how: Any) -> Any:
        nonlocal tried
        tried += 1
        return await take(*given, **how)

    monkeypatch.setattr(standby, "open_store", counted)

    def answers() -> float | None:
        return metrics.registry.get_sample_value("certledger_standby_store")

    async with commit_proxy(server.port) as proxy:
        through = place.replace(f":{server.port}/", f":{proxy.port}/")
        waiting = asyncio.create_task(take_place(settings(through, 3_000), Path(), metrics))
        await until(lambda: "standing by" in caplog.messages)
        assert answers() == 1
    await until(lambda: answers() == 0)
    before = tried
    await until(lambda: tried > before + 3)
    async with commit_proxy(server.port, proxy.port):
        await until(lambda: answers() == 1)
        assert not waiting.done() and not fatal.done()
        await until(lambda: "answers again" in caplog.messages[-1])
        assert caplog.messages == [
            "standing by", "standing by, and the store does not answer", "standing by, and the store answers again"
        ], "once each, however long it is away"  # fmt: skip
        for task in (waiting, holding):
            task.cancel()
        await asyncio.gather(waiting, holding, return_exceptions=True)


async def test_one_that_fell_silent_is_unseated_and_can_write_nothing(leader: tuple[str, Any]) -> None:
    place, silent = leader
    before = await silent.head()
    taken = await take_place(settings(place), Path(), make_standby_metrics())
    with pytest.raises(Refused, match="STORE_IN_USE"):
        await silent.append(batch(before), accept)
    assert await taken.head() == before
    # What it published of the head that both know is as true as before, and stands until there is a newer one.
    await silent.put_checkpoint(b"an older one", before.size)
    assert await taken.checkpoint() == b"an older one"
    await taken.append(second := batch(before), accept)
    await taken.put_checkpoint(b"a newer one", second.head.size)
    with pytest.raises(Refused, match="HEAD_MOVED"):
        await silent.put_checkpoint(b"an older one", before.size)
    assert await taken.checkpoint() == b"a newer one"
    fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    await hold_place(silent, Place(0.03, time.monotonic), fatal)
    told = await why_ended(fatal.result(), silent)
    assert isinstance(told, Refused) and told.code == "TAKEN_OVER" and "待命" in told.text.zh
    await taken.close()
    # The other one is gone too. What it wrote stands between, so that nothing older is put over it now.
    with pytest.raises(Refused, match="HEAD_MOVED"):
        await silent.put_checkpoint(b"an older one", before.size)
    assert isinstance(told := await why_ended(Refused("GUARD_BACKWARDS", "size", told.text), silent), Refused)
    assert told.code == "TAKEN_OVER"


async def test_it_says_that_no_commit_would_be_durable_before_one_is_made(
    server: Server, leader: tuple[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """And goes on leading: what is stored can be read. In the next test of the web, that it is not ready then."""
    _place, store = leader
    place, fatal = Place(0.03, time.monotonic), asyncio.get_running_loop().create_future()
    holding = asyncio.create_task(hold_place(store, place, fatal))

    with server.set_to("fsync", "off"):
        await until(lambda: place.lacks is not None)
        heard = place.heard_s
        await until(lambda: place.heard_s > heard)
        assert place.lacks is not None and "fsync = off" in place.lacks.en and "sync" in place.lacks.zh
    await until(lambda: place.lacks is None)
    assert caplog.messages == ["the store takes no commit"], "told once"
    assert not fatal.done()
    holding.cancel()
    await asyncio.wait([holding])


async def test_each_answer_of_its_store_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either question waits for a batch that is on its way: the place is as old as the last answer, not as both."""
    now, heard = 0.0, list[float]()

    class Slow:
        async def hold(self) -> None:
            nonlocal now
            heard.append(place.heard_s)
            now += 5

        check_durable = hold

    place = Place(15, lambda: now)
    fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def rest(_seconds: float) -> None:
        if len(heard) >= 4:
            fatal.cancel()

    monkeypatch.setattr(asyncio, "sleep", rest)
    await hold_place(Slow(), place, fatal)  # type: ignore[arg-type]
    assert heard == [0, 0, 5, 10, 15, 20]


async def test_one_that_was_unseated_between_two_questions_has_lost_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unseated:
        held = False

        async def hold(self) -> None:
            assert not self.held, "it asks on"
            self.held = True

        async def check_durable(self) -> None:
            raise Refused("STORE_IN_USE", "store", Text("已被占用", "somebody else has it"))

    place = Place(0.03, time.monotonic)
    fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    await hold_place(Unseated(), place, fatal)  # type: ignore[arg-type]
    assert isinstance(found := fatal.result(), Refused) and found.code == "STORE_IN_USE" and place.lacks is None


async def test_a_server_that_loses_commits_is_not_told_as_a_take_over(server: Server, leader: tuple[str, Any]) -> None:
    """Its session is lost, and no new one is taken: there is nobody else."""
    _place, store = leader
    with server.set_to("synchronous_commit", "off"):
        server.sql(None, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ledger_app'")
        fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        await hold_place(store, Place(0.03, time.monotonic), fatal)
        for ended in (fatal.result(), Unavailable(Text("没有应答", "the answer to a commit was lost"))):
            told = await why_ended(ended, store)
            assert isinstance(told, Refused) and (told.code, told.field) == ("NOT_DURABLE", "synchronous_commit")
            assert "synchronous_commit = off" in told.text.en


async def test_a_lost_session_that_nobody_took_over_is_made_anew(server: Server, leader: tuple[str, Any]) -> None:
    place, store = leader
    await asyncio.sleep(0.1)
    assert await unseat_writer(place, 0.05)
    await until(lambda: not server.sql(place, HEARD, parse_place(place).lock))
    assert not await unseat_writer(place, 0.05), "there is nobody left"
    await store.hold()
    own = Refused("GUARD_BACKWARDS", "size", check_text())
    assert await why_ended(own, store) is own, "an old store is not told as a take-over"
    assert not await unseat_writer(place, 600.0), "it has just been heard of"


def check_text() -> Any:
    with pytest.raises(Refused) as refused:
        check_shared(LedgerSettings("o.example"))
    return refused.value.text


@pytest.mark.parametrize("words", ["COPY", "BEGIN", "SELECT"])
async def test_a_writer_that_hangs_in_the_middle_of_a_batch_is_unseated(leader: tuple[str, Any], words: str) -> None:
    """A server waits for the rest of a COPY for ever, and until somebody takes what it says: no timeout of its own ends
    that."""
    place, store = leader
    await store.close()
    found = parse_place(place)
    session = await asyncpg.connect(found.dsn, server_settings={"search_path": found.schema})
    await session.execute(f"SELECT pg_advisory_lock({found.lock})")

    async def stuck() -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    copying: asyncio.Task[Any] | None = None
    if words == "SELECT":  # more than lies in any buffer on the way
        reading = await session.prepare("SELECT repeat('x', 1000000) FROM generate_series(1, 60)")
        session._transport.pause_reading()
        copying = asyncio.create_task(reading.fetch())
    elif words == "COPY":
        copying = asyncio.create_task(session.copy_to_table("entry", source=stuck(), schema_name=found.schema))
    else:
        await session.execute("BEGIN")
    taken = await take_place(settings(place), Path(), make_standby_metrics())
    assert (await taken.head()) is not None
    await taken.close()
    if copying is not None:
        copying.cancel()
        await asyncio.wait([copying])
    session.terminate()


async def test_one_whose_clock_has_stopped_the_log_gives_its_place_up_when_that_lasts() -> None:
    fatal, wrong, behind, asked = asyncio.get_running_loop().create_future(), False, False, 0
    now = 100.0

    def check() -> None:
        nonlocal asked
        asked += 1
        if wrong:
            raise ClockStopped(Text("没有应答", "the clock has leapt"))
        if behind:
            raise ClockBehind(Text("没有应答", "behind the last signature"))
        if asked % 2:
            raise Unavailable(Text("没有应答", "the log has no entry yet"))

    @types.coroutine
    def rest(seconds: float) -> Iterator[None]:
        nonlocal now
        yield
        now += seconds

    giving = give_way(check, 0.3, fatal, lambda: now, rest)

    def looks(count: int) -> None:
        """It looks so often, fifteen times while it would be waited for. Raises StopIteration when it has ended."""
        for _ in range(count):
            giving.send(None)

    looks(1)  # to the first rest
    looks(30)  # twice as long as it would be waited for
    behind = True
    looks(30)
    assert asked == 60 and not fatal.done(), "it goes on by itself, and who leads next would sign with an earlier time"
    behind, wrong = False, True
    looks(14)
    assert not fatal.done(), "a moment is none"
    wrong = False
    looks(2)
    wrong = True
    looks(14)
    assert asked == 90 and not fatal.done(), "it was right again"
    with pytest.raises(StopIteration):
        looks(2)
    assert isinstance(fatal.result(), ClockStopped)


async def test_what_stops_a_start_is_not_waited_for(server: Server) -> None:
    place = server.place("nothing here")
    with pytest.raises(Unavailable, match="init"):
        await take_place(settings(place), Path(), make_standby_metrics())


async def test_a_file_has_nobody_to_unseat(tmp_path: Path) -> None:
    store = await create_store("log.db", tmp_path, private=True)
    await store.hold()
    assert not await unseat_writer("log.db", 0.0)
    with pytest.raises(Refused, match="STORE_IN_USE"):
        await open_store("log.db", tmp_path, private=True)
    await store.close()


async def test_who_was_stopped_for_too_long_knows_it_before_asking() -> None:
    """Until its store has heard of it again, which tells whether somebody else has the place."""
    now, refused = 100.0, False

    class Store:
        async def hold(self) -> None:
            nonlocal now
            if refused:
                raise Refused("STORE_IN_USE", "store", Text("-", "-"))
            now += 0.01  # the answer takes a while: what counts is when it was asked for

        async def check_durable(self) -> None:
            nonlocal now
            now += 0.01

    place, fatal = Place(0.03, lambda: now), asyncio.get_running_loop().create_future()
    assert place.is_held
    now += 0.03
    assert not place.is_held
    holding = asyncio.create_task(hold_place(Store(), place, fatal))  # type: ignore[arg-type]
    await until(lambda: place.heard_s != 100.0, 0.005)
    assert place.is_held and place.heard_s <= now - 0.01
    now, refused = now + 5, True
    async with asyncio.timeout(PATIENCE_S):
        await fatal
    assert not place.is_held
    await holding

"""From a change in the log to the event, in both kinds of store, over restarts and with batches under way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.records.kinds import Kind
from ledger.text import Text
from tests.support.build_log import Certificate
from tests.support.receipt_office import open_office
from tests.support.site_stores import open_stores, sqlite_store
from tests.support.waiting import until
from tests.support.watch_desk import Receiver, WatchDesk, open_watch_desk
from tests.verifier.test_several import FIRST, SECOND, Desk, Followed
from verifier.access.keys import ApiKeys
from verifier.known_log import KnownLog
from verifier.messages import load_messages
from verifier.verdict import Code
from verifier.watch.asking import ask
from verifier.watch.following import END, Following
from verifier.watch.listing import listed_changes
from verifier.watch.store import Cursor, Watch, Watches


@pytest.fixture(params=["sqlite", "postgres"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[WatchDesk]:
    async with (
        open_office(tmp_path) as office,
        open_stores(request, tmp_path) as store,
        open_watch_desk(office, store, Receiver(url="https://hooks.example.com/")) as opened,
    ):
        yield opened


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[WatchDesk]:
    async with (
        open_office(tmp_path) as office,
        sqlite_store(tmp_path) as store,
        open_watch_desk(office, store, Receiver(url="https://hooks.example.com/")) as opened,
    ):
        yield opened


async def test_a_life_is_told_as_it_happens(desk: WatchDesk) -> None:
    log, certificate = desk.office.log, desk.office.certificate
    assert await desk.look() == 0  # the cursor is set to the end
    watch = await desk.watch(certificate, "工号 7")
    told: list[str] = []
    for step, kind in (
        (lambda: log.rule(Kind.SUSPEND, certificate), "suspended"),
        (lambda: log.rule(Kind.RESTORE, certificate), "restored"),
        (lambda: log.correct(certificate, "例小红"), "corrected"),
        (lambda: log.issue(log.certificate("higher", grade=5, track="one")), "upgraded"),
        (lambda: log.issue(log.certificate("another", name="例他人")), ""),
        (lambda: log.rule(Kind.REVOKE, certificate), "revoked"),
    ):
        await step()
        assert await desk.look() == 0  # not verified yet
        await desk.office.catch_up()
        assert await desk.look() == (1 if kind else 0)
        assert await desk.look() == 0
        told += [kind] if kind else []
        desk.office.now[0] += 1
    assert await desk.kinds(watch) == told
    again = await desk.watches.find(desk.key.id, watch.id)
    assert again is not None and again.known.status == "revoked" and again.note == "工号 7"


async def test_what_came_while_nobody_looked_is_found(small: WatchDesk) -> None:
    log, certificate = small.office.log, small.office.certificate
    await small.look()
    watch, quiet = await small.watch(certificate), small.office.log.certificate("quiet")
    await log.issue(quiet)
    await small.office.catch_up()
    other = await small.watch(quiet)
    for _ in range(3):
        await log.issue(*[log.certificate(f"more {log.time} {at}") for at in range(3)])
        await small.office.catch_up()
    await log.rule(Kind.SUSPEND, certificate, quiet)
    await log.rule(Kind.RESTORE, quiet)
    await small.office.catch_up()
    restarted = Following(small.office.lookup.logs, small.watches)
    assert await restarted.look(small.office.lookup.logs[0]) == 1
    assert await small.kinds(watch) == ["suspended"] and await small.kinds(other) == []


async def test_pieces_end_anywhere(small: WatchDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    log = small.office.log
    await small.look()
    certificates = [log.certificate(f"many {at}") for at in range(7)]
    await log.issue(*certificates)
    await small.office.catch_up()
    watches = [await small.watch(certificate) for certificate in certificates]
    await small.look()
    await log.rule(Kind.SUSPEND, *certificates)
    await small.office.catch_up()
    monkeypatch.setattr("verifier.watch.following.PIECE", 2)
    assert await small.look() == 7
    assert [await small.kinds(watch) for watch in watches] == [["suspended"]] * 7


async def test_a_halted_replica_tells_nothing(small: WatchDesk) -> None:
    from verifier.violation import Violation

    await small.look()
    await small.watch(small.office.certificate)
    await small.office.log.rule(Kind.SUSPEND, small.office.certificate)
    await small.office.catch_up()
    small.office.replica.halted = Violation("x")
    assert await small.look() == 0


async def test_the_holder_sees_who_watches_and_objects(desk: WatchDesk) -> None:
    log, certificate = desk.office.log, desk.office.certificate
    await desk.look()
    watch = await desk.watch(certificate)
    key = certificate.issue.cert_key
    (watcher,) = await desk.watches.watchers(key)
    assert (watcher.watch_id, watcher.name, watcher.objected_ms) == (watch.id, "示例人事", None)
    assert await desk.watches.watchers(bytes(32)) == []
    assert not await desk.watches.object_to(bytes(32), watch.id)
    assert await desk.watches.object_to(key, watch.id) and not await desk.watches.object_to(key, watch.id)
    assert (await desk.watches.watchers(key))[0].objected_ms == desk.office.now[0]
    await log.rule(Kind.REVOKE, certificate)
    await desk.office.catch_up()
    assert await desk.look() == 0 and await desk.kinds(watch) == ["objected"]


async def test_an_objection_outlives_the_watch(desk: WatchDesk) -> None:
    """Neither another address nor deleting and asking again watches anew what the holder objects to."""
    certificate, key = desk.office.certificate, desk.office.certificate.issue.cert_key
    await desk.look()
    watch = await desk.watch(certificate)
    assert await desk.watches.object_to(key, watch.id)
    assert (await desk.watch(certificate)).objected_ms is not None, "the same one, as it is"
    first, desk.receiver.url = desk.receiver.url, "https://hooks.example.com/again"
    with pytest.raises(Refused, match="WATCH_OBJECTED"):
        await desk.watch(certificate)
    assert await desk.watches.remove(desk.key.id, watch.id)
    assert await desk.watches.find(desk.key.id, watch.id) is None and await desk.watches.of_key(desk.key.id) == []
    assert await desk.watches.events(watch.id) == [] and not await desk.watches.remove(desk.key.id, watch.id)
    for desk.receiver.url in (first, "https://hooks.example.com/again"):
        with pytest.raises(Refused, match="WATCH_OBJECTED"):
            await desk.watch(certificate)
    assert (await desk.watches.watchers(key))[0].objected_ms is not None, "the holder still sees that it ended"
    kept = await desk.store.fetch("SELECT note, secret FROM watch WHERE cert_key = $1", key)
    assert [tuple(map(len, row)) for row in kept] == [(0, 0)]


async def test_a_revoked_key_is_told_nothing_more(desk: WatchDesk) -> None:
    log, certificate = desk.office.log, desk.office.certificate
    await desk.look()
    watch = await desk.watch(certificate)
    await log.rule(Kind.SUSPEND, certificate)
    await desk.office.catch_up()
    assert await desk.look() == 1
    keys = ApiKeys(lambda: desk.store, lambda: desk.office.now[0])
    await keys.revoke(desk.key.id)
    assert await desk.watches.claim_due(8, 1000) == [], "nor what was waiting"
    await log.rule(Kind.REVOKE, certificate)
    await desk.office.catch_up()
    assert await desk.look() == 0 and await desk.kinds(watch) == ["suspended"]
    assert await desk.watches.watchers(certificate.issue.cert_key) == [], "nobody watches any more"


async def test_the_next_list_says_it_once(desk: WatchDesk) -> None:
    messages, certificate = load_messages(), desk.office.certificate
    await desk.look()
    await desk.watch(certificate)
    await desk.office.log.rule(Kind.SUSPEND, certificate)
    await desk.office.catch_up()
    await desk.look()
    assert await listed_changes(desk.watches, messages, "another key") == {}
    said = await listed_changes(desk.watches, messages, desk.key.id)
    assert list(said) == [certificate.issue.cert_key.hex()] and "暂停使用" in said[certificate.issue.cert_key.hex()]
    assert await listed_changes(desk.watches, messages, desk.key.id) == {}


async def test_what_is_taken_in_but_not_verified_waits(small: WatchDesk) -> None:
    await small.look()
    watch = await small.watch(small.office.certificate)
    before = small.office.replica.verified
    await small.office.log.rule(Kind.SUSPEND, small.office.certificate)
    await small.office.catch_up()
    after, small.office.replica.verified = (
        small.office.replica.verified,
        before,
    )  # the checkpoint is still being checked
    assert await small.look() == 0 and await small.kinds(watch) == []
    small.office.replica.verified = after
    assert await small.look() == 1 and await small.kinds(watch) == ["suspended"]


@dataclass
class Logs:
    """Several logs that the same body has filed its keys in, and who watches."""

    desk: Desk
    watches: Watches
    key_id: str
    following: Following

    async def watch(self, certificate: Certificate) -> Watch:
        asked = await ask(self.desk.lookup().logs, [certificate.issue.cert_key])
        known = asked.found[certificate.issue.cert_key].standing
        url = "https://hooks.example.com/"
        made = Watch(self.watches.new_id(), self.key_id, certificate.issue.cert_key, url, "", self.desk.now, known)
        return (await self.watches.add(made, b""))[0]

    async def look(self, *which: Followed) -> list[int]:
        return [await self.following.look(one.known) for one in which or self.desk.logs]

    async def rule(self, one: Followed, kind: Kind, certificate: Certificate) -> None:
        self.desk.now += 1000
        one.log.time = max(one.log.time, self.desk.now)
        await one.log.rule(kind, certificate)
        await one.poll()

    async def told(self, watch: Watch) -> list[tuple[str, str]]:
        """Kinds, the oldest first, and the logs that told them."""
        found = [
            (event.kind, json.loads(event.body)["data"]["origin"]) for event in await self.watches.events(watch.id)
        ]
        self.desk.now += 1  # events of one moment have no order
        return found[::-1]

    async def known(self, watch: Watch) -> tuple[str, ...]:
        """The status that was told last, and the logs that it rests on."""
        found = await self.watches.find(self.key_id, watch.id)
        assert found is not None
        return found.known.status, *found.known.origins


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[Logs]:
    (tmp_path / "logs").mkdir()
    with ThreadPoolExecutor(1) as pool:
        desk = Desk(tmp_path / "logs", pool)
        for origin in (FIRST, SECOND):
            await desk.open(origin, "")
        async with sqlite_store(tmp_path) as store:
            count = iter(range(1, 1_000_000))

            def drawn(size: int) -> bytes:
                return next(count).to_bytes(size, "big")

            watches = Watches(lambda: store, lambda: desk.now, drawn)
            key, _ = await ApiKeys(lambda: store, lambda: desk.now).add("hr", drawn)
            opened = Logs(desk, watches, key.id, Following(desk.lookup().logs, watches))
            assert await opened.look() == [0, 0]
            yield opened
        await desk.close()


class Down:
    """A log whose database does not answer, until it is up again."""

    def __init__(self, one: Followed, monkeypatch: pytest.MonkeyPatch, *, hangs: bool = False) -> None:
        self._patch = monkeypatch.context()
        patch = self._patch.__enter__()
        assert one.known.replica is not None
        integrator = one.known.replica.integrator

        async def nothing(*_: object) -> None:
            if hangs:
                await asyncio.Event().wait()
            raise Unavailable(Text("没有应答", "the database does not answer"))

        patch.setattr(integrator, "certificate", nothing)
        patch.setattr(integrator.store, "changed_since", nothing)
        one.known._known.clear()

    def up(self) -> None:
        self._patch.__exit__(None, None, None)


async def test_a_database_that_is_away_is_told_once_and_its_end_too(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a line a second for a night, and not hidden behind the other log, which answers."""
    caplog.set_level("INFO", "verifier.watch")
    looks, look = 0, logs.following.look

    async def counted(log: KnownLog) -> int:
        nonlocal looks
        looks += log is first.known
        return await look(log)

    async def more(count: int) -> None:
        wanted = looks + count
        await until(lambda: looks >= wanted, 0.005)

    monkeypatch.setattr(logs.following, "look", counted)
    first = logs.desk.logs[0]
    down = Down(first, monkeypatch)
    running = asyncio.create_task(logs.following.run(0.005))
    await more(6)
    (begun,) = caplog.records
    assert (begun.getMessage(), begun.levelname) == ("not compared", "WARNING")
    assert begun.fields["log"] == FIRST and begun.fields["error"] == "Unavailable"  # type: ignore[attr-defined]
    down.up()
    await more(6)
    assert caplog.messages == ["not compared", "compared again"]
    assert caplog.records[-1].fields == {"log": FIRST}  # type: ignore[attr-defined]
    again = Down(first, monkeypatch)
    await more(6)
    assert caplog.messages == ["not compared", "compared again", "not compared"]
    again.up()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


class TestSeveral:
    """A watch tells what the page shows, whichever log that comes from."""

    async def test_what_the_successor_took_over(self, logs: Logs) -> None:
        old, new = logs.desk.logs
        one = old.log.certificate("one")
        await old.issue(one)
        watch = await logs.watch(one)
        await old.close(SECOND)
        await new.issue(new.log.certificate("of the new one"))
        await new.issue(one)
        assert await logs.look() == [0, 0] and await logs.known(watch) == ("in_force", SECOND)
        await new.revoke(one)
        assert await logs.desk.code(one) is Code.REVOKED
        assert await logs.look() == [0, 1] and await logs.told(watch) == [("revoked", SECOND)]
        assert await logs.known(watch) == ("revoked", SECOND)

    @pytest.mark.parametrize("at", [0, 1])
    async def test_the_same_bytes_in_two_logs(self, logs: Logs, at: int) -> None:
        one = logs.desk.logs[0].log.certificate("one")
        for log in logs.desk.logs:
            await log.issue(one)
            await logs.desk.pass_time(*logs.desk.logs, ms=2000)
        watch = await logs.watch(one)
        told = logs.desk.logs[at]
        await told.revoke(one)
        assert await logs.desk.code(one) is Code.REVOKED
        assert sum(await logs.look()) == 1 and await logs.told(watch) == [("revoked", told.log.origin)]
        assert await logs.look() == [0, 0]
        (event,) = await logs.watches.events(watch.id)
        assert json.loads(event.body)["data"]["size"] == told.log.integrator.size

    async def test_what_a_copy_goes_through_is_no_news(self, logs: Logs) -> None:
        """Anybody who is filed in the other log could log the cert key there and revoke it."""
        first, second = logs.desk.logs
        mine, copy = first.log.certificate("one"), second.log.certificate("one", grade=5)
        await first.issue(mine)
        watch = await logs.watch(mine)
        await logs.desk.pass_time(first, second, ms=5000)
        await second.issue(copy)
        await second.revoke(copy)
        assert await logs.look() == [0, 0] and await logs.known(watch) == ("in_force", FIRST)
        await first.revoke(mine)
        assert await logs.look() == [1, 0] and await logs.told(watch) == [("revoked", FIRST)]

    async def test_nothing_is_told_under_a_checkpoint_that_does_not_say_it(self, logs: Logs) -> None:
        first, second = logs.desk.logs
        one = first.log.certificate("one")
        for log in (first, second):
            await log.issue(one)
        watch = await logs.watch(one)
        assert second.known.replica is not None
        before = second.known.replica.verified
        await second.revoke(one)
        after, second.known.replica.verified = second.known.replica.verified, before
        await first.log.correct(one, "例小红")
        await first.poll()
        assert await logs.look() == [0, 0] and await logs.following.anew() == 0
        second.known.replica.verified = after
        assert sum(await logs.look()) == 1 and await logs.told(watch) == [("revoked", SECOND)]


class TestDown:
    """One log's database is down, or hangs."""

    @pytest.mark.parametrize("hangs", [False, True])
    async def test_it_holds_up_nobody_else(self, logs: Logs, monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
        monkeypatch.setattr("verifier.watch.asking.ANSWER_S", 0.05)
        first, second = logs.desk.logs
        one, theirs = first.log.certificate("one"), second.log.certificate("theirs")
        await first.issue(one)
        await second.issue(theirs)
        watch, other = await logs.watch(one), await logs.watch(theirs)
        assert await logs.look() == [0, 0] and await logs.following.anew() == 0
        down = Down(second, monkeypatch, hangs=hangs)
        running = asyncio.create_task(logs.following.run(0.01))
        await second.revoke(theirs)
        await first.revoke(one)
        async with asyncio.timeout(60):
            while not await logs.told(watch):
                await asyncio.sleep(0.01)
        assert await logs.told(other) == []
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        down.up()
        assert await logs.look() == [0, 1] and await logs.told(other) == [("revoked", SECOND)]

    async def test_good_news_waits_for_a_log_that_spoke_against_it(
        self, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = logs.desk.logs
        one, own = first.log.certificate("one"), first.log.certificate("own")
        for log in (first, second):
            await log.issue(one)
        await first.issue(own)
        watch, other = await logs.watch(one), await logs.watch(own)
        for log in (first, second):
            await logs.rule(log, Kind.SUSPEND, one)
        await logs.rule(first, Kind.SUSPEND, own)
        assert sum(await logs.look()) == 2
        down = Down(second, monkeypatch)
        await logs.rule(first, Kind.RESTORE, one)
        await logs.rule(first, Kind.RESTORE, own)
        assert await logs.look(first) == [1] and await logs.told(other) == [("suspended", FIRST), ("restored", FIRST)]
        assert await logs.following.anew() == 0 and len(await logs.told(watch)) == 1
        down.up()
        assert await logs.following.anew() == 0, "it is suspended there"
        await logs.rule(second, Kind.RESTORE, one)
        assert await logs.look() == [0, 1] and [kind for kind, _ in await logs.told(watch)] == ["suspended", "restored"]

    async def test_what_waited_is_told_once_the_log_answers(self, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = logs.desk.logs
        one = first.log.certificate("one")
        for log in (first, second):
            await log.issue(one)
        watch = await logs.watch(one)
        await logs.rule(first, Kind.SUSPEND, one)
        assert sum(await logs.look()) == 1
        down = Down(second, monkeypatch)
        await logs.rule(first, Kind.RESTORE, one)
        assert await logs.look(first) == [0], "the other may have suspended it meanwhile"
        down.up()
        assert await logs.look() == [0, 0] and await logs.following.anew() == 1
        assert [kind for kind, _ in await logs.told(watch)] == ["suspended", "restored"]

    async def test_bad_news_does_not_wait(self, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = logs.desk.logs
        one = first.log.certificate("one")
        for log in (first, second):
            await log.issue(one)
        watch = await logs.watch(one)
        down = Down(second, monkeypatch)
        await logs.rule(first, Kind.SUSPEND, one)
        assert await logs.look(first) == [1] and await logs.told(watch) == [("suspended", FIRST)]
        await logs.rule(first, Kind.RESTORE, one)
        assert await logs.look(first) == [0], "it still rests on the silent one"
        down.up()
        assert await logs.following.anew() == 1

    async def test_its_own_log_has_to_answer(self, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        first, _ = logs.desk.logs
        one = first.log.certificate("one")
        await first.issue(one)
        watch = await logs.watch(one)
        assert await logs.look(first) == [0]
        await first.revoke(one)

        async def nothing(*_: object) -> None:
            raise Unavailable(Text("没有应答", "the database does not answer"))

        assert first.known.replica is not None
        with monkeypatch.context() as patch:
            patch.setattr(first.known.replica.integrator, "certificate", nothing)
            with pytest.raises(Unavailable):
                await logs.look(first)
        assert await logs.look(first) == [1] and await logs.told(watch) == [("revoked", FIRST)]


class TestAnew:
    """What no change in a log would bring up."""

    async def test_what_was_missed_before_is_told_after_a_start(self, logs: Logs) -> None:
        """As by the program of before, which compared the first log alone; or with a log that was added since."""
        first, second = logs.desk.logs
        one = first.log.certificate("one")
        await first.issue(one)
        watch = await logs.watch(one)
        assert await logs.look() == [0, 0]
        await second.issue(one)
        await second.revoke(one)
        await logs.watches.begin(Cursor(SECOND, second.log.integrator.size - 1, END))
        assert await logs.look() == [0, 0]
        restarted = Following(logs.desk.lookup().logs, logs.watches)
        assert await restarted.anew() == 1 and await logs.told(watch) == [("revoked", SECOND)]
        assert await restarted.anew() == 0

    async def test_a_replica_that_went_back_tells_nothing_old(self, logs: Logs) -> None:
        """Made anew or out of a backup, it says what was so once; or another process on the same store is ahead."""
        first, _ = logs.desk.logs
        one = first.log.certificate("one")
        await first.issue(one)
        watch = await logs.watch(one)
        await logs.rule(first, Kind.SUSPEND, one)
        assert await logs.look(first) == [1]
        size = first.log.integrator.size
        await logs.watches.begin(Cursor(FIRST, size + 2, b""))  # somebody was told what came later
        await logs.rule(first, Kind.RESTORE, one)
        restarted = Following(logs.desk.lookup().logs, logs.watches)
        assert first.log.integrator.size == size + 2 and await restarted.anew() == 0
        await first.issue(first.log.certificate("more"))
        assert await restarted.anew() == 1 and (await logs.told(watch))[-1] == ("restored", FIRST)

    async def test_a_log_that_is_closed_gives_its_place_to_the_successor(self, logs: Logs) -> None:
        old, new = logs.desk.logs
        one = old.log.certificate("one")
        for log in (old, new):
            await log.issue(one)
        watch = await logs.watch(one)
        await logs.rule(old, Kind.SUSPEND, one)
        assert sum(await logs.look()) == 1 and await logs.following.anew() == 0
        await old.close(SECOND)
        assert await logs.desk.code(one) is Code.VALID
        assert await logs.look() == [0, 0] and await logs.following.anew() == 1
        assert await logs.told(watch) == [("suspended", FIRST), ("restored", SECOND)]
        assert await logs.following.anew() == 0

    async def test_a_watch_is_compared_once_it_is_kept(self, logs: Logs) -> None:
        """The change came while the watch was being made, and the cursor is past it."""
        first, _ = logs.desk.logs
        one = first.log.certificate("one")
        await first.issue(one)
        assert await logs.look() == [0, 0] and await logs.following.anew() == 0
        kept = await ask(logs.desk.lookup().logs, [one.issue.cert_key])
        await first.revoke(one)
        assert await logs.look() == [0, 0]
        known = kept.found[one.issue.cert_key].standing
        made = Watch("0" * 32, logs.key_id, one.issue.cert_key, "https://hooks.example.com/", "", 0, known)
        await logs.watches.add(made, b"")
        logs.following.note(one.issue.cert_key)
        assert await logs.following.anew() == 1 and await logs.told(made) == [("revoked", FIRST)]

"""From a change in the log to the event, in both kinds of store, over restarts and with batches under way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.errors import Refused
from ledger.records.kinds import Kind
from tests.support.receipt_office import open_office
from tests.support.site_stores import open_stores, sqlite_store
from tests.support.watch_desk import Receiver, WatchDesk, open_watch_desk
from verifier.access.keys import ApiKeys
from verifier.messages import load_messages
from verifier.watch.following import Following
from verifier.watch.listing import listed_changes


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

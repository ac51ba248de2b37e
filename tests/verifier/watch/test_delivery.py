"""Deliveries to a real receiver: signed, repeated until taken, leased while tried."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.records.kinds import Kind
from ledger.text import Text
from tests.support.receipt_office import open_office
from tests.support.site_stores import open_stores
from tests.support.waiting import until
from tests.support.watch_desk import SECRET, Receiver, WatchDesk, open_watch_desk
from verifier.watch import delivery as module
from verifier.watch.delivery import LEASE_MS, PAUSES_S, QUIET_MS
from verifier.watch.store import Watch


@pytest.fixture(params=["sqlite", "postgres"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[WatchDesk]:
    async with (
        open_office(tmp_path) as office,
        open_stores(request, tmp_path) as store,
        Receiver().open() as receiver,
        open_watch_desk(office, store, receiver) as opened,
    ):
        yield opened


async def suspended(desk: WatchDesk) -> Watch:
    await desk.look()
    watch = await desk.watch(desk.office.certificate, "工号 7")
    await desk.office.log.rule(Kind.SUSPEND, desk.office.certificate)
    await desk.office.catch_up()
    assert await desk.look() == 1
    return watch


async def test_signed_and_told_once(desk: WatchDesk) -> None:
    watch = await suspended(desk)
    assert await desk.delivery.once() == 1 and await desk.delivery.once() == 0
    ((headers, body),) = desk.receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(SECRET, signed, sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    said = json.loads(body)
    assert said["type"] == "certificate.suspended" and said["data"]["note"] == "工号 7"
    assert said["data"]["cert_key"] == desk.office.certificate.issue.cert_key.hex()
    assert "例小明" not in body.decode() and desk.office.certificate.face.number not in body.decode()
    (event,) = await desk.watches.events(watch.id)
    assert event.delivered_ms == desk.office.now[0] and event.due_ms is None and event.tries == 1


async def test_repeated_until_it_is_taken(desk: WatchDesk) -> None:
    watch = await suspended(desk)
    desk.receiver.statuses = [500, 302, 429, 204]
    for pause in PAUSES_S[:3]:
        assert await desk.delivery.once() == 1
        desk.office.now[0] += pause * 1000 - 1
        assert await desk.delivery.once() == 0
        desk.office.now[0] += 1
    assert await desk.delivery.once() == 1
    assert len({headers["webhook-id"] for headers, _ in desk.receiver.got}) == 1 and len(desk.receiver.got) == 4
    assert (await desk.watches.events(watch.id))[0].delivered_ms is not None


async def test_a_receiver_that_hangs_is_left_alone_for_a_while(
    desk: WatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be due thousands, and each try takes ten seconds."""
    watch = await suspended(desk)
    monkeypatch.setattr(module, "SLOW_S", -1.0)
    real, tried = desk.delivery._outbound, 0

    class Hangs:
        async def post(self, *_: object) -> int:
            nonlocal tried
            tried += 1
            raise Unavailable(Text("没有应答", "it did not answer"))

    desk.delivery._outbound = Hangs()  # type: ignore[assignment]
    for at, pause in enumerate(PAUSES_S[:2], 1):
        assert await desk.delivery.once() == 1
        (event,) = await desk.watches.events(watch.id)
        assert (event.tries, tried) == (at, 1) and event.due_ms == desk.office.now[0] + pause * 1000
        desk.office.now[0] += pause * 1000
    desk.office.now[0] += QUIET_MS
    assert await desk.delivery.once() == 1 and tried == 2
    desk.office.now[0] += QUIET_MS + PAUSES_S[2] * 1000
    desk.delivery._outbound = real
    assert await desk.delivery.once() == 1 and len(desk.receiver.got) == 1


async def test_a_clock_that_is_set_back_leaves_no_receiver_alone_for_longer(
    desk: WatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await suspended(desk)
    real, loop = desk.delivery._outbound, asyncio.get_running_loop()

    class Hangs:
        async def post(self, *_: object) -> int:
            raise Unavailable(Text("没有应答", "it did not answer"))

    with monkeypatch.context() as patch:
        patch.setattr(module, "SLOW_S", -1.0)
        desk.delivery._outbound = Hangs()  # type: ignore[assignment]
        assert await desk.delivery.once() == 1
    desk.delivery._outbound = real
    desk.office.now[0] -= 3_600_000
    for later_s, got in ((0.0, 0), (QUIET_MS / 1000, 1)):
        await desk.store.execute("UPDATE watch_event SET due_ms = $1", desk.office.now[0])
        steady = loop.time
        monkeypatch.setattr(loop, "time", lambda steady=steady, later_s=later_s: steady() + later_s)
        assert await desk.delivery.once() == 1
        assert len(desk.receiver.got) == got


async def test_given_up_in_the_end_or_at_410(desk: WatchDesk) -> None:
    watch = await suspended(desk)
    desk.receiver.statuses = [410]
    assert await desk.delivery.once() == 1
    (event,) = await desk.watches.events(watch.id)
    assert event.due_ms is None and event.delivered_ms is None
    await desk.store.execute("UPDATE watch_event SET due_ms = $1, tries = $2", desk.office.now[0], len(PAUSES_S))
    desk.receiver.statuses = [500]
    assert await desk.delivery.once() == 1
    assert (await desk.watches.events(watch.id))[0].due_ms is None


async def test_a_try_that_was_cut_off_is_made_again_after_its_lease(desk: WatchDesk) -> None:
    await suspended(desk)
    (due,) = await desk.watches.claim_due(8, LEASE_MS)  # its process dies here
    assert await desk.delivery.once() == 0
    desk.office.now[0] += LEASE_MS
    assert await desk.delivery.once() == 1
    assert desk.receiver.got[0][0]["webhook-id"] == due.event.id


async def test_two_processes_do_not_try_the_same_at_once(desk: WatchDesk) -> None:
    await suspended(desk)
    claimed = await asyncio.gather(*(desk.watches.claim_due(8, LEASE_MS) for _ in range(5)))
    assert sum(map(len, claimed)) == 1


async def test_a_removed_watch_takes_its_events_along(desk: WatchDesk) -> None:
    watch = await suspended(desk)
    assert not await desk.watches.remove("another key", watch.id)
    assert await desk.watches.remove(desk.key.id, watch.id)
    assert await desk.delivery.once() == 0 and await desk.watches.events(watch.id) == []


async def test_a_secret_under_another_key_sends_nothing(desk: WatchDesk) -> None:
    await suspended(desk)
    await desk.store.execute("UPDATE watch SET secret = $1", bytes(60))
    assert await desk.delivery.once() == 1 and desk.receiver.got == []


async def test_a_store_that_is_away_is_told_once_and_its_end_too(
    desk: WatchDesk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "verifier.watch")
    asked, away, claim = 0, True, desk.watches.claim_due

    async def claimed(*given: int) -> object:
        nonlocal asked
        asked += 1
        if away:
            raise Unavailable(Text("没有应答", "the database does not answer"))
        return await claim(*given)

    async def more(count: int) -> None:
        wanted = asked + count
        await until(lambda: asked >= wanted, 0.005)

    monkeypatch.setattr(desk.watches, "claim_due", claimed)
    running = asyncio.create_task(desk.delivery.run(0.005))
    await more(6)
    assert caplog.messages == ["not delivered"]
    away = False
    await more(6)
    assert caplog.messages == ["not delivered", "delivered again"]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

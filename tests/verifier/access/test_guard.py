"""The guard over real HTTP: who asks, limits from the trusted hop only, repeats."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger.edge import Site, start_site
from tests.support.build_log import BASE
from tests.support.receipt_office import SIGNER, Office, open_office
from tests.support.site_stores import sqlite_store
from tests.support.verifier_settings import settings_of
from tests.support.waiting import until, until_told
from tests.verifier.test_scanning import Reader
from tests.verifier.web.test_app import ask
from verifier.access.guard import Guard, Limits
from verifier.access.keys import REMEMBERED_MS, ApiKeys
from verifier.access.repeats import Repeats
from verifier.access.web import ROUTES
from verifier.hiring.web import build_lists
from verifier.receipts.web import build_receipts
from verifier.scanning import Scanner
from verifier.site.context import Context
from verifier.web.app import create_app
from verifier.web.route import Room
from verifier.web.state import WebSettings


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def serving(office: Office, folder: Path, **how: Any) -> AsyncIterator[tuple[Site, ApiKeys, list[float]]]:
    clock = [0.0]
    async with sqlite_store(folder) as store:
        context = Context(
            folder, settings_of(office.log), office.lookup, lambda: office.now[0], secrets.token_bytes, SIGNER, store
        )
        keys = ApiKeys(lambda: store, lambda: office.now[0])
        guard = Guard(
            keys,
            Repeats(lambda: office.now[0]),
            lambda: clock[0],
            behind_proxy=how.get("behind_proxy", True),
            limits=how.get("limits", Limits(checks=(60.0, 3), lists=(1.0, 2))),
        )
        access = Room(ROUTES, lambda app: app.middlewares.append(guard.middleware()))
        rooms = [access, build_receipts(context), build_lists(context)]
        app = create_app(office.lookup, WebSettings(BASE, now_ms=lambda: office.now[0]), rooms)
        site = await start_site(app, "127.0.0.1", 0)
        try:
            yield site, keys, clock
        finally:
            await site.stop()


def by(address: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": address}}


async def test_limits_count_what_the_proxy_wrote_and_nothing_else(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as (site, _, clock):
        for at in range(3):
            # What the sender wrote before the proxy's own entry changes nothing.
            assert (await ask(site, "GET", "/c/X", **by(f"10.0.0.{at}, 192.0.2.1"))).status == 200
        spent = await ask(site, "GET", "/c/X", **by("203.0.113.9, 192.0.2.1"))
        assert spent.status == 429 and int(spent.headers["retry-after"]) >= 1
        body = (await ask(site, "POST", "/v1/verify", json={"text": "x"}, **by("192.0.2.1"))).json()
        assert body["error"]["code"] == "too_many_requests" and body["error"]["zh"] and body["error"]["en"]
        assert (await ask(site, "GET", "/c/X", **by("192.0.2.2"))).status == 200
        clock[0] += 1.0
        assert (await ask(site, "GET", "/c/X", **by("192.0.2.1"))).status == 200
        for at in range(3):  # one /48 is one client
            assert (await ask(site, "GET", "/c/X", **by(f"2001:db8:1:{at}::1"))).status == 200
        assert (await ask(site, "GET", "/c/X", **by("2001:db8:1:ffff::9"))).status == 429
        assert (await ask(site, "GET", "/", **by("192.0.2.1"))).status == 200  # pages that check nothing
        for status in (303, 303, 429):
            got = await ask(site, "POST", "/lists", allow_redirects=False, data={"x": "y"}, **by("192.0.2.7"))
            assert got.status == (429 if status == 429 else 415)


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "/s/X"), ("GET", "/s/X"), ("POST", "/holder/sign-in"), ("GET", "/holder")]
)
async def test_whatever_asks_the_store_is_limited(office: Office, tmp_path: Path, method: str, path: str) -> None:
    """Shares and holders have limits of their own for guesses, but not for every request."""
    async with serving(office, tmp_path) as (site, _, _):
        statuses = [(await ask(site, method, path, **by("192.0.2.1"))).status for _ in range(4)]
        assert statuses == [404, 404, 404, 429]


async def test_files_are_read_by_client_and_for_nobody_who_hung_up(office: Office, tmp_path: Path) -> None:
    reader = Reader()
    office.lookup._scanner = Scanner(reader)
    desk = office.lookup._scanner._desks[""]
    png = b"\x89PNG\r\n\x1a\n"
    limits = Limits(checks=(600.0, 50))
    async with serving(office, tmp_path, limits=limits) as (site, _, _), asyncio.TaskGroup() as group:

        def send(name: bytes, address: str, **more: str) -> asyncio.Task[Any]:
            headers = {"Content-Type": "image/png", "X-Forwarded-For": address, **more}
            return group.create_task(ask(site, "POST", "/v1/verify", data=png + name, headers=headers))

        first = send(b"first", "192.0.2.1")
        await until(lambda: reader.began == [png + b"first"])
        again = send(b"again", "192.0.2.1")  # the same client waits, though a place is free
        await until(lambda: len(desk.waiting) == 1)
        other = send(b"other", "192.0.2.2")
        await until(lambda: len(reader.began) == 2)
        gone = send(b"gone", "192.0.2.3")
        kept = send(b"kept", "192.0.2.4", **{"Idempotency-Key": "once"})  # a repeat may come for the answer
        await until(lambda: len(desk.waiting) == 3)
        for left in (gone, kept):
            left.cancel()
        await until(lambda: sum(not turn.asker.listens() for turn in desk.waiting) == 1)
        reader.go.set()
        codes = [json.loads((await one).text)["code"] for one in (first, again, other)]
        assert codes == ["unreadable"] * 3
        await until(lambda: not desk.waiting and not desk.reading)
        assert sorted(data.removeprefix(png) for data in reader.began) == [b"again", b"first", b"kept", b"other"]


async def test_a_client_on_loopback_is_itself(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path, behind_proxy=False) as (site, _, _):
        for at in range(6):
            assert (await ask(site, "GET", "/c/X", **by(f"192.0.2.{at}"))).status == 200


async def test_a_key_has_limits_of_its_own(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as (site, keys, _):
        made, sent = await keys.add("人事", secrets.token_bytes, per_minute=60, max_rows=2)
        headers = {"Authorization": f"Bearer {sent}", "X-Forwarded-For": "192.0.2.1"}
        key = (await ask(site, "GET", "/v1/key", headers=headers)).json()
        assert (key["id"], key["max_rows"]) == (made.id, 2)
        for _ in range(9):
            assert (await ask(site, "POST", "/v1/verify", json={"text": "x"}, headers=headers)).status == 200
        assert (await ask(site, "POST", "/v1/verify", json={"text": "x"}, headers=headers)).status == 429
        assert (await ask(site, "GET", "/v1/key", **by("192.0.2.1"))).status == 401
        await keys.revoke(made.id)
        office.now[0] += REMEMBERED_MS
        ended = await ask(site, "POST", "/v1/verify", json={"text": "x"}, headers=headers)
        assert ended.status == 401 and ended.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer x", "Basic " + sent, sent, "Bearer", ""):
            got = await ask(site, "POST", "/v1/verify", json={"text": "x"}, headers={"Authorization": wrong})
            assert got.status == 401


async def test_rows_of_a_list_by_key(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as (site, keys, _):
        _, sent = await keys.add("人事", secrets.token_bytes, max_rows=1)
        headers = {"Authorization": f"Bearer {sent}", "Content-Type": "text/csv"}
        raw = f"链接\n{office.link}\n{office.link}\n".encode()
        made = (await ask(site, "POST", "/v1/hiring-lists", data=raw, headers=headers)).json()

        async def failed() -> dict[str, Any] | None:
            body = (await ask(site, "GET", f"/v1/hiring-lists/{made['id']}")).json()
            return body if body["state"] == "failed" else None

        assert (await until_told(failed))["error"]["code"] == "LIST_TOO_LONG"


async def test_a_repeated_post_has_one_answer(office: Office, tmp_path: Path) -> None:
    raw = f"链接\n{office.link}\n".encode()
    async with serving(office, tmp_path, behind_proxy=False) as (site, _, _):
        headers = {"Idempotency-Key": "list-1", "Content-Type": "text/csv"}
        first = await ask(site, "POST", "/v1/hiring-lists", data=raw, headers=headers)
        again = await ask(site, "POST", "/v1/hiring-lists", data=raw, headers=headers)
        assert first.status == again.status == 202 and first.text == again.text
        assert first.headers["location"] == again.headers["location"]
        other = await ask(site, "POST", "/v1/hiring-lists", data=raw + b"x", headers=headers)
        assert other.status == 422 and other.json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"
        headers = {"Idempotency-Key": "receipt-1"}
        one = await ask(site, "POST", "/v1/receipts", json={"text": office.link}, headers=headers)
        office.now[0] += 1
        two = await ask(site, "POST", "/v1/receipts", json={"text": office.link}, headers=headers)
        assert one.status == 200 and one.text == two.text and one.headers["content-disposition"]
        bad = await ask(site, "POST", "/v1/receipts", json={"text": office.link}, headers={"Idempotency-Key": ""})
        assert bad.status == 400
        assert (
            await ask(site, "POST", "/v1/verify", json={"text": "x"}, headers={"Idempotency-Key": "v"})
        ).status == 200

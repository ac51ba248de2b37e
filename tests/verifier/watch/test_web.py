"""Watches over real HTTP, from the registration to the webhook, by the application that `serve` runs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.edge import Site, start_site
from ledger.errors import Unavailable
from ledger.records.kinds import Kind
from ledger.text import Text
from tests.support.build_log import BASE
from tests.support.receipt_office import SIGNER, Office, open_office
from tests.support.site_stores import sqlite_store
from tests.support.verifier_settings import settings_of
from tests.support.watch_desk import Receiver
from tests.verifier.test_several import FIRST, SECOND, Desk
from tests.verifier.web.test_app import ask, matches
from verifier.access.keys import ApiKeys
from verifier.access.web import build_access
from verifier.site.context import Context
from verifier.watch.following import Following
from verifier.watch.web import build_watch
from verifier.web.app import create_app
from verifier.web.state import WebSettings


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def serving(
    office: Office, folder: Path, *, loopback: bool = True
) -> AsyncIterator[tuple[Site, dict[str, str], dict[str, str]]]:
    async with sqlite_store(folder) as store:
        settings = replace(settings_of(office.log), webhook_loopback=loopback)
        now = lambda: office.now[0]  # noqa: E731
        context = Context(folder, settings, office.lookup, now, secrets.token_bytes, SIGNER, store)
        rooms = [build_access(context), build_watch(context)]
        keys = ApiKeys(lambda: store, now)
        mine, other = [{"Authorization": f"Bearer {(await keys.add(n, secrets.token_bytes))[1]}"} for n in "ab"]
        app = create_app(office.lookup, WebSettings(BASE, now_ms=now), rooms)
        site = await start_site(app, "127.0.0.1", 0)
        try:
            yield site, mine, other
        finally:
            await site.stop()


async def test_registered_told_listed_and_ended(office: Office, tmp_path: Path) -> None:
    async with Receiver().open() as receiver, serving(office, tmp_path) as (site, mine, other):
        paths = (await ask(site, "GET", "/openapi.json")).json()["paths"]
        schema = paths["/v1/watches"]["post"]["responses"]["201"]["content"]["application/json"]["schema"]
        asked = {"text": office.link, "url": receiver.url, "note": "工号 7"}
        made = await ask(site, "POST", "/v1/watches", json=asked, headers=mine)
        assert made.status == 201 and made.json()["secret"].startswith("whsec_")
        matches(made.json(), schema)
        again = await ask(site, "POST", "/v1/watches", json=asked, headers=mine)
        assert again.status == 200 and again.json() == made.json() | {"secret": None}
        address = made.headers["location"]
        for method, path in (("GET", address), ("GET", address + "/events"), ("DELETE", address)):
            assert (await ask(site, method, path, headers=other)).status == 404
            assert (await ask(site, method, path)).status == 401
        assert (await ask(site, "GET", "/v1/watches", headers=other)).json() == {"watches": [], "next": None}
        await office.log.rule(Kind.REVOKE, office.certificate)
        await office.catch_up()
        async with asyncio.timeout(120):
            while not receiver.got:
                await asyncio.sleep(0.05)
        assert len(receiver.got) == 1
        shown = (await ask(site, "GET", address, headers=mine)).json()
        assert shown["status"] == "revoked" and "secret" not in shown
        (event,) = (await ask(site, "GET", address + "/events", headers=mine)).json()["events"]
        assert event["kind"] == "revoked"
        (listed,) = (await ask(site, "GET", "/v1/watches", headers=mine)).json()["watches"]
        assert listed == shown
        assert (await ask(site, "DELETE", address, headers=mine)).status == 204
        assert (await ask(site, "GET", address, headers=mine)).status == 404


async def test_a_watch_names_the_log_that_tells_of_the_certificate(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several logs the one that has had it for longest; none, once that one is no longer among the site's."""
    (tmp_path / "logs").mkdir()
    with ThreadPoolExecutor(1) as pool:
        desk = Desk(tmp_path / "logs", pool)
        first, second = [await desk.open(origin, "") for origin in (FIRST, SECOND)]
        own, shared = first.log.certificate("own"), first.log.certificate("shared")
        await second.issue(shared)
        await desk.pass_time(first, second)
        await first.issue(own, shared)
        office = replace(office, log=first.log, lookup=desk.lookup(), now=[desk.now])
        async with serving(office, tmp_path) as (site, mine, _):
            assert second.known.replica is not None and first.known.replica is not None

            async def down(*_: object) -> None:
                raise Unavailable(Text("没有应答", "the database does not answer"))

            for certificate, origin in ((own, FIRST), (shared, SECOND)):
                asked = {"text": certificate.code().link, "url": "http://127.0.0.1:9/hook"}
                made = await ask(site, "POST", "/v1/watches", json=asked, headers=mine)
                assert made.status == 201 and made.json()["origin"] == origin
                shown = (await ask(site, "GET", made.headers["location"], headers=mine)).json()
                assert shown["origin"] == origin
            listed = (await ask(site, "GET", "/v1/watches", headers=mine)).json()["watches"]
            assert {one["cert_key"]: one["origin"] for one in listed} == {
                own.issue.cert_key.hex(): FIRST, shared.issue.cert_key.hex(): SECOND,
            }  # fmt: skip
            with monkeypatch.context() as patch:
                patch.setattr(second.known.replica.integrator, "certificate", down)
                second.known._known.clear()
                again = (await ask(site, "GET", "/v1/watches", headers=mine)).json()["watches"]
                assert again == listed, "what was told needs no log"
                asked = {"text": own.code().link, "url": "http://127.0.0.1:9/another"}
                made = await ask(site, "POST", "/v1/watches", json=asked, headers=mine)
                assert made.status == 201 and made.json()["origin"] == FIRST
                address = made.headers["location"]
                assert (await ask(site, "DELETE", address, headers=mine)).status == 204
            office.lookup.logs = (second.known,)
            (gone,) = [
                one
                for one in (await ask(site, "GET", "/v1/watches", headers=mine)).json()["watches"]
                if one["origin"] is None
            ]
            assert gone["cert_key"] == own.issue.cert_key.hex()
        await desk.close()


async def test_a_new_watch_is_compared_once_more(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[bytes] = []
    monkeypatch.setattr(Following, "note", lambda _, cert_key: noted.append(cert_key))
    async with serving(office, tmp_path) as (site, mine, _):
        asked = {"text": office.link, "url": "http://127.0.0.1:9/hook"}
        for status in (201, 200):
            assert (await ask(site, "POST", "/v1/watches", json=asked, headers=mine)).status == status
    assert noted == [office.certificate.issue.cert_key]


WHAT_IS_REFUSED: list[tuple[Any, ...]] = [
    ({"url": "http://127.0.0.1:80/x"}, 422, "WEBHOOK_URL"),
    ({"url": "https://169.254.169.254/latest/meta-data/"}, 422, "WEBHOOK_URL"),
    ({"url": "https://user:pass@hooks.example.com/"}, 422, "WEBHOOK_URL"),
    ({"text": "https://evil.example/c/x"}, 422, "NOT_WATCHABLE"),
    ({"text": "x"}, 422, "NOT_WATCHABLE"),
    ({"secret": "whsec_AA=="}, 400, "malformed"),
    ({"note": "x" * 201}, 422, "WATCH_NOTE"),
    ({"note": "a\nb"}, 422, "WATCH_NOTE"),
    ({"more": 1}, 400, "malformed"),
    ({"url": 1}, 400, "malformed"),
]


async def test_what_is_refused(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path, loopback=False) as (site, mine, _):
        for changes, status, code in WHAT_IS_REFUSED:
            asked = {"text": office.link, "url": "https://hooks.example.com/x"} | changes
            got = await ask(site, "POST", "/v1/watches", json=asked, headers=mine)
            assert got.status == status and got.json()["error"]["code"] == code
            assert (await ask(site, "POST", "/v1/watches", json=asked)).status == 401

"""Receipts over real HTTP, from the verdict page's button to the check of what was saved."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger.edge import Site, start_site
from ledger.scan import read_pdf
from tests.support.build_log import BASE
from tests.support.receipt_office import SIGNER, Office, open_office
from tests.support.verifier_settings import settings_of
from tests.verifier.web.test_app import ask, matches
from verifier.receipts.receipt import parse_receipt
from verifier.receipts.web import build_receipts
from verifier.site.context import Context
from verifier.verdict import Code
from verifier.web.app import create_app
from verifier.web.state import WebSettings


@asynccontextmanager
async def serving(office: Office, folder: Path, *, signer: bool = True) -> AsyncIterator[Site]:
    key = SIGNER if signer else None
    context = Context(folder, settings_of(office.log), office.lookup, lambda: office.now[0], bytes, key)
    web = WebSettings(BASE, now_ms=lambda: office.now[0])
    site = await start_site(create_app(office.lookup, web, [build_receipts(context)]), "127.0.0.1", 0)
    try:
        yield site
    finally:
        await site.stop()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


async def test_from_the_page_to_the_check(office: Office, tmp_path: Path) -> None:
    secret = office.link.rpartition("/")[2]
    async with serving(office, tmp_path) as site:
        page = (await ask(site, "GET", f"/c/{secret}")).text
        (asked,) = re.findall(r'action="/receipt"><input type="hidden" name="text" value="([^"]+)"', page)
        got = await ask(site, "POST", "/receipt", data={"text": asked, "form": "json"})
        assert got.status == 200 and got.headers["cache-control"] == "no-store"
        assert re.fullmatch(r'attachment; filename="receipt-\d{8}-\d{6}\.json"', got.headers["content-disposition"])
        assert office.check(parse_receipt(got.text.encode())).verdict.code is Code.VALID
        again = await ask(site, "POST", "/verify", data={"text": office.link})
        assert 'action="/receipt"' in again.text


async def test_the_api(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as site:
        document = (await ask(site, "GET", "/openapi.json")).json()
        answers = document["paths"]["/v1/receipts"]["post"]["responses"]["200"]["content"]
        schema = answers["application/json"]["schema"]
        for body in (
            {"json": {"text": office.link}},
            {"json": {"text": "https://evil.example/x"}},
            {"data": b"%PDF-x"},
        ):
            sent: dict[str, Any] = dict(body)
            if "data" in sent:
                sent["headers"] = {"Content-Type": "application/pdf"}
            got = await ask(site, "POST", "/v1/receipts", **sent)
            assert got.status == 200
            matches(got.json(), schema)
            office.check(parse_receipt(json.dumps(got.json()).encode()))
        import aiohttp

        async with aiohttp.ClientSession() as session:
            headers = {"Accept": "application/pdf"}
            async with session.post(site.url + "/v1/receipts", json={"text": office.link}, headers=headers) as answer:
                assert answer.content_type == "application/pdf"
                ((_, content),) = read_pdf(await answer.read()).attachments
        assert office.check(parse_receipt(content)).verdict.code is Code.VALID


WHAT_IS_WRONG_WITH_THE_REQUEST: list[tuple[Any, ...]] = [
    ("/receipt", {"data": {"text": "x"}}, 400),
    ("/receipt", {"data": {"text": "", "form": "json"}}, 400),
    ("/receipt", {"json": {}}, 415),
    ("/v1/receipts", {"data": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
    ("/v1/receipts", {"data": b"", "headers": {"Content-Type": "application/pdf"}}, 400),
    ("/v1/receipts", {"json": {"text": 1}}, 400),
    ("/v1/receipts", {"json": {"text": "x" * 3000}}, 400),
    ("/v1/receipts", {"data": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
]


async def test_what_is_wrong_with_the_request(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as site:
        for path, sent, status in WHAT_IS_WRONG_WITH_THE_REQUEST:
            assert (await ask(site, "POST", path, **sent)).status == status


async def test_without_a_key_there_are_none(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path, signer=False) as site:
        assert "/receipt" not in (await ask(site, "GET", f"/c/{office.link.rpartition('/')[2]}")).text
        assert (await ask(site, "POST", "/v1/receipts", json={"text": office.link})).status == 404

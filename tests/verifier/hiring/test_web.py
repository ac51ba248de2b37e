"""Lists over real HTTP: the pages without script, the API as described, and bad uploads."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ledger.edge import Site, start_site
from tests.support.build_log import BASE
from tests.support.receipt_office import SIGNER, Office, open_office
from tests.support.verifier_settings import settings_of
from tests.verifier.web.test_app import Answer, ask, matches
from verifier.hiring.summary import parse_summary
from verifier.hiring.verifying import verify_list
from verifier.hiring.web import build_lists
from verifier.messages import load_messages
from verifier.site.context import Context
from verifier.web.app import create_app
from verifier.web.state import WebSettings


@asynccontextmanager
async def serving(office: Office, folder: Path) -> AsyncIterator[Site]:
    import secrets

    context = Context(
        folder, settings_of(office.log), office.lookup, lambda: office.now[0], secrets.token_bytes, SIGNER
    )
    web = WebSettings(BASE, now_ms=lambda: office.now[0])
    site = await start_site(create_app(office.lookup, web, [build_lists(context)]), "127.0.0.1", 0)
    try:
        yield site
    finally:
        await site.stop()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


CSV = {"Content-Type": "text/csv"}


def form(raw: bytes, name: str = "list.csv", **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("file", raw, filename=name)
    for key, value in fields.items():
        data.add_field(key, value)
    return data


async def settled(site: Site, job_id: str) -> Any:
    async with asyncio.timeout(120):
        while True:
            body = (await ask(site, "GET", f"/v1/hiring-lists/{job_id}")).json()
            if body["state"] in ("done", "failed"):
                return body
            await asyncio.sleep(0.05)


async def raw_result(site: Site, path: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(site.url + path) as got:
        assert got.status == 200 and got.headers["Content-Disposition"].startswith("attachment")
        return await got.read()


async def test_the_pages_without_script(office: Office, tmp_path: Path) -> None:
    raw = f"姓名,链接\n例小明,{office.link}\n".encode()
    async with serving(office, tmp_path) as site:
        for lang, word in (("zh", "核验名单"), ("en", "Check a list")):
            page = await ask(site, "GET", f"/lists?lang={lang}")
            assert word in page.text and 'enctype="multipart/form-data"' in page.text
        data = form(raw, "名单.csv", words="zh", lang="zh")
        sent = await ask(site, "POST", "/lists", data=data, allow_redirects=False)
        assert sent.status == 303
        address = sent.headers["location"].partition("?")[0]
        job_id = address.rpartition("/")[2]
        assert re.fullmatch(r"/lists/[0-9a-f]{32}", address)
        first = (await ask(site, "GET", address + "?lang=zh")).text
        assert "核验完成" in first or '<noscript><meta http-equiv="refresh"' in first
        await settled(site, job_id)
        page = (await ask(site, "GET", address + "?lang=zh")).text
        assert "核验完成" in page and "证书有效" in page and "refresh" not in page
        verify_list(await raw_result(site, address + "/result"), {SIGNER.public}, load_messages())
        assert (await ask(site, "GET", address + "/state")).json() == {"state": "done", "rows": 1, "done": 1}
        gone = await ask(site, "POST", address + "/forget", allow_redirects=False)
        assert gone.status == 303
        for path in (address, address + "/state", address + "/result"):
            assert (await ask(site, "GET", path)).status == 404


async def test_the_api_as_described(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as site:
        paths = (await ask(site, "GET", "/openapi.json")).json()["paths"]
        taken = paths["/v1/hiring-lists"]["post"]["responses"]["202"]["content"]["application/json"]["schema"]
        shown = paths["/v1/hiring-lists/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        raw = f"链接\n{office.link}\n{office.link}x\n".encode()
        sent = await ask(site, "POST", "/v1/hiring-lists?words=en", data=raw, headers={"Content-Type": "text/csv"})
        assert sent.status == 202 and sent.headers["location"] == f"/v1/hiring-lists/{sent.json()['id']}"
        matches(sent.json(), taken)
        body = await settled(site, sent.json()["id"])
        matches(body, shown)
        summary = parse_summary(body["summary"]["statement"], body["summary"]["signature"])
        summary.verify_signature()
        assert dict(summary.counts) == {"valid": 1, "unreadable": 1} == body["summary"]["counts"]
        assert summary.public == SIGNER.public and base64.b64decode(body["summary"]["statement"]) == summary.statement
        back = await raw_result(site, body["result"])
        assert b"Valid" in back and "有效".encode() not in back
        assert (await ask(site, "DELETE", f"/v1/hiring-lists/{body['id']}")).status == 204
        assert (await ask(site, "DELETE", f"/v1/hiring-lists/{body['id']}")).status == 404


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(150 * 1024 * 1024))
    return out.getvalue()


def many(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for at in range(count):
            archive.writestr(f"{at}.png", b"")
    return out.getvalue()


BAD_UPLOADS_END_TYPED: list[tuple[Any, ...]] = [
    (b"\x00" * 100, "CSV_NUL"),
    (b"\xff\xfe\x00", "CSV_ENCODING"),
    ('链接\n"'.encode(), "CSV_QUOTES"),
    (b"PK\x05\x06" + bytes(18), "LIST_EMPTY"),
    (many(1), "LIST_EMPTY"),
    (b"<html>", "FILE_KIND"),
]


async def test_bad_uploads_end_typed(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as site:
        for raw, code in BAD_UPLOADS_END_TYPED:
            sent = await ask(site, "POST", "/v1/hiring-lists", data=form(raw))
            assert sent.status == 202
            body = await settled(site, sent.json()["id"])
            if body["state"] == "done":  # an archive of one empty picture
                assert body["summary"]["counts"] == {"unreadable": 1}
                continue
            assert body["error"]["code"] == code and body["error"]["zh"] and body["error"]["en"]
            page: Answer = await ask(site, "GET", f"/lists/{body['id']}?lang=en")
            assert page.status == 200 and "Not checked" in page.text


async def test_archives_that_harm(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as site:
        for raw, code in ((bomb(), "FILE_BOMB"), (many(301), "LIST_TOO_LONG"), (many(1001), "FILE_MEMBERS")):
            sent = await ask(site, "POST", "/v1/hiring-lists", data=form(raw, "x.zip"))
            assert (await settled(site, sent.json()["id"]))["error"]["code"] == code


WHAT_IS_WRONG_WITH_THE_REQUEST: list[tuple[Any, ...]] = [
    ("POST", "/lists", {"data": {"file": "x"}}, 415),
    ("POST", "/v1/hiring-lists", {"data": b"", "headers": {"Content-Type": "text/csv"}}, 400),
    ("POST", "/v1/hiring-lists", {"json": {}}, 415),
    ("POST", "/v1/hiring-lists?words=fr", {"data": b"x", "headers": {"Content-Type": "text/csv"}}, 400),
    ("POST", "/v1/hiring-lists", {"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    (
        "POST",
        "/v1/hiring-lists",
        {"data": io.BytesIO(bytes(33 << 20)), "headers": {"Content-Type": "text/csv"}},
        413,
    ),
    ("GET", "/lists/x", {}, 404),
    ("GET", "/lists/" + "0" * 32, {}, 404),
    ("GET", "/v1/hiring-lists/" + "0" * 32 + "/result", {}, 404),
    ("POST", "/lists/" + "0" * 32 + "/forget", {}, 404),
]


async def test_what_is_wrong_with_the_request(office: Office, tmp_path: Path) -> None:
    async with serving(office, tmp_path) as site:
        for method, path, sent, status in WHAT_IS_WRONG_WITH_THE_REQUEST:
            try:
                assert (await ask(site, method, path, **sent)).status == status
            except aiohttp.ClientConnectionError:
                assert status == 413  # closed while the rest was being sent

"""The web application over real HTTP, with a verifier behind it that answers on demand."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ledger.edge import Intake, Site, start_site
from ledger.edge_log import JsonLines
from tests.support.verdict_samples import NOW_MS, FakeServices, sample
from verifier.messages import load_messages
from verifier.verdict import Code
from verifier.web.app import Readiness, WebSettings, create_app
from verifier.web.assets import load_assets
from verifier.web.route import PLAIN, Room, Route
from verifier.web.routes import ROUTES

BASE = "https://verify.example"
SECRET = "0123456789ABCDEFGHJKMNPQRS"


@asynccontextmanager
async def verifier(**limits: Any) -> AsyncIterator[tuple[Site, FakeServices]]:
    services = FakeServices()
    settings = WebSettings(BASE, now_ms=lambda: NOW_MS, **limits)
    site = await start_site(create_app(services, settings), "127.0.0.1", 0)
    try:
        yield site, services
    finally:
        await site.stop()


class Answer:
    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status, self.headers, self.text = status, headers, text

    def json(self) -> Any:
        return json.loads(self.text)


async def ask(site: Site, method: str, path: str, **kw: Any) -> Answer:
    async with aiohttp.ClientSession() as session, session.request(method, site.url + path, **kw) as got:
        return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, await got.text())


def matches(value: Any, schema: dict[str, Any], at: str = "$") -> None:
    """A small JSON Schema check: the keywords that our schemas use."""
    if "anyOf" in schema:
        for option in schema["anyOf"]:
            try:
                matches(value, option, at)
            except AssertionError:
                continue
            return
        raise AssertionError(f"{at} fits no option")
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    assert isinstance(value, kinds[schema["type"]]), at
    if "enum" in schema:
        assert value in schema["enum"], at
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), at
    if schema["type"] == "array":
        for n, item in enumerate(value):
            matches(item, schema["items"], f"{at}[{n}]")
    if schema["type"] == "object":
        known = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value), at
        rest = schema.get("additionalProperties", True)
        for key, item in value.items():
            if key in known:
                matches(item, known[key], f"{at}.{key}")
            else:
                assert rest is not False, f"{at}.{key} is not described"
                if isinstance(rest, dict):
                    matches(item, rest, f"{at}.{key}")


async def test_every_verdict_is_a_page_with_status_200() -> None:
    async with verifier() as (site, _):
        for code in Code:
            got = await ask(site, "GET", f"/c/{code.value}", headers={"Accept-Language": "zh-CN"})
            assert got.status == 200 and load_messages().wordings[code].title.zh in got.text
            assert got.headers["cache-control"] == "no-store" and got.headers["x-robots-tag"] == "noindex"


async def test_every_verdict_is_json_as_described() -> None:
    async with verifier() as (site, _):
        document = (await ask(site, "GET", "/openapi.json")).json()
        schema = document["paths"]["/v1/verify"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        for code in Code:
            got = await ask(site, "POST", "/v1/verify", json={"text": f"{BASE}/c/{code.value}"})
            assert got.status == 200 and got.json()["code"] == code.value
            matches(got.json(), schema)
            assert got.json() == load_messages().as_json(sample(code))


@pytest.mark.parametrize(
    ("query", "header", "lang"),
    [
        ("", None, "zh-CN"),
        ("", "en-GB,en;q=0.9", "en"),
        ("", "fr, en;q=0.8, zh;q=0.9", "zh-CN"),
        ("", "fr-FR", "zh-CN"),
        ("", "en;q=0, zh-TW;q=0.1", "zh-CN"),
        ("", ";;;q=,en;q=x", "zh-CN"),
        ("?lang=en", "zh-CN", "en"),
        ("?lang=zh", "en", "zh-CN"),
        ("?lang=de", "en", "en"),
    ],
)
async def test_language_is_chosen_by_query_then_header(query: str, header: str | None, lang: str) -> None:
    headers = {"Accept-Language": header} if header is not None else {}
    async with verifier() as (site, _):
        for path in ("/", "/c/valid"):
            got = await ask(site, "GET", path + query, headers=headers)
            assert f'<html lang="{lang}">' in got.text
            assert "Accept-Language" in got.headers["vary"]


async def test_a_strange_secret_is_a_page_and_reaches_the_services_only_when_short() -> None:
    async with verifier() as (site, services):
        for secret in ("x" * 65, "%3Cscript%3E" * 20):
            got = await ask(site, "GET", f"/c/{secret}")
            assert got.status == 200 and "无法识别二维码" in got.text and "<script" not in got.text
        assert services.asked == []
        assert "无法识别二维码" in (await ask(site, "GET", "/c/MALFORMED")).text
        got = await ask(site, "GET", "/c/DOWN")
        assert got.status == 200 and "暂时无法核验" in got.text and "10.0.0.7" not in got.text
        for odd in ("%00", "..%2f..", "'%20or%201=1", "%F0%9F%92%A9", "a/b"):
            assert (await ask(site, "GET", f"/c/{odd}")).status in (200, 404)


async def test_a_bug_is_a_plain_500_for_people_and_programs() -> None:
    async with verifier() as (site, _):
        page = await ask(site, "GET", "/c/BUG", headers={"Accept": "text/html"})
        body = await ask(site, "POST", "/v1/verify", json={"text": "BUG"})
    assert page.status == body.status == 500
    assert "系统出错" in page.text and "KeyError" not in page.text
    assert body.json()["error"]["code"] == "internal"


async def test_the_forms_work_without_script() -> None:
    async with verifier() as (site, services):
        assert 'action="/verify"' in (await ask(site, "GET", "/")).text
        got = await ask(site, "POST", "/verify", data={"text": f" {BASE}/c/revoked\n", "lang": "en"})
        assert got.status == 200 and "Revoked" in got.text and 'lang="en"' in got.text
        form = aiohttp.FormData({"lang": "zh"})
        form.add_field("file", b"%PDF-1.7", filename="证书.pdf", content_type="application/pdf")
        got = await ask(site, "POST", "/verify", data=form)
        assert got.status == 200 and "证书有效" in got.text
    assert services.asked[0] == ("text", f"{BASE}/c/revoked")
    assert services.asked[1][0] == "file" and services.asked[1][1][0] == b"%PDF-1.7"  # type: ignore[index]


async def test_an_empty_form_is_unreadable_not_an_error() -> None:
    async with verifier() as (site, services):
        empty = aiohttp.FormData()
        empty.add_field("file", b"", filename="", content_type="application/octet-stream")
        for data in ({"text": " "}, {}, empty):
            kw: dict[str, Any] = {"data": data} if data else {"data": b"", "headers": URLENCODED}
            got = await ask(site, "POST", "/verify", **kw)
            assert got.status == 200 and "无法识别二维码" in got.text
        assert services.asked == []


URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_raw_and_multipart_files_are_checked() -> None:
    async with verifier() as (site, services):
        for kind in ("application/pdf", "image/png", "image/jpeg", "application/cbor"):
            got = await ask(site, "POST", "/v1/verify", data=b"data", headers={"Content-Type": kind})
            assert got.status == 200 and got.json()["code"] == "valid"
        form = aiohttp.FormData()
        form.add_field("file", b"bundle", filename="a.bundle")
        assert (await ask(site, "POST", "/v1/verify", data=form)).json()["code"] == "valid"
    assert services.asked == [("file", (b"data", ""))] * 4 + [("file", (b"bundle", "a.bundle"))]


async def test_text_over_its_cap_is_unreadable_and_a_huge_paste_is_413() -> None:
    async with verifier() as (site, services):
        for text, code in (
            (f"{BASE}/c/" + "1" * 2048, "unreadable"),
            ("x" * 65_537, "unreadable"),
            ("", "unreadable"),
            ("x" * 65_536, "not_found"),
        ):
            got = await ask(site, "POST", "/v1/verify", json={"text": text})
            assert (got.status, got.json()["code"]) == (200, code)
        assert len(services.asked) == 1
        paste = io.BytesIO(b'{"text": "' + b"x" * 10_000_000 + b'"}')
        got = await ask(site, "POST", "/v1/verify", data=paste, headers={"Content-Type": "application/json"})
        assert (got.status, got.json()["error"]["code"]) == (413, "too_large")
        paste = io.BytesIO(b"text=" + b"1" * 700_000)
        got = await ask(site, "POST", "/verify", data=paste, headers=URLENCODED)
        assert got.status == 200 and "无法识别二维码" in got.text
        longest = b"text=" + b"%F0%A0%AE%B7" * 65_536  # as many characters as are looked at, each as long as can be
        got = await ask(site, "POST", "/verify", data=io.BytesIO(longest), headers=URLENCODED)
        assert got.status == 200 and len(services.asked) == 2
        for piece in (b"1", b"%41"):  # to take ten megabytes of these apart would stop everything for seconds
            got = await ask(site, "POST", "/verify", data=io.BytesIO(b"text=" + piece * 3_000_000), headers=URLENCODED)
            assert got.status == 413 and "内容太大" in got.text


async def test_uploads_have_a_cap_each_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Intake] = []
    monkeypatch.setattr("verifier.web.app.Intake", lambda limit: taken.append(Intake(limit)) or taken[-1])
    limits = {"text_limit": 10, "paste_limit": 10, "upload_limit": 20_000, "uploads_memory": 30_000}
    pdf = {"Content-Type": "application/pdf"}
    async with verifier(**limits) as (site, _):
        assert (await ask(site, "POST", "/v1/verify", data=bytes(20_000), headers=pdf)).status == 200
        assert (await ask(site, "POST", "/v1/verify", data=bytes(20_001), headers=pdf)).status == 413

        async def half() -> AsyncIterator[bytes]:
            yield bytes(19_000)
            held.set()
            await free.wait()
            yield b"x"

        held, free = asyncio.Event(), asyncio.Event()
        slow = asyncio.ensure_future(ask(site, "POST", "/v1/verify", data=half(), headers=pdf))
        await held.wait()
        async with asyncio.timeout(60):
            while taken[0]._used < 19_000:
                await asyncio.sleep(0.005)
        full = await ask(site, "POST", "/v1/verify", data=bytes(19_000), headers=pdf)
        assert full.status == 503 and full.headers["retry-after"] == "2"
        free.set()
        assert (await slow).status == 200
        assert (await ask(site, "POST", "/v1/verify", data=bytes(19_000), headers=pdf)).status == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"text": 5}', {"Content-Type": "application/json"}, 400),
        (b'{"text": "a", "more": 1}', {"Content-Type": "application/json"}, 400),
        (b'{"text": "\xff"}', {"Content-Type": "application/json"}, 400),
        (b"[" * 60_000, {"Content-Type": "application/json"}, 400),
        (b"x", {"Content-Type": "multipart/form-data"}, 400),
        (b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
        (b"x", {"Content-Type": "text/plain"}, 415),
        (b"x", {"Content-Type": "image/svg+xml"}, 415),
        (b"x", {}, 200),  # no type at all is application/octet-stream
        (b"x", {"Content-Type": "application/pdf", "Content-Encoding": "gzip"}, 415),
    ],
)
async def test_bad_requests_have_their_answer(body: bytes, headers: dict[str, str], status: int) -> None:
    async with verifier() as (site, _):
        got = await ask(site, "POST", "/v1/verify", data=body, headers=headers)
        assert got.status == status
        if status != 200:
            assert got.json()["error"]["zh"] and got.json()["error"]["en"]


async def test_a_bad_form_is_a_page_for_people() -> None:
    async with verifier() as (site, _):
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Accept": "text/html"}
        got = await ask(site, "POST", "/verify", data=b"no", headers=headers)
        assert got.status == 400 and got.text.startswith("<!doctype html>")


async def test_static_files_never_change_and_the_page_uses_them() -> None:
    async with verifier() as (site, _):
        html = (await ask(site, "GET", "/c/valid")).text
        names = re.findall(r'href="(/static/[^"]+)"', html)
        assert len(names) == 2
        for name in names:
            for encoding in ("gzip", "identity"):
                got = await ask(site, "GET", name, headers={"Accept-Encoding": encoding})
                assert got.status == 200 and "immutable" in got.headers["cache-control"]
                assert got.headers.get("content-encoding", "identity") == encoding
        assert (await ask(site, "GET", "/static/page.css")).status == 404
        assert (await ask(site, "GET", "/static/..%2f..%2fapp.py")).status == 404


async def test_pages_are_compressed_only_for_those_who_take_it() -> None:
    async with verifier() as (site, _):
        for accepted, got_encoding in (("gzip, br", "gzip"), ("gzip;q=0", None), ("identity", None)):
            got = await ask(site, "GET", "/c/valid", headers={"Accept-Encoding": accepted})
            assert got.headers.get("content-encoding") == got_encoding and "证书有效" in got.text


async def test_health_says_alive_and_ready() -> None:
    async with verifier() as (site, services):
        assert (await ask(site, "GET", "/livez")).status == 200
        assert (await ask(site, "GET", "/readyz")).json() == {"ready": True, "detail": {"log_size": 7}}
        services.readiness = Readiness(False, {"behind_seconds": 900})
        got = await ask(site, "GET", "/readyz")
        assert got.status == 503 and got.json()["ready"] is False
        assert got.headers["retry-after"] == "5" and got.headers["cert-ledger-error"] == "not_ready"
        assert "Disallow: /c/" in (await ask(site, "GET", "/robots.txt")).text
        assert (await ask(site, "HEAD", "/")).status == 200


async def test_meters_count_verdicts_without_identifiers() -> None:
    async with verifier() as (site, _):
        await ask(site, "GET", "/c/revoked")
        await ask(site, "GET", f"/c/{SECRET}")
        await ask(site, "POST", "/v1/verify", json={"text": f"{BASE}/c/valid"})
        text = (await ask(site, "GET", "/metrics")).text
    assert 'certverifier_verdicts_total{code="revoked",route="page"} 1.0' in text
    assert 'certverifier_verdicts_total{code="valid",route="api"} 1.0' in text
    assert 'certverifier_verdict_seconds_count{route="page"} 2.0' in text
    assert SECRET not in text and len(text.splitlines()) < 2000


async def test_no_log_line_knows_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with verifier() as (site, _):
        await ask(site, "GET", f"/c/{SECRET}?lang={SECRET}")
        await ask(site, "POST", "/v1/verify", json={"text": f"{BASE}/c/{SECRET}"})
        await ask(site, "POST", "/verify", data={"text": SECRET})
        await ask(site, "GET", "/c/BUG")
    lines = [JsonLines().format(record) for record in caplog.records if record.name.startswith("ledger")]
    assert any('"/c/{secret}"' in line for line in lines) and SECRET not in "".join(lines)


async def test_openapi_describes_exactly_the_routes_served() -> None:
    async with verifier() as (site, _):
        document = (await ask(site, "GET", "/openapi.json")).json()
    described = {(m.upper(), path) for path, item in document["paths"].items() for m in item}
    assert described == {(route.method, route.path) for route in ROUTES}
    assert document["openapi"] == "3.1.0" and document["servers"] == [{"url": BASE}]
    page = document["paths"]["/c/{secret}"]["get"]
    assert {p["name"]: p["in"] for p in page["parameters"]} == {"secret": "path", "lang": "query"}
    assert document["paths"]["/v1/verify"]["post"]["requestBody"]["required"] is True


def test_settings_refuse_what_cannot_work() -> None:
    for wrong in ({"base": "verify.example"}, {"base": BASE + "/"}, {"base": BASE, "text_limit": 0}):
        with pytest.raises(AssertionError):
            WebSettings(**wrong)  # type: ignore[arg-type]


async def test_evidence_is_passed_on_and_asked_for_again() -> None:
    key = "ab" * 32
    async with verifier() as (site, services):
        for query, asked in (("", (None, None)), ("?size=7", (7, None)), ("?date=2026-05-27", (None, 20_600))):
            got = await ask(site, "GET", f"/v1/evidence/{key}{query}")
            assert got.status == 200 and got.headers["content-type"] == "application/cbor" and got.text == "evidence"
            assert got.headers["cache-control"] == "no-cache"
            assert services.asked[-1] == ("evidence", (bytes.fromhex(key), *asked))
            tag = {"If-None-Match": got.headers["etag"]}
            assert (await ask(site, "GET", f"/v1/evidence/{key}{query}", headers=tag)).status == 304
        for path, status in (
            (key[:-1], 404),
            (key.upper(), 404),
            (key + "?size=x", 400),
            (key + "?size=1&date=1", 400),
        ):
            assert (await ask(site, "GET", f"/v1/evidence/{path}")).status == status


async def test_a_room_adds_its_routes_and_is_described() -> None:
    key = web.AppKey("greeting", str)

    async def greet(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.app[key])

    route = Route("GET", "/greeting", greet, "Greets", {200: {"text/plain": PLAIN}})
    settings = WebSettings("https://verify.example", now_ms=lambda: NOW_MS)
    rooms = [Room((route,), lambda app: app.__setitem__(key, "hello"))]
    site = await start_site(create_app(FakeServices(), settings, rooms), "127.0.0.1", 0)
    try:
        got = await ask(site, "GET", "/greeting")
        assert (got.status, got.text) == (200, "hello")
        assert "/greeting" in json.loads((await ask(site, "GET", "/openapi.json")).text)["paths"]
    finally:
        await site.stop()


async def test_camera_and_webassembly_are_the_scanners_alone() -> None:
    async with verifier() as (site, _):
        page = await ask(site, "GET", "/")
        names = re.findall(r"/static/([\w.-]+)", page.text)
        worker = next(name for name in load_assets().names.values() if name.startswith("scan-worker."))
        policies = {path: (await ask(site, "GET", path)).headers for path in
                    ("/c/valid", "/robots.txt", f"/static/{names[0]}", "/nowhere", f"/static/{worker}")}  # fmt: skip
    assert "script-src 'self' 'wasm-unsafe-eval';" in page.headers["content-security-policy"]
    assert (
        "camera=(self)" in page.headers["permissions-policy"] and "geolocation=()" in page.headers["permissions-policy"]
    )
    assert "'unsafe-eval'" not in page.headers["content-security-policy"]
    for path, headers in policies.items():
        assert ("wasm-unsafe-eval" in headers["content-security-policy"]) == path.endswith(worker), path
        assert "camera=()" in headers["permissions-policy"]

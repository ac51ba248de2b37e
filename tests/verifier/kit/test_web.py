"""What makes the site installable, over real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from ledger.edge import Site, start_site
from tests.support.kits import LIMIT_MS, MAKER, MAKER_KEY
from tests.support.verdict_samples import NOW_MS, FakeServices
from verifier.kit.shelf import Shelf
from verifier.kit.web import LINES, ROUTES, offline_room
from verifier.web.app import WebSettings, create_app


@asynccontextmanager
async def served(shelf: Shelf | None) -> AsyncIterator[tuple[Site, aiohttp.ClientSession]]:
    settings = WebSettings("https://verify.example", trust=b"{}", now_ms=lambda: NOW_MS)
    site = await start_site(create_app(FakeServices(), settings, [offline_room(shelf)]), "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(site.url) as session:
            yield site, session
    finally:
        await site.stop()


async def test_the_kit_is_served_with_its_tag_or_not_there() -> None:
    shelf = Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, lambda: NOW_MS)
    async with served(None) as (_, session), session.get("/kit") as got:
        assert got.status == 404
    async with served(shelf) as (_, session), session.get("/kit") as got:
        assert (got.status, got.headers["Retry-After"]) == (503, "5"), "the first one is being made"
        assert "正在制作" in await got.text()
    shelf.raw, shelf.tag = b"kit", '"tag"'
    async with served(shelf) as (_, session):
        async with session.get("/kit") as got:
            assert (got.status, await got.read()) == (200, b"kit")
            assert (got.headers["Cache-Control"], got.headers["Content-Type"]) == ("no-cache", "application/cbor")
        async with session.get("/kit", headers={"If-None-Match": '"tag"'}) as got:
            assert got.status == 304


async def test_the_worker_keeps_every_file_by_its_name_and_no_verdict() -> None:
    async with served(None) as (_, session):
        async with session.get("/sw.js") as got:
            text = await got.text()
            assert got.headers["Cache-Control"] == "no-cache" and got.content_type == "text/javascript"
        site = json.loads(re.fullmatch(r"self\.SITE = (.*);", text.splitlines()[0])[1])  # type: ignore[index]
        assert any(name.startswith("/static/judge.") for name in site["files"]) and len(site["version"]) == 16
        for name in site["files"]:
            async with session.get(name) as got:
                assert got.status == 200, name
        assert "/c/" not in text


async def test_the_manifest_and_the_page_are_in_both_languages_and_all_pages_lead_there() -> None:
    async with served(None) as (_, session):
        for lang, name in (("zh", "职业技能等级证书核验"), ("en", "Skill-grade certificate check")):
            async with session.get(f"/app.webmanifest?lang={lang}") as got:
                said = json.loads(await got.read())
                assert got.content_type == "application/manifest+json"
            assert said["name"] == name and said["start_url"] == f"/offline?lang={lang}"
            for icon in said["icons"]:
                async with session.get(icon["src"]) as got:
                    assert (got.status, got.content_type) == (200, icon["type"])
            async with session.get(f"/offline?lang={lang}") as got:
                page = await got.text()
            assert set(re.findall(r'<template data-code="(\w+)"', page)) == {code.value for code in LINES}
            async with session.get(f"/?lang={lang}") as got:
                start = await got.text()
            assert f'href="/offline?lang={lang}"' in start and f'href="/app.webmanifest?lang={lang}"' in start


async def test_the_room_is_described() -> None:
    async with served(None) as (_, session), session.get("/openapi.json") as got:
        paths = json.loads(await got.read())["paths"]
    assert {route.path for route in ROUTES} <= set(paths)

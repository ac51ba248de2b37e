"""The auditor's page in a real Chromium: nothing blocked, nothing off the screen, charts with their tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ledger.edge import start_site
from tests.support.auditing import Clock, serving, size_cosigned
from tests.support.build_log import FakeLedger, LogBuilder
from tests.support.chromium import IN_CHROMIUM, chromium
from tests.support.waiting import until
from verifier.audit.web import create_app

pytestmark = IN_CHROMIUM


@dataclass
class Desk:
    url: str


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.issue(*(log.certificate(f"a{n}", grade=2 + n % 4) for n in range(8)))
    async with serving(tmp_path, log, FakeLedger(log), Clock()) as (service, auditor):
        site = await start_site(create_app(service, auditor), "127.0.0.1", 0)
        await until(lambda: size_cosigned(auditor, log) == log.integrator.size)
        yield Desk(site.url)
        await site.stop()
    await log.store.close()


async def test_the_page_fits_every_screen_in_both_languages_and_schemes(desk: Desk) -> None:
    async with chromium() as browser:
        for scheme in ("light", "dark"):
            context = await browser.new_context(color_scheme=scheme)
            page = await context.new_page()
            said: list[str] = []
            asked: list[str] = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            for lang, word in (("zh", "日志完好"), ("en", "The log is sound")):
                for width in (320, 768, 1280):
                    await page.set_viewport_size({"width": width, "height": 700})
                    await page.goto(f"{desk.url}/?lang={lang}")
                    assert await page.evaluate("document.documentElement.scrollWidth") <= width, (lang, width)
                    band = await page.locator(".band .said").bounding_box()
                    assert band is not None and band["y"] + band["height"] <= 350, "the answer is on the first screen"
                    assert word in await page.locator(".band .said").inner_text()
                    for chart in await page.locator(".pair").all():
                        svg, table = chart.locator("svg"), chart.locator("table")
                        box = await svg.bounding_box()
                        assert box is not None and box["width"] > 100 and await table.locator("tbody tr").count() > 0
            assert said == []
            assert all(url.startswith(desk.url) for url in asked)
            await context.close()

"""The pages in a real Chromium: nothing blocked, nothing off the screen, forms that work without script."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from ledger.edge import Site, start_site
from tests.support.chromium import IN_CHROMIUM, chromium
from tests.support.verdict_samples import NOW_MS, FakeServices
from verifier.verdict import SHOWS_NOTHING, Code
from verifier.web.app import WebSettings, create_app

pytestmark = IN_CHROMIUM


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    settings = WebSettings("https://verify.example", now_ms=lambda: NOW_MS)
    served = await start_site(create_app(FakeServices(), settings), "127.0.0.1", 0)
    yield served
    await served.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as launched:
        yield launched


async def test_every_verdict_fits_a_small_phone_and_breaks_no_policy(site: Site, browser: Browser) -> None:
    for lang in ("zh", "en"):
        page = await browser.new_page(viewport={"width": 320, "height": 640}, java_script_enabled=True)
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        for code in Code:
            await page.goto(f"{site.url}/c/{code.value}?lang={lang}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, (code, lang)
            top = await page.locator("[role=status]").bounding_box()
            assert top is not None and top["y"] + top["height"] <= 320, (code, lang)
        assert said == []
        await page.close()


async def test_the_first_screen_of_a_phone_holds_what_matters(site: Site, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 360, "height": 640})
    for lang in ("zh", "en"):
        for code in set(Code) - SHOWS_NOTHING:
            await page.goto(f"{site.url}/c/{code.value}?lang={lang}")
            for part in (".name", ".grade", ".rows > div:nth-child(3)", ".rows > div:nth-child(4)"):
                box = await page.locator(part).first.bounding_box()
                assert box is not None and box["y"] + box["height"] <= 640, (code, lang, part)
    await page.close()


async def test_targets_are_large_enough_and_details_open(site: Site, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 360, "height": 640})
    await page.goto(f"{site.url}/c/valid?lang=en")
    for link in await page.locator("a, summary").all():
        box = await link.bounding_box()
        assert box is not None and box["height"] >= 24 and box["width"] >= 24
    assert not await page.get_by_text("Entry hash").is_visible()
    await page.locator("summary").last.click()
    assert await page.get_by_text("Entry hash").is_visible()
    await page.close()


async def test_pasting_and_uploading_work_without_script(site: Site, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False, locale="en-GB")
    page = await context.new_page()
    await page.goto(site.url)
    await page.fill("textarea", "https://verify.example/c/revoked")
    await page.click("form:has(textarea) button")
    assert await page.title() == "✕ Revoked · Skill-grade certificate check"
    await page.click("text=Check another certificate")
    await page.set_input_files("#file", {"name": "证.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"})
    await page.click("#file-form button")
    assert (await page.title()).startswith("✓ Valid")
    await context.close()

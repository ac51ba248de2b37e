"""Holders' pages in a real Chromium with a virtual authenticator: claim, passkey, share, another browser, close."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.support.holder_site import HolderSite, holder_site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-headless-shell")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no chromium on this machine (Debian package chromium)"
    ),
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        await launched.close()


class Watched:
    """A browser's page with everything that it sent, got and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.sent: list[str] = []
        self.got: list[bytes] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._request)

    def _request(self, request: object) -> None:
        self.sent.append(request.url + "\n" + (request.post_data or ""))  # type: ignore[attr-defined]
        self.hosts.add(urlsplit(request.url).scheme + ":" + urlsplit(request.url).netloc)  # type: ignore[attr-defined]


async def new_page(browser: Browser, **how: object) -> tuple[BrowserContext, Watched]:
    context = await browser.new_context(locale="en-GB", viewport={"width": 390, "height": 800}, **how)  # type: ignore[arg-type]
    return context, Watched(await context.new_page())


async def authenticator(context: BrowserContext, page: Page) -> None:
    client = await context.new_cdp_session(page)
    await client.send("WebAuthn.enable")
    await client.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


async def claim(site: HolderSite, page: Page) -> None:
    await page.goto(f"{site.url}/holder/claim?lang=en")
    for name, value in site.fields().items():
        await page.fill(f"[name={name}]", value)
    await page.click("main button")
    await page.wait_for_url("**/holder?lang=en")


async def share(site: HolderSite, page: Page, *, pin: str = "", purpose: str = "job", recipient: str = "") -> str:
    await page.goto(f"{site.url}/holder?lang=en")
    await page.click("text=Share >> nth=0")
    await page.check(f"input[name=purpose][value={purpose}]")
    if recipient:
        await page.fill("[name=recipient]", recipient)
    if pin:
        await page.fill("[name=pin]", pin)
    await page.click("text=Make the link")
    await page.wait_for_selector("#made:not([hidden])")
    return await page.input_value("#link")


async def test_claim_passkey_share_open_close(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site, chromium() as browser:
        context, holder = await new_page(browser)
        await authenticator(context, holder.page)
        await claim(site, holder.page)
        await holder.page.click("text=Add a passkey >> nth=-1")
        await holder.page.wait_for_selector("text=Remove >> visible=true")
        await holder.page.click("text=Sign out")
        await holder.page.click("text=Sign in with a passkey")
        await holder.page.wait_for_selector("text=My shares")

        link = await share(site, holder.page, recipient="某某公司")
        key = link.partition("#")[2]
        assert len(key) == 22 and not any(key in sent for sent in holder.sent)
        preview = await holder.page.locator("[data-preview]").inner_text()

        other, visitor = await new_page(browser)
        await visitor.page.goto(link)
        await visitor.page.wait_for_selector(".shared.proven")
        text = await visitor.page.locator(".shared").inner_text()
        assert "例小明" in text and "某某公司" in text and "Checked in your browser" in text
        assert "例小明" in preview and "厂" not in text
        assert not any(key in sent for sent in visitor.sent)
        assert visitor.said == [] and visitor.hosts == {f"http:{urlsplit(site.url).netloc}"}

        await holder.page.goto(f"{site.url}/holder?lang=en")
        assert "Times opened: 1" in await holder.page.locator("#shares").inner_text()
        await holder.page.click("text=Close now")
        await holder.page.wait_for_selector("text=Closed")
        await visitor.page.reload()
        assert "This shared link has ended" in await visitor.page.inner_text("main")
        assert holder.said == []
        await other.close()
        await context.close()


async def test_a_pin_is_needed_and_a_wrong_one_opens_nothing(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site, chromium() as browser:
        context, holder = await new_page(browser)
        await claim(site, holder.page)
        link = await share(site, holder.page, pin="493817", purpose="title")
        other, visitor = await new_page(browser)
        await visitor.page.goto(link)
        assert "certificate" in await visitor.page.inner_text("h1") and "III" not in await visitor.page.inner_text(
            "main"
        )
        await visitor.page.fill("[name=pin]", "000000")
        await visitor.page.click("text=Open >> visible=true")
        await visitor.page.wait_for_selector("text=That is not the PIN")
        await visitor.page.fill("[name=pin]", "493817")
        await visitor.page.click("text=Open >> visible=true")
        await visitor.page.wait_for_selector(".shared.proven")
        assert "例小明厂" in await visitor.page.inner_text(".shared")
        assert not any("493817" in sent for sent in [*visitor.sent, *holder.sent])
        assert visitor.said == [] and holder.said == []
        await other.close()
        await context.close()

"""The installed site in a real Chromium: reloaded without a network, it checks printed codes by the kit."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Page

from ledger.printing.qr import QUIET_ZONE, make_symbol
from ledger.records.dates import batch_day
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.qr import format_code
from ledger.records.statements import issuer_entry
from tests.support.build_log import FILING, ISSUE_DAY
from tests.support.chromium import IN_CHROMIUM, chromium, until
from tests.support.kits import LIMIT_MS, MAKER, MAKER_KEY, appoint
from tests.support.live_site import LiveSite, live_site, now_ms
from verifier.kit.shelf import Shelf
from verifier.kit.web import offline_room
from verifier.messages import load_messages, say_day_number
from verifier.violation import Violation

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    *IN_CHROMIUM,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as launched:
        yield launched


def png(text: str) -> bytes:
    """A picture of this text's code."""
    rows = make_symbol(text).rows
    side = len(rows) + 2 * QUIET_ZONE
    image = Image.new("L", (side, side), 255)
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            image.putpixel((x + QUIET_ZONE, y + QUIET_ZONE), 0 if dark else 255)
    out = BytesIO()
    image.resize((side * 8, side * 8), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


async def renew(live: LiveSite, shelf: Shelf) -> None:
    await shelf.renew([(live.replica, live.trusts[0])])


async def kit_state(page: Page, state: str) -> None:
    await page.wait_for_selector(f"#kit[data-state={state}]", state="attached")


async def check(page: Page, text: str) -> str:
    before = await page.locator("#list li").count()
    await page.fill("#text", text)
    await page.click("#check button")
    await until(page, "n => document.querySelectorAll('#list li').length > n", before)
    return await page.get_attribute("#result", "data-code") or ""


async def test_printed_codes_are_checked_without_a_network(tmp_path: Path, browser: Browser) -> None:
    shelf = Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, now_ms)
    async with live_site(tmp_path, kit_keys=[MAKER_KEY], rooms=lambda live: [offline_room(shelf)]) as live:
        gone = live.log.certificate("gone")
        (gone_index,) = await live.issue(gone)
        ruling = Ruling(Kind.REVOKE, Listed((gone.issue.cert_key,)), Reason.FRAUD, ISSUE_DAY + 1, FILING)
        await live.batch(issuer_entry(ruling, live.log.record_key))
        first_day = batch_day(now_ms()) + 30
        posts = await appoint(live.log, runs=(ISSUE_DAY, 0), waits=(first_day, 0))
        await live.refresh()
        valid, revoked = format_code(live.certificate.code(live.index)), format_code(gone.code(gone_index))
        context = await browser.new_context(locale="en-GB")
        page, asked, said = await context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))

        await page.goto(live.url + "/offline")  # no kit is made yet
        await kit_state(page, "none")
        await page.evaluate("navigator.serviceWorker.ready")
        await renew(live, shelf)
        await page.click("#update")
        await kit_state(page, "known")

        await page.goto(live.page())  # a live verdict, seen once: it must not come back without a network
        await page.wait_for_selector("#own[data-outcome=confirmed]", state="attached")
        await page.goto(live.url + "/offline")
        await kit_state(page, "known")

        await context.set_offline(True)
        await page.reload()
        await kit_state(page, "known")
        assert await check(page, valid) == "offline_bundle_ok"
        assert (
            await page.get_by_text("例*明").first.is_visible()
            and await page.get_by_text("Data as of").first.is_visible()
        )
        assert await page.get_by_text("Not a live answer").is_visible()
        assert await check(page, revoked) == "revoked"
        assert await check(page, posts["runs"]) == "offline_bundle_ok"
        assert not await page.get_by_text("not held yet").is_visible()
        assert await check(page, posts["waits"]) == "offline_bundle_ok"
        said_of_it = f"The post begins on {say_day_number(first_day, 'en')}; it is not held yet"
        assert await page.locator("#result .band p").inner_text() == said_of_it
        assert said_of_it in await page.locator("#list li").first.inner_text()
        term = await page.locator("#result [data-field=post]").inner_text()
        assert term == f"{say_day_number(first_day, 'en')} – {load_messages().labels['open_ended'].en}"
        assert await check(page, valid.partition("#")[0]) == "unavailable"
        assert await check(page, valid[:-9] + str((int(valid[-9]) + 1) % 10) + valid[-8:]) == "tampered"
        assert await check(page, "https://other.example/c/" + "0" * 26) == "wrong_domain"
        await page.evaluate("text => document.dispatchEvent(new CustomEvent('code-scanned', {detail: {text}}))", valid)
        await page.wait_for_selector("#result[data-code=offline_bundle_ok]")
        # A picture of the code is read by the page's own reader, without a network too.
        picture = {"name": "code.png", "mimeType": "image/png", "buffer": png(revoked)}
        await page.set_input_files("#photo", picture)
        await page.wait_for_selector("#result[data-code=revoked]")
        # Three hundred at a fair.
        assert await check(page, "\n".join([valid, revoked] * 150)) in ("offline_bundle_ok", "revoked")
        await until(page, "document.querySelector('#count').textContent === '(309)'")

        # A camera opens the address on the certificate, without a network: the same answer, and no cached verdict.
        await page.goto(live.page())
        await page.wait_for_selector("#result[data-code=offline_bundle_ok]")
        assert await page.locator("#own").count() == 0
        # Another day, beyond the kit's limit: amber, never green; what was revoked stays so.
        await page.clock.install(time=time.time() + LIMIT_MS / 1000 + 60)
        await page.goto(live.url + "/offline?lang=zh")
        await kit_state(page, "old")
        assert await check(page, valid) == "stale"
        assert await page.locator("#result .band.caution").is_visible()
        assert await check(page, revoked) == "revoked"
        assert await page.get_by_text("数据截至").first.is_visible()

        # Online again the page asks for what is live, and nothing was ever sent of what is printed.
        await context.set_offline(False)
        fragment = valid.partition("#")[2]
        assert not [url for url in asked if fragment[:40] in url.replace(live.page(), "")]
        assert not [line for line in said if "Content Security Policy" in line or "Error" in line], said
        await context.close()


async def test_a_kit_of_others_is_not_believed(tmp_path: Path, browser: Browser) -> None:
    shelf = Shelf("somebody.example", MAKER, LIMIT_MS, now_ms)
    async with live_site(tmp_path, kit_keys=[MAKER_KEY], rooms=lambda live: [offline_room(shelf)]) as live:
        await renew(live, shelf)
        page = await browser.new_page(locale="en-GB")
        await page.goto(live.url + "/offline")
        await kit_state(page, "refused")
        assert await page.get_by_text("does not verify").is_visible()
        await page.close()


async def test_the_page_says_of_which_log_nothing_will_be_valid(tmp_path: Path, browser: Browser) -> None:
    shelf = Shelf(MAKER_KEY.name, MAKER, LIMIT_MS, now_ms)
    async with live_site(tmp_path, kit_keys=[MAKER_KEY], rooms=lambda live: [offline_room(shelf)]) as live:
        page = await browser.new_page(locale="en-GB")
        await renew(live, shelf)
        await page.goto(live.url + "/offline")
        await kit_state(page, "known")
        assert not await page.inner_text("#kit-logs")
        live.replica.halted = Violation("a second history")
        await renew(live, shelf)
        await page.click("#update")
        await kit_state(page, "old")
        assert f"The kit's maker has stopped following {live.log.origin}" in await page.inner_text("#kit-logs")
        assert await check(page, format_code(live.certificate.code(live.index))) == "stale"
        assert "stopped following this log" in await page.inner_text("#result .band")
        shelf.raw = shelf.raw.replace(b"certledger/kit/v3", b"certledger/kit/v2", 1)
        await page.close()
        page = await browser.new_page(locale="en-GB")
        await page.goto(live.url + "/offline")
        await kit_state(page, "other")
        assert await page.get_by_text("another version of its format").is_visible()
        await page.close()

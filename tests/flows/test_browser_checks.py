"""A real Chromium checks the proof behind a verdict page itself, and is not talked out of what it finds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import structs
from playwright.async_api import Browser, Page

from ledger.records.evidence import format_evidence, parse_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.statements import issuer_entry
from ledger.text import Text
from tests.support.build_log import FILING, ISSUE_DAY, ORIGIN
from tests.support.chromium import IN_CHROMIUM, chromium
from tests.support.live_site import Lies, LiveSite, followed_site, live_site
from verifier.verdict import HeldPost, Verdict

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    *IN_CHROMIUM,
]


@pytest_asyncio.fixture(loop_scope="module")
async def live(tmp_path: Path) -> AsyncIterator[LiveSite]:
    async with live_site(tmp_path) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as launched:
        yield launched


class Visit:
    """One page, what it asked for, and what its console said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))

    async def go(self, address: str) -> str:
        """Visit; how the browser's own check ended."""
        await self.page.goto("about:blank")  # else a new fragment alone would load nothing
        await self.page.goto(address)
        await self.page.wait_for_selector("#own[data-outcome]", state="attached")
        return await self.page.get_attribute("#own", "data-outcome") or ""

    async def notes(self) -> str:
        return await self.page.get_attribute("#own", "data-notes") or ""


async def visit(browser: Browser) -> Visit:
    return Visit(await browser.new_page(locale="en-GB"))


async def test_the_browser_confirms_and_is_not_talked_into_more(live: LiveSite, browser: Browser) -> None:
    one = await visit(browser)
    assert (await one.go(live.page()), await one.notes()) == ("confirmed", "")
    assert await one.page.get_by_text("Verified in this browser too").is_visible()
    assert await one.page.title() == "✓ Valid · Skill-grade certificate check"
    fragment = live.page().partition("#")[2]
    assert not [url for url in one.asked if fragment[:40] in url]
    assert all(url.startswith(live.url) for url in one.asked)

    # A link without its fragment: name and number are the server's word.
    assert (await one.go(live.page().partition("#")[0] + "?lang=zh"), await one.notes()) == ("confirmed", "name")

    # A higher certificate, then both suspended: each time what is proven is what is shown.
    better = live.log.certificate("better", grade=5, track="one")
    await live.issue(better)
    assert await one.go(live.page()) == "confirmed"
    assert await one.page.get_by_text("a higher grade has been earned").first.is_visible()
    ruling = Ruling(
        Kind.SUSPEND, Listed((live.certificate.issue.cert_key,)), Reason.UNDER_REVIEW, ISSUE_DAY + 1, FILING
    )
    await live.batch(issuer_entry(ruling, live.log.record_key))
    assert await one.go(live.page()) == "confirmed"
    assert await one.page.locator(".band.caution").is_visible()

    # The register has nothing under this code, and the browser knows.
    assert await one.go(live.page(live.log.certificate("never issued"))) == "confirmed"
    assert one.said == []


async def test_a_lying_server_turns_the_page_red(live: LiveSite, browser: Browser) -> None:
    def other_grade(verdict: Verdict) -> Verdict:
        assert verdict.certificate is not None and verdict.certificate.current is not None
        text = Text("一级/高级技师", "Level I / Senior technician")
        current = replace(verdict.certificate.current, grade=text, ordinal=6)
        return replace(
            verdict, certificate=structs.replace(verdict.certificate, grade=text, grade_ordinal=6, current=current)
        )

    def other_name(verdict: Verdict) -> Verdict:
        assert verdict.certificate is not None
        return replace(verdict, certificate=structs.replace(verdict.certificate, name="王小丽"))

    def a_post(verdict: Verdict) -> Verdict:
        assert verdict.certificate is not None
        post = HeldPost(Text("特级技师", "Special-grade technician"), 7, ISSUE_DAY, None)
        return replace(verdict, certificate=structs.replace(verdict.certificate, held=post))

    def cut(raw: bytes) -> bytes:
        evidence = parse_evidence(raw)
        assert evidence.issued is not None
        return format_evidence(replace(evidence, issued=replace(evidence.issued, inclusion=())))

    one = await visit(browser)
    lies = [
        Lies(verdict=other_grade),
        Lies(verdict=other_name),
        Lies(verdict=a_post),
        Lies(evidence=cut),
        Lies(evidence=lambda raw: raw[:-1]),
    ]
    for lie in lies:
        live.lookup.lies = lie
        assert await one.go(live.page()) == "contradicted"
        assert await one.page.locator(".band.bad").is_visible() and await one.page.locator(".band.good").count() == 0
        assert await one.page.title() == "✕ Contradicted by the proof"
        for hidden in (".card", ".grade", ".name", "details dl", "details ol"):
            assert await one.page.locator(hidden).count() == 0
    # Revoked since, and the server goes on to say valid: it may only show an older proof, or none that holds.
    live.lookup.lies = Lies()
    valid = await live.lookup.by_secret(live.page().rpartition("/")[2].partition("#")[0])
    ruling = Ruling(Kind.REVOKE, Listed((live.certificate.issue.cert_key,)), Reason.FRAUD, ISSUE_DAY + 1, FILING)
    await live.batch(issuer_entry(ruling, live.log.record_key))
    live.lookup.lies = Lies(verdict=lambda verdict: valid)
    assert await one.go(live.page()) == "contradicted"
    # A letter of the printed code changed, while the server knows nothing of what is printed.
    live.lookup.lies = Lies()
    address = live.page()
    assert await one.go(address[:-40] + str((int(address[-40]) + 1) % 10) + address[-39:]) == "contradicted"
    assert not [line for line in one.said if "Content Security Policy" in line]


async def test_what_cannot_be_confirmed_is_said(tmp_path: Path, browser: Browser) -> None:
    one = await visit(browser)
    async with live_site(tmp_path, auditor=False) as live:
        assert (await one.go(live.page()), await one.notes()) == ("partly", "auditor")
        # The site's keys are others than the first time: the old ones still count, and the page says so.
        link = live.page().partition("#")[0]
        kept = await one.page.evaluate("localStorage.getItem('certledger/trust')")
        for old, new, outcome in (
            ('"freshness_s":300', '"freshness_s":299', "partly"),
            (ORIGIN, "log.other", "changed"),
        ):
            await one.page.evaluate(
                "value => localStorage.setItem('certledger/trust', value)", kept.replace(old, new, 1)
            )
            assert await one.go(link) == outcome
            assert await one.page.get_by_text("differ from those this browser first saw").is_visible()
        assert await one.page.locator(".band.caution").is_visible()
        await one.page.click("text=Use the new settings")
        await one.page.wait_for_selector("#own[data-outcome=partly]")
        # By its own clock the browser sees that nobody has vouched for a long time.
        await one.page.clock.install(time=time.time() + 3600)
        assert await one.go(link) == "stale"
        assert await one.page.locator(".band.caution").is_visible()
        assert await one.page.title() == "! Out of date"
    await one.page.close()
    assert one.said == []


async def test_a_page_of_a_closed_log_stays_as_it_is(tmp_path: Path, browser: Browser) -> None:
    """Its last proof grows old, and the page rests on the log that follows: not confirmed, and not taken back."""
    async with followed_site(tmp_path) as live:
        one = await visit(browser)
        assert (await one.go(live.page()), await one.notes()) == ("partly", "closed")
        assert await one.page.title() == "✓ Valid · Skill-grade certificate check"
        assert await one.page.get_by_text("This log is closed").is_visible()
        assert one.said == []

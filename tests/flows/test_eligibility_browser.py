"""The pages of eligibility in a real Chromium, as somebody walks through them: from the verdict over the consent to
what the grade means, a payroll from upload to result, a payer's application. Both languages; no policy is broken, and
WCAG holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.support.chromium import IN_CHROMIUM, axe, chromium
from tests.support.eligibility_site import eligibility_site
from tests.support.receipt_office import Office, open_office

pytestmark = IN_CHROMIUM
WATCH = """
window.broken = [];
addEventListener('securitypolicyviolation', (e) => window.broken.push(e.violatedDirective + ' ' + e.blockedURI));
"""


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


async def sound(page: Page) -> None:
    """No policy was broken on this page, and everybody can use it."""
    assert await page.evaluate("window.broken") == []
    assert await axe(page) == []


async def meaning(page: Page, url: str, lang: str, leads: str, agrees: str, shown: tuple[str, ...]) -> None:
    """The verdict page, the question for consent, and what is shown then."""
    await page.goto(f"{url}?lang={lang}")
    await page.click(f"text={leads}")
    await page.wait_for_url("**/means**")
    asked = await page.inner_text("main")
    assert not any(word in asked for word in shown), "nothing before the consent"
    await sound(page)
    await page.click(f"text={agrees}")
    for word in shown:
        await page.wait_for_selector(f"main >> text={word}")
    await sound(page)


async def test_the_pages_of_eligibility(office: Office, tmp_path: Path) -> None:
    staff = tmp_path / "staff.csv"
    head = "工号,链接,现聘任的岗位等级,聘任开始日,所带徒弟人数\n"
    staff.write_text(f"{head}a,{office.link},高级工,2020-01-01,1\nb,,学徒工,2020-01-01,0\n", "utf-8")
    async with eligibility_site(office, tmp_path) as site, chromium() as browser:
        page = await browser.new_page(viewport={"width": 360, "height": 740}, accept_downloads=True)
        await page.add_init_script(WATCH)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if site.url not in request.url else None)
        verdict = f"{site.url}/c/{office.link.rpartition('/')[2]}"

        await meaning(page, verdict, "zh", "这个等级意味着什么", "持证人已同意，查看", ("每月 5,700", "2027-05-27"))
        words = "What this grade means", "The holder agrees: show it", ("5,700", "27 May 2027")
        await meaning(page, verdict, "en", *words)

        for lang, rows in (("zh", "判定结果"), ("en", "Decision")):
            await page.goto(f"{site.url}/payroll?lang={lang}")
            await sound(page)
            await page.set_input_files("#file", staff)
            await page.check(f"input[name=words][value={lang}]")
            await page.click("form[enctype] button")
            await page.wait_for_selector("a[download]")  # by itself, when the run is done
            assert "9,500" in await page.inner_text("main")
            await sound(page)
            async with page.expect_download() as downloading:
                await page.click("a[download]")
            saved = Path(await (await downloading.value).path()).read_text("utf-8-sig")
            assert rows in saved.splitlines()[0] and "5900" in saved

        for lang in ("zh", "en"):
            await page.goto(f"{site.url}/applications/batch?lang={lang}")
            await sound(page)
            await page.goto(f"{site.url}/applications?lang={lang}")
            await page.select_option("#pack", "sc-2023")
            await page.click("form[method=get] button")
            await page.fill("#certificates", office.link)
            await page.select_option("[name='f.insured_as']", "enterprise_staff")
            await page.fill("[name='f.months_insured']", "11")
            await page.select_option("[name='f.in_national_query']", "yes")
            await page.select_option("[name='f.paid_this']", "no")
            await page.fill("[name='f.history']", "无")
            await sound(page)
            await page.click("form[method=post] button")
            await page.wait_for_selector(".band")
            trace = await page.inner_text(".trace")
            assert ("补贴标准：三级" if lang == "zh" else "subsidy by grade: Level III") in trace
            await sound(page)
    assert said == []

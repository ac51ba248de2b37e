"""A hiring list and a receipt in a real Chromium: uploaded, followed, downloaded; no policy broken, WCAG held, and no
name, number or secret in logs and metrics."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from ledger.edge_log import JsonLines
from tests.support.chromium import IN_CHROMIUM, axe, chromium, until
from tests.support.hr_site import open_hr_site
from tests.support.receipt_office import SIGNER
from verifier.hiring import jobs
from verifier.hiring.verifying import verify_list
from verifier.messages import load_messages
from verifier.receipts.receipt import parse_receipt
from verifier.verdict import Code

pytestmark = IN_CHROMIUM


async def test_a_list_and_a_receipt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    go, write = asyncio.Event(), jobs.write_result

    def slow(*arguments: object) -> bytes:
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(30)
        return write(*arguments)  # type: ignore[arg-type]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(jobs, "write_result", slow)
    async with open_hr_site(tmp_path) as hr, chromium() as browser:
        page = await browser.new_page(
            color_scheme="dark", viewport={"width": 360, "height": 740}, accept_downloads=True
        )
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: said.append(request.url) if hr.site.url not in request.url else None)
        link, number = hr.office.link, hr.office.certificate.face.number
        path = tmp_path / "名单.csv"
        path.write_text("姓名,证书编号,链接\n" + f"例小明,{number},{link}\n" * 9, "utf-8")

        await page.goto(f"{hr.site.url}/lists?lang=en")
        assert await axe(page) == []
        await page.set_input_files("#file", path)
        await page.click("button")
        await page.wait_for_selector("progress")
        await until(page, "document.getElementById('count').textContent === '9 / 9'")
        assert await axe(page) == []
        go.set()
        await page.wait_for_selector("text=Download the result")  # by itself
        assert await axe(page) == []
        async with page.expect_download() as downloading:
            await page.click("text=Download the result")
        saved = await (await downloading.value).path()
        assert verify_list(Path(saved).read_bytes(), {SIGNER.public}, load_messages()).summary.rows == 9
        await page.click("text=Delete it now")
        assert page.url == f"{hr.site.url}/lists"

        await page.goto(f"{hr.site.url}/c/{link.rpartition('/')[2]}?lang=zh")
        assert await axe(page) == []
        async with page.expect_download() as downloading:
            await page.click("text=回执（JSON）")
        saved = await (await downloading.value).path()
        assert hr.office.check(parse_receipt(Path(saved).read_bytes())).verdict.code is Code.VALID
        metrics = await (await page.request.get(f"{hr.site.url}/metrics")).text()
    assert said == []
    ours = [record for record in caplog.records if record.name.startswith(("ledger", "verifier"))]
    logged = "\n".join(map(JsonLines().format, ours))
    assert "/lists/{id}" in logged
    for canary in ("例小明", number, link.rpartition("/")[2], "名单", hr.key):
        assert canary not in logged and canary not in metrics

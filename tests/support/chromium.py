"""Debian's Chromium for tests: started once the same way for all, patient, and what every page is asked."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.support.missing import IN_CI
from tests.support.waiting import PATIENCE_S

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-headless-shell")
# For `pytestmark`. CI has one, or fails.
IN_CHROMIUM: Final = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not IN_CI, reason="no chromium on this machine (Debian package chromium)"),
]
PATIENCE_MS: Final = PATIENCE_S * 1000
_AXE: Final = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@asynccontextmanager
async def chromium(*words: str) -> AsyncIterator[Browser]:
    """A browser of its own, with these words on its command line too; closed at the end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, timeout=PATIENCE_MS, args=["--no-sandbox", "--disable-gpu", *words]
        )
        browser.on("context", lambda context: context.set_default_timeout(PATIENCE_MS))
        yield browser
        await browser.close()


async def until(page: Page, expression: str, arg: object = None) -> None:
    """Wait until the page says so. Polled from here: our pages forbid the `eval` that Playwright's `wait_for_function`
    asks with, which shows only when the first look is too early."""
    async with asyncio.timeout(PATIENCE_S):
        while not await page.evaluate(expression, arg):
            await asyncio.sleep(0.05)


async def axe(page: Page) -> list[tuple[str, str]]:
    """What breaks WCAG 2.2 A and AA or good practice, by axe-core: rule and element."""
    await page.evaluate(_AXE)
    found: dict[str, Any] = await page.evaluate("(tags) => axe.run(document, {runOnly: tags})", _RULES)
    assert found["passes"], "axe looked at nothing"
    return [(rule["id"], node["html"][:160]) for rule in found["violations"] for node in rule["nodes"]]

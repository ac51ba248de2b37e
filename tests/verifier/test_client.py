"""The small client against the real application."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from ledger.errors import Refused, Unavailable
from tests.support.hr_site import HrSite, open_hr_site
from tests.support.watch_desk import Receiver
from verifier.client import ATTEMPTS, LONGEST_S, VerifierClient, _refusal


@pytest.fixture
async def hr(tmp_path: Path) -> AsyncIterator[HrSite]:
    async with open_hr_site(tmp_path) as opened:
        yield opened


async def test_checks_receipts_lists_and_watches(hr: HrSite, tmp_path: Path) -> None:
    client, link = VerifierClient(hr.site.url, hr.key, sleep=lambda _: None), hr.office.link
    assert (await asyncio.to_thread(client.verify, link))["code"] == "valid"
    assert (await asyncio.to_thread(client.receipt, link))["verdict"]["code"] == "valid"
    path = tmp_path / "list.csv"
    path.write_text(f"链接\n{link}\n", "utf-8")
    assert "证书有效".encode() in await asyncio.to_thread(client.check_list, path, "zh")
    async with Receiver().open() as receiver:
        assert (await asyncio.to_thread(client.watch, link, receiver.url))["secret"].startswith("whsec_")
    path.write_text("nothing\n", "utf-8")
    with pytest.raises(Refused) as refused:
        await asyncio.to_thread(client.check_list, path)
    assert refused.value.code == "HEADER_NOT_FOUND"


async def test_refusals_and_silence(hr: HrSite) -> None:
    with pytest.raises(Refused) as refused:
        await asyncio.to_thread(VerifierClient(hr.site.url, "cvk_x").verify, hr.office.link)
    assert refused.value.code == "unauthorised"
    await hr.site.stop()
    with pytest.raises(Unavailable):
        await asyncio.to_thread(VerifierClient(hr.site.url).verify, "x")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"code": "x", "zh": "", "en": ""}, "x"),
        ({"code": "x\x1b[2J", "zh": "不行\x1b[2J", "en": "no\x1b[2J"}, "x?[2J"),
        ({"code": 1, "zh": 2, "en": 3}, None),
    ],
)
def test_whatever_somebody_answers_drives_no_terminal_and_breaks_nothing(said: Any, code: str | None) -> None:
    answer = HTTPError("http://x", 422, "no", Message(), io.BytesIO(json.dumps({"error": said}).encode()))
    error = _refusal(answer)
    answer.close()
    if code is None:
        assert isinstance(error, Unavailable)
    else:
        assert isinstance(error, Refused) and error.code == code and "\x1b" not in error.text.both()


async def test_a_busy_verifier_is_asked_again(hr: HrSite, tmp_path: Path) -> None:
    from aiohttp import web

    seen: list[str] = []

    async def busy(request: web.Request) -> web.Response:
        seen.append(request.headers["Idempotency-Key"])
        if len(seen) < 3:
            return web.Response(status=429, headers={"Retry-After": "7"})
        return web.json_response({"code": "valid"})

    app = web.Application()
    app.router.add_post("/v1/verify", busy)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slept: list[float] = []
    client = VerifierClient(f"http://127.0.0.1:{runner.addresses[0][1]}", sleep=slept.append)
    assert (await asyncio.to_thread(client.verify, "x"))["code"] == "valid"
    assert slept == [7.0, 7.0] and len(set(seen)) == 1
    seen[:] = []
    await runner.cleanup()


async def test_nobody_makes_it_wait_for_ever() -> None:
    """A proxy names a day or an hour, and a list never comes to its end."""
    from aiohttp import web

    named, polls, always = "", 0, [LONGEST_S] * (ATTEMPTS - 1)

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": named})

    async def waiting(_: web.Request) -> web.Response:
        nonlocal polls
        polls += 1
        return web.json_response({"id": "1", "state": "waiting", "error": None})

    app = web.Application()
    app.router.add_post("/v1/verify", busy)
    app.router.add_post("/v1/hiring-lists", waiting)
    app.router.add_get("/v1/hiring-lists/1", waiting)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        assert len(slept) < 100, "it goes on for ever"
        slept.append(seconds)

    client = VerifierClient(f"http://127.0.0.1:{runner.addresses[0][1]}", sleep=sleep)
    for named, waits in (("Wed, 21 Oct 2026 07:28:00 GMT", always), ("3600", []), ("9" * 400, always)):
        slept.clear()
        with pytest.raises(Unavailable):
            await asyncio.to_thread(client.verify, "x")
        assert slept == waits, named
    slept.clear()
    with pytest.raises(Unavailable, match="not answered yet"):
        await asyncio.to_thread(client.check_list, Path(__file__), longest_s=10.0)
    assert slept == [1.0] * 10 and polls == 11
    await runner.cleanup()

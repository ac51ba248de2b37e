"""Claiming over HTTP: what is proven, what is refused alike, what a browser gets."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from ledger.records.bundle import format_bundle
from ledger.records.secret import format_secret
from tests.support.holder_site import HolderSite, holder_site

SAME = {"Sec-Fetch-Site": "same-origin"}
REFUSED = "These do not belong to one registered certificate"


async def post(site: HolderSite, fields: dict[str, str], data: bytes = b"", **headers: str) -> tuple[int, str, str]:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("lang", "en")
    for name, value in fields.items():
        form.add_field(name, value)
    if data:
        form.add_field("file", data, filename="holder.bundle", content_type="application/octet-stream")
    async with (
        aiohttp.ClientSession(headers=SAME | headers) as session,
        session.post(f"{site.url}/holder/claim", data=form, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.text(), answer.headers.get("Set-Cookie", "")


async def test_code_name_tail_and_holder_code_together_claim(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        status, _, cookie = await post(site, site.fields())
        assert status == 303
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie, "loopback without TLS"
        assert (await post(site, site.fields(code=site.fields()["code"].lower())))[0] == 303, "as it is typed"


async def test_whatever_is_wrong_the_answer_is_the_same(tmp_path: Path) -> None:
    async with holder_site(tmp_path, "one", "two") as site:
        other = site.fields(1)
        answers = set()
        for changes in (
            {"name": "别人"},
            {"tail": "0000"},
            {"code": other["code"]},
            {"text": other["text"]},
            {"text": f"{site.url}/c/{format_secret(bytes(16))}"},
        ):
            status, text, cookie = await post(site, site.fields(**changes))
            assert status == 422 and REFUSED in text and cookie == "", changes
            answers.add(text.split('role="alert"')[1].split("</div>")[0])
        assert len(answers) == 1


async def test_five_wrong_ones_a_day_for_those_who_have_the_holder_code(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        for _ in range(8):
            assert (await post(site, site.fields(code=format_secret(bytes(16)))))[0] == 422
        assert (await post(site, site.fields()))[0] == 303, "who only has the code uses up nothing"
        for _ in range(5):
            assert (await post(site, site.fields(tail="0000")))[0] == 422
        asked = len(site.ledger.matches)
        assert (await post(site, site.fields()))[0] == 422 and len(site.ledger.matches) == asked
        await site.pass_time(86_400_000)
        assert (await post(site, site.fields()))[0] == 303


async def test_the_bundle_is_enough(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        raw = format_bundle(await site.log.bundle(site.certificates[0]))
        assert (await post(site, {}, raw))[0] == 303
        status, text, _ = await post(site, {}, raw[:-1] + bytes([raw[-1] ^ 1]))
        assert status == 422 and "not a complete holder" in text


async def test_no_envelopes_is_no_refusal(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        site.ledger.rest.clear()
        status, text, _ = await post(site, site.fields())
        assert status == 503 and "cannot be fetched now" in text


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}])
async def test_another_site_cannot_claim_for_anybody(tmp_path: Path, headers: dict[str, str]) -> None:
    async with holder_site(tmp_path) as site:
        assert (await post(site, site.fields(), **headers))[0] == 403


async def test_an_origin_that_is_no_address_is_another_site(tmp_path: Path) -> None:
    """Of a client that sends no Sec-Fetch-Site."""
    async with holder_site(tmp_path) as site, aiohttp.ClientSession() as session:
        for origin in ("http://[", "null", "http://other.example"):
            async with session.post(f"{site.url}/holder/claim", data={}, headers={"Origin": origin}) as answer:
                assert answer.status == 403, origin

"""Look-ups over real HTTP: the doctor before the index, masked names, equal answers, limits, nothing in the logs."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ledger.edge import Site
from ledger.edge_log import JsonLines
from ledger.errors import Unavailable
from ledger.records.number import parse_number
from ledger.records.secret import format_secret
from ledger.text import Text
from tests.support.number_desk import number_desk


async def ask(site: Site, method: str, path: str, **kw: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, site.url + path, **kw) as got:
        return got.status, await got.text()


async def post(site: Site, path: str = "/lookup", **fields: str) -> tuple[int, str]:
    return await ask(site, "POST", path, data={"lang": "en"} | fields)


async def test_a_look_up_masks_the_name_and_offers_the_match(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]), desk.site() as site:
        status, page = await post(site, number=parse_number(one.face.number).grouped.lower(), name=" 例 小明 ")
        assert status == 200 and "✓ Valid" in page and "例*明" in page
        assert desk.index.asked == [(one.face.number, one.face.name)]
        visible = re.sub(r"<[^>]*>", "", page)
        assert one.face.name not in visible
        status, page = await post(site, number=one.face.number, name=one.face.name, last4="１２３x")
        assert "Yes: these are the last four" in page and 'class="said yes"' in page
        status, page = await post(site, number=one.face.number, name=one.face.name, last4="0000")
        assert "No: the last four" in page
        status, page = await post(site, number=one.face.number, name=one.face.name, last4="12")
        assert "Type four digits or letters" in page and len(desk.index.tries) == 1


async def test_the_doctor_comes_first_and_asks_nobody(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]), desk.site() as site:
        wrong = one.face.number.replace("2026", "20O6") if "2026" in one.face.number else one.face.number[:-1] + "O"
        for fields in (
            {"number": wrong, "name": one.face.name},
            {"number": "Y000051001064724000017", "name": one.face.name, "level": "3"},
            {"number": one.face.number, "name": "例小明1"},
            {"number": "", "name": ""},
            {"number": "<script>", "name": '"><img src=x>'},
        ):
            status, page = await post(site, **fields)
            assert status == 200 and 'aria-invalid="true"' in page and "<script" not in page and "<img" not in page
        assert desk.index.asked == []
        status, page = await post(site, number="YO00051001064253000017", name=one.face.name)
        assert "Did you mean" in page and 'value="Y 0000 51 001064 25 3 000017"' in page


async def test_absent_and_wrong_name_are_the_same_bytes(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]), desk.site() as site:
        _, absent = await post(site, number="Y000051000001263999999", name=one.face.name)
        _, other = await post(site, number=one.face.number, name="例外人")
        assert "No record found" in absent and absent == other
        assert one.face.number not in other and parse_number(one.face.number).grouped not in other
        json = {"number": "Y000051000001263999999", "name": one.face.name}
        _, absent = await ask(site, "POST", "/v1/lookup", json=json)
        _, other = await ask(site, "POST", "/v1/lookup", json={"number": one.face.number, "name": "例外人"})
        assert absent == other


async def test_programs_get_a_verdict_or_a_typed_refusal(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]), desk.site() as site:
        status, body = await ask(site, "POST", "/v1/lookup", json={"number": one.face.number, "name": one.face.name})
        assert status == 200 and '"code": "valid"' in body
        for json, expected, code in (
            ({"number": one.face.number[:-1] + "O", "name": one.face.name}, 422, "CHARACTER"),
            ({"number": one.face.number, "name": ""}, 422, "NAME_MISSING"),
            ({"number": one.face.number}, 400, "malformed"),
            ({"number": 1, "name": 2}, 400, "malformed"),
        ):
            status, body = await ask(site, "POST", "/v1/lookup", json=json)
            assert status == expected and code in body, (json, body)
        assert (await ask(site, "POST", "/v1/lookup", data="x"))[0] == 415
        assert (await ask(site, "POST", "/lookup", data="x", headers={"Content-Type": "text/plain"}))[0] == 415


async def test_a_link_can_be_matched_by_who_has_it(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]), desk.site() as site:
        path = f"/c/{format_secret(one.secret)}"
        assert 'name="last4"' in (await ask(site, "GET", path))[1]
        for _ in range(2):
            assert 'class="said no"' in (await post(site, path, last4="0000"))[1]
        assert 'class="said yes"' in (await post(site, path, last4="123X"))[1]
        for _ in range(2):
            await post(site, path, last4="0000")
        assert 'class="said may"' in (await post(site, path, last4="123X"))[1]
        status, page = await post(site, "/c/" + "0" * 26, last4="123X")
        assert status == 200 and "said" not in page and desk.index.tries == {one.issue.cert_key: 6}
        assert (await post(site, "/c/" + "0" * 65, last4="123X"))[0] == 404


async def test_a_client_that_asks_too_much_waits_and_failures_cost_nothing(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]), desk.site(behind_proxy=True) as site:
        json = {"number": one.face.number, "name": one.face.name}

        async def from_(client: str) -> tuple[int, str]:
            return await ask(site, "POST", "/v1/lookup", json=json, headers={"X-Forwarded-For": f"9.9.9.9, {client}"})

        desk.index.failure = Unavailable(Text("没有应答", "down"))
        for _ in range(30):
            assert '"unavailable"' in (await from_("192.0.2.1"))[1]
        desk.index.failure = None
        statuses = [(await from_("192.0.2.1"))[0] for _ in range(21)]
        assert statuses == [200] * 20 + [503]
        assert (await from_("192.0.2.2"))[0] == 200


async def test_nothing_that_was_asked_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with number_desk(tmp_path, "one") as (desk, [one]), desk.site() as site:
        await post(site, number=one.face.number, name=one.face.name, last4="123X")
        await post(site, f"/c/{format_secret(one.secret)}", last4="123X")
        await ask(site, "POST", "/v1/lookup", json={"number": one.face.number, "name": "例外人"})
        _, metrics = await ask(site, "GET", "/metrics")
    said = metrics + "".join(JsonLines().format(record) for record in caplog.records)
    assert "/lookup" in said and "/c/{secret}" in said
    for word in (one.face.number, one.face.name, "例外人", format_secret(one.secret), "123X"):
        assert word not in said

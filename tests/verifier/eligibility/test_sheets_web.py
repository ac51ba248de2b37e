"""A payroll and a batch of applications over real HTTP: a sheet in, the same sheet back."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openpyxl
import pytest

from ledger.edge import Site
from ledger.records.kinds import Kind
from tests.support.eligibility_site import eligibility_site
from tests.support.receipt_office import Office, open_office
from tests.support.waiting import until_told
from tests.verifier.eligibility.test_earlier import days_later, ruled
from tests.verifier.web.test_app import ask
from verifier.eligibility import sheets_web
from verifier.eligibility.people import MAX_ROWS

CLAIMS = [
    "申请编号", "链接", "失业保险参保身份", "累计参加失业保险月数", "证书可在全国联网查询",
    "本证书的补贴已经发放", "history",
]  # fmt: skip
STAFF = ["工号", "链接", "现聘任的岗位等级", "聘任开始日", "所带徒弟人数", "备注"]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


def xlsx_of(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rows_of(raw: bytes, sheet: int = 0) -> list[list[Any]]:
    return [list(row) for row in openpyxl.load_workbook(io.BytesIO(raw)).worksheets[sheet].iter_rows(values_only=True)]


def form(raw: bytes, previous: bytes | None = None, **fields: str) -> aiohttp.FormData:
    sent = aiohttp.FormData(fields)
    sent.add_field("file", raw, filename="staff.xlsx")
    if previous is not None:
        sent.add_field("previous", previous, filename="last.xlsx")
    return sent


async def fetch(site: Site, path: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(site.url + path) as got:
        return await got.read()


async def run(site: Site, path: str, sent: aiohttp.FormData) -> tuple[dict[str, Any], bytes]:
    taken = await ask(site, "POST", path, data=sent)
    assert taken.status == 202, taken.text

    async def over() -> dict[str, Any] | None:
        state = (await ask(site, "GET", taken.headers["location"])).json()
        return state if state["state"] in ("done", "failed") else None

    state = await until_told(over)
    if state["result"] is None:
        return state, b""
    return state, await fetch(site, state["result"])


async def test_a_payroll_and_the_next_one(office: Office, tmp_path: Path) -> None:
    async with eligibility_site(office, tmp_path) as site:
        first = xlsx_of(
            STAFF,
            ["a", office.link, "高级工", "2020-01-01", 1, "甲"],
            ["b", None, "学徒工", "2020-01-01", 0, "乙"],
            ["gone", None, "学徒工", "2020-01-01", 0, ""],
        )
        state, back = await run(site, "/v1/payroll-runs", form(first, pack="wage-sample", words="zh"))
        assert state["counts"] == {"eligible": 3} and state["total_fen"] == 590_000 + 2 * 360_000
        head, one, two, _ = rows_of(back)
        assert head[:6] == STAFF and one[5] == "甲"
        found = dict(zip(head[6:], one[6:], strict=True))
        assert found["判定结果"] == "✓ 符合条件" and found["聘任等级"] == found["现等级"] == "三级/高级工"
        lines = [found[title] for title in ("岗位工资", "技能津贴", "带徒津贴", "金额合计（元）")]
        assert lines == [5400, 300, 200, 5900]
        assert two[6:] != one[6:]
        assert ["规则编号", "wage-sample"] in rows_of(back, 1)

        second = xlsx_of(
            STAFF,
            ["a", office.link, "高级工", "2020-01-01", 2, "甲"],
            ["b", None, "学徒工", "2020-01-01", 0, "乙"],
            ["new", None, "学徒工", "2020-01-01", 0, ""],
        )
        state, back = await run(site, "/v1/payroll-runs", form(second, back, pack="wage-sample", words="zh"))
        head, one, two, new = rows_of(back)
        change = head.index("与上次相比")
        assert (one[change], two[change], new[change]) == ("增加 200 元", "无变化", "上次没有此人")
        assert one[change - 1] == 5900
        summary = dict(rows_of(back, 1))
        assert summary["上次有、本次没有的人员"] == "1  gone" and summary["上次合计（元）"] == "13,100"


async def test_nobody_is_paid_by_a_part_of_the_last_result(office: Office, tmp_path: Path) -> None:
    rows = "".join(f"p{at},✓ 符合条件,1\n" for at in range(MAX_ROWS + 1))
    last = f"工号,判定结果,金额合计（元）\n{rows}".encode()
    raw = xlsx_of(STAFF, [f"p{MAX_ROWS}", None, "学徒工", "2020-01-01", 0, "乙"])
    async with eligibility_site(office, tmp_path) as site:
        state, back = await run(site, "/v1/payroll-runs", form(raw, last, pack="wage-sample", words="zh"))
        assert (state["state"], back) == ("failed", b"")
        error = state["error"]
        assert error["code"] == "LIST_TOO_LONG"
        assert f"上次的结果文件最多 {MAX_ROWS} 行" in error["zh"] and f"at most {MAX_ROWS} rows" in error["en"]


async def test_a_past_month_compared_with_the_one_before(office: Office, tmp_path: Path) -> None:
    """June and May of 2026, asked for in July: suspended in June, so the wage of June has gone, and that of May not."""
    await days_later(office, 20, ruled(office, Kind.SUSPEND, office.certificate))
    await days_later(office, 20)
    raw = xlsx_of(STAFF, ["a", office.link, "高级工", "2020-01-01", 1, "甲"])
    async with eligibility_site(office, tmp_path) as site:
        asked = form(raw, pack="wage-sample", words="zh", as_of="2026-06", compare="2026-05-31")
        state, back = await run(site, "/v1/payroll-runs", asked)
        assert (state["as_of"], state["compare"]) == ("2026-06-30", "2026-05-31")
        head, one = rows_of(back)
        found = dict(zip(head, one, strict=True))
        assert found["对比日金额（元）"] == 5900 and found["判定结果"] == "✕ 不符合条件"
        assert "当日等级" in found and "减少 5,900 元" in found["与对比日相比"]
        summary = dict(rows_of(back, 1))
        assert summary["证书状态"].startswith("2026-06-30 日终") and summary["对比日合计（元）"] == "5,900"
        state, back = await run(site, "/v1/payroll-runs", form(raw, pack="wage-sample", as_of="2026-05", words="zh"))
        assert state["counts"] == {"eligible": 1} and "此后已不是有效状态" in rows_of(back)[1][-1]
        for wrong, code in (
            (form(raw, pack="wage-sample", as_of="2026-07"), "MONTH_NOT_OVER"),
            (form(raw, back, pack="wage-sample", compare="2026-05-31"), "COMPARED_TWICE"),
        ):
            assert code in (await ask(site, "POST", "/v1/payroll-runs", data=wrong)).text
        state, _ = await run(site, "/v1/payroll-runs", form(raw, pack="wage-sample", as_of="2020-01-31"))
        assert state["state"] == "failed" and state["error"]["code"] == "TOO_EARLY"
        page = (await ask(site, "GET", "/payroll?lang=en")).text
        assert 'name="compare"' in page and "as they stood in the log" in page
        question = {"pack": "wage-sample", "certificates": [office.link], "as_of": "2026-05-31"}
        assert (await ask(site, "POST", "/v1/eligible", json=question)).json()["checks"] == ["valid"]
        question["as_of"] = "2026-06-30"
        assert (await ask(site, "POST", "/v1/eligible", json=question)).json()["checks"] == ["suspended"]
        question |= {"pack": "sc-2023", "as_of": "2026-05-31"}
        assert (await ask(site, "POST", "/v1/eligible", json=question)).json()["checks"] == ["suspended"]


async def test_a_batch_of_applications(office: Office, tmp_path: Path) -> None:
    good = ["1", office.link, "企业在职职工", 14, "是", "否", "无"]
    absent = office.log.certificate("absent").code().link
    raw = xlsx_of(
        CLAIMS, good, ["2", office.link, *good[2:]], ["3", absent, *good[2:]], ["4", office.link[:-1], *good[2:]],
        ["5", "", *good[2:]], ["6", "", "公务员", *good[3:]],
    )  # fmt: skip
    async with eligibility_site(office, tmp_path) as site:
        state, back = await run(site, "/v1/application-runs", form(raw, pack="sc-2023", words="en"))
        assert state["counts"] == {"eligible": 1, "needs_information": 3, "unread": 2}
        titles, *rows = rows_of(back)
        explained = [row[titles.index("Explanation")] for row in rows]
        assert rows[0][titles.index("Amount (yuan)")] == 2000 and rows[0][titles.index("Until")] == "27 May 2027"
        assert rows[0][titles.index("Cert key")] == office.certificate.issue.cert_key.hex()
        assert len(rows[0][titles.index("SHA-256 of the decision")]) == 64 and not rows[1][titles.index("Cert key")]
        assert "the same certificate as in row 2" in explained[1]
        assert "cannot be proven" in explained[2] and "a certificate has to be shown" in explained[4]
        assert "must be one of" in explained[5]
        assert dict(rows_of(back, 1))["Total (yuan)"] == "2,000"
        gone = await ask(site, "POST", f"/runs/{state['id']}/forget", allow_redirects=False)
        assert (gone.status, gone.headers["location"]) == (303, "/applications/batch")


async def test_pages_and_what_is_refused(office: Office, tmp_path: Path) -> None:
    raw = xlsx_of(STAFF, ["a", office.link, "高级工", "2020-01-01", 1, "甲"])
    async with eligibility_site(office, tmp_path) as site:
        for path in ("/payroll", "/applications/batch"):
            assert 'type="file"' in (await ask(site, "GET", f"{path}?lang=en")).text
        blank = await fetch(site, "/payroll/template?pack=wage-sample&lang=zh")
        assert rows_of(blank)[0][:2] == ["工号", "链接"] and "现聘任的岗位等级" in rows_of(blank)[0]
        for path, sent, status in (
            ("/v1/payroll-runs", form(raw, pack="sc-2023"), 422),
            ("/v1/application-runs", form(raw, pack="wage-sample"), 422),
            ("/v1/payroll-runs", form(raw, pack="no"), 422),
            ("/v1/payroll-runs", form(b"", pack="wage-sample"), 400),
            ("/v1/payroll-runs", form(raw, pack="wage-sample", as_of="2026"), 400),
        ):
            assert (await ask(site, "POST", path, data=sent)).status == status
        state, _ = await run(site, "/v1/payroll-runs", form(raw, raw, pack="wage-sample"))
        assert state["state"] == "failed" and state["error"]["code"] == "HEADER_NOT_FOUND"
        taken = await ask(
            site, "POST", "/payroll", data=form(raw, pack="wage-sample", lang="en"), allow_redirects=False
        )
        assert taken.status == 303 and taken.headers["location"].endswith("?lang=en")
        page = taken.headers["location"]

        async def result() -> str:
            text = (await ask(site, "GET", page)).text
            return text if "Download the result" in text else ""

        text = await until_told(result)
        assert "5,900" in text and "Sample" in text
        address = page.partition("?")[0]
        gone = await ask(site, "POST", f"{address}/forget", allow_redirects=False)
        assert (gone.status, gone.headers["location"]) == (303, "/payroll")
        assert (await ask(site, "GET", address)).status == 404
        assert (await ask(site, "GET", "/v1/runs/xyz")).status == 404


async def test_a_template_is_written_once(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writing is a process of its own, and anybody may ask for a template as often as they like."""
    written: list[object] = []

    def write(page: object) -> bytes:
        written.append(page)
        return b"PK"

    monkeypatch.setattr(sheets_web, "write_page", write)
    async with eligibility_site(office, tmp_path) as site:
        asked = [fetch(site, "/payroll/template?pack=v2017&lang=zh") for _ in range(20)]
        assert set(await asyncio.gather(*asked)) == {b"PK"} and len(written) == 1
        await fetch(site, "/payroll/template?pack=v2017&lang=en")
        assert len(written) == 2

"""Sheets of people against a real replica: what each person is answered."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from ledger.records.dates import batch_day, format_day
from ledger.records.kinds import Kind
from ledger.reference_data import load_ladder
from tests.support.receipt_office import Office, open_office
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.gathering import Gatherer
from verifier.eligibility.pack import Pack
from verifier.eligibility.people import read_people
from verifier.eligibility.results import Answered
from verifier.eligibility.running import Runner
from verifier.eligibility.tables import Outcome

WAGE = shipped_packs()["wage-sample"]
SC = shipped_packs()["sc-2023"]
LADDER = load_ladder()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


def csv_of(*rows: Sequence[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


async def ran(office: Office, raw: bytes, pack: Pack = WAGE) -> list[Answered]:
    people = read_people(raw, "staff.csv", pack, LADDER)
    runner = Runner(Gatherer(office.lookup, lambda: office.now[0]), lambda: office.now[0])
    return await runner.run(people.people, pack, batch_day(office.now[0]))


def results(answered: list[Answered]) -> list[tuple[str, int | None]]:
    return [(one.decision.result.value, one.decision.amount) if one.decision else ("-", None) for one in answered]


CLAIMS = [
    "申请编号", "链接", "失业保险参保身份", "累计参加失业保险月数", "证书可在全国联网查询",
    "本证书的补贴已经发放", "history",
]  # fmt: skip
HEAD = ["工号", "姓名", "链接", "现聘任的岗位等级", "聘任开始日", "聘任结束日", "所带徒弟人数"]


async def test_a_payroll(office: Office) -> None:
    other = office.log.certificate("two", name="例大山", grade=3)
    revoked = office.log.certificate("three", name="例无效")
    await office.log.issue(other, revoked)
    await office.log.rule(Kind.REVOKE, revoked)
    await office.catch_up()
    answered = await ran(
        office,
        csv_of(
            HEAD,
            ["a", "例小明", office.link, "高级工", "2020-01-01", "", "1"],
            ["a", "例大山", other.code().link, "", "", "", ""],
            ["b", "例无效", revoked.code().link, "三级", "2020-01-01", "无", "0"],
            ["c", "例学徒", "", "学徒工", "2020/1/1", "", "0"],
            ["d", "例别人", other.code().link, "中级工", "2020-01-01", "", "0"],
            ["e", "例小明", office.link, "中级工", "2020-01-01", "", "0"],
            ["f", "例缺项", "", "学徒工", "2020-01-01", "", ""],
            ["g", "例写错", "", "七级", "2020-01-01", "", "0"],
        ),
    )
    assert results(answered) == [
        ("eligible", 590000), ("not_eligible", None), ("eligible", 360000), ("needs_information", None), ("-", None),
        ("needs_information", None), ("-", None),
    ]  # fmt: skip
    first = answered[0].decision
    assert first is not None and len(first.certificates) == 2
    assert "第 2 行" in answered[4].problems[0].zh
    assert answered[5].decision is not None and answered[5].decision.missing == ("apprentices",)
    assert "等级" in answered[6].problems[0].zh


async def test_an_application_that_is_turned_down_says_why(office: Office) -> None:
    rows = [
        ["1", office.link, "企业在职职工", "14", "是", "否", "无"],
        ["2", office.log.certificate("absent").code().link, "企业在职职工", "14", "是", "否", "无"],
    ]
    answered = await ran(office, csv_of(CLAIMS, *rows), SC)
    assert results(answered) == [("eligible", 200000), ("needs_information", None)]
    for claim, wanted in (
        ("training-subsidy 6-18-01-01 三级 2026-01-01 本证书", "DOUBLE"),
        ("ui-skill-subsidy 6-18-01-01 二级 2024-01-01", "PAID_HIGHER"),
    ):
        answered = await ran(office, csv_of(CLAIMS, [*rows[0][:-1], claim]), SC)
        decision = answered[0].decision
        assert decision is not None and decision.result is Outcome.NOT_ELIGIBLE and decision.reasons == (wanted,)
    assert format_day(batch_day(office.now[0])).startswith("2026")

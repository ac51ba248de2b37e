"""`payroll` and `applications` as somebody types them."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import openpyxl

from ledger.records.qr import format_code
from tests.verifier.eligibility.test_console import Desk, desk
from verifier.__main__ import main

__all__ = ["desk"]  # the fixture

HEAD = "工号,链接,现聘任的岗位等级,聘任开始日,所带徒弟人数\n"


async def typed(*words: object) -> int:
    return await asyncio.to_thread(main, [str(word) for word in words])


async def test_a_payroll_compared_with_the_last(desk: Desk, tmp_path: Path) -> None:
    staff, first, second = tmp_path / "staff.csv", tmp_path / "1.csv", tmp_path / "2.csv"
    words = ["--pack", "wage-sample", "--dir", desk.folder, "--lang", "en", "--quiet"]
    link = format_code(desk.one.code())
    staff.write_text(f"{HEAD}a,{link},高级工,2020-01-01,1\nb,,学徒工,2020-01-01,0\n", "utf-8")
    assert await typed("payroll", staff, "--out", first, *words) == 0
    said = desk.capsys.readouterr().out
    assert "Total (yuan): 9,500" in said and "not published on the log" in said and "sample data" in said
    assert "5900" in first.read_text("utf-8-sig") and first.stat().st_mode & 0o077 == 0
    assert await typed("payroll", staff, "--out", first, *words) == 2, "nothing is overwritten"
    staff.write_text(f"{HEAD}a,{link},高级工,2020-01-01,3\n", "utf-8")
    assert await typed("payroll", staff, "--out", second, "--previous", first, *words) == 0
    assert "400 yuan more" in second.read_text("utf-8-sig")
    assert "In the last run and not in this one: 1  b" in desk.capsys.readouterr().out
    staff.write_text(f"{HEAD}a,{link},第七级,2020-01-01,3\n", "utf-8")
    assert await typed("payroll", staff, "--out", tmp_path / "3.csv", *words) == 1
    assert await typed("payroll", staff, "--out", tmp_path / "4.csv", *words[2:], "--pack", "sc-2023") == 2


async def test_a_month_is_over_or_is_not_asked_for(desk: Desk, tmp_path: Path) -> None:
    staff, out = tmp_path / "staff.csv", tmp_path / "out.csv"
    words = ["--pack", "wage-sample", "--dir", desk.folder, "--lang", "en", "--quiet", "--out", out]
    staff.write_text(f"{HEAD}b,,学徒工,2020-01-01,0\n", "utf-8")
    assert await typed("payroll", staff, *words, "--month", "2026-04", "--compare", "2026-03") == 0
    said = desk.capsys.readouterr().out
    assert "As of: 30 Apr 2026" in said and "Compared with: 31 Mar 2026" in said and "at the end of 30 Apr 2026" in said
    assert "no change" in out.read_text("utf-8-sig")
    assert await typed("payroll", staff, *words[:-1], tmp_path / "2.csv", "--month", "2999-01") == 2
    assert await typed("payroll", staff, *words[:-1], tmp_path / "3.csv", "--month", "2026-04-30") == 2


async def test_applications_and_packs_of_the_settings(desk: Desk, tmp_path: Path) -> None:
    settings = desk.folder / "verifier.toml"
    assert await typed("packs", "new", "mine", desk.folder / "packs" / "mine", "--kind", "subsidy") == 0
    text = settings.read_text("utf-8")
    settings.write_text(
        'packs = "packs"\n' + "".join(f"{line}\n" for line in text.splitlines() if "packs = " not in line)
    )
    book = openpyxl.Workbook()
    for row in (["申请编号", "链接", "月数"], ["1", format_code(desk.one.code()), 12], ["2", "", 12]):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    sheet, answered = tmp_path / "claims.xlsx", tmp_path / "answered.xlsx"
    sheet.write_bytes(out.getvalue())
    words = ["--pack", "mine", "--dir", desk.folder, "--quiet"]
    assert await typed("applications", sheet, "--out", answered, *words) == 0
    rows = [[cell.value for cell in row] for row in openpyxl.load_workbook(answered).worksheets[0].iter_rows()]
    found = rows[0].index("判定结果 / Decision")
    assert [row[found] for row in rows[1:]] == [
        "✓ 符合条件 / eligible",
        "? 还缺信息，暂不能判定 / needs information before it can be decided",
    ]
    assert rows[1][rows[0].index("金额合计（元） / Amount (yuan)")] == 1000
    assert await typed("applications", sheet, "--out", tmp_path / "x.xlsx", *words[2:], "--pack", "wage-sample") == 2

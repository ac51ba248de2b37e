"""`packs` and `eligible` as somebody types them; certificates come from a real HTTP ledger on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.console.bodies import _pack
from ledger.records.dates import batch_day, format_day
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.qr import format_code
from ledger.records.statements import issuer_entry
from tests.support.build_log import AUDITOR, AUDITORS, BASE, FILING, ISSUE_DAY, Certificate, FakeLedger, LogBuilder
from tests.support.build_log import served as serving
from tests.support.packs import changed
from verifier.__main__ import main
from verifier.eligibility.decision import Basis, parse_decision
from verifier.eligibility.folder import SHIPPED, shipped_packs
from verifier.eligibility.replay import replay

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def common_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


class TestPacks:
    def test_list_and_check(self, capsys: Capture) -> None:
        assert main(["packs", "list", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert {each["id"] for each in listed} == shipped_packs().keys()
        assert main(["packs", "list"]) == 0 and "[示例 / sample]" in capsys.readouterr().out
        assert main(["packs", "check", str(SHIPPED / "sc-2023")]) == 0
        out = capsys.readouterr().out
        assert shipped_packs()["sc-2023"].digest.hex() in out and "42 cases" in out

    def test_a_failing_case_and_a_row_without_one(self, tmp_path: Path, capsys: Capture) -> None:
        files = changed("sc-2023", "tables.toml", "amount = 150000", "amount = 160000")
        folder = str(written(tmp_path / "p", files))
        assert main(["packs", "check", folder]) == 1
        assert "x A6: amount: 150000, 160000" in capsys.readouterr().out
        assert main(["packs", "cases", folder, "--json"]) == 1
        cases = json.loads(capsys.readouterr().out)
        assert cases["untouched"] == [] and len(cases["cases"]) == 42
        (tmp_path / "p" / "cases.toml").write_text("", "utf-8")
        assert main(["packs", "cases", folder]) == 0
        assert "? subsidy/L3: 没有案例 / no case touches it" in capsys.readouterr().out
        assert main(["packs", "check", folder, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["untouched"]) == 4

    def test_a_refused_pack_names_the_place(self, tmp_path: Path, capsys: Capture) -> None:
        files = changed("sc-2023", "tables.toml", '"cert.grade" = 3\n', '"cert.grade" = [2, 3]\n')
        assert main(["packs", "check", str(written(tmp_path / "p", files))]) == 2
        assert "L5" in (error := capsys.readouterr().err) and "L4" in error and "tables.toml: tables/subsidy" in error
        assert main(["packs", "check", "sc-2032"]) == 2
        assert "sc-2023" in capsys.readouterr().err

    def test_terms_are_what_publishes_the_pack(self, capsys: Capture) -> None:
        assert main(["packs", "terms", "n-2024"]) == 0
        told, pack = tomllib.loads(capsys.readouterr().out), shipped_packs()["n-2024"]
        statement = _pack(told, 0)  # type: ignore[arg-type]
        assert (statement.pack_id, statement.version, statement.digest) == ("n-2024", "1", pack.digest)
        assert (statement.first_day, statement.last_day, statement.terms) == (pack.first_day, pack.last_day, pack.claim)
        assert main(["packs", "terms", "wage-sample"]) == 0
        assert _pack(tomllib.loads(capsys.readouterr().out), 0).terms is None  # type: ignore[arg-type]

    def test_diff(self, tmp_path: Path, capsys: Capture) -> None:
        new = written(tmp_path / "p", changed("sc-2023", "tables.toml", "amount = 150000", "amount = 160000"))
        assert main(["packs", "diff", "sc-2023", str(new)]) == 0
        path = "tables.toml tables.subsidy.rows.L4.then.amount"
        assert capsys.readouterr().out == f"- {path}: 150000\n+ {path}: 160000\n"
        assert main(["packs", "diff", "sc-2023", "sc-2023", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []


@dataclass
class Desk:
    log: LogBuilder
    ledger: FakeLedger
    folder: Path
    one: Certificate
    capsys: Capture

    async def ask(self, *words: object) -> tuple[int, Any]:
        self.capsys.readouterr()
        code = await asyncio.to_thread(main, ["eligible", "--dir", str(self.folder), "--json", *map(str, words)])
        out = self.capsys.readouterr().out
        return code, json.loads(out) if out else None

    def facts(self, text: str) -> Path:
        path = self.folder / "facts.toml"
        path.write_text(text, "utf-8")
        return path


@pytest.fixture
async def desk(tmp_path: Path, capsys: Capture) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    log.cosigned_by = (AUDITOR,)
    one = log.certificate("one", issue_day=batch_day(log.time) - 1)
    await log.issue(one)
    ledger = FakeLedger(log, time_ms=time.time_ns() // 1_000_000)
    async with serving(ledger) as url:
        folder = tmp_path / "verifier"
        words = ["init", "--dir", str(folder), "--ledger", url, "--origin", log.origin, "--base", BASE, "--no-replica"]
        words += [word for key in log.signer.vkeys for word in ("--vkey", key.format_vkey())]
        words += ["--genesis", sha256(log.genesis_entry()).hexdigest(), "--map-auditor", AUDITORS[0].format_vkey()]
        assert await asyncio.to_thread(main, words) == 0
        yield Desk(log, ledger, folder, one, capsys)
    await log.store.close()


WAGE = 'appointed_grade = 4\nappointed_from = 2020-01-01\napprentices = 1\nin_skill_work = true\nhonour = "none"\n'


async def test_a_certificate_is_checked_and_decided_on(desk: Desk, tmp_path: Path) -> None:
    link, facts, out = format_code(desk.one.code()), desk.facts(WAGE), tmp_path / "decision"
    packs = ["--pack", "wage-sample", "--facts", facts]
    with pytest.raises(SystemExit):
        await desk.ask(link)
    code, _ = await desk.ask(link, *packs)
    assert code == 2, "facts of no pack that was asked for are refused"
    code, (wage, title) = await desk.ask(link, *packs, "--pack", "title-sc-2021")
    assert code == 1 and wage["result"] == "eligible" and title["reasons"] == ["YEARS"]
    assert wage["amount"]["fen"] == 590_000 and wage["basis"] == "unpublished" and wage["sample"]
    assert wage["evidence"][0]["cert_key"] == desk.one.issue.cert_key.hex()
    assert wage["explanation"][0]["en"] == "Employer wage table by skill grade (sample): eligible"
    facts = desk.facts(WAGE.partition("in_skill")[0])
    code, (wage,) = await desk.ask(link, "--pack", "wage-sample", "--facts", facts, "--out", out)
    assert code == 0
    decision = replay(out.read_bytes(), {pack.digest: pack for pack in shipped_packs().values()}.get)
    assert decision.basis is Basis.UNPUBLISHED and decision == parse_decision(out.read_bytes())
    code, (wage,) = await desk.ask(link, "--pack", "wage-sample")
    assert (code, wage["result"]) == (3, "needs_information")
    assert {each["name"] for each in wage["missing"]} >= {"appointed_grade"}
    today = batch_day(time.time_ns() // 1_000_000)
    later = format_day(today + 3)
    code, (wage,) = await desk.ask(link, "--pack", "wage-sample", "--facts", facts, "--as-of", later)
    assert (code, wage["reasons"]) == (3, ["EVIDENCE_OLD"])


async def test_a_suspended_or_unreadable_one_decides_nothing(desk: Desk) -> None:
    facts = desk.facts(WAGE.partition("in_skill")[0])
    said = Ruling(Kind.SUSPEND, Listed((desk.one.issue.cert_key,)), Reason.UNDER_REVIEW, ISSUE_DAY + 1, FILING)
    await desk.log.batch([issuer_entry(said, desk.log.record_key)])
    link = format_code(desk.one.code())
    code, (wage,) = await desk.ask(link, "--pack", "wage-sample", "--facts", facts)
    assert (code, wage["reasons"]) == (1, ["NOT_CERTIFIED", "STATUS"])
    assert wage["left_out"] == [{"code": "suspended", "reason": "STATUS"}] and wage["evidence"] == []
    desk.ledger.down = True
    code, (wage,) = await desk.ask(link, "--pack", "wage-sample", "--facts", facts)
    assert (code, wage["result"], wage["reasons"]) == (3, "needs_information", ["NOT_PROVEN"])


async def test_words_for_people_and_packs_that_need_no_certificate(desk: Desk) -> None:
    facts = desk.folder / "facts.json"
    facts.write_text('{"target": 4, "planned": 45, "finished": 33, "years": 2, "prepaid": 11250000}', "utf-8")
    words = ["eligible", "--dir", str(desk.folder), "--pack", "apprenticeship-nt", "--facts", str(facts), "--trace"]
    assert await asyncio.to_thread(main, [*words, "--lang", "zh"]) == 0
    out = desk.capsys.readouterr().out
    assert "金额：一次性 217,500 元" in out and "每人每年标准：高级工" in out and "Amount" not in out
    facts.write_text("[1]", "utf-8")
    assert await asyncio.to_thread(main, words) == 2
    facts.unlink()
    assert await asyncio.to_thread(main, words) == 3

"""The report says what was counted, in its documented form."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.auditing import NOW, auditing
from tests.support.build_log import FILING, FakeLedger, LogBuilder
from verifier.audit.report import SCHEMA, build_report, format_report, report_text
from verifier.audit.run import Audit
from verifier.audit.store import StoreFailed

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "auditing.md"


@pytest.fixture
async def audit(tmp_path: Path) -> AsyncIterator[Audit]:
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.issue(*(log.certificate(f"a{n}", grade=4) for n in range(3)))
    await log.issue(log.certificate("b", grade=3))
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as opened:
        await opened.look(NOW)
        yield opened
    await log.store.close()


async def test_numbers(audit: Audit) -> None:
    report = build_report(audit, NOW, seconds=2.0, started_at=0)
    assert report["schema"] == SCHEMA and report["result"] == "sound" and report["alarms"] == []
    assert report["verified"]["size"] == report["replayed"] == 9
    assert report["run"] == {"entries": 9, "seconds": 2.0, "entries_per_second": 4}
    numbers = report["statistics"]
    assert numbers["certificates"] == 4 and numbers["seals"] == 3
    assert numbers["kinds"] == {"genesis": 1, "filing": 1, "issue": 4}
    assert numbers["statuses"] == {"in_force": 4}
    assert numbers["growth"] == [{"day": "2026-05-28", "statements": 6, "certificates": 4}]
    assert numbers["lag"] == [{"days": 1, "certificates": 4, "or_more": False}]
    assert numbers["grades"] == [{"grade": 3, "certificates": 1}, {"grade": 4, "certificates": 3}]
    (body,) = numbers["bodies"]
    assert (body["filing"], body["certificates"], body["filed"]) == (FILING, 4, "2026-05-28")
    assert body["cells"] == [
        {"occupation": "6-18-01-01", "grade": 3, "certificates": 1},
        {"occupation": "6-18-01-01", "grade": 4, "certificates": 3},
    ]
    assert json.loads(format_report(report)) == report


def keys_of(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {f"{path}.{key}".lstrip(".") for key in value} | {
            found for key, one in value.items() if not (path + "." + key).endswith(("kinds", "statuses"))
            for found in keys_of(one, f"{path}.{key}".lstrip("."))
        }  # fmt: skip
    return {found for one in value for found in keys_of(one, path)} if isinstance(value, list) else set()


async def test_every_key_is_documented(audit: Audit) -> None:
    documented = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    wanted = keys_of(build_report(audit, NOW))
    assert wanted - documented == set()


async def test_text_in_both_languages(audit: Audit) -> None:
    text = report_text(build_report(audit, NOW, seconds=2.0))
    assert "日志完好 / The log is sound" in text and "没有报警 / no alarms" in text
    assert "9 entries" in text and "4/s" in text


async def test_clocks_that_differ_are_told_of_in_both_languages(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as opened:
        await opened.look(log.time - 120_000)
        problem = build_report(opened, log.time - 120_000)["problem"]
        assert re.search("[一-鿿]", problem) and "is this computer's clock right?" in problem
    await log.store.close()


async def test_an_auditor_whose_own_disk_fails_does_not_say_that_it_is_the_log(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as opened:
        opened.heads._run("PRAGMA query_only = ON")
        with pytest.raises(StoreFailed, match="record of heads"):
            await opened.look(NOW)
        assert opened.findings.unavailable is None
    await log.store.close()


async def test_an_audit_that_saw_nothing(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    async with auditing(tmp_path / "a", log, FakeLedger(log, down=True)) as opened:
        await opened.look(NOW)
        report = build_report(opened, NOW)
        assert report["result"] == "undecided" and report["verified"] is None
        assert report["problem"] == "没有应答 / the ledger does not answer"
        assert "could not be decided".lower() in report_text(report).lower()
    await log.store.close()

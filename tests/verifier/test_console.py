"""`refresh`, `--light` and `--as-of` against a real HTTP ledger on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.records.bundle import format_bundle, parse_bundle
from ledger.records.dates import batch_day, format_day
from ledger.records.evidence import format_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.qr import format_code
from ledger.records.staple import format_staple, parse_staple
from ledger.records.statements import issuer_entry
from ledger.tlog.policy import format_policy
from tests.support.build_log import (
    AUDITOR,
    AUDITORS,
    BASE,
    FILING,
    ISSUE_DAY,
    POLICY,
    TIME,
    WITNESS,
    Certificate,
    FakeLedger,
    LogBuilder,
    served,
)
from verifier.__main__ import main

DAY_MS = 86_400_000


@dataclass
class Desk:
    log: LogBuilder
    ledger: FakeLedger
    url: str
    folder: Path
    one: Certificate
    capsys: pytest.CaptureFixture[str]

    async def run(self, command: str, *arguments: object) -> int:
        words = [command, *map(str, arguments), "--dir", str(self.folder)]
        return await asyncio.to_thread(main, words)

    async def init(self, *more: str) -> None:
        policy = self.folder.with_suffix(".policy")
        policy.write_text(format_policy(POLICY))
        words = ["--ledger", self.url, "--origin", self.log.origin, "--base", BASE, "--policy", policy]
        words += [word for key in self.log.signer.vkeys for word in ("--vkey", key.format_vkey())]
        words += ["--genesis", sha256(self.log.genesis_entry()).hexdigest()]
        words += ["--map-auditor", AUDITORS[0].format_vkey(), *more]
        assert await self.run("init", *words) == 0

    async def check(self, *arguments: object) -> tuple[int, dict[str, Any]]:
        self.capsys.readouterr()
        code = await self.run("check", *arguments, "--json", "--quiet")
        out = self.capsys.readouterr().out
        return code, json.loads(out) if out else {}

    async def suspend(self, time_ms: int) -> None:
        said = Ruling(Kind.SUSPEND, Listed((self.one.issue.cert_key,)), Reason.UNDER_REVIEW, ISSUE_DAY + 1, FILING)
        await self.log.batch([issuer_entry(said, self.log.record_key)], time=time_ms)


@pytest.fixture(autouse=True)
def common_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
async def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    log.cosigned_by = (WITNESS, AUDITOR)
    one = log.certificate("one")
    await log.issue(one)
    ledger = FakeLedger(log, time_ms=time.time_ns() // 1_000_000)
    async with served(ledger) as url:
        yield Desk(log, ledger, url, tmp_path / "verifier", one, capsys)
    await log.store.close()


async def test_settings_under_which_nothing_is_ever_green_are_said(desk: Desk) -> None:
    policy = desk.folder.with_suffix(".none")
    policy.write_text("quorum none\n")
    words = ["--ledger", desk.url, "--origin", desk.log.origin, "--base", BASE, "--policy", policy, "--no-replica"]
    words += [word for key in desk.log.signer.vkeys for word in ("--vkey", key.format_vkey())]
    assert await desk.run("init", *words, "--genesis", "0" * 64) == 0
    assert "map_auditors" in desk.capsys.readouterr().err


async def test_a_light_check_fetches_a_proof_and_nothing_else(desk: Desk) -> None:
    await desk.init("--no-replica")
    assert desk.capsys.readouterr().err == ""
    assert not list(desk.folder.glob("*.db"))
    text = format_code(desk.one.code())
    code, verdict = await desk.check(text)
    assert (code, verdict["code"], verdict["source"]) == (0, "valid", "evidence")
    assert not any(asked.startswith("tile") for asked in desk.ledger.asked)
    desk.log.cosigned_by = (WITNESS,)
    code, verdict = await desk.check(text)
    assert (code, verdict["code"]) == (3, "stale")
    assert any("No map auditor" in finding["text"]["en"] for finding in verdict["findings"])
    assert (await desk.check(format_code(desk.log.certificate("nobody").code())))[1]["code"] == "stale"
    desk.log.cosigned_by = (WITNESS, AUDITOR)
    assert (await desk.check(format_code(desk.log.certificate("nobody").code())))[1]["code"] == "not_found"
    for command in ("sync", "serve"):
        assert await desk.run(command) == 2


async def test_a_ledger_that_lies_or_is_silent(desk: Desk) -> None:
    await desk.init()
    text = format_code(desk.one.code())
    other = await desk.log.evidence(desk.log.certificate("other").issue.cert_key)
    for lie in (b"", b"nonsense", format_evidence(other)):
        desk.ledger.altered["evidence"] = lie
        code, verdict = await desk.check(text, "--light")
        assert (code, verdict["code"], verdict["certificate"]) == (3, "unavailable", None)
        assert any("does not hold" in finding["text"]["en"] for finding in verdict["findings"])
    desk.ledger.altered.clear()
    desk.ledger.down = True
    assert (await desk.check(text, "--light"))[1]["code"] == "unavailable"


@pytest.mark.parametrize("light", [True, False])
async def test_as_of_a_day_and_a_size(desk: Desk, light: bool) -> None:
    await desk.init()
    size = desk.log.integrator.size
    await desk.suspend(TIME + 2 * DAY_MS)
    text, more = format_code(desk.one.code()), ["--light"] if light else []
    day = batch_day(TIME)
    for asked, wanted in (
        (["--as-of", format_day(day)], "valid"),
        (["--as-of", format_day(day + 1)], "valid"),
        (["--as-of", format_day(day + 2)], "suspended"),
        (["--as-of-size", size], "valid"),
        (["--as-of-size", desk.log.integrator.size], "suspended"),
    ):
        code, verdict = await desk.check(text, *more, *asked)
        assert verdict["code"] == wanted and code == (0 if wanted == "valid" else 1), asked
        assert any("earlier time" in finding["text"]["en"] for finding in verdict["findings"])
        assert verdict["as_of"] < "2026-06-02"
    for asked in (["--as-of", format_day(day - 1)], ["--as-of-size", size - 1], ["--as-of", "2026-02-30"],
                  ["--as-of", "2999-01-01"]):  # fmt: skip
        assert (await desk.check(text, *more, *asked))[0] == 2, asked


async def test_refresh(desk: Desk, tmp_path: Path) -> None:
    await desk.init("--no-replica")
    bundle, staple = tmp_path / "one.certbundle", tmp_path / "one.staple"
    bundle.write_bytes(format_bundle(await desk.log.bundle(desk.one)))
    staple.write_bytes(format_staple(await desk.log.staple(desk.one)))
    bundle.chmod(0o600)
    code, verdict = await desk.check(bundle, "--offline")
    assert verdict["code"] == "offline_signature_ok", "its proof is months old"
    for file in (bundle, staple):
        assert await desk.run("refresh", file) == 0
        code, verdict = await desk.check(file, "--offline")
        assert (code, verdict["code"], verdict["source"]) == (0, "offline_bundle_ok", "bundle")
    assert bundle.stat().st_mode & 0o777 == 0o600
    await desk.suspend(desk.log.time + 1000)
    assert await desk.run("refresh", bundle) == 0
    assert (await desk.check(bundle, "--offline"))[1]["code"] == "suspended"
    newest = bundle.read_bytes()
    parse_bundle(newest), parse_staple(staple.read_bytes())
    desk.ledger.time_ms = (desk.ledger.time_ms or 0) - 60_000
    assert await desk.run("refresh", bundle) == 2, "older"
    desk.ledger.down = True
    assert await desk.run("refresh", bundle) == 3
    assert bundle.read_bytes() == newest and {path.suffix for path in tmp_path.glob("one.*")} == {
        ".certbundle",
        ".staple",
    }
    for content, status in ((b"", 2), (newest[:-1], 2), (bytes(300_000), 2)):
        bundle.write_bytes(content)
        assert await desk.run("refresh", bundle) == status
    assert await desk.run("refresh", tmp_path / "none") == 3
    printed = tmp_path / "certificate.pdf"
    printed.write_bytes(b"%PDF-1.7\n")
    desk.capsys.readouterr()
    assert await desk.run("refresh", printed) == 2
    assert ".certbundle" in desk.capsys.readouterr().err


async def test_refresh_says_what_the_file_is_worth_now(desk: Desk, tmp_path: Path) -> None:
    """A holder who hears no more than "refreshed" hands over the proof of a suspension as if it were a good one."""
    await desk.init("--no-replica")
    bundle = tmp_path / "one.certbundle"
    bundle.write_bytes(format_bundle(await desk.log.bundle(desk.one)))
    desk.capsys.readouterr()
    assert await desk.run("refresh", bundle) == 0
    assert "✓ 离线核验有效 / Valid offline" in desk.capsys.readouterr().out
    await desk.suspend(desk.log.time + 1000)
    assert await desk.run("refresh", bundle) == 0
    said = desk.capsys.readouterr().out
    assert "! 证书暂停使用 / Suspended" in said and "under review" in said and "Valid" not in said

"""`check` of proof files, with its exit codes, against a real ledger and without one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.tlog.policy import format_policy
from tests.support.build_log import BASE, POLICY, WITNESS, Certificate, FakeLedger, LogBuilder, served
from tests.support.place_proofs import RECEIPTS, proof_file, receipt_file
from verifier.__main__ import main


@dataclass
class Desk:
    log: LogBuilder
    ledger: FakeLedger
    folder: Path
    one: Certificate
    capsys: pytest.CaptureFixture[str]

    async def run(self, *words: object) -> int:
        self.capsys.readouterr()
        return await asyncio.to_thread(main, [*map(str, words), "--dir", str(self.folder)])

    async def check(self, raw: bytes, *words: str) -> tuple[int, dict[str, Any]]:
        file = self.folder.with_suffix(".proof")
        file.write_bytes(raw)
        code = await self.run("check", file, "--json", "--quiet", *words)
        out = self.capsys.readouterr().out
        return code, json.loads(out) if out else {}


@pytest.fixture
async def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db")
    log.cosigned_by = (WITNESS,)
    one = log.certificate("one")
    await log.issue(one)
    ledger = FakeLedger(log, time_ms=time.time_ns() // 1_000_000)
    async with served(ledger) as url:
        made = Desk(log, ledger, tmp_path / "verifier", one, capsys)
        policy = tmp_path / "policy"
        policy.write_text(format_policy(POLICY))
        words = ["--ledger", url, "--origin", log.origin, "--base", BASE, "--policy", policy]
        words += [word for key in log.signer.vkeys for word in ("--vkey", key.format_vkey())]
        words += ["--genesis", sha256(log.genesis_entry()).hexdigest(), "--receipt-key", RECEIPTS.public.hex()]
        assert await made.run("init", *words) == 0
        yield made
    await log.store.close()


async def test_a_proof_file_is_checked_with_the_pins_alone(desk: Desk) -> None:
    raw = await proof_file(desk.log, desk.one)
    desk.ledger.down = True
    code, said = await desk.check(raw)
    assert code == 0 and not desk.ledger.asked
    assert said == {
        "placed": True, "origin": desk.log.origin, "index": said["index"], "size": desk.log.integrator.size,
        "leaf_hash": desk.one.statement.leaf_hash.hex(), "kind": "issue", "cert_key": desk.one.issue.cert_key.hex(),
        "checkpoint_time": said["checkpoint_time"], "witnessed": True,
    }  # fmt: skip
    assert await desk.run("check", desk.folder.with_suffix(".proof"), "--lang", "en") == 0
    text = desk.capsys.readouterr().out
    assert text.startswith("✓ The statement is in the log") and "valid now" in text


async def test_its_exit_codes_are_those_of_every_check(desk: Desk) -> None:
    raw = await proof_file(desk.log, desk.one)
    body, gap, note = raw.partition(b"\n\n")
    lines = body.split(b"\n")
    other = b"\n".join([*lines[:2], b"index 0", *lines[3:]]) + gap + note
    assert (await desk.check(other))[0] == 1
    assert (await desk.check(raw[:-1]))[0] == 2
    desk.log.cosigned_by = ()
    code, said = await desk.check(await proof_file(desk.log, desk.one))
    assert (code, said["witnessed"]) == (3, False)
    assert (await desk.check(await proof_file(desk.log, desk.one, extra=False), "--offline"))[0] == 3


async def test_a_receipt_is_checked_against_the_own_copy(desk: Desk) -> None:
    raw = await receipt_file(desk.log, desk.one)
    assert (await desk.check(raw, "--offline"))[0] == 3, "nothing is synced yet"
    code, said = await desk.check(raw)
    assert (code, said["witnessed"], said["checkpoint_time"]) == (0, None, None)
    assert said["cert_key"] == desk.one.issue.cert_key.hex()
    assert (await desk.check(raw, "--offline"))[0] == 0
    assert (await desk.check(await proof_file(desk.log, desk.one, extra=False), "--offline"))[0] == 0
    changed = raw[:-1] + bytes([raw[-1] ^ 1])
    assert (await desk.check(changed, "--offline"))[0] == 1

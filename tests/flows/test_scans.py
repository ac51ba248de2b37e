"""After the first scan that is not valid none is valid again, whatever is restarted; and nothing old is ever valid."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.records.evidence import format_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.secret import format_secret
from ledger.records.statements import issuer_entry
from ledger.wire import BareSubmission, Logged
from tests.support.build_log import AUDITOR, AUDITORS, BASE, POLICY, WITNESS, FakeLedger, LogBuilder
from tests.support.builders import Certificate
from tests.support.live_ledger import ROOT, LiveLedger, distinct, drafted, live_body, today
from tests.support.scanning import Scanning
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.verdict import GREEN, VALID_FAMILY, Code

DAY_MS = 86_400_000
STALE_HEADS = 1000


async def test_nothing_is_valid_again(tmp_path: Path) -> None:
    """120 of the sequences of which `scripts/scans` runs 5,000."""
    for seed in range(4):
        room = tmp_path / str(seed)
        room.mkdir()
        scanning = await Scanning.open(room, seed)
        await scanning.run(30)
        assert scanning.violations == 0
        assert all(sequence.codes[0] is Code.VALID for sequence in scanning.sequences)
        assert all(sequence.codes[-1] not in GREEN for sequence in scanning.sequences)
        assert scanning.counts["ledger restarts"] and scanning.counts["replica restarts"]
        await scanning.close()


async def test_the_harness_sees_a_verifier_that_forgets(tmp_path: Path) -> None:
    """A broken build: it keeps what it once knew of a certificate, and does not ask whether the log has grown."""

    def forgetful(lookup: Lookup) -> Lookup:
        log = lookup.logs[0]
        asked = log._certificate
        kept: dict[bytes, Any] = {}

        async def once(replica: Any, cert_key: bytes) -> Any:
            if cert_key not in kept:
                kept[cert_key] = await asked(replica, cert_key)
            return kept[cert_key]

        log._certificate = once  # type: ignore[method-assign]
        return lookup

    scanning = await Scanning.open(tmp_path, 7, spoil=forgetful)
    await scanning.run(30)
    assert scanning.violations > 0
    await scanning.close()


class Verifier:
    """A verifier's folder; every scan is a process of its own."""

    def __init__(self, live: LiveLedger, folder: Path) -> None:
        self.folder = folder
        genesis = sha256(live.authority.sign(live.authority.genesis).entry).hexdigest()
        pins = ["--ledger", live.url, "--origin", live.authority.origin, "--genesis", genesis, "--base", BASE]
        keys = [word for key in live.keys for word in ("--vkey", key.format_vkey())]
        assert self.run("init", *pins, *keys).returncode == 0

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "verifier", *arguments, "--dir", str(self.folder)],
            cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def scan(self, certificate: Certificate) -> str:
        done = self.run("check", format_secret(certificate.secret), "--json")
        assert done.returncode in (0, 1), done.stderr
        return str(json.loads(done.stdout)["code"])


async def test_real_processes_killed_in_between(tmp_path: Path) -> None:
    """The same with a ledger that is killed with SIGKILL and scans that are a process each."""
    live, body = LiveLedger.create(tmp_path / "log", "scans"), live_body("scans")
    live.start()
    try:
        await live.file(body)
        async with live.client(body) as client:
            made = await drafted(client, body, *distinct("scan", 3))
            receipt = await client.submit([one.submission() for one in made])
        assert all(isinstance(answer, Logged) for answer in receipt.answers), receipt.answers
        verifier = Verifier(live, tmp_path / "verifier")
        codes: dict[bytes, list[str]] = {one.secret: [await asyncio.to_thread(verifier.scan, one)] for one in made}
        for at, kind in enumerate((Kind.REVOKE, Kind.SUSPEND, Kind.REVOKE)):
            live.kill()
            live.start()
            whom = Listed((made[at].issue.cert_key,))
            ruling = Ruling(kind, whom, Reason.FRAUD, today(), body.filing.number)
            async with live.client(body) as client:
                receipt = await client.submit([BareSubmission(issuer_entry(ruling, body.record))])
            assert isinstance(receipt.answers[0], Logged), receipt.answers
            live.kill()
            live.start()
            for one in made[: at + 1]:
                codes[one.secret].append(await asyncio.to_thread(verifier.scan, one))
    finally:
        live.kill()
    assert [codes[one.secret] for one in made] == [
        ["valid", "revoked", "revoked", "revoked"], ["valid", "suspended", "suspended"], ["valid", "revoked"],
    ]  # fmt: skip


async def test_a_thousand_stale_heads(tmp_path: Path) -> None:
    """Evidence of a certificate in force, aged 0 to 30 days: valid inside the limit, and never outside."""
    log = await LogBuilder.create(tmp_path / "log.db")
    certificate = log.certificate("one")
    await log.issue(certificate)
    log.cosigned_by = (WITNESS, AUDITOR)
    ledger = FakeLedger(log)
    ledger.altered["evidence"] = format_evidence(await log.evidence(certificate.issue.cert_key))
    draw, now = random.Random(20_261_125), [0]
    trust = log.trust(policy=POLICY, map_auditors=AUDITORS)
    text = format_secret(certificate.secret)
    seen = {True: 0, False: 0}
    for at in range(STALE_HEADS):
        limit = draw.choice((300_000, 3_600_000, DAY_MS, 10 * DAY_MS))
        age = draw.choice((draw.randrange(30 * DAY_MS), draw.randrange(2 * limit), limit, limit + 1)) if at else 0
        now[0] = log.time // 1000 * 1000 + age
        known = KnownLog(replace(trust, freshness_ms=limit), lambda: now[0], proofs=ledger)
        lookup = Lookup([known], None, lambda: now[0])  # type: ignore[arg-type]
        verdict = await lookup.by_secret(text)
        fresh = age <= limit
        seen[fresh] += 1
        assert (verdict.code in VALID_FAMILY) == fresh, (age, limit, verdict.code)
        assert fresh or verdict.code is Code.STALE
    assert min(seen.values()) > 200
    await log.store.close()

"""After the first scan that is not valid none is valid again, whatever is restarted; and nothing old is ever valid."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.records.evidence import format_evidence
from ledger.records.kinds import Kind
from ledger.records.secret import format_secret
from tests.support.build_log import AUDITOR, AUDITORS, POLICY, WITNESS, FakeLedger, LogBuilder
from tests.support.scan_judge import Act, Answer, judge
from tests.support.scan_rounds import Rounds
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


async def test_real_processes_ended_in_between(tmp_path: Path) -> None:
    """One small round of `scripts/scans`: the log and a verifier, ended and started again twice."""
    async with Rounds.open(tmp_path, 3, 7, few=True) as rounds:
        await rounds.round(6, kept=1)
    assert not rounds.violations, rounds.found
    counts = rounds.counts + rounds.programs.counts
    assert counts["sequences"] == 6 and counts["replica: revoked"] >= 18 and counts["replica: valid"] >= 10
    assert sum(counts[f"{name} {how}"] for name in ("ledger", "verifier") for how in ("stopped", "killed")) == 6


REVOKED = [Act(Kind.REVOKE, sent=10.0, acked=11.0, index=20)]
RESTORED = [
    Act(Kind.SUSPEND, sent=10.0, acked=11.0, index=20),
    Act(Kind.RESTORE, sent=12.0, acked=13.0, index=22),
]


def at(code: str, asked: float, size: int | None = None, floor: int = 0, verifier: str = "replica") -> Answer:
    return Answer(verifier, code, asked, asked + 0.1, size, floor, proof=verifier == "light")


@pytest.mark.parametrize(
    ("acts", "answers", "found"),
    [
        (REVOKED, [at("valid", 9, 20), at("valid", 11.5, 20), at("revoked", 12, 21)], []),  # it had not heard of it yet
        (REVOKED, [at("revoked", 10.5, 20)], []),  # taken in, no checkpoint yet
        (REVOKED, [at("revoked", 8, 20)], ["true"]),  # nobody had said so
        (REVOKED, [at("valid", 12, 21)], ["true"]),
        (REVOKED, [at("suspended", 12, 21)], ["true"]),
        (REVOKED, [at("not_found", 9), at("valid", 9.5, 20)], []),
        (REVOKED, [at("valid", 9, 20), at("not_found", 9.5)], ["newest"]),
        (REVOKED, [at("not_found", 9, None, 0, "light")], ["newest"]),
        (REVOKED, [at("revoked", 12, 21), at("stale", 13), at("unavailable", 14)], []),
        (REVOKED, [at("revoked", 12, 21), at("stale", 13), at("offline_bundle_ok", 14, 20)], ["again"]),
        (REVOKED, [at("revoked", 12, 21), at("valid", 14, 20, 21)], ["back", "again"]),
        (REVOKED, [at("valid", 14, 20, 21)], ["back"]),
        (REVOKED, [at("valid", 12, 20), at("valid", 511.5, 20)], ["late"]),
        (REVOKED, [at("valid", 9, None, 0, "light"), at("valid", 10.5, None, 0, "light")], []),
        (REVOKED, [at("valid", 11.5, None, 0, "light")], ["newest"]),
        (REVOKED, [at("valid", 11.5, 20, 0, "light")], ["newest"]),
        (REVOKED, [at("revoked", 12, 21), at("valid", 11.9, 20, 0)], ["again"]),
        (REVOKED, [at("revoked", 12, 21), at("valid", 10.9, 20, 0, "light")], []),  # each is judged by itself
        (RESTORED, [at("suspended", 11.5, 21), at("valid", 14, 23)], []),
        (RESTORED, [at("suspended", 11.5, 21), at("valid", 14, 21, 21)], ["true", "again"]),
        (RESTORED, [at("suspended", 11.5, None, 0, "light"), at("valid", 14, None, 0, "light")], []),
        (RESTORED, [at("suspended", 14, None, 0, "light")], ["newest"]),
        ([], [at("valid", 9, 20), at("valid", 900, 40)], []),
    ],
)
def test_what_counts_as_a_violation(acts: list[Act], answers: list[Answer], found: list[str]) -> None:
    assert [rule for rule, _ in judge(acts, answers, 500.0)] == found


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

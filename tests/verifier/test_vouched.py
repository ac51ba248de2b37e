"""Without a replica: the newest head with an auditor's line counts, where it still says what the newest one says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.evidence import format_evidence, parse_evidence
from ledger.records.kinds import Kind
from ledger.records.secret import format_secret
from ledger.store.evidence import Basis
from ledger.text import Text
from ledger.tlog.note import VerifierKey
from tests.support.build_log import AUDITOR, AUDITORS, POLICY, WITNESS, Certificate, LogBuilder
from verifier.known_log import AsOf, KnownLog
from verifier.lookup import Lookup
from verifier.proven import open_evidence
from verifier.refresh import newest_refreshed
from verifier.trust import Trust
from verifier.verdict import Code
from verifier.vouched import vouched_evidence


@dataclass
class Ledger:
    """Gives evidence under its newest head, which lacks the auditor's line, or under the last one that has it."""

    log: LogBuilder
    vouched: Basis
    refusal: Exception | None = None  # to the question for the head with the line
    questions: int = 0  # for that head

    async def evidence(self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = (), **asked: int | None) -> bytes:
        basis = Basis(self.log.integrator.size, self.log.checkpoint(), self.log.time)
        if cosigned:
            assert tuple(cosigned) == AUDITORS
            self.questions += 1
            if self.refusal is not None:
                raise self.refusal
            basis = self.vouched
        prover = self.log.prover()
        if asked.get("size") is not None:
            return await prover.at_size(cert_key, asked["size"], basis)  # type: ignore[arg-type]
        if asked.get("day") is not None:
            return await prover.at_day(cert_key, asked["day"], basis)  # type: ignore[arg-type]
        return await prover.current(cert_key, basis)


@dataclass
class Desk:
    log: LogBuilder
    ledger: Ledger
    one: Certificate
    trust: Trust
    now_ms: int = 0  # 0: that of the newest batch

    async def check(self, item: Certificate | str, *, as_of: AsOf | None = None, **changes: Any) -> Code:
        now_ms = self.now_ms or self.log.time
        known = KnownLog(replace(self.trust, **changes), lambda: now_ms, proofs=self.ledger)
        lookup = Lookup([known], None, lambda: now_ms, as_of=as_of)  # type: ignore[arg-type]
        return (await lookup.by_secret(item if isinstance(item, str) else format_secret(item.secret))).code


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A certificate under a head that the auditor cosigned, and another batch behind it."""
    log = await LogBuilder.create(tmp_path / "log.db")
    one = log.certificate("one")
    await log.issue(one)
    log.cosigned_by = (WITNESS, AUDITOR)
    vouched = Basis(log.integrator.size, log.checkpoint(), log.time)
    log.cosigned_by = (WITNESS,)
    await log.issue(log.certificate("another"))
    yield Desk(log, Ledger(log, vouched), one, log.trust(policy=POLICY, map_auditors=AUDITORS))
    await log.store.close()


async def test_green_between_two_lines(desk: Desk) -> None:
    assert await desk.check(desk.one) is Code.VALID and desk.ledger.questions == 1
    desk.ledger.refusal = Refused("malformed", "query", Text("不", "no"))
    assert await desk.check(desk.one) is Code.STALE, "a ledger that knows no such question"
    desk.ledger.refusal = Unavailable(Text("没有应答", "no answer"))
    assert await desk.check(desk.one) is Code.STALE
    assert await desk.check(desk.one, map_auditors=()) is Code.STALE and desk.ledger.questions == 3, "nobody to ask for"


async def test_no_second_question_when_the_newest_head_has_the_line(desk: Desk) -> None:
    desk.log.cosigned_by = (WITNESS, AUDITOR)
    assert await desk.check(desk.one) is Code.VALID and desk.ledger.questions == 0


async def test_what_changed_since_the_line_stands_without_it(desk: Desk) -> None:
    """Bad news needs nobody's line, and good news waits for one."""
    await desk.log.rule(Kind.SUSPEND, desk.one)
    assert await desk.check(desk.one) is Code.SUSPENDED
    await desk.log.rule(Kind.RESTORE, desk.one)
    assert await desk.check(desk.one) is Code.STALE, "its last event is another one than under the line"
    higher = desk.log.certificate("two", track_id=desk.one.issue.track_id, grade=5)
    await desk.log.issue(higher)
    assert await desk.check(higher) is Code.STALE, "not under that head at all"


async def test_the_head_with_the_line_has_to_be_fresh_itself(desk: Desk) -> None:
    limit = desk.trust.freshness_ms
    desk.now_ms = desk.ledger.vouched.time_ms // 1000 * 1000 + limit
    assert await desk.check(desk.one) is Code.VALID
    desk.now_ms += 1
    assert await desk.check(desk.one) is Code.STALE


async def test_the_head_with_the_line_has_to_have_the_quorum(desk: Desk) -> None:
    desk.log.cosigned_by = (AUDITOR,)
    note = desk.log.checkpoint()
    desk.ledger.vouched = Basis(desk.log.integrator.size, note, desk.log.time)
    desk.log.cosigned_by = (WITNESS,)
    assert await desk.check(desk.one) is Code.STALE


async def test_absence_too(desk: Desk) -> None:
    nobody = "0" * 26
    assert await desk.check(nobody) is Code.NOT_FOUND
    desk.ledger.refusal = Unavailable(Text("没有应答", "no answer"))
    assert await desk.check(nobody) is Code.STALE


async def test_an_earlier_moment_too(desk: Desk) -> None:
    size = desk.ledger.vouched.size
    assert await desk.check(desk.one, as_of=AsOf(size=size)) is Code.VALID
    assert desk.ledger.questions == 1
    later = desk.log.integrator.size  # of which the head with the line knows nothing
    assert await desk.check(desk.one, as_of=AsOf(size=later)) is Code.STALE


async def test_a_proof_that_does_not_hold_is_not_passed_over(desk: Desk) -> None:
    key, other = desk.one.issue.cert_key, bytes(32)
    evidence = parse_evidence(await desk.ledger.evidence(key))
    newest = evidence, open_evidence(evidence, desk.trust, desk.log.time)
    found = parse_evidence(await desk.ledger.evidence(key, cosigned=AUDITORS))

    class Lying:
        def __init__(self, raw: bytes) -> None:
            self.raw = raw

        async def evidence(self, cert_key: bytes, **_: Any) -> bytes:
            return self.raw

    honest = await vouched_evidence(newest, Lying(format_evidence(found)), desk.trust, desk.log.time)
    assert honest[0] == found and honest[1].audited
    lies = [
        await desk.ledger.evidence(other, cosigned=AUDITORS),
        format_evidence(replace(found, seal=evidence.seal)),
        format_evidence(replace(found, checkpoint=evidence.checkpoint)),
    ]
    for lie in lies:
        with pytest.raises((Unverified, Malformed)):
            await vouched_evidence(newest, Lying(lie), desk.trust, desk.log.time)


async def test_a_head_without_the_quorum_is_no_better_than_one_without_the_line(desk: Desk) -> None:
    log = desk.log
    log.cosigned_by = (AUDITOR,)
    await log.issue(log.certificate("a"))
    desk.ledger.vouched = Basis(log.integrator.size, log.checkpoint(), log.time)
    log.cosigned_by = (WITNESS,)
    await log.issue(log.certificate("b"))
    evidence = parse_evidence(await desk.ledger.evidence(desk.one.issue.cert_key))
    newest = evidence, open_evidence(evidence, desk.trust, log.time)
    assert await vouched_evidence(newest, desk.ledger, desk.trust, log.time) is newest


async def test_a_line_of_long_ago_is_a_missing_line_and_not_missing_witnesses(desk: Desk) -> None:
    now_ms = desk.ledger.vouched.time_ms + 3_600_000

    class Now(Ledger):
        async def evidence(
            self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = (), **asked: int | None
        ) -> bytes:
            if cosigned:
                return await super().evidence(cert_key, cosigned=cosigned, **asked)
            note = desk.log.checkpoint(time_ms=now_ms)
            return await desk.log.prover().current(cert_key, Basis(desk.log.integrator.size, note, now_ms))

    known = KnownLog(desk.trust, lambda: now_ms, proofs=Now(desk.log, desk.ledger.vouched))
    verdict = await Lookup([known], None, lambda: now_ms).by_secret(format_secret(desk.one.secret))
    assert (verdict.code, verdict.detail["cause"], verdict.as_of_ms) == (Code.STALE, "auditor", now_ms)


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable(Text("没有应答", "what answered sent more than a ledger does")),
        Refused("not_found", "path", Text("-", "-")),
        Refused("error", "-", Text("-", "-")),
    ],
)
async def test_what_stands_before_a_ledger_is_no_lie_of_its(desk: Desk, failure: Exception) -> None:
    """A portal's page or a proxy's refusal: nobody is to report that."""

    class Hidden(Ledger):
        async def evidence(
            self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = (), **asked: int | None
        ) -> bytes:
            raise failure

    known = KnownLog(desk.trust, lambda: desk.log.time, proofs=Hidden(desk.log, desk.ledger.vouched))
    verdict = await Lookup([known], None, lambda: desk.log.time).by_secret(format_secret(desk.one.secret))  # type: ignore[arg-type]
    assert verdict.code is Code.UNAVAILABLE
    assert not any("report" in finding.text.en for finding in verdict.findings)


async def test_a_file_newer_than_the_last_line_is_refreshed_by_the_newest(desk: Desk) -> None:
    log, trust = desk.log, desk.trust
    file = await log.bundle(desk.one)
    await log.issue(log.certificate("later"))
    evidence = parse_evidence(await desk.ledger.evidence(desk.one.issue.cert_key))
    newest = evidence, open_evidence(evidence, trust, log.time)
    vouched = await vouched_evidence(newest, desk.ledger, trust, log.time)
    assert vouched is not newest
    new, proven = newest_refreshed(file, (vouched, newest), trust, log.time)
    assert new == replace(file, evidence=evidence) and proven is newest[1]
    older = replace(file, evidence=vouched[0])
    assert newest_refreshed(older, (vouched, newest), trust, log.time)[1] is vouched[1]

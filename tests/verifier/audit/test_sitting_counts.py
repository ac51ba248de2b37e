"""Certificates by sitting: the same counted along and counted anew, whatever happened to them since."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.records.cose import sign_part
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.statements import propose
from ledger.text import Text
from tests.support.auditing import NOW, auditing
from tests.support.build_log import FILING, ISSUE_DAY, OCCUPATION, Certificate, FakeLedger, LogBuilder
from verifier.audit.run import Audit
from verifier.audit.sitting_counts import SittingCounts
from verifier.audit.sittings import Sitting, Sittings

DAY = ISSUE_DAY - 7  # of the assessment of every certificate, where nothing else is said


def counting() -> SittingCounts:
    return SittingCounts(
        Sittings(
            [
                Sitting(2, FILING, OCCUPATION, 4, DAY, DAY, 3),
                Sitting(3, FILING, OCCUPATION, 3, DAY - 30, DAY, 3),
                Sitting(4, FILING, OCCUPATION, 4, DAY - 40, DAY - 40, 3),
            ]
        )
    )


def numbers(counts: SittingCounts) -> dict[int, int]:
    return {one.row: count for one, count in zip(counts.sittings.rows, counts.certificates, strict=True)}


def restoration(log: LogBuilder, certificate: Certificate) -> bytes:
    """By the authority, as of what was revoked."""
    whom = Listed((certificate.issue.cert_key,))
    proposal = propose(log.origin, Ruling(Kind.RESTORE, whom, Reason.CLEARED, ISSUE_DAY))
    return proposal.signed(tuple(sign_part(proposal.protected, proposal.payload, person) for person in log.people[:2]))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


async def looked(audit: Audit) -> dict[int, int]:
    """What was counted along, which is what counting anew comes to."""
    await audit.look(NOW)
    assert audit.result == "sound"
    along, again = audit.replica.sittings, counting()
    assert along is not None
    await again.count_held(audit.replica.integrator.store, audit.replica.size)
    assert (along.certificates, {k: n for k, n in along.unlisted.items() if n}) == (again.certificates, again.unlisted)
    return numbers(along)


async def test_certificates_that_stand_are_counted_once(log: LogBuilder, tmp_path: Path) -> None:
    made = [log.certificate(f"c{n}") for n in range(4)]
    await log.issue(*made, log.certificate("low", grade=3), log.certificate("early", assessment_day=DAY - 41))
    await log.issue(log.certificate("between", assessment_day=DAY - 1))
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:
        await audit.replica.count_sittings(counting())
        assert await looked(audit) == {2: 4, 3: 1, 4: 0}
        assert audit.replica.sittings is not None and audit.replica.sittings.unlisted == {FILING: 1}
        await log.rule(Kind.REVOKE, made[0], made[1], reason=Reason.FRAUD)
        assert await looked(audit) == {2: 2, 3: 1, 4: 0}
        await log.batch([restoration(log, made[0])])
        await log.rule(Kind.SUSPEND, made[2])
        assert await looked(audit) == {2: 3, 3: 1, 4: 0}
        old = made[3].issue
        await log.issue(log.certificate("again", replaces=old.cert_key, track_id=old.track_id))
        assert await looked(audit) == {2: 3, 3: 1, 4: 0}  # a reissue is the same certificate
        upgrade = log.certificate("up", track="c2", grade=3)
        await log.issue(upgrade)  # writes the other certificate of its track anew
        assert await looked(audit) == {2: 3, 3: 2, 4: 0}


async def test_what_was_held_before_is_read_again(log: LogBuilder, tmp_path: Path) -> None:
    made = [log.certificate(f"c{n}") for n in range(3)]
    await log.issue(*made)
    await log.rule(Kind.REVOKE, made[0], reason=Reason.FRAUD)
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:
        await audit.look(NOW)
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:
        await audit.replica.count_sittings(counting())
        await log.issue(log.certificate("more"))
        assert await looked(audit) == {2: 3, 3: 0, 4: 0}


async def test_a_batch_that_was_not_committed_is_not_counted(
    log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.issue(log.certificate("one"))
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:
        await audit.replica.count_sittings(counting())
        await audit.look(NOW)
        await log.issue(log.certificate("two"))

        async def full(batch: object, check: object) -> None:
            raise Unavailable(Text("没有应答", "disk full"))

        with monkeypatch.context() as patch:
            patch.setattr(audit.replica.integrator.store, "append", full)
            await audit.look(NOW)
        counts = audit.replica.sittings
        assert counts is not None and numbers(counts)[2] == 1
        assert (await looked(audit))[2] == 2

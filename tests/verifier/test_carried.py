"""Files from before the log changed its keys: their worth where the former pair is pinned, and where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Unverified
from ledger.records.kinds import Reason
from ledger.records.life import Correct
from ledger.records.qr import Code as QrCode
from ledger.records.statements import issuer_entry
from ledger.tlog.checkpoint import add_cosignatures
from ledger.tlog.note import parse_note
from tests.support.build_log import (
    AUDITOR,
    AUDITORS,
    FILING,
    ISSUE_DAY,
    POLICY,
    WITNESS,
    Certificate,
    LogBuilder,
    octets,
)
from tests.support.build_log import register_of as replica_of
from verifier import steps
from verifier.carried import Item, open_carried, verify_carried
from verifier.former import FormerKeys, UnknownKeys
from verifier.proven import Opener, open_evidence
from verifier.trust import Trust
from verifier.verdict import Code, Source, Verdict, exit_code
from verifier.verify import Evidence, verify

DAY_MS = 86_400_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db")
    made.cosigned_by = (WITNESS, AUDITOR)
    yield made
    await made.store.close()


async def issued(log: LogBuilder, label: str = "one", **how: Any) -> Certificate:
    one = log.certificate(label, **how)
    await log.issue(one)
    return one


def rotated(log: LogBuilder) -> FormerKeys:
    """The log signs with another pair from now on; the one that it had, until this moment."""
    former = FormerKeys(log.signer.vkeys, log.time)
    log.pair = "second"
    return former


def trust_of(log: LogBuilder, *former: FormerKeys) -> Trust:
    return log.trust(policy=POLICY, map_auditors=AUDITORS, former=former)


def carried(item: Item, trust: Trust, now_ms: int, **how: Any) -> Verdict:
    """The verdict on a file, with nothing else at hand."""
    return verify(Evidence(item, offline=True, **how), trust, now_ms)


async def test_under_a_former_pair_a_file_is_worth_what_it_was_and_is_never_more(log: LogBuilder) -> None:
    one = await issued(log)
    files = [await log.bundle(one), await log.staple(one)]
    trust = trust_of(log, rotated(log))
    for item in files:
        for age, code in ((0, Code.OFFLINE_BUNDLE_OK), (trust.bundle_age_ms, Code.OFFLINE_BUNDLE_OK),
                          (trust.bundle_age_ms + 1, Code.OFFLINE_SIGNATURE_OK)):  # fmt: skip
            verdict = carried(item, trust, log.time + age)
            assert verdict.code is code and verdict.as_of_ms == log.time and verdict.source is Source.BUNDLE
        register = await replica_of(log, one)
        assert verify(Evidence(item, register), trust, log.time).code is Code.VALID, "by the replica, not by the file"
    old = await replica_of(log, one)
    assert verify(Evidence(files[0], replace(old, halted=True)), trust, log.time).code is Code.STALE


async def test_what_a_former_pair_signs_afterwards_is_not_believed(log: LogBuilder) -> None:
    one = await issued(log)
    until = FormerKeys(log.signer.vkeys, log.time)
    trust = replace(trust_of(log), keys=replace(log, pair="second").signer.vkeys, former=(until,))
    later = log.time + 1000
    for item in (await log.bundle(one, time_ms=later), await log.staple(one, time_ms=later)):
        assert carried(item, trust, later).code in (Code.UNAVAILABLE, Code.OFFLINE_SIGNATURE_OK)
    with pytest.raises(UnknownKeys):
        open_evidence((await log.bundle(one, time_ms=later)).evidence, trust, later, carried=True)
    assert carried(await log.bundle(one), trust, later).code is Code.OFFLINE_BUNDLE_OK, "and the same of before is"


async def test_a_former_pair_counts_for_nothing_that_is_fetched(log: LogBuilder) -> None:
    """Not even on the day of the change: a log that is asked today answers under its present keys."""
    one = await issued(log)
    old = await log.evidence(one.issue.cert_key)
    trust = trust_of(log, rotated(log))
    with pytest.raises(Unverified):
        open_evidence(old, trust, log.time)
    with pytest.raises(Unverified):
        Opener(trust).open(old, log.time)


async def test_cosignatures_later_than_the_last_moment_do_not_make_a_quorum(log: LogBuilder) -> None:
    one = await issued(log)
    later = parse_note(log.checkpoint(log.time + 5000)).signatures[2:]
    log.cosigned_by = ()
    bundle = await log.bundle(one, note=add_cosignatures(log.checkpoint(), later))
    former = FormerKeys(log.signer.vkeys, log.time + 5000)
    log.pair = "second"
    now = log.time + 9000
    assert carried(bundle, trust_of(log, former), now).code is Code.OFFLINE_BUNDLE_OK
    early = replace(former, until_ms=log.time + 4999)
    assert carried(bundle, trust_of(log, early), now).code is Code.OFFLINE_SIGNATURE_OK


async def test_under_unknown_keys_nothing_is_called_altered_and_the_register_decides(log: LogBuilder) -> None:
    one = await issued(log)
    files = [await log.bundle(one), await log.staple(one)]
    unfiled = log.certificate("never logged")
    rotated(log)
    trust, register = trust_of(log), await replica_of(log, one)
    for item in files:
        alone = carried(item, trust, log.time)
        assert alone.code is Code.UNAVAILABLE and alone.certificate is None and exit_code(alone) == 3
        assert steps.CARRIED_UNPROVEN in alone.findings
        found = verify(Evidence(item, register), trust, log.time)
        assert found.code is Code.VALID and found.source is Source.REPLICA
        assert steps.CARRIED_UNPROVEN in found.findings
        assert found.certificate is not None and found.certificate.name == "例小明"
        late = log.time + 10 * DAY_MS
        assert verify(Evidence(item, register), trust, late).code is Code.STALE
        assert verify(Evidence(item, register, offline=True), trust, late).code is Code.OFFLINE_SIGNATURE_OK
        missing = await replica_of(log, unfiled)
        assert verify(Evidence(item, replace(missing, filing=register.filing)), trust, log.time).code is Code.NOT_FOUND


async def test_under_a_strangers_keys_the_rest_is_still_judged(log: LogBuilder, tmp_path: Path) -> None:
    """Whoever puts his own log's proof into a file gains nothing: key, statement and openings have to hold."""
    one = await issued(log)
    thief = await LogBuilder.create(tmp_path / "thief.db", seed="thief")
    forged = await issued(thief, "one", grade=4)
    trust, register = trust_of(log), await replica_of(log, one)
    for item in (await thief.bundle(forged), await thief.staple(forged)):
        assert carried(item, trust, log.time).code is Code.UNAVAILABLE
        assert verify(Evidence(item, register), trust, log.time).code is Code.TAMPERED, "other bytes than the log has"
        unknown = replace(register, logged=None)
        assert verify(Evidence(item, unknown), trust, log.time).code is Code.TAMPERED, "no key of the filing"
    bundle = await thief.bundle(forged)
    for change in ({"secret": octets("x", 16)}, {"holder_tag": octets("x", 32)}, {"digests": bundle.digests[::-1]},
                   {"face": replace(bundle.face, name="别人")}):  # fmt: skip
        assert carried(replace(bundle, **change), trust, log.time).code is Code.TAMPERED, change
    await thief.store.close()


async def test_a_name_out_of_a_correction_that_nobody_can_check_is_not_shown(log: LogBuilder, tmp_path: Path) -> None:
    one = await issued(log)
    thief = await LogBuilder.create(tmp_path / "thief.db")
    thief.pair = "stranger"  # the same log in all but the keys of its checkpoints
    await thief.issue(one)
    face = replace(one.face, salt=octets("new salt", 16), name="张冒名")
    body = Correct(one.issue.cert_key, Reason.NAME_CHANGED, ISSUE_DAY + 1, face.digest(), one.issue.rest, b"", FILING)
    await thief.batch([issuer_entry(body, thief.record_key)])
    trust, register = trust_of(log), await replica_of(log, one)
    page = "\n".join(
        ["职业技能等级证书", face.number, "张冒名", "三级/高级工", "车工", "示例机械有限公司", "2026-05-27"]
    )
    for item in (replace(await thief.bundle(one), face=face), replace(await thief.staple(one), face=face)):
        with pytest.raises(UnknownKeys):
            open_and_verify(item, trust, log.time)
        for pages in ((), (page,)):
            verdict = verify(Evidence(item, register, page_texts=pages), trust, log.time)
            assert verdict.code is Code.UNAVAILABLE and steps.CORRECTION_UNPROVEN in verdict.findings
        late = log.time + 10 * DAY_MS
        behind = replace(register, logged=None)
        shown = verify(Evidence(item, behind, offline=True), trust, late)
        assert shown.code is Code.OFFLINE_SIGNATURE_OK and shown.certificate is not None
        assert shown.certificate.name is None and shown.certificate.number is None
    await thief.store.close()


def open_and_verify(item: Any, trust: Trust, now_ms: int) -> None:
    opened = open_carried(item)
    assert opened is not None and not isinstance(item, QrCode)
    verify_carried(item, opened, trust, now_ms)

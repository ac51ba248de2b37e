from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Refused, Unverified
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Correct, Listed, Ruling
from ledger.records.staple import compact
from ledger.records.statements import issuer_entry
from ledger.tlog.note import parse_note
from tests.support.build_log import AUDITOR, AUDITORS, FILING, ISSUE_DAY, POLICY, WITNESS, LogBuilder, octets
from verifier.former import FormerKeys
from verifier.refresh import refreshed, stapled

AGE = 86_400_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db")
    yield made
    await made.store.close()


async def test_a_bundle_and_a_staple_take_newer_evidence(log: LogBuilder) -> None:
    one = log.certificate("one")
    await log.issue(one)
    bundle, staple = await log.bundle(one), await log.staple(one)
    suspend = Ruling(Kind.SUSPEND, Listed((one.issue.cert_key,)), Reason.UNDER_REVIEW, ISSUE_DAY, FILING)
    await log.batch([issuer_entry(suspend, log.record_key)])
    newer = await log.evidence(one.issue.cert_key)
    again = refreshed(bundle, newer, log.trust(), log.time)
    assert again == replace(bundle, evidence=newer) and again != bundle
    assert refreshed(staple, newer, log.trust(), log.time) == replace(staple, evidence=compact(newer))
    assert refreshed(again, newer, log.trust(), log.time) == again, "the same again is no harm"
    resigned = await log.evidence(one.issue.cert_key, time_ms=log.time + AGE)
    assert refreshed(again, resigned, log.trust(), log.time + AGE).evidence == resigned


async def test_older_evidence_is_refused(log: LogBuilder) -> None:
    one = log.certificate("one")
    await log.issue(one)
    old = await log.evidence(one.issue.cert_key)
    await log.issue(log.certificate("two"))
    bundle = await log.bundle(one, time_ms=log.time + AGE)
    for evidence in (old, await log.evidence(one.issue.cert_key)):
        with pytest.raises(Refused) as refused:
            refreshed(bundle, evidence, log.trust(), log.time + AGE)
        assert refused.value.code == "OLDER"


async def test_evidence_of_anything_else_is_refused(log: LogBuilder) -> None:
    one, two = log.certificate("one"), log.certificate("two")
    await log.issue(one, two)
    bundle = await log.bundle(one)
    size = log.integrator.size
    await log.issue(log.certificate("three"))
    historic = await log.evidence(one.issue.cert_key, size=size)
    for evidence in (await log.evidence(two.issue.cert_key), historic, replace(historic, next=None)):
        with pytest.raises(Unverified):
            refreshed(bundle, evidence, log.trust(), log.time)
    with pytest.raises(Unverified):
        refreshed(replace(bundle, secret=two.secret), await log.evidence(one.issue.cert_key), log.trust(), log.time)


async def test_a_second_history_is_refused(log: LogBuilder, tmp_path: Path) -> None:
    fork = await LogBuilder.create(tmp_path / "fork.db")
    one = log.certificate("one")
    await log.issue(one)
    await fork.issue(one, log.certificate("hidden"))
    bundle = await log.bundle(one)
    await log.issue(log.certificate("two"))
    await fork.issue(log.certificate("three"), log.certificate("four"))
    assert fork.integrator.size > log.integrator.size - 1
    await log.batch([log.certificate("five").statement.entry, log.certificate("six").statement.entry])
    same = await LogBuilder.create(tmp_path / "same.db")
    await same.issue(log.certificate("other"))
    assert same.integrator.size == bundle_size(bundle)
    with pytest.raises((Refused, Unverified)):
        refreshed(bundle, await same.evidence(one.issue.cert_key), log.trust(), log.time)
    for other in (fork, same):
        await other.store.close()


def bundle_size(bundle) -> int:  # type: ignore[no-untyped-def]
    return int(parse_note(bundle.evidence.checkpoint).text.split("\n")[1])


async def test_witnesses_are_needed_where_the_trust_asks_for_them(log: LogBuilder) -> None:
    trust = log.trust(policy=POLICY, map_auditors=AUDITORS)
    one = log.certificate("one")
    log.cosigned_by = (WITNESS, AUDITOR)
    await log.issue(one)
    bundle = await log.bundle(one)
    await log.issue(log.certificate("two"))
    log.cosigned_by = (AUDITOR,)
    with pytest.raises(Refused) as refused:
        refreshed(bundle, await log.evidence(one.issue.cert_key), trust, log.time)
    assert refused.value.code == "UNWITNESSED"
    log.cosigned_by = (WITNESS,)
    assert refreshed(bundle, await log.evidence(one.issue.cert_key), trust, log.time)


async def test_a_staple_keeps_the_lines_that_its_reader_needs(log: LogBuilder) -> None:
    one = log.certificate("one")
    log.cosigned_by = (WITNESS, AUDITOR)
    await log.issue(one)
    full = await log.evidence(one.issue.cert_key)
    small = stapled(full, log.trust(policy=POLICY, map_auditors=AUDITORS), log.time)
    assert small == compact(full) and len(parse_note(small.checkpoint).signatures) == 3


@pytest.mark.parametrize("known", [True, False], ids=["former pair pinned", "not pinned"])
async def test_a_file_from_before_the_log_changed_its_keys(log: LogBuilder, known: bool) -> None:
    one = log.certificate("one")
    await log.issue(one)
    bundle, staple, former = await log.bundle(one), await log.staple(one), FormerKeys(log.signer.vkeys, log.time)
    await log.issue(log.certificate("two"))
    log.pair = "second"
    trust, newer = log.trust(former=(former,) * known), await log.evidence(one.issue.cert_key)
    again = refreshed(bundle, newer, trust, log.time)
    assert again == replace(bundle, evidence=newer)
    assert refreshed(staple, newer, trust, log.time) == replace(staple, evidence=compact(newer))
    for other in (log.certificate("two"), log.certificate("never")):
        with pytest.raises((Refused, Unverified)):
            refreshed(bundle, await log.evidence(other.issue.cert_key), trust, log.time)
    first, *openings = bundle.openings
    for change in (
        {"holder_tag": octets("x", 32)},
        {"face": replace(bundle.face, name="别人")},
        {"digests": bundle.digests[::-1]},
        {"openings": (replace(first, salt=bytes(16)), *openings)},
    ):
        with pytest.raises(Unverified):
            refreshed(replace(bundle, **change), newer, trust, log.time)


async def test_new_evidence_has_to_be_of_the_very_statement_in_the_file(log: LogBuilder, tmp_path: Path) -> None:
    """Also where nothing of the old proof can be judged: a forged statement is not made genuine by a refresh."""
    thief = await LogBuilder.create(tmp_path / "thief.db", seed="thief")
    one, forged = log.certificate("one"), thief.certificate("one", grade=4)
    await log.issue(one)
    await thief.issue(forged)
    assert forged.issue.cert_key == one.issue.cert_key
    for item in (await thief.bundle(forged), await thief.staple(forged)):
        with pytest.raises(Unverified, match="another one"):  # and nothing is said against the log
            refreshed(item, await log.evidence(one.issue.cert_key), log.trust(), log.time)
    await thief.store.close()


async def test_a_name_that_only_the_file_knows_does_not_survive(log: LogBuilder, tmp_path: Path) -> None:
    thief = await LogBuilder.create(tmp_path / "thief.db")
    thief.pair = "stranger"
    one = log.certificate("one")
    face = replace(one.face, salt=octets("new salt", 16), name="张冒名")
    for each in (log, thief):
        await each.issue(one)
    body = Correct(one.issue.cert_key, Reason.NAME_CHANGED, ISSUE_DAY + 1, face.digest(), one.issue.rest, b"", FILING)
    await thief.batch([issuer_entry(body, thief.record_key)])
    for item in (await thief.bundle(one), await thief.staple(one)):
        newer = await log.evidence(one.issue.cert_key)
        assert refreshed(item, newer, log.trust(), log.time).face == one.face
        with pytest.raises(Unverified):
            refreshed(replace(item, face=face), newer, log.trust(), log.time)
    await thief.store.close()

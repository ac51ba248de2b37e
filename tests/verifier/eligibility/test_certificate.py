"""The door: only a green verdict opens it, and nothing else makes a certificate that counts."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Refused, Unverified
from ledger.records.appointment import Appoint
from ledger.records.dates import batch_day
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.qr import Code as QrCode
from ledger.records.statements import issue_entry, issuer_entry
from tests.support.build_log import BASE, FILING, ISSUE_DAY, OCCUPATION, LogBuilder, register_of
from tests.support.eligibility import verified_of
from tests.support.histories import TRUST as NOBODY
from tests.support.packs import case_of
from tests.support.verdict_samples import sample
from verifier.eligibility.cases import run_case
from verifier.eligibility.certificate import VerifiedCertificate, reason_of, rejected, verified
from verifier.eligibility.decision import Basis
from verifier.eligibility.engine import decide
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.pack import Pack
from verifier.register import Register
from verifier.verdict import GREEN, VALID_FAMILY, Code
from verifier.verify import Evidence, verify

PACK = shipped_packs()["title-sc-2021"]
FACTS = read_facts({"in_skill_work": True, "honour": "provincial"}, PACK)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


@pytest.mark.parametrize("code", [code for code in Code if code not in VALID_FAMILY])
def test_no_other_verdict_opens_the_door(code: Code) -> None:
    with pytest.raises(Refused) as caught:
        verified(sample(code), Register(1, bytes(32), 0, None, None), NOBODY)
    assert caught.value.code == reason_of(code)
    left_out = rejected(sample(code))
    assert (left_out.code, left_out.reason) == (code.value, reason_of(code))
    decision = decide((), FACTS, PACK, ISSUE_DAY, [left_out])
    assert decision.result.value == ("needs_information" if left_out.reason == "NOT_PROVEN" else "not_eligible")
    assert decision.reasons == (left_out.reason,) and decision.certificates == () and decision.amount is None


def test_stale_and_offline_are_not_proven_and_a_green_bundle_is_not_enough() -> None:
    for code in (Code.STALE, Code.OFFLINE_SIGNATURE_OK, Code.OFFLINE_BUNDLE_OK, Code.UNAVAILABLE, Code.NOT_FOUND):
        assert reason_of(code) == "NOT_PROVEN"
    assert Code.OFFLINE_BUNDLE_OK in GREEN
    with pytest.raises(AssertionError):
        rejected(sample(Code.VALID))


async def test_a_certificate_out_of_the_log(log: LogBuilder) -> None:
    certificate = log.certificate("one", trade="数控车工")
    (index,) = await log.issue(certificate)
    found = await verified_of(log, certificate)
    record, proof = found.record, found.proof
    assert (record.kind, record.grade, record.level, record.trade) == ("certificate", 4, 3, "数控车工")
    assert (record.issue_day, record.filing, record.route, record.audience) == (ISSUE_DAY, FILING, "exam", "own_staff")
    assert (record.lineage, record.linked, record.track_highest, record.posts) == ("6-18-01-01", True, 4, ())
    head = log.integrator.head
    assert head is not None and index < proof.size
    assert (proof.cert_key, proof.origin, proof.size, proof.root) == (
        certificate.issue.cert_key,
        log.origin,
        head.size,
        head.root,
    )
    decision = decide([found], FACTS, PACK, batch_day(log.time))
    assert decision.basis is Basis.UNPUBLISHED and decision.evidence == (proof,)
    assert decision.result.value == "eligible"


async def test_a_higher_grade_in_the_track_is_read_from_the_log(log: LogBuilder) -> None:
    low, high = log.certificate("low", grade=3, track="p"), log.certificate("high", grade=4, track="p")
    await log.issue(low)
    assert (await verified_of(log, low)).record.track_highest == 3
    await log.issue(high)
    assert (await verified_of(log, low)).record.track_highest == 4
    alone = log.certificate("alone", grade=3, person_unlinked=True)
    await log.issue(alone)
    record = (await verified_of(log, alone)).record
    assert (record.linked, record.track_highest) == (False, 0)


async def test_all_posts_of_the_track_are_read_from_the_log_and_without_it_the_own_one(log: LogBuilder) -> None:
    rows = (replace(log.filing().rows[0], grades=(2, 3, 4, 5, 6)),)
    await log.batch([log.filing_entry(change=True, grants=(7, 8), rows=rows)])
    base = log.certificate("base", grade=6, track="p")
    await log.issue(base)
    terms, today, made = [], batch_day(log.time), base
    for grade, first, last in ((7, today, 0), (8, today + 9, today + 20)):
        made = log.certificate(f"post {grade}", grade=6, track="p")
        post = Appoint(
            made.issue.cert_key, FILING, OCCUPATION, "", grade, ISSUE_DAY, first, last, "人社〔2026〕1号",
            made.issue.track_id, made.face.digest(), made.issue.rest, base.issue.cert_key,
        )  # fmt: skip
        await log.batch([issue_entry(post, log.record_key)])
        terms.append((grade, first, last))
    assert (await verified_of(log, base)).record.posts == tuple(terms[::-1])
    register = await register_of(log, made)
    verdict = verify(Evidence(QrCode(BASE, made.secret), register), log.trust(), log.time)
    assert verified(verdict, register, log.trust()).record.posts == tuple(terms[::-1])
    assert verified(verdict, register, log.trust(), track=False).record.posts == (terms[1],)


async def test_a_revoked_one_is_refused_and_a_register_of_another_moment_too(log: LogBuilder) -> None:
    certificate, other = log.certificate("one"), log.certificate("other")
    await log.issue(certificate, other)
    register = await register_of(log, certificate)
    verdict = verify(Evidence(certificate.code(), register), log.trust(), log.time)
    trust = log.trust()
    for wrong in (
        replace(register, size=register.size + 1),
        replace(register, root=bytes(32)),
        replace(register, logged=None),
        await register_of(log, other),
    ):
        with pytest.raises(Unverified):
            verified(verdict, wrong, trust)
    with pytest.raises(Refused, match="earlier moment"):
        verified(verdict, replace(register, historic=True), trust)
    said = Ruling(Kind.REVOKE, Listed((certificate.issue.cert_key,)), Reason.FRAUD, ISSUE_DAY + 1, FILING)
    await log.batch([issuer_entry(said, log.record_key)])
    with pytest.raises(Refused, match="STATUS"):
        await verified_of(log, certificate)


async def test_it_cannot_be_made_changed_or_copied(log: LogBuilder) -> None:
    certificate = log.certificate("one")
    await log.issue(certificate)
    found = await verified_of(log, certificate)
    better = replace(found.record, grade=6, track_highest=6)
    with pytest.raises(AssertionError):
        VerifiedCertificate(object(), better, found.proof)
    with pytest.raises(AssertionError):
        found.record = better
    with pytest.raises(TypeError):
        dataclasses.replace(found, record=better)  # type: ignore[type-var]
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(AssertionError):
            copied(found)
    with pytest.raises(AssertionError):
        type("Mine", (VerifiedCertificate,), {})
    for forged in (found.record, better, object()):
        with pytest.raises(AssertionError, match="only verified"):
            decide([forged], FACTS, PACK, ISSUE_DAY)  # type: ignore[list-item]


async def test_a_day_after_the_evidence_asks_for_a_new_check(log: LogBuilder) -> None:
    certificate = log.certificate("one")
    await log.issue(certificate)
    found = await verified_of(log, certificate)
    day = batch_day(log.time)
    assert decide([found], FACTS, PACK, day + 1).result.value == "eligible"
    late = decide([found], FACTS, PACK, day + 2)
    assert (late.result.value, late.reasons) == ("needs_information", ("EVIDENCE_OLD",))


def test_a_case_is_never_taken_for_a_verified_decision() -> None:
    pack: Pack = shipped_packs()["sc-2023"]
    assert run_case(pack, case_of(pack, "A1")).decision.basis is Basis.REHEARSAL

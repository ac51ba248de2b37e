"""A certificate in the register after every kind of event: the verdict, what it shows, and damaged registers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Unverified
from ledger.records.appointment import Appoint
from ledger.records.commitments import FaceOpening
from ledger.records.cose import sign_part
from ledger.records.envelope import FaceContent
from ledger.records.kinds import CertificateStatus, FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import Correct, EndAppointment, Listed, Ruling
from ledger.records.secret import cert_key_of
from ledger.records.state import Appointment as HeldBefore
from ledger.records.state import TrackSummary
from ledger.records.statements import AuthorityBody, issue_entry, issuer_entry, propose
from ledger.records.supervision import FilingStanding, KeyStanding
from tests.support.build_log import FILING, ISSUE_DAY, OCCUPATION, Certificate, LogBuilder, octets, register_of
from verifier.causes import Cause
from verifier.messages import load_messages
from verifier.register import Logged
from verifier.steps import POST_UNFOUNDED
from verifier.verdict import Code, Verdict
from verifier.verify import Evidence, verify
from verifier.views import suspension_of

DAY = ISSUE_DAY + 1  # of the log's first batches
DAY_MS = 86_400_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db", filed=False)
    await made.batch([made.filing_entry(grants=(7, 8), rows=grown(made))])
    yield made
    await made.store.close()


def grown(log: LogBuilder) -> Any:
    (row,) = log.filing().rows
    return (replace(row, grades=(2, 3, 4, 5, 6)),)


def by_authority(log: LogBuilder, body: AuthorityBody) -> bytes:
    proposal = propose(log.origin, body)
    return proposal.signed(tuple(sign_part(proposal.protected, proposal.payload, who) for who in log.people[:2]))


def ruling(log: LogBuilder, kind: Kind, certificate: Certificate, reason: Reason = Reason.UNDER_REVIEW) -> bytes:
    whom = Listed((certificate.issue.cert_key,))
    return issuer_entry(Ruling(kind, whom, reason, DAY, FILING), log.record_key)


async def judged(
    log: LogBuilder, certificate: Certificate, *, face: FaceContent | None = None, later: int = 0
) -> Verdict:
    register = await register_of(log, certificate, time_ms=log.time + later)
    return verify(Evidence(certificate.code(), register, face), log.trust(), log.time + later)


async def issued(log: LogBuilder, label: str = "one", **changes: Any) -> tuple[Certificate, int]:
    certificate = log.certificate(label, **changes)
    (index,) = await log.batch([certificate.statement.entry])
    return certificate, index


async def test_suspended_restored_revoked_and_restored_by_the_authority(log: LogBuilder) -> None:
    certificate, _ = await issued(log)
    assert (await judged(log, certificate)).code is Code.VALID
    await log.batch([ruling(log, Kind.SUSPEND, certificate)])
    assert (await judged(log, certificate)).code is Code.SUSPENDED
    await log.batch([ruling(log, Kind.RESTORE, certificate, Reason.CLEARED)])
    assert (await judged(log, certificate)).code is Code.VALID
    await log.batch([ruling(log, Kind.REVOKE, certificate, Reason.FRAUD)])
    verdict = await judged(log, certificate)
    assert verdict.code is Code.REVOKED
    assert verdict.detail["reason_en"] == "obtained by fraud" and verdict.detail["since"] == "2026-05-28"
    assert "cause" not in verdict.detail, "a ruling about this very certificate"
    back = Ruling(Kind.RESTORE, Listed((certificate.issue.cert_key,)), Reason.DECIDED_IN_ERROR, DAY)
    await log.batch([by_authority(log, back)])
    assert (await judged(log, certificate)).code is Code.VALID


async def test_a_suspension_says_by_whom_since_when_and_why(log: LogBuilder) -> None:
    certificate, _ = await issued(log)
    by_issuer = ruling(log, Kind.SUSPEND, certificate, Reason.IRREGULAR_ASSESSMENT)
    whom = Listed((certificate.issue.cert_key,))
    for entry, detail in (
        (by_issuer, {"cause": "issuer", "reason_zh": "考核评价违规", "reason_en": "irregular assessment"}),
        (
            by_authority(log, Ruling(Kind.SUSPEND, whom, Reason.FRAUD, DAY)),
            {"cause": "authority", "reason_zh": "弄虚作假", "reason_en": "obtained by fraud"},
        ),
        (
            by_authority(log, FilingStanding(FILING, FilingStatus.SUSPENDED, Reason.UNDER_REVIEW, ISSUE_DAY)),
            {"cause": "filing", "reason_zh": "核查中", "reason_en": "under review"},
        ),
    ):
        await log.batch([entry])
        verdict = await judged(log, certificate)
        since = "2026-05-27" if detail["cause"] == "filing" else "2026-05-28"
        assert verdict.code is Code.SUSPENDED and dict(verdict.detail) == {"since": since, **detail}
        if detail["cause"] != "filing":
            back = Reason.CLEARED if detail["cause"] == "issuer" else Reason.DECIDED_IN_ERROR
            await log.batch([by_authority(log, Ruling(Kind.RESTORE, whom, back, DAY))])


async def test_a_suspension_by_a_statement_about_something_else_sends_to_the_register(log: LogBuilder) -> None:
    certificate, _ = await issued(log)
    register = await register_of(log, certificate)
    assert register.logged is not None
    assert suspension_of(register.logged) == (Cause.REGISTER, None)


async def test_the_higher_grade_revoked_brings_the_lower_back(log: LogBuilder) -> None:
    low, _ = await issued(log, "low", grade=3, track="person")
    high, _ = await issued(log, "high", grade=4, track="person")
    upgraded = await judged(log, low)
    assert upgraded.code is Code.VALID_UPGRADED and upgraded.certificate is not None
    current = upgraded.certificate.current
    assert current is not None and (current.ordinal, current.since_day, current.is_this) == (4, ISSUE_DAY, False)
    await log.batch([ruling(log, Kind.REVOKE, high, Reason.ISSUED_IN_ERROR)])
    again = await judged(log, low)
    assert again.code is Code.VALID and again.certificate is not None and again.certificate.current is not None
    register = await register_of(log, low)
    for alone, named in ((True, ""), (False, log.trust().origin)):
        trust = replace(log.trust(), alone=alone)
        among = verify(Evidence(low.code(), register), trust, log.time).certificate
        assert among is not None and among.current is not None and among.current.log == named
    assert again.certificate.current.is_this
    gone = await judged(log, high)
    assert gone.code is Code.REVOKED and gone.certificate is not None and gone.certificate.current is not None
    assert gone.certificate.current.ordinal == 3, "what the holder has now is said on the revoked one too"


async def test_a_correction_shows_the_corrected_name_and_nothing_of_the_old_one(log: LogBuilder) -> None:
    certificate, index = await issued(log)
    new = FaceOpening(octets("salt", 16), certificate.face.number, "例大明")
    correct = Correct(certificate.issue.cert_key, Reason.NAME_CHANGED, DAY, new.digest(), octets("rest"), issuer=FILING)
    await log.batch([issuer_entry(correct, log.record_key)])
    verdict = await judged(log, certificate, face=FaceContent(new, b""))
    assert verdict.code is Code.VALID_CORRECTED and verdict.certificate is not None
    assert (verdict.certificate.name, verdict.certificate.corrected_day) == ("例大明", DAY)
    old = await judged(log, certificate, face=FaceContent(certificate.face, b""))
    assert old.code is Code.VALID_CORRECTED and old.certificate is not None
    assert old.certificate.name is None and not old.certificate.personal_available
    register = await register_of(log, certificate)
    printed = verify(Evidence(certificate.code(index), register), log.trust(), log.time)
    assert printed.code is Code.VALID_CORRECTED and printed.certificate is not None
    assert printed.certificate.name is None, "the old print carries the old name"
    messages = load_messages()
    for unnamed in (old, printed):
        assert messages.line(unnamed).en.endswith("and the print may be out of date")
        assert "do not rely on the print" in messages.unnamed(unnamed).en, "never: compare the print"
    assert messages.line(verdict).en == "Rely on the details shown here, not the print"
    assert [finding.step for finding in printed.findings][-1] == "correction", "what was scanned is of before"
    assert "correction" not in [finding.step for finding in verdict.findings], "a bare link carries nothing"


async def test_a_reissue_replaces_and_the_new_paper_is_valid(log: LogBuilder) -> None:
    old, _ = await issued(log, "old", track="person")
    new = log.certificate("new", track="person", replaces=old.issue.cert_key)
    (index,) = await log.batch([new.statement.entry])
    gone = await judged(log, old)
    assert gone.code is Code.REVOKED and gone.detail["reason_en"] == "a new certificate replaced it"
    assert gone.detail["cause"] == "replaced", "an honest holder has the new one: nobody is sent to appeal"
    register = await register_of(log, new)
    assert verify(Evidence(new.code(index), register), log.trust(), log.time).code is Code.VALID


async def test_a_compromised_key_and_a_cancelled_filing_say_so(log: LogBuilder) -> None:
    first, _ = await issued(log, "first")
    second, index = await issued(log, "second")
    public = log.record_key.public
    await log.batch([by_authority(log, KeyStanding(FILING, public, KeyStatus.COMPROMISED, DAY, index))])
    assert (await judged(log, first)).code is Code.VALID
    void = await judged(log, second)
    assert void.code is Code.REVOKED and void.detail["reason_en"] == "signed with a key that was compromised"
    assert void.detail["cause"] == "key"
    cancelled = FilingStanding(FILING, FilingStatus.CANCELLED, Reason.OUT_OF_SCOPE, ISSUE_DAY)
    await log.batch([by_authority(log, cancelled)])
    verdict = await judged(log, first)
    assert verdict.code is Code.REVOKED and verdict.detail["reason_en"] == "the issuing body's filing was cancelled"
    assert verdict.detail["cause"] == "filing"


async def test_a_post_to_come_hides_none_that_runs_and_one_that_is_over_gives_way(log: LogBuilder) -> None:
    """With one register: nothing is logged on the days on which posts begin and end."""
    certificate, _ = await issued(log, "six", grade=6, track="person")
    for label, grade, first, last in (("seven", 7, DAY, 0), ("eight", 8, DAY + 5, DAY + 9)):
        made = log.certificate(label, track="person")
        post = Appoint(
            cert_key_of(made.secret), FILING, OCCUPATION, "", grade, ISSUE_DAY, first, last, "人社〔2026〕1号",
            made.issue.track_id, made.face.digest(), made.issue.rest, certificate.issue.cert_key,
        )  # fmt: skip
        await log.batch([issue_entry(post, log.record_key)])
    for later, ordinal in ((0, 7), (4, 7), (5, 8), (9, 8), (10, 7)):
        verdict = await judged(log, certificate, later=later * DAY_MS)
        assert verdict.certificate is not None and verdict.certificate.held is not None, later
        assert verdict.certificate.held.ordinal == ordinal, later


async def test_a_post_is_shown_beside_the_certificate_and_ends_by_its_date_or_by_a_statement(log: LogBuilder) -> None:
    certificate, _ = await issued(log, "six", grade=6, track="person")
    made = log.certificate("post", track="person")
    post = Appoint(
        cert_key_of(made.secret), FILING, OCCUPATION, "", 7, ISSUE_DAY, DAY, DAY + 30, "人社〔2026〕1号",
        made.issue.track_id, made.face.digest(), made.issue.rest, certificate.issue.cert_key,
    )  # fmt: skip
    await log.batch([issue_entry(post, log.record_key)])
    beside = await judged(log, certificate)
    assert beside.code is Code.VALID and beside.certificate is not None and beside.certificate.held is not None
    assert (beside.certificate.held.ordinal, beside.certificate.held.last_day) == (7, DAY + 30)
    assert beside.certificate.current is not None and beside.certificate.current.ordinal == 6
    held = await judged(log, made)
    assert held.code is Code.VALID and held.certificate is not None
    assert held.certificate.post == (DAY, DAY + 30) and held.certificate.assessment_day is None
    over = await judged(log, made, later=31 * DAY_MS)
    assert over.code is Code.ENDED and over.detail["since"] == "2026-06-27"
    after = await judged(log, certificate, later=31 * DAY_MS)
    assert after.certificate is not None and after.certificate.held is None
    assert POST_UNFOUNDED not in held.findings
    await log.batch([ruling(log, Kind.REVOKE, certificate, Reason.FRAUD)])
    without = await judged(log, made)
    assert without.code is Code.VALID and POST_UNFOUNDED in without.findings, "the post stands until its body ends it"
    assert "is not in force: ask the employer" in load_messages().line(without).en
    end = EndAppointment(post.cert_key, Reason.POST_ENDED, DAY, FILING)
    await log.batch([issuer_entry(end, log.record_key)])
    ended = await judged(log, made)
    assert ended.code is Code.ENDED and ended.detail["since"] == "2026-05-28"


async def test_a_register_with_other_statements_than_the_state_names_is_damaged(log: LogBuilder) -> None:
    certificate, _ = await issued(log)
    await log.batch([ruling(log, Kind.REVOKE, certificate)])
    register = await register_of(log, certificate)
    logged = register.logged
    assert logged is not None and logged.event is not None
    damaged: list[Logged] = [
        replace(logged, event=None),
        replace(logged, event=logged.statement),
        replace(logged, commitments=logged.event),
        replace(logged, state=renewed(logged.state, commitment_leaf=logged.state.event_leaf), commitments=logged.event),
    ]
    for bad in damaged:
        with pytest.raises(Unverified):
            bad.check()
        verdict = verify(Evidence(certificate.code(), replace(register, logged=bad)), log.trust(), log.time)
        assert verdict.code is Code.UNAVAILABLE


async def test_a_state_that_no_fold_makes_is_no_answer(log: LogBuilder) -> None:
    """Where nobody recomputed the map, a log that lies may have sealed anything: readers say so and do not fail."""
    certificate, _ = await issued(log)
    register = await register_of(log, certificate)
    logged = register.logged
    assert logged is not None and logged.state.summary.highest is not None
    state, best = logged.state, logged.state.summary.highest
    post = HeldBefore(7, octets("post"), state.event_index, DAY, DAY + 1)
    for odd in (
        {"status": CertificateStatus.SUSPENDED},  # and the highest in force at once
        {"effective_day": 2**40},
        {"issue_time": 2**63},
        {"grade": state.grade + 1},
        {"summary": TrackSummary(renewed(best, grade=best.grade + 1))},
        {"summary": TrackSummary(renewed(best, grade=99, cert_key=octets("other")))},
        {"summary": TrackSummary(best, (renewed(post, grade=12),))},
        {"summary": TrackSummary(best, (renewed(post, last_day=2**40),))},
    ):
        bad = replace(logged, state=renewed(state, **odd))  # type: ignore[arg-type]
        with pytest.raises(Unverified):
            bad.check()
        verdict = verify(Evidence(certificate.code(), replace(register, logged=bad)), log.trust(), log.time)
        assert verdict.code is Code.UNAVAILABLE, odd
    replace(logged, state=renewed(state, summary=TrackSummary(best, (post,)))).check()

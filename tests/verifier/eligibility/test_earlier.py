"""Certificates as they stood at the end of an earlier day, and a payroll that reads them so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Refused
from ledger.records.dates import MS_PER_DAY, batch_day, format_day, last_ms, parse_day
from ledger.records.evidence import format_evidence, parse_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.statements import issuer_entry
from ledger.tlog.checkpoint import CosignedCheckpoint, open_cosigned
from tests.support.build_log import FILING, Certificate
from tests.support.builders import key_standing
from tests.support.receipt_office import Office, open_office
from tests.support.verdict_samples import sample
from tests.verifier.eligibility.test_gathering import FACTS, SC, Index
from tests.verifier.eligibility.test_running import HEAD, LADDER, WAGE, csv_of
from verifier.carried import Keyed
from verifier.eligibility.certificate import rejected
from verifier.eligibility.decision import Proof
from verifier.eligibility.earlier import TRACK_VOID, asked_wage_day, earlier_day
from verifier.eligibility.engine import decide
from verifier.eligibility.facts import read_facts
from verifier.eligibility.gathering import Gatherer
from verifier.eligibility.offices import decide_person
from verifier.eligibility.people import read_people
from verifier.eligibility.results import Answered
from verifier.eligibility.running import Runner
from verifier.known_log import AsOf, KnownLog
from verifier.verdict import Code

WAGES = {"appointed_grade": 4, "appointed_from": "2020-01-01", "appointed_to": None, "apprentices": 0}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


async def days_later(office: Office, days: int, *said: bytes) -> int:
    """Statements in a batch so many days later; the last day before it."""
    day = batch_day(office.log.time) + days - 1
    some = said or (issued(office, office.log.certificate(f"in between {days}")),)
    await office.log.batch(some, time=office.log.time + days * MS_PER_DAY)
    await office.catch_up()
    return day


def ruled(office: Office, kind: Kind, certificate: Certificate) -> bytes:
    named = Listed((certificate.issue.cert_key,))
    said = Ruling(kind, named, Reason.UNDER_REVIEW, batch_day(office.log.time), FILING)
    return issuer_entry(said, office.log.record_key)


def issued(office: Office, certificate: Certificate) -> bytes:
    office.log.keep(certificate)
    return certificate.statement.entry


def gatherer(office: Office, names: Index | None = None) -> Gatherer:
    return Gatherer(office.lookup, lambda: office.now[0], names)


async def wages(office: Office, day: int, *rows: list[str]) -> list[Answered]:
    people = read_people(csv_of(HEAD, *rows), "staff.csv", WAGE, LADDER)
    runner = Runner(gatherer(office), lambda: office.now[0])
    return await runner.run(people.people, WAGE, day)


def said(answered: list[Answered]) -> list[tuple[str, int | None, tuple[str, ...]]]:
    return [
        (one.checks[0].code.value, one.decision.amount, one.decision.reasons)
        for one in answered
        if one.decision is not None
    ]


async def test_the_grade_of_a_past_month_is_that_of_its_last_day(office: Office) -> None:
    """An upgrade, a suspension and a new certificate after the month change nothing in it; today they do."""
    higher = office.log.certificate("higher", grade=5, track="one", name="例小明")
    stopped = office.log.certificate("stopped", name="例停用")
    await office.log.issue(stopped)
    await office.catch_up()
    last = await days_later(office, 3, issued(office, higher), ruled(office, Kind.SUSPEND, stopped))
    rows = [
        ["a", "例小明", office.link, "高级工", "2020-01-01", "", "0"],
        ["b", "例停用", stopped.code().link, "高级工", "2020-01-01", "", "0"],
        ["c", "例小明", higher.code().link, "技师", "2020-01-01", "", "0"],
    ]
    then = await wages(office, last, *rows)
    now = await wages(office, batch_day(office.now[0]), *rows)
    assert said(then) == [
        ("valid", 570_000, ()),
        ("valid", 570_000, ()),
        ("not_found", None, ("NOT_CERTIFIED", "STATUS")),
    ]
    assert [code for code, _, _ in said(now)] == ["valid_upgraded", "suspended", "valid"]
    assert said(now)[2][1] == 700_000
    first = then[0].checks[0].verdict.certificate
    assert first is not None and first.current is not None and first.current.ordinal == 4
    unnamed = [["d", "", stopped.code().link, "高级工", "2020-01-01", "", "0"]]
    office.ledger.down, office.now[0] = True, office.now[0] + 61_000  # what was opened is forgotten
    assert said(await wages(office, last, *unnamed)) == [("valid", 570_000, ())]
    for day in (last, batch_day(office.now[0])):  # nobody can tell whose they are: valid then and now, or only then
        told = [(code, amount) for code, amount, _ in said(await wages(office, day, *rows[:2]))]
        assert told == [("unavailable", None), ("unavailable" if day == last else "suspended", None)]
    office.ledger.down = False
    assert [one.checks[0].notes for one in then] == [
        (), ("eligibility_since_not_valid",), ("eligibility_not_logged_then",),
    ]  # fmt: skip
    decision = then[0].decision
    assert decision is not None and batch_day(decision.evidence[0].time_ms) == last < batch_day(office.now[0])


async def test_nobody_waits_in_vain_while_the_map_of_that_day_is_rebuilt(office: Office) -> None:
    """A run asks for more certificates at once than may wait for one map."""
    certificates = [office.log.certificate(f"staff {at}") for at in range(12)]
    await office.log.issue(*certificates)
    last = await days_later(office, 2)
    rows = [[f"e{at}", "", one.code().link, "高级工", "2020-01-01", "", "0"] for at, one in enumerate(certificates)]
    assert said(await wages(office, last, *rows)) == [("valid", 570_000, ())] * 12


async def test_the_old_checkpoint_is_opened_once_for_a_run_and_a_tampered_row_counts_for_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = [office.log.certificate(f"staff {at}") for at in range(6)]
    await office.log.issue(*certificates)
    last = await days_later(office, 2)
    rows = [[f"e{at}", "", one.code().link, "高级工", "2020-01-01", "", "0"] for at, one in enumerate(certificates)]
    opened, given = list[bytes](), office.replica.evidence

    def count(note: bytes, *rest: Any, **how: Any) -> CosignedCheckpoint:
        opened.append(note)
        return open_cosigned(note, *rest, **how)

    async def altered(cert_key: bytes, **asked: Any) -> bytes:
        raw = await given(cert_key, **asked)
        evidence, at = parse_evidence(raw), [one.issue.cert_key for one in certificates].index(cert_key)
        changes: dict[int, dict[str, Any]] = {
            1: {"checkpoint": evidence.checkpoint.replace(b"\n\n", b"x\n\n", 1)},
            2: {"seal": evidence.next},
            3: {"state": evidence.state[:-1] + bytes([evidence.state[-1] ^ 1])},
        }
        return format_evidence(replace(evidence, **changes.get(at, {})))

    monkeypatch.setattr("verifier.proven.open_cosigned", count)
    assert said(await wages(office, last, *rows)) == [("valid", 570_000, ())] * 6
    assert len(opened) == 1
    monkeypatch.setattr(office.replica, "evidence", altered)
    found = await wages(office, last, *rows)
    assert [code for code, _, _ in said(found)] == ["valid", *["unavailable"] * 3, "valid", "valid"]
    assert [amount for _, amount, _ in said(found)] == [570_000, None, None, None, 570_000, 570_000]


async def test_numbers_with_names_of_a_past_month(office: Office) -> None:
    last = await days_later(office, 2, ruled(office, Kind.REVOKE, office.certificate))
    pairs = [(office.certificate.face.number, "例小明")]
    (then,) = await gatherer(office, Index(office)).of_pairs(pairs, last)
    (now,) = await gatherer(office, Index(office)).of_pairs(pairs)
    assert then.certificate is not None and then.now is not None and then.now.code is Code.REVOKED
    assert now.rejected is not None and now.rejected.reason == "STATUS"


async def test_what_was_void_from_the_beginning_never_was_in_force(office: Office) -> None:
    """Neither shown itself, nor as the grade that the track had then; what was revoked later was."""
    stolen, index = office.log.certificate("stolen", grade=5, track="one", name="例小明"), office.log.integrator.size
    await office.log.issue(stolen)
    await office.catch_up()
    last = await days_later(office, 2)
    rows = [
        ["a", "例小明", office.link, "技师", "2020-01-01", "", "0"],
        ["b", "例小明", stolen.code().link, "技师", "2020-01-01", "", "0"],
    ]
    assert [amount for _, amount, _ in said(await wages(office, last, *rows))] == [700_000, 700_000]
    standing = key_standing(office.log.record_key.public, void_from=index, number=FILING)
    await days_later(office, 1, office.log.by_authority(standing))
    shown, itself = await wages(office, last, *rows)
    assert [amount for _, amount, _ in said([shown, itself])] == [None, None]
    assert shown.checks[0].notes == (TRACK_VOID,)


async def test_what_was_revoked_later_was_in_force(office: Office) -> None:
    last = await days_later(office, 2, ruled(office, Kind.REVOKE, office.certificate))
    assert (await gatherer(office).of_text(office.link, day=last)).certificate is not None


@pytest.mark.parametrize("off", [0, -4, 1])
async def test_a_ledger_that_answers_with_another_day_is_not_believed(office: Office, off: int) -> None:
    await days_later(office, 3)
    last = await days_later(office, 4)

    class Giving:
        async def evidence(self, cert_key: bytes, *, size: int | None = None, day: int | None = None) -> bytes:
            assert day == last
            return await office.replica.evidence(cert_key, day=last + off)

    known = KnownLog(office.log.trust(), lambda: office.now[0], proofs=Giving())
    answer = await known.answer(Keyed(office.certificate.issue.cert_key), AsOf(day=last))
    assert (answer.register is not None) == (off == 0), "nor is anything of it kept"


async def test_it_is_good_for_a_wage_on_that_day_and_nothing_else(office: Office) -> None:
    last = await days_later(office, 2)
    found = await gatherer(office).of_text(office.link, day=last)
    assert found.certificate is not None and found.certificate.day == last
    assert isinstance(found.certificate.proof, Proof)
    with pytest.raises(AssertionError, match="certificates of today"):
        decide_person([found], FACTS, SC, last)
    facts = read_facts(WAGES, WAGE)
    with pytest.raises(AssertionError, match="another day"):
        decide([found.certificate], facts, WAGE, last - 1)
    assert decide([found.certificate], facts, WAGE, last).amount is not None


async def test_a_day_that_the_log_does_not_have_ends_the_run(office: Office) -> None:
    row = ["a", "例小明", office.link, "高级工", "2020-01-01", "", "0"]
    await days_later(office, 2)
    with pytest.raises(Refused, match="TOO_EARLY"):
        await wages(office, batch_day(office.now[0]) - 400, row)
    ending = batch_day(office.now[0]) + 1
    await office.log.batch([issued(office, office.log.certificate("late"))], time=last_ms(ending) - 60_000)
    await office.catch_up()
    office.now[0] += 120_000  # the day is over, and the newest checkpoint is still of it
    with pytest.raises(Refused, match="NOT_YET"):
        await wages(office, ending, row)


def test_which_day_is_read() -> None:
    today = parse_day("2026-11-26")
    assert earlier_day(WAGE, today - 1, today) == today - 1
    assert earlier_day(WAGE, today, today) is None
    assert earlier_day(SC, today - 1, today) is None  # an application may be dated back, its certificate not
    asked = [format_day(asked_wage_day(text, today)) for text in ("", "2026-10", "2024-02", "2026-11-30")]
    assert asked == ["2026-11-26", "2026-10-31", "2024-02-29", "2026-11-30"]
    with pytest.raises(Refused, match="MONTH_NOT_OVER"):
        asked_wage_day("2026-11", today)
    for wrong in ("2026", "2026-13", "2026-1-1", "26-10"):
        with pytest.raises(Malformed):
            asked_wage_day(wrong, today)


def test_what_the_log_did_not_have_is_settled() -> None:
    verdict = sample(Code.NOT_FOUND)
    assert (rejected(verdict).reason, rejected(verdict, 20_000).reason) == ("NOT_PROVEN", "STATUS")
    assert rejected(sample(Code.UNAVAILABLE), 20_000).reason == "NOT_PROVEN"

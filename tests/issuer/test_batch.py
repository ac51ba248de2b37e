from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from issuer import batch
from issuer.batch import ATTEMPTS, Step
from issuer.desk import Outcome
from issuer.journal import read_journal
from issuer.state import read_state
from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.wire import Receipt, Submission
from tests.support.fake_log import FakeLog
from tests.support.issuer_desk import Crash, Setting, sample, set_up, write_csv

ROWS = 12


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr(batch, "GROUP", 5)  # three groups of twelve rows
    return set_up(tmp_path / "desk")


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "roster.csv", sample(ROWS))


def journals(setting: Setting) -> list[Path]:
    return sorted((setting.desk.folder / "journal").glob("*.journal"))


def assert_complete(setting: Setting, outcome: Outcome, rows: int = ROWS) -> None:
    """Each row once in the log, and each with a place in the journal."""
    issues = setting.log.issues()
    assert len(issues) == len({issue.cert_key for issue in issues}) == len({issue.face for issue in issues}) == rows
    assert outcome.clean
    for certificate, placed in outcome.state.logged():
        assert setting.log.entries[placed.proof.index] == certificate.entry
    assert len(outcome.state.logged()) == rows == len(setting.log.numbers)


async def test_a_roster_is_logged_in_groups(setting: Setting, roster: Path) -> None:
    outcome = await setting.issue(roster)
    assert_complete(setting, outcome)
    assert setting.log.submits == 3


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("group", [1, 2, 3])
async def test_a_crash_at_any_step_then_the_same_again(setting: Setting, roster: Path, step: Step, group: int) -> None:
    with pytest.raises(Crash):
        await setting.issue(roster, crash_at=step, crash_on=group)
    kept = read_state(read_journal(journals(setting)[0], setting.desk.journal_key))
    before = {number: certificate.entry for number, certificate in kept.certificates.items()}
    assert len(before) == (min(5 * group, ROWS) if step >= Step.KEPT else 5 * (group - 1))
    outcome = await setting.issue(roster)
    assert_complete(setting, outcome)
    assert {row: outcome.state.certificates[row].entry for row in before} == before, "signed once, not again"


async def test_crash_after_crash(setting: Setting, roster: Path) -> None:
    for step in (Step.KEPT, Step.SENT, Step.VERIFIED, Step.SENT, Step.RECORDED):
        with pytest.raises(Crash):
            await setting.issue(roster, crash_at=step)
    assert_complete(setting, await setting.issue(roster))


@pytest.mark.parametrize("cut", [1, 40, 400])
async def test_a_torn_last_record(setting: Setting, roster: Path, cut: int) -> None:
    """The machine dies while the answers of the first group are written."""
    with pytest.raises(Crash):
        await setting.issue(roster, crash_at=Step.RECORDED)
    path = journals(setting)[0]
    path.write_bytes(path.read_bytes()[:-cut])
    assert_complete(setting, await setting.issue(roster))


async def test_drafts_lost_with_the_disk_are_not_issued_twice(setting: Setting, roster: Path) -> None:
    """Even without its journal, the same roster cannot be issued a second time."""
    await setting.issue(roster)
    for path in journals(setting):
        path.unlink()
    outcome = await setting.issue(roster)
    assert not outcome.clean and not outcome.state.certificates
    assert len(setting.log.issues()) == ROWS
    assert {problem.code for problem in outcome.problems() if problem.severity == "error"} == {"NUMBER_ON_LOG"}


async def test_running_again_changes_nothing(setting: Setting, roster: Path) -> None:
    first = await setting.issue(roster)
    journal = journals(setting)[0].read_bytes()
    second = await setting.issue(roster)
    assert second.clean and setting.log.submits == 3
    assert journals(setting)[0].read_bytes() == journal
    assert second.state.logged() == first.state.logged()


@pytest.mark.parametrize("loss", ["before", "after"])
async def test_a_lost_answer_is_asked_for_again(setting: Setting, roster: Path, loss: str) -> None:
    setting.log.losses = [loss, loss, ""]
    assert_complete(setting, await setting.issue(roster))
    assert setting.slept == [1, 1]


async def test_a_ledger_that_stays_away(setting: Setting, roster: Path) -> None:
    setting.log.losses = ["after"] * ATTEMPTS
    with pytest.raises(Unavailable):
        await setting.issue(roster)
    assert_complete(setting, await setting.issue(roster))


async def test_refused_rows_come_back_and_the_others_are_issued(setting: Setting, roster: Path) -> None:
    numbers = [line[7] for line in sample(ROWS)]
    setting.log.refuse_numbers = {numbers[0], numbers[7]}
    outcome = await setting.issue(roster)
    assert not outcome.clean and not outcome.declined
    assert {refusal.code for refusal in outcome.state.refused().values()} == {"NUMBER_TAKEN"}
    assert {problem.value for problem in outcome.problems() if problem.code == "NUMBER_TAKEN"} == {
        numbers[0],
        numbers[7],
    }
    assert len(outcome.state.logged()) == ROWS - 2
    setting.log.refuse_numbers = set()  # the reason is gone: the same command finishes the batch
    assert_complete(setting, await setting.issue(roster))


class Liar(FakeLog):
    """Tells the truth until `lie` is set."""

    lie: str = ""

    async def submit(self, submissions: list[Submission]) -> Receipt:  # type: ignore[override]
        receipt = await super().submit(submissions)
        first = receipt.answers[0]
        if self.lie == "index":
            return replace(receipt, answers=(replace(first, index=first.index + 1), *receipt.answers[1:]))  # type: ignore[type-var]
        if self.lie == "seal":
            return replace(receipt, seal=bytes(90))
        if self.lie == "checkpoint":
            return replace(receipt, checkpoint=receipt.checkpoint[:-20] + b"\n")
        if self.lie == "answers":
            return replace(receipt, answers=receipt.answers[1:])
        return receipt


@pytest.mark.parametrize("lie", ["index", "seal", "checkpoint", "answers"])
async def test_nothing_is_recorded_from_a_receipt_that_does_not_hold(setting: Setting, roster: Path, lie: str) -> None:
    setting.log.__class__ = Liar
    setting.log.lie = lie  # type: ignore[attr-defined]
    with pytest.raises((Unverified, Malformed)):
        await setting.issue(roster)
    state = read_state(read_journal(journals(setting)[0], setting.desk.journal_key))
    assert len(state.certificates) == 5 and not state.answers and not state.logged()
    setting.log.lie = ""  # type: ignore[attr-defined]
    assert_complete(setting, await setting.issue(roster))


async def test_two_runs_at_once(setting: Setting, roster: Path) -> None:
    """The second finds the batch taken, whatever it had read before."""

    with pytest.raises(Crash):
        await setting.issue(roster, crash_at=Step.KEPT)

    refused: list[str] = []

    class Meanwhile(FakeLog):
        async def submit(self, submissions: list[Submission]) -> Receipt:  # type: ignore[override]
            self.__class__ = FakeLog  # type: ignore[assignment]
            try:
                await setting.issue(roster)
            except Refused as refusal:
                refused.append(refusal.code)
            return await FakeLog.submit(self, submissions)

    setting.log.__class__ = Meanwhile
    assert_complete(setting, await setting.issue(roster))
    assert refused == ["BATCH_BUSY"]

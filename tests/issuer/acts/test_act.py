"""An act into the log: nothing before all is clean, killed anywhere and gone on with, never doubled."""

from __future__ import annotations

import pytest

from issuer import batch
from issuer.batch import Step
from ledger.errors import Refused, Unavailable
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.life import Ruling
from tests.support.issuer_acts import ActSetting
from tests.support.issuer_desk import Crash

S = CertificateStatus


async def test_suspend_restore_suspend_and_revoke_by_the_same_sheets(setting: ActSetting) -> None:
    first, second = setting.numbers[:2]
    review = setting.rulings((first, "核查中", ""), (second, "under review", ""))
    assert (await setting.rule(Kind.SUSPEND, review)).clean
    assert [setting.status(n) for n in setting.numbers[:3]] == [S.SUSPENDED, S.SUSPENDED, S.IN_FORCE]
    cleared = setting.rulings((first, "核查无误", ""), (second, "CLEARED", ""), name="cleared.csv")
    assert (await setting.rule(Kind.RESTORE, cleared)).clean
    assert setting.status(first) is S.IN_FORCE

    same_day = await setting.rule(Kind.SUSPEND, review)
    assert {problem.code for problem in same_day.checked.problems} == {"SAME_AGAIN"} and same_day.told() == []
    setting.setting.log.now_ms += 86_400_000
    again = await setting.rule(Kind.SUSPEND, review)
    assert again.clean and not again.repeated, "it was restored since: the same sheet is a new act"
    assert setting.status(first) is S.SUSPENDED
    revoked = await setting.rule(Kind.REVOKE, setting.rulings((first, "fraud", "2026-01-05"), name="gone.csv"))
    assert revoked.clean and setting.status(first) is S.REVOKED


async def test_the_same_again_is_the_same_statement(setting: ActSetting) -> None:
    source = setting.rulings((setting.numbers[0], "核查中", ""))
    done = await setting.rule(Kind.SUSPEND, source)
    again = await setting.rule(Kind.SUSPEND, source)
    assert again.repeated and again.clean and again.act_id == done.act_id
    assert again.told() == done.told()
    assert setting.entries(Ruling) == 1
    setting.setting.log.now_ms += 86_400_000
    assert (await setting.rule(Kind.SUSPEND, source)).repeated
    forced = await setting.rule(Kind.SUSPEND, source, again=True)
    (told,) = forced.told()
    assert isinstance(told.answer, Refused) and told.answer.code == "ALREADY_SUSPENDED"


async def test_nothing_is_signed_until_every_line_is_clean(setting: ActSetting) -> None:
    source = setting.rulings((setting.numbers[0], "核查中", ""), ("Y000051990001263999999", "核查中", ""))
    done = await setting.rule(Kind.SUSPEND, source)
    assert done.declined and not done.clean and setting.entries(Ruling) == 0
    assert not (setting.setting.desk.folder / "acts").exists()
    skipped = await setting.rule(Kind.SUSPEND, source, skip_bad=True)
    assert not skipped.clean and [told.named.row for told in skipped.told()] == [2]
    assert setting.status(setting.numbers[0]) is S.SUSPENDED


async def test_nothing_is_signed_without_a_yes(setting: ActSetting) -> None:
    source = setting.rulings((setting.numbers[0], "核查中", ""))
    seen: list[str] = []

    def no(checked: object, preview: list[str], unfinished: int) -> bool:
        seen.extend(preview)
        return False

    done = await setting.rule(Kind.SUSPEND, source, confirm=no)
    assert done.declined and setting.entries(Ruling) == 0
    assert any("× 1" in line for line in seen) and any(setting.numbers[0] in line for line in seen)


@pytest.mark.parametrize("step", [Step.KEPT, Step.SENT, Step.VERIFIED, Step.RECORDED])
@pytest.mark.parametrize("group", [1, 2])
async def test_killed_at_any_step_then_the_same_command(
    setting: ActSetting, monkeypatch: pytest.MonkeyPatch, step: Step, group: int
) -> None:
    monkeypatch.setattr(batch, "GROUP", 1)  # one statement a request
    lines = [(number, "核查中", f"2026-01-0{at + 1}") for at, number in enumerate(setting.numbers)]
    source = setting.rulings(*lines)
    with pytest.raises(Crash):
        await setting.rule(Kind.SUSPEND, source, crash_at=step, crash_on=group)
    setting.setting.log.now_ms += 86_400_000
    done = await setting.rule(Kind.SUSPEND, source)
    assert done.clean and len(done.told()) == 5
    assert setting.entries(Ruling) == 5
    assert {setting.status(number) for number in setting.numbers} == {S.SUSPENDED}


async def test_a_lost_answer_is_asked_for_again(setting: ActSetting) -> None:
    setting.setting.log.losses += ["after", "before"]
    done = await setting.rule(Kind.SUSPEND, setting.rulings((setting.numbers[0], "核查中", "")))
    assert done.clean and setting.entries(Ruling) == 1 and len(setting.setting.slept) == 2


async def test_a_ledger_that_does_not_answer_loses_nothing(setting: ActSetting) -> None:
    source = setting.rulings((setting.numbers[0], "核查中", ""))
    setting.setting.log.losses += ["after"] * batch.ATTEMPTS
    with pytest.raises(Unavailable):
        await setting.rule(Kind.SUSPEND, source)
    declined = await setting.rule(Kind.SUSPEND, source, confirm=lambda *_: pytest.fail("nothing new is signed"))
    assert declined.clean and setting.entries(Ruling) == 1


async def test_a_list_that_is_refused_for_one_is_done_for_the_others(setting: ActSetting) -> None:
    one, two, three = setting.numbers[:3]
    await setting.rule(Kind.SUSPEND, setting.rulings((two, "核查中", ""), name="before.csv"))
    source = setting.rulings(*((n, "弄虚作假", "") for n in (one, two, three)))
    done = await setting.rule(Kind.SUSPEND, source)
    codes = [told.answer.code if isinstance(told.answer, Refused) else "" for told in done.told()]
    assert codes == ["", "ALREADY_SUSPENDED", ""] and not done.clean
    assert {setting.status(n) for n in (one, two, three)} == {S.SUSPENDED}
    count = setting.entries(Ruling)
    again = await setting.rule(Kind.SUSPEND, source)
    assert [told.named.row for told in again.told()] == [2, 3, 4]
    assert setting.entries(Ruling) == count, "what was done is not done twice"
    assert isinstance(again.told()[1].answer, Refused)


@pytest.mark.parametrize("crash_on", [1, 2])
@pytest.mark.parametrize("step", [Step.KEPT, Step.SENT, Step.RECORDED])
async def test_killed_while_a_refused_list_is_split(setting: ActSetting, step: Step, crash_on: int) -> None:
    one, two, three = setting.numbers[:3]
    await setting.rule(Kind.SUSPEND, setting.rulings((two, "核查中", ""), name="before.csv"))
    source = setting.rulings(*((n, "弄虚作假", "") for n in (one, two, three)))
    with pytest.raises(Crash):
        await setting.rule(Kind.SUSPEND, source, crash_at=step, crash_on=crash_on)
    done = await setting.rule(Kind.SUSPEND, source)
    assert [isinstance(told.answer, Refused) for told in done.told()] == [False, True, False]
    assert setting.entries(Ruling) == 3

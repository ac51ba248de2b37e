"""Rulings: what a line may say, and how lines become lists."""

from __future__ import annotations

import pytest

from issuer.acts import ruling
from issuer.acts.lines import one_line
from issuer.acts.ruling import RangeAct, RulingAct
from issuer.roster.forms import ENDS, RULINGS
from ledger.records.dates import format_day
from ledger.records.kinds import CertificateStatus, Kind, Reason
from ledger.records.life import Listed, Range, Ruling
from ledger.records.statements import parse_statement
from tests.support.issuer_acts import ActSetting
from tests.support.issuer_desk import TODAY


def rulings_of(setting: ActSetting) -> list[Ruling]:
    bodies = [parse_statement(entry).body for entry in setting.setting.log.entries if entry[:1] == b"\xd2"]
    return [body for body in bodies if isinstance(body, Ruling)]


async def test_every_problem_of_every_line_at_once(setting: ActSetting) -> None:
    one, two = setting.numbers[:2]
    source = setting.rulings(
        (one, "核查中", ""),
        (one, "核查中", ""),
        ("Y000051990001263999999", "", format_day(TODAY + 1)),
        ("123", "sorcery", "yesterday"),
        (two, "核查无误", ""),
    )
    done = await setting.rule(Kind.SUSPEND, source)
    found = {(problem.row, problem.code) for problem in done.checked.problems}
    assert found == {
        (2, "NUMBER_REPEATED"), (3, "NUMBER_REPEATED"),
        (4, "NUMBER_UNKNOWN"), (4, "REASON_MISSING"), (4, "DATE_IN_FUTURE"),
        (5, "LENGTH") if (5, "LENGTH") in found else (5, "CHARACTER"), (5, "REASON_UNKNOWN"), (5, "DATE_FORM"),
        (6, "REASON_UNFIT"),
    }  # fmt: skip
    assert all(problem.text.zh and problem.text.en for problem in done.checked.problems)
    assert rulings_of(setting) == []


async def test_lines_of_one_reason_and_day_are_one_list(setting: ActSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ruling, "MAX_LISTED", 2)
    n = setting.numbers
    source = setting.rulings(
        (n[0], "弄虚作假", "2026-01-05"), (n[1], "弄虚作假", "2026-01-06"), (n[2], "fraud", "2026-01-05"),
        (n[3], "3", "2026/1/5"), (n[4], "其他", "2026-01-05"),
    )  # fmt: skip
    assert (await setting.rule(Kind.REVOKE, source)).clean
    made = rulings_of(setting)
    sizes = [len(body.whom.cert_keys) for body in made if isinstance(body.whom, Listed)]
    assert sorted(sizes) == [1, 1, 1, 2] and {body.issuer for body in made} == {setting.setting.log.filing_terms.number}
    assert {(body.reason, format_day(body.effective_day)) for body in made} == {
        (Reason.FRAUD, "2026-01-05"), (Reason.FRAUD, "2026-01-06"), (Reason.OTHER, "2026-01-05"),
    }  # fmt: skip


async def test_one_number_without_a_sheet(setting: ActSetting) -> None:
    source = one_line(RULINGS, number=setting.numbers[0], reason="fraud")
    done = await setting.rule(Kind.REVOKE, source)
    assert done.clean and setting.status(setting.numbers[0]) is CertificateStatus.REVOKED
    (body,) = rulings_of(setting)
    assert body.effective_day == TODAY


async def test_a_stretch_of_the_log(setting: ActSetting) -> None:
    held = setting.register().between(0, 2**40)
    first, last = held[1].placed.proof.index, held[3].placed.proof.index

    async def range_(kind: Kind, reason: str, stretch: tuple[int, int] = (first, last)) -> bool:
        source = one_line(RULINGS, reason=reason, number=f"{stretch}")
        done = await setting.perform(
            kind.name.lower(), source,
            lambda f, r, today: RangeAct(kind, f, r, today, first=stretch[0], last=stretch[1]),
        )  # fmt: skip
        return done.clean

    assert await range_(Kind.SUSPEND, "核查中")
    assert sum(setting.status(n) is CertificateStatus.SUSPENDED for n in setting.numbers) >= 3
    assert rulings_of(setting)[0].whom == Range(setting.setting.log.filing_terms.number, first, last)
    assert await range_(Kind.RESTORE, "核查无误") and not await range_(Kind.SUSPEND, "核查中")
    setting.setting.log.now_ms += 86_400_000
    assert await range_(Kind.SUSPEND, "核查中")
    assert len(rulings_of(setting)) == 3, "suspended again after it was restored"
    assert not await range_(Kind.SUSPEND, "核查中", (10**6, 10**7)), "nothing of ours stands there"


async def test_a_stretch_goes_on_where_a_sheet_began(setting: ActSetting) -> None:
    """Two are revoked by sheet, then the whole stretch for the same reason on the same day, and the other way round."""
    held = setting.register().between(0, 2**40)
    numbers = [one.number for one in held]

    async def range_(kind: Kind, reason: str) -> list[str]:
        first, last = held[0].placed.proof.index, 9999
        source = one_line(RULINGS, reason=reason, number=f"{first}-{last}")
        done = await setting.perform(
            kind.name.lower(), source, lambda f, r, today: RangeAct(kind, f, r, today, first=first, last=last)
        )
        return [problem.code for problem in done.checked.problems]

    sheet = setting.rulings((numbers[0], "核查中", ""), (numbers[1], "核查中", ""))
    assert (await setting.rule(Kind.SUSPEND, sheet)).clean
    assert await range_(Kind.SUSPEND, "核查中") == []
    assert {setting.status(n) for n in numbers} == {CertificateStatus.SUSPENDED}
    assert await range_(Kind.RESTORE, "核查无误") == []
    assert await range_(Kind.SUSPEND, "核查中") == ["SAME_AGAIN"], "this is the very act"
    one = setting.rulings((numbers[3], "核查中", ""), name="one.csv")
    assert (await setting.rule(Kind.SUSPEND, one)).clean, "a stretch is not a list"
    assert setting.status(numbers[3]) is CertificateStatus.SUSPENDED
    assert [type(body.whom) for body in rulings_of(setting)] == [Listed, Range, Range, Listed]


async def test_only_posts_are_ended(setting: ActSetting) -> None:
    source = one_line(ENDS, number=setting.numbers[0], effective_date=format_day(TODAY))
    done = await setting.perform(
        "end-appointment", source, lambda f, r, today: RulingAct(Kind.END_APPOINTMENT, f, r, today)
    )
    assert [problem.code for problem in done.checked.problems] == ["NO_APPOINTMENT"]


def test_every_reason_fits_some_act() -> None:
    corrections = {Reason.NAME_CHANGED}
    assert {reason for reasons in ruling.REASONS.values() for reason in reasons} | corrections == set(Reason)

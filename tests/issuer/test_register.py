"""The register: each certificate of a body as its own journals have it now."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from issuer.acts.correction import CorrectAct
from issuer.acts.lines import one_line
from issuer.acts.reissue import ReissueAct
from issuer.register import is_correction, read_changes, read_register
from issuer.roster.forms import CORRECTIONS, REISSUES, RULINGS
from ledger.printing.fonts import load_fonts
from ledger.records.kinds import Kind
from tests.support.fake_log import ORIGIN
from tests.support.issuer_acts import ActSetting, act_setting

FONTS = load_fonts()


@pytest.fixture
def setting(tmp_path: Path) -> ActSetting:
    return asyncio.run(act_setting(tmp_path))


async def correct(setting: ActSetting, number: str, name: str) -> None:
    source = one_line(CORRECTIONS, number=number, name=name, reason="姓名变更")
    done = await setting.perform(
        "correct", source, lambda f, r, today: CorrectAct(f, r, today, origin=ORIGIN, fonts=FONTS)
    )
    assert done.clean


async def test_corrected_reissued_and_corrected_again(setting: ActSetting) -> None:
    number = setting.numbers[0]
    first = setting.register().find(number)
    assert first is not None and first.correction is None and setting.register().last_event(first.cert_key) == -1
    await correct(setting, number, "例甲")
    await setting.perform("reissue", one_line(REISSUES, number=number), ReissueAct)
    second = setting.register().find(number)
    assert second is not None and second.cert_key != first.cert_key
    assert second.correction is None and second.current.face.name == "例甲", "the reissue says what was corrected"
    await correct(setting, number, "例乙")
    register = setting.register()
    third = register.find(number)
    assert third is not None and third.correction is not None and is_correction(third.correction)
    assert third.certificate == second.certificate and third.current.face.name == "例乙"
    assert register.changes.successors == {first.cert_key: second.cert_key}
    assert register.last_event(first.cert_key) < register.last_event(second.cert_key)
    assert len(register.held) == len(setting.numbers)


async def test_the_order_of_the_log_counts_and_not_that_of_the_files(setting: ActSetting) -> None:
    number = setting.numbers[0]
    for name in ("例甲", "例乙", "例丙"):
        await correct(setting, number, name)
    acts = list(setting.setting.desk.acts())
    for order in (acts, acts[::-1], acts[1:] + acts[:1]):
        found = read_register(setting.setting.desk.batches(), read_changes(order)).find(number)
        assert found is not None and found.current.face.name == "例丙"


async def test_stretches_and_rulings(setting: ActSetting) -> None:
    register = setting.register()
    places = [held.placed.proof.index for held in register.between(0, 2**40)]
    assert places == sorted(places) and len(places) == len(setting.numbers)
    assert [held.placed.proof.index for held in register.between(places[1], places[2])] == places[1:3]
    assert register.find("nobody") is None
    source = one_line(RULINGS, number=setting.numbers[0], reason="核查中")
    await setting.rule(Kind.SUSPEND, source)
    assert len(setting.register().changes.ruled) == 1

"""A body's own keys get worse, and its certificates stay."""

from __future__ import annotations

import pytest

from issuer.acts.act import Done
from issuer.acts.key import KeyAct
from issuer.acts.lines import one_line
from issuer.batch import Step
from issuer.roster.forms import RULINGS
from ledger.records.kinds import KeyStatus
from ledger.records.statements import parse_statement
from ledger.records.supervision import KeyStanding
from tests.support.issuer_acts import ActSetting
from tests.support.issuer_desk import TODAY, Crash


async def standing(setting: ActSetting, public: bytes, status: KeyStatus, **options: object) -> Done:
    source = one_line(RULINGS, number=public.hex(), reason=status.name)
    return await setting.perform(
        "key", source, lambda f, r, today: KeyAct(f, r, today, public=public, status=status), **options
    )


@pytest.mark.parametrize("status", [KeyStatus.RETIRED, KeyStatus.COMPROMISED])
async def test_a_key_of_the_filing(setting: ActSetting, status: KeyStatus) -> None:
    public = setting.setting.desk.record.public  # type: ignore[union-attr]
    with pytest.raises(Crash):
        await standing(setting, public, status, crash_at=Step.SENT)
    await standing(setting, public, status)
    await standing(setting, public, status)
    assert setting.entries(KeyStanding) == 1
    (state,) = [state for _, state in setting.setting.desk.acts()]
    ((signed, _),) = state.stated()
    number = setting.setting.log.filing_terms.number
    assert parse_statement(signed.entry).body == KeyStanding(number, public, status, TODAY)


async def test_a_key_of_somebody_else(setting: ActSetting) -> None:
    done = await standing(setting, bytes(32), KeyStatus.RETIRED)
    assert [problem.code for problem in done.checked.problems] == ["KEY_UNKNOWN"] and setting.entries(KeyStanding) == 0

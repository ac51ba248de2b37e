"""Reissues: everything new but what is said."""

from __future__ import annotations

from dataclasses import fields

import pytest

from issuer.acts.act import Done
from issuer.acts.correction import CorrectAct
from issuer.acts.lines import one_line, read_sheet
from issuer.acts.outcome import issued_by
from issuer.acts.reissue import ReissueAct
from issuer.batch import Step
from issuer.results import all_issued
from issuer.roster.forms import CORRECTIONS, REISSUES
from ledger.errors import Refused
from ledger.printing.fonts import load_fonts
from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.qr import Code, open_fragment, parse_code
from tests.support.builders import id_number
from tests.support.fake_log import ORIGIN
from tests.support.issuer_acts import ActSetting
from tests.support.issuer_desk import VERIFY_URL, Crash


async def reissue(setting: ActSetting, *numbers: str, **options: object) -> Done:
    source = read_sheet(setting.sheet("reissue.csv", ("证书编号",), *((n,) for n in numbers)), REISSUES)
    return await setting.perform("reissue", source, ReissueAct, **options)


async def test_a_new_code_for_the_same_certificate(setting: ActSetting) -> None:
    number = setting.numbers[0]
    old = setting.register().find(number)
    assert old is not None
    done = await reissue(setting, number)
    assert done.clean, (done.checked.problems, done.told())
    new = done.register.find(number)
    assert new is not None and new.cert_key != old.cert_key
    assert setting.setting.log.status[old.cert_key] is CertificateStatus.REPLACED
    before, after = old.body, new.body
    assert isinstance(before, Issue) and isinstance(after, Issue) and after.replaces == old.cert_key
    differ = {f.name for f in fields(Issue) if getattr(before, f.name) != getattr(after, f.name)}
    assert differ == {"cert_key", "face", "rest", "replaces"}
    a, b = old.certificate, new.certificate
    assert (a.face.name, a.number) == (b.face.name, b.number)
    drawn = [{c.secret, c.holder_code, c.face.salt, *c.digests, *(o.salt for o in c.openings)} for c in (a, b)]
    assert not drawn[0] & drawn[1], "nothing random is used twice"

    (issued,) = issued_by(done, setting.setting.desk.settings)
    code = parse_code(issued.qr_text, (VERIFY_URL,))
    assert isinstance(code, Code) and open_fragment(code.secret, code.fragment)[0].body == after


async def test_the_old_paper_is_not_printed_again(setting: ActSetting) -> None:
    done = await reissue(setting, setting.numbers[0])
    changes, settings = done.register.changes, setting.setting.desk.settings
    (batch,) = [state for _, state in setting.setting.desk.batches()]
    assert [item.number for item in all_issued(batch, settings, changes)] == setting.numbers[1:]


@pytest.mark.parametrize("step", [Step.KEPT, Step.SENT, Step.VERIFIED, Step.RECORDED])
async def test_killed_and_gone_on_with(setting: ActSetting, step: Step) -> None:
    with pytest.raises(Crash):
        await reissue(setting, *setting.numbers[:2], crash_at=step)
    done = await reissue(setting, *setting.numbers[:2])
    assert done.clean and len(setting.setting.log.issues()) == 5 + 2
    again = await reissue(setting, *setting.numbers[:2])
    assert again.repeated and again.clean and len(setting.setting.log.issues()) == 5 + 2


async def test_once_more_when_it_is_asked_for(setting: ActSetting) -> None:
    await reissue(setting, setting.numbers[0])
    assert (await reissue(setting, setting.numbers[0], again=True)).clean
    assert len(setting.setting.log.issues()) == 5 + 2


async def test_unknown_and_repeated_numbers(setting: ActSetting) -> None:
    done = await reissue(setting, setting.numbers[0], setting.numbers[0], "Y000051990001263999999")
    codes = [problem.code for problem in done.checked.problems]
    assert codes == ["NUMBER_REPEATED", "NUMBER_REPEATED", "NUMBER_UNKNOWN"] or set(codes) == {
        "NUMBER_REPEATED",
        "NUMBER_UNKNOWN",
    }
    one = await setting.perform("reissue", one_line(REISSUES, number=setting.numbers[1]), ReissueAct)
    assert one.clean


async def test_what_was_done_is_not_done_again_with_what_was_refused(setting: ActSetting) -> None:
    one, two = setting.numbers[:2]
    await setting.rule(Kind.SUSPEND, setting.rulings((two, "核查中", "")))
    done = await reissue(setting, one, two)
    assert [isinstance(told.answer, Refused) for told in done.told()] == [False, True]
    await setting.rule(Kind.RESTORE, setting.rulings((two, "核查无误", ""), name="cleared.csv"))
    again = await reissue(setting, one, two)
    assert again.clean and [told.named.row for told in again.told()] == [2, 3]
    assert len(setting.setting.log.issues()) == 5 + 2, "the first was reissued once"


async def test_a_certificate_that_moved_is_reissued_in_its_new_track(setting: ActSetting) -> None:
    number = setting.numbers[0]
    source = one_line(CORRECTIONS, number=number, document_number=id_number("other"), reason="登记信息有误")
    fonts = load_fonts()
    moved = await setting.perform(
        "correct", source, lambda f, r, today: CorrectAct(f, r, today, origin=ORIGIN, fonts=fonts)
    )
    held = moved.register.find(number)
    assert held is not None and held.track_id != held.body.track_id
    done = await reissue(setting, number)
    new = done.register.find(number)
    assert done.clean and new is not None and new.body.track_id == held.track_id

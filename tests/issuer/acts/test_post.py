"""Posts: what a line may say, and what is signed and printed for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from issuer.acts.act import Done
from issuer.acts.lines import one_line, read_sheet
from issuer.acts.outcome import issued_by
from issuer.acts.post import AppointAct
from issuer.acts.ruling import RulingAct
from issuer.batch import Step
from issuer.papers import certificate_face
from issuer.printing.certificate import POST_TITLE, render_certificate
from issuer.printing.slip import ClaimSlip
from issuer.roster.forms import ENDS, POSTS
from ledger.printing.fonts import load_fonts
from ledger.records.appointment import Appoint
from ledger.records.dates import date_of, format_day
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.secret import format_secret
from tests.support.builders import id_number
from tests.support.fake_log import FILING_NUMBER
from tests.support.issuer_acts import ActSetting, act_setting
from tests.support.issuer_desk import TODAY, Crash

TITLES = (
    "姓名", "证件类型", "证件号码", "职业名称", "岗位", "证书编号", "文件日期", "聘期开始", "聘期结束", "聘任文件",
    "前置证书编号",
)  # fmt: skip
FONTS = load_fonts()
NUMBER = f"{FILING_NUMBER}{date_of(TODAY).year % 100:02}T000001"


@pytest.fixture
def setting(tmp_path: Path) -> ActSetting:
    return asyncio.run(act_setting(tmp_path, grants=(7,)))


def line(setting: ActSetting, **changes: str) -> tuple[str, ...]:
    day = format_day(TODAY)
    cells = {
        "name": "例小聘", "type": "居民身份证", "document": id_number("post"), "occupation": "车工",
        "grade": "特级技师", "number": NUMBER, "issued": day, "first": day, "last": "", "basis": "示例聘字1号",
        "prerequisite": setting.numbers[0],
    }  # fmt: skip
    return tuple((cells | changes).values())


async def appoint(setting: ActSetting, *lines: tuple[str, ...], **options: object) -> Done:
    source = read_sheet(setting.sheet("posts.csv", TITLES, *lines), POSTS)
    return await setting.perform(
        "appoint", source, lambda f, r, today: AppointAct(f, r, today, fonts=FONTS, photos=None), **options
    )


async def test_a_post_is_signed_printed_and_ended(setting: ActSetting) -> None:
    done = await appoint(setting, line(setting, last=format_day(TODAY + 700)))
    assert done.clean, done.checked.problems
    held = done.register.find(NUMBER)
    assert held is not None
    body = held.body
    assert isinstance(body, Appoint) and (body.grade, body.first_day, body.last_day) == (7, TODAY, TODAY + 700)
    assert body.prerequisite == setting.register().find(setting.numbers[0]).cert_key  # type: ignore[union-attr]

    (issued,) = issued_by(done, setting.setting.desk.settings)
    face = certificate_face(issued, done.filing, setting.setting.desk.settings)
    assert face.post is not None and face.grade == "特级技师" and "#q" in issued.qr_text
    slip = ClaimSlip(face.name, face.number, format_secret(held.certificate.holder_code))
    assert len(render_certificate(face, slip, FONTS)) > 1000 and POST_TITLE.zh

    source = one_line(ENDS, number=NUMBER, effective_date=format_day(TODAY))
    ended = await setting.perform(
        "end-appointment", source, lambda f, r, today: RulingAct(Kind.END_APPOINTMENT, f, r, today)
    )
    assert ended.clean and setting.status(NUMBER) is CertificateStatus.ENDED


async def test_every_problem_of_a_line(setting: ActSetting) -> None:
    bad = line(
        setting, name="例2", document="123", occupation="不存在", grade="首席技师", number=setting.numbers[0],
        issued=format_day(TODAY + 3), first="soon", basis="", prerequisite="Y000051990001263999999",
    )  # fmt: skip
    done = await appoint(setting, bad, line(setting, grade="三级", first=format_day(TODAY), last=format_day(TODAY - 9)))
    codes = {(problem.row, problem.code) for problem in done.checked.problems if problem.severity == "error"}
    wanted = {
        (2, "OCCUPATION_UNKNOWN"), (2, "GRANT"), (2, "NUMBER_SCHEME"), (2, "NUMBER_ON_LOG"), (2, "DATE_IN_FUTURE"),
        (2, "DATE_FORM"), (2, "BASIS_MISSING"), (2, "PREREQUISITE"), (3, "GRADE_NO_POST"), (3, "POST_ORDER"),
    }  # fmt: skip
    assert wanted <= codes and setting.entries(Appoint) == 0


async def test_a_post_may_be_sent_before_it_begins(setting: ActSetting) -> None:
    done = await appoint(setting, line(setting, first=format_day(TODAY + 30)))
    assert done.clean and not done.checked.problems
    held = done.register.find(NUMBER)
    assert held is not None and isinstance(held.body, Appoint) and held.body.first_day == TODAY + 30


async def test_the_cert_key_of_another_bodys_certificate(setting: ActSetting) -> None:
    done = await appoint(setting, line(setting, prerequisite="AB" * 32))
    assert done.clean
    held = done.register.find(NUMBER)
    assert held is not None and isinstance(held.body, Appoint) and held.body.prerequisite == b"\xab" * 32


@pytest.mark.parametrize("step", [Step.KEPT, Step.SENT, Step.RECORDED])
async def test_killed_and_gone_on_with(setting: ActSetting, step: Step) -> None:
    with pytest.raises(Crash):
        await appoint(setting, line(setting), crash_at=step)
    done = await appoint(setting, line(setting))
    assert done.clean and setting.entries(Appoint) == 1

"""What only openings can show: faces, numbers, and one person in many places."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as renewed

from issuer.acts.correction import CorrectAct
from issuer.acts.lines import read_sheet
from issuer.acts.outcome import issued_by
from issuer.acts.post import AppointAct
from issuer.acts.reissue import ReissueAct
from issuer.results import Issued, all_issued, prepare_folder, write_bundles
from issuer.roster.forms import CORRECTIONS, POSTS, REISSUES
from ledger.errors import Unavailable
from ledger.printing.fonts import load_fonts
from ledger.records.authority import FilingRow
from ledger.records.bundle import format_bundle, parse_bundle
from ledger.records.commitments import FaceOpening
from ledger.records.dates import date_of, format_day
from ledger.records.evidence import parse_evidence
from ledger.records.kinds import Audience, Reason
from ledger.records.life import Correct
from ledger.records.secret import cert_key_of
from ledger.records.state import CertificateState, parse_certificate_state
from ledger.records.statements import issuer_entry
from ledger.reference_data import load_ladder
from ledger.tlog.merkle import leaf_hash
from tests.support.build_log import FILING, ISSUE_DAY, Certificate, LogBuilder, octets
from tests.support.builders import id_number
from tests.support.fake_log import FILING_NUMBER, ORIGIN
from tests.support.issuer_acts import ActSetting, act_setting
from tests.support.issuer_desk import TODAY
from verifier.audit.alarms import AlarmCode
from verifier.audit.openings import OpeningsCheck, check_bundle, check_openings, index_of, read_bundle


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


async def check_all(
    log: LogBuilder, certificates: list[Certificate], occupations: int = 4
) -> list[tuple[str, tuple[int, ...]]]:
    """Log them, open each, and say what was found."""
    check = OpeningsCheck(load_ladder(), occupations)
    indexes = await log.issue(*certificates)
    for certificate, index in zip(certificates, indexes, strict=True):
        bundle = await log.bundle(certificate)
        (entry,) = await log.store.entries(index, index + 1)
        check.add(bundle, entry, certificate.statement.leaf_hash)
    return [(str(one.code), one.entries) for one in check.result().alarms]


def numbered(log: LogBuilder, label: str, number: str, **changes: object) -> Certificate:
    face = FaceOpening(octets("face " + label, 16), number, "例小明")
    return replace(log.certificate(label, face=face.digest(), **changes), face=face)  # type: ignore[arg-type]


async def test_honest_openings(log: LogBuilder) -> None:
    assert await check_all(log, [log.certificate("a"), log.certificate("b")]) == []


async def test_a_number_that_contradicts_its_certificate(log: LogBuilder) -> None:
    wrong_year, wrong_grade, other = f"{FILING}253000001", f"{FILING}262000002", "Y000051000009263000003"
    bad = [numbered(log, f"n{at}", number) for at, number in enumerate((wrong_year, wrong_grade, other))]
    found = await check_all(log, bad, occupations=100)
    assert [one for one in found if one[0] == AlarmCode.NUMBER_FORM] == [
        (AlarmCode.NUMBER_FORM, (at,)) for at in (3, 4, 5)
    ]


async def test_a_number_that_is_none(log: LogBuilder) -> None:
    found = await check_all(log, [numbered(log, "n", "Y0000510000012630000")])
    assert found == [(AlarmCode.NUMBER_FORM, (3,))]


async def test_a_number_twice(log: LogBuilder) -> None:
    number = f"{FILING}263000007"
    found = await check_all(log, [numbered(log, "a", number), numbered(log, "b", number)])
    assert found == [(AlarmCode.NUMBER_TWICE, (3, 4))]


async def test_an_opening_of_something_else(log: LogBuilder) -> None:
    certificate = log.certificate("a")
    (index,) = await log.issue(certificate)
    good = await log.bundle(certificate)
    other = FaceOpening(good.face.salt, good.face.number, "别人")
    (entry,) = await log.store.entries(index, index + 1)
    (seal,) = await log.store.entries(index + 1, index + 2)
    opening = replace(good.openings[0], salt=bytes(16))
    for bundle, logged in (
        (replace(good, face=other), entry),
        (replace(good, digests=(bytes(32), *good.digests[1:])), entry),
        (replace(good, openings=(opening,)), entry),
        (good, seal),
        (good, None),
    ):
        check = OpeningsCheck(load_ladder(), 4)
        check.add(bundle, logged, b"")
        (alarm,) = check.result().alarms
        assert alarm.code is AlarmCode.OPENING_MISMATCH and alarm.entries == (index,)
    check = OpeningsCheck(load_ladder(), 4)
    check.add(good, entry, b"")
    assert check.result().alarms == () and check.result().checked == 1


async def test_one_person_with_many_occupations(tmp_path: Path) -> None:
    """The builder's certificates all have one ID document; occupations differ."""
    log = await LogBuilder.create(tmp_path / "many.db", filed=False)
    occupations = [f"6-18-01-0{n}" for n in range(1, 5)]
    rows = tuple(FilingRow(code, "", (2, 3, 4, 5), Audience.OWN_STAFF, 0) for code in occupations)
    await log.batch([log.filing_entry(rows=rows)])
    made = [log.certificate(f"o{n}", occupation=code) for n, code in enumerate(occupations)]
    check = OpeningsCheck(load_ladder(), 4)
    indexes = await log.issue(*made)
    for count, certificate in enumerate(made, 1):
        check.add(await log.bundle(certificate), certificate.statement.entry, b"")
        alarms = check.result().alarms
        assert [one.code for one in alarms] == ([AlarmCode.MANY_OCCUPATIONS] if count == 4 else [])
    assert check.result().alarms[0].entries == tuple(indexes)
    assert "990000" not in repr(check.result())  # no person in any alarm
    await log.store.close()


async def test_one_person_in_two_places(log: LogBuilder) -> None:
    a, b = log.certificate("a"), log.certificate("b", assessment_day=20_590)
    await log.issue(a, b)
    check = OpeningsCheck(load_ladder(), 9)
    check.add(await log.bundle(a), a.statement.entry, b"")
    check.add(await log.bundle(b), b.statement.entry, b"")
    assert check.result().alarms == ()  # another day
    issue = replace(a.issue, filing_number="Y000051000002")
    check._person(b"same document", issue, 8)
    check._person(b"same document", a.issue, 9)
    (alarm,) = check.result().alarms
    assert alarm.code is AlarmCode.TWO_PLACES and alarm.entries == (8, 9)


async def test_files_and_folders(log: LogBuilder, tmp_path: Path) -> None:
    certificate = log.certificate("a")
    (index,) = await log.issue(certificate)
    folder = tmp_path / "out" / "bundles"
    folder.mkdir(parents=True)
    (folder / "a.certbundle").write_bytes(format_bundle(await log.bundle(certificate)))
    (folder / "b.certbundle").write_bytes(b"no bundle")
    (folder / "notes.txt").write_bytes(b"not looked at")

    async def entry_at(at: int) -> bytes | None:
        return certificate.statement.entry if at == index else None

    state_of = log.integrator.certificate
    found = await check_openings([tmp_path / "out"], entry_at, state_of, load_ladder(), 4)
    assert (found.checked, found.unreadable, found.alarms) == (1, 1, ())
    found = await check_openings([folder / "a.certbundle"], entry_at, state_of, load_ladder(), 4)
    assert found.checked == 1
    with pytest.raises(Unavailable):
        await check_openings([tmp_path / "nowhere"], entry_at, state_of, load_ladder(), 4)


async def test_the_openings_of_a_correction_hold_while_it_is_in_force(log: LogBuilder) -> None:
    certificate = log.certificate("a")
    (index,) = await log.issue(certificate)
    new = FaceOpening(octets("new salt", 16), certificate.face.number, "例大明")
    correct = Correct(
        certificate.issue.cert_key, Reason.NAME_CHANGED, ISSUE_DAY, new.digest(), certificate.issue.rest, issuer=FILING
    )
    entry = issuer_entry(correct, log.record_key)
    await log.batch([entry])
    bundle = replace(await log.bundle(certificate), face=new)
    for current, codes in ((leaf_hash(entry), []), (certificate.statement.leaf_hash, [AlarmCode.OPENING_MISMATCH])):
        check = OpeningsCheck(load_ladder(), 4)
        check.add(bundle, certificate.statement.entry, current)
        assert [one.code for one in check.result().alarms] == codes
    assert index == 3


# What an issuer's own commands leave in its result folders, of an honest log.


@pytest.fixture
def issuer(tmp_path: Path) -> ActSetting:
    return asyncio.run(act_setting(tmp_path, grants=(7,)))


async def handed_over(issuer: ActSetting, name: str, issued: Sequence[Issued]) -> Path:
    """The bundles of an act in a result folder, with proofs as the log gives them now."""
    log, out = issuer.setting.log, issuer.folder / "results" / name
    prepare_folder(out)
    evidence = {one.number: parse_evidence(await log.evidence(cert_key_of(one.certificate.secret))) for one in issued}
    write_bundles(out, issued, evidence)
    return out


async def found_in(issuer: ActSetting, *folders: Path) -> list[tuple[str, tuple[int, ...]]]:
    log = issuer.setting.log

    async def entry_at(index: int) -> bytes | None:
        return log.entries[index] if index < len(log.entries) else None

    async def state_of(cert_key: bytes) -> CertificateState | None:
        return log._states.get(cert_key)

    result = await check_openings(folders, entry_at, state_of, load_ladder(), 4)
    assert result.checked and not result.unreadable
    return [(str(one.code), one.entries) for one in result.alarms]


async def rostered(issuer: ActSetting) -> Path:
    desk = issuer.setting.desk
    (batch,) = [state for _, state in desk.batches()]
    return await handed_over(issuer, "roster", all_issued(batch, desk.settings, issuer.register().changes))


async def reissued(issuer: ActSetting, name: str, **options: object) -> Path:
    source = read_sheet(issuer.sheet("reissue.csv", ("证书编号",), (issuer.numbers[0],)), REISSUES)
    done = await issuer.perform("reissue", source, ReissueAct, **options)
    assert done.clean
    return await handed_over(issuer, name, issued_by(done, issuer.setting.desk.settings))


async def test_an_honest_issuers_reissues_keep_their_number(issuer: ActSetting) -> None:
    made = [await rostered(issuer), await reissued(issuer, "once"), await reissued(issuer, "twice", again=True)]
    assert await found_in(issuer, *made) == []
    assert await found_in(issuer, made[2], made[0]) == [], "what came between need not be among them"
    (number, other) = issuer.numbers[:2]
    bundle = parse_bundle((made[0] / "bundles" / f"{other}.certbundle").read_bytes())
    check = OpeningsCheck(load_ladder(), 4)
    for count, first in enumerate((b"", b"", octets("another line"))):
        check.add(bundle, bundle.entry, b"", first)
        assert len(check.result().alarms) == (count == 2)
    assert check.result().alarms[0].code is AlarmCode.NUMBER_TWICE and number != other


async def test_an_honest_issuers_posts(issuer: ActSetting) -> None:
    day = format_day(TODAY)
    number = f"{FILING_NUMBER}{date_of(TODAY).year % 100:02}T000001"
    cells = {
        "姓名": "例小聘", "证件类型": "居民身份证", "证件号码": id_number("post"), "职业名称": "车工",
        "岗位": "特级技师", "证书编号": number, "文件日期": day, "聘期开始": day, "聘期结束": "",
        "聘任文件": "示例聘字1号", "前置证书编号": issuer.numbers[0],
    }  # fmt: skip
    source = read_sheet(issuer.sheet("posts.csv", tuple(cells), tuple(cells.values())), POSTS)
    done = await issuer.perform(
        "appoint", source, lambda f, r, today: AppointAct(f, r, today, fonts=load_fonts(), photos=None)
    )
    assert done.clean, done.checked.problems
    out = await handed_over(issuer, "posts", issued_by(done, issuer.setting.desk.settings))
    assert await found_in(issuer, await rostered(issuer), out) == []
    (path,) = out.rglob("*.certbundle")
    bundle = parse_bundle(path.read_bytes())
    other = FaceOpening(bundle.face.salt, bundle.face.number, "别人")
    path.write_bytes(format_bundle(replace(bundle, face=other)))
    assert await found_in(issuer, out) == [(AlarmCode.OPENING_MISMATCH, (index_of(bundle),))]


async def test_an_honest_issuers_corrections_of_the_same_certificate(issuer: ActSetting) -> None:
    folders = [await rostered(issuer)]
    for name in ("例改名", "例又改"):
        line = (issuer.numbers[0], name, "姓名变更")
        source = read_sheet(issuer.sheet(f"{name}.csv", ("证书编号", "新姓名", "原因"), line), CORRECTIONS)
        done = await issuer.perform(
            "correct", source, lambda f, r, today: CorrectAct(f, r, today, origin=ORIGIN, fonts=load_fonts())
        )
        assert done.clean, done.checked.problems
        folders.append(await handed_over(issuer, name, issued_by(done, issuer.setting.desk.settings)))
    assert await found_in(issuer, *folders) == []
    (path,) = folders[1].rglob("*.certbundle")
    bundle = parse_bundle(path.read_bytes())
    path.write_bytes(format_bundle(replace(bundle, face=replace(bundle.face, name="别人"))))
    assert await found_in(issuer, folders[1]) == [(AlarmCode.OPENING_MISMATCH, (index_of(bundle),))]


@pytest.mark.parametrize("logged", [False, True])
async def test_a_correction_that_is_none_of_this_certificate(log: LogBuilder, logged: bool) -> None:
    """One that was never logged, or that is of another certificate, makes no other face true."""
    one, two = log.certificate("a"), log.certificate("b")
    await log.issue(one, two)
    face = FaceOpening(octets("new salt", 16), one.face.number, "例大明")
    whose = two if logged else one
    body = Correct(whose.issue.cert_key, Reason.NAME_CHANGED, ISSUE_DAY, face.digest(), one.issue.rest, issuer=FILING)
    entry, at = issuer_entry(body, log.record_key), log.integrator.size
    if logged:
        await log.batch([entry])
    bundle = await log.bundle(one)
    state = parse_certificate_state(bundle.evidence.state)
    state = renewed(state, event_index=at) if logged else state
    bundle = replace(bundle, face=face, evidence=replace(bundle.evidence, state=state.encode(), commitments=entry))

    async def entry_at(index: int) -> bytes | None:
        return next(iter(await log.store.entries(index, index + 1)), None)

    check = OpeningsCheck(load_ladder(), 4)
    await check_bundle(check, bundle, entry_at, log.integrator.certificate)
    assert [one.code for one in check.result().alarms] == [AlarmCode.OPENING_MISMATCH]


def test_what_is_no_file_is_unreadable_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.certbundle")
    (tmp_path / "self.certbundle").symlink_to("self.certbundle")
    assert read_bundle(tmp_path / "pipe.certbundle") is None
    with pytest.raises(Unavailable):
        read_bundle(tmp_path / "self.certbundle")

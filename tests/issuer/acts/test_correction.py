"""Corrections: what may change, what is drawn for it, and what goes to the authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from issuer.acts.act import Done
from issuer.acts.correction import CorrectAct
from issuer.acts.lines import Source, read_sheet
from issuer.acts.outcome import issued_by, write_outcome
from issuer.acts.signed import read_signed, submit_signed
from issuer.batch import Step
from issuer.papers import certificate_face
from issuer.proofs import Judge
from issuer.receipt import Placed
from issuer.results import bundle_of
from issuer.roster.forms import CORRECTIONS
from ledger.errors import Malformed, Refused, Unverified
from ledger.printing.fonts import load_fonts
from ledger.records import cose
from ledger.records.commitments import Field, rest_digest, verify_opening
from ledger.records.envelope import open_face
from ledger.records.evidence import parse_evidence
from ledger.records.life import Correct
from ledger.records.proposal import read_proposal
from ledger.records.statements import parse_proposal, parse_statement
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash
from tests.support.builders import id_number
from tests.support.fake_log import AUTHORITY, ORIGIN
from tests.support.issuer_acts import ActSetting
from tests.support.issuer_desk import Crash

TITLES = ("证书编号", "新姓名", "证件类型", "新证件号码", "原因")
FONTS = load_fonts()


def corrections(setting: ActSetting, *lines: tuple[str, ...], name: str = "corrections.csv") -> Source:
    return read_sheet(setting.sheet(name, TITLES, *lines), CORRECTIONS)


async def correct(setting: ActSetting, source: Source, **options: object) -> Done:
    return await setting.perform(
        "correct", source, lambda f, r, today: CorrectAct(f, r, today, origin=ORIGIN, fonts=FONTS), **options
    )


async def test_another_name(setting: ActSetting) -> None:
    number = setting.numbers[0]
    before = setting.register().find(number)
    assert before is not None
    done = await correct(setting, corrections(setting, (number, "例改名", "", "", "姓名变更")))
    assert done.clean, (done.checked.problems, done.told())
    held = done.register.find(number)
    assert held is not None and held.correction is not None
    assert held.certificate == before.certificate, "what was issued stays as it was"
    body = parse_statement(held.correction.entry).body
    assert isinstance(body, Correct) and body.track_id == b"" and held.track_id == before.track_id
    assert (held.current.face.name, held.number) == ("例改名", number)
    assert held.current.face.digest() == body.face and rest_digest(held.current.digests) == body.rest
    assert held.current.secret == before.certificate.secret
    opened = open_face(held.current.secret, leaf_hash(held.correction.entry), held.correction.face_envelope)
    assert opened.opening == held.current.face

    (issued,) = issued_by(done, setting.setting.desk.settings)
    assert issued.qr_text == issued.link, "a fragment would show the old name"
    assert certificate_face(issued, done.filing, setting.setting.desk.settings).name == "例改名"


async def test_another_document_moves_the_track(setting: ActSetting) -> None:
    number, document = setting.numbers[0], id_number("somebody else")
    before = setting.register().find(number)
    assert before is not None
    done = await correct(setting, corrections(setting, (number, "", "居民身份证", document, "登记信息有误")))
    assert done.clean, (done.checked.problems, done.told())
    held = done.register.find(number)
    assert held is not None
    assert held.track_id != before.track_id
    openings = {opening.field: opening for opening in held.current.openings}
    assert openings[Field.ID_DOCUMENT].value[2] == document  # type: ignore[index]
    assert openings[Field.BIRTH_YEAR].value == int(document[6:10])
    for opening in held.current.openings:
        verify_opening(opening, held.current.digests)
    assert held.current.face.name == before.current.face.name


async def test_every_problem_at_once(setting: ActSetting) -> None:
    one, two, three = setting.numbers[:3]
    name = setting.register().find(three).current.face.name  # type: ignore[union-attr]
    source = corrections(
        setting,
        (one, "例2", "", "", "姓名变更"),
        (two, "", "", "990000200001010000", "弄虚作假"),
        (three, name, "", "", "姓名变更"),
        ("Y000051990001263999999", "例改名", "", "", ""),
    )
    done = await correct(setting, source)
    found = {(problem.row, problem.code) for problem in done.checked.problems if problem.severity == "error"}
    assert {row for row, _ in found} == {2, 3, 4, 5}
    assert {(3, "REASON_UNFIT"), (4, "NOTHING_CHANGES"), (5, "NUMBER_UNKNOWN"), (5, "REASON_MISSING")} <= found
    assert setting.entries(Correct) == 0


@pytest.mark.parametrize("step", [Step.KEPT, Step.SENT, Step.VERIFIED, Step.RECORDED])
async def test_killed_and_gone_on_with(setting: ActSetting, step: Step) -> None:
    source = corrections(setting, (setting.numbers[0], "例改名", "", "", "姓名变更"))
    with pytest.raises(Crash):
        await correct(setting, source, crash_at=step)
    done = await correct(setting, source)
    assert done.clean and setting.entries(Correct) == 1


async def test_a_second_correction_builds_on_the_first(setting: ActSetting) -> None:
    number, document = setting.numbers[0], id_number("the right one")
    assert (await correct(setting, corrections(setting, (number, "例改名", "", "", "姓名变更")))).clean
    again = corrections(setting, (number, "", "居民身份证", document, "登记信息有误"), name="second.csv")
    done = await correct(setting, again)
    held = done.register.find(number)
    assert done.clean and held is not None and held.current.face.name == "例改名"
    assert held.current.openings[0].value[2] == document  # type: ignore[index]


async def propose_both(setting: ActSetting, out: Path) -> tuple[Done, Path]:
    line = (setting.numbers[0], "例改名", "居民身份证", id_number("both"), "登记信息有误")
    done = await correct(setting, corrections(setting, line))
    assert not done.clean and setting.entries(Correct) == 0
    write_outcome(out, done, [])
    (path,) = (out / "proposals").iterdir()
    return done, path


def sign(path: Path, people: tuple[int, ...] = (0, 1)) -> Path:
    """What `authority sign` and `combine` make of a proposal file."""
    proposal = read_proposal(path.read_bytes())
    parts = tuple(cose.sign_part(proposal.protected, proposal.payload, AUTHORITY[who]) for who in people)
    signed = path.with_suffix(".statement")
    signed.write_bytes(proposal.signed(parts))
    return signed


async def test_name_and_document_go_to_the_authority(setting: ActSetting, tmp_path: Path) -> None:
    _, path = await propose_both(setting, tmp_path / "out")
    proposal = read_proposal(path.read_bytes())
    origin, body = parse_proposal(proposal.protected, proposal.payload)
    assert origin == ORIGIN and isinstance(body, Correct) and body.issuer == "" and body.track_id
    statement = read_signed(sign(path))
    done = await submit_signed(setting.setting.desk, statement, setting.setting.world())
    assert done.clean
    held = done.register.find(setting.numbers[0])
    assert held is not None and held.current.face.name == "例改名" and held.current.entry == statement.entry
    assert held.track_id == body.track_id
    again = await submit_signed(setting.setting.desk, statement, setting.setting.world())
    assert again.told() == done.told()


async def test_the_same_sheet_again_proposes_the_same(setting: ActSetting, tmp_path: Path) -> None:
    first, path = await propose_both(setting, tmp_path / "a")
    second, other = await propose_both(setting, tmp_path / "b")
    assert first.act_id == second.act_id and path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("step", [Step.KEPT, Step.SENT, Step.RECORDED])
async def test_killed_with_what_the_authority_signed(setting: ActSetting, tmp_path: Path, step: Step) -> None:
    _, path = await propose_both(setting, tmp_path / "out")
    statement = read_signed(sign(path))

    def watch(now: Step, count: int) -> None:
        if now is step:
            raise Crash

    with pytest.raises(Crash):
        await submit_signed(setting.setting.desk, statement, setting.setting.world(watch))
    assert (await submit_signed(setting.setting.desk, statement, setting.setting.world())).clean


async def test_other_people_may_sign_what_was_refused(
    setting: ActSetting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = await propose_both(setting, tmp_path / "out")

    def refuse(*_: object) -> None:
        raise Refused("SIGNATURE", "signatures", Text("签名与内容不符", "The signature does not match the content"))

    with monkeypatch.context() as patch:
        patch.setattr(setting.setting.log, "_take", refuse)
        bad = await submit_signed(setting.setting.desk, read_signed(sign(path, (0,))), setting.setting.world())
    assert isinstance(bad.told()[0].answer, Refused)
    good = await submit_signed(setting.setting.desk, read_signed(sign(path)), setting.setting.world())
    assert good.clean and isinstance(good.told()[0].answer, Placed)


async def test_statements_that_nobody_here_proposed(setting: ActSetting, tmp_path: Path) -> None:
    _, path = await propose_both(setting, tmp_path / "out")
    statement = read_signed(sign(path))
    (journal,) = (setting.setting.desk.folder / "acts").iterdir()
    journal.unlink()
    with pytest.raises(Refused) as unknown:
        await submit_signed(setting.setting.desk, statement, setting.setting.world())
    assert unknown.value.code == "PROPOSAL_UNKNOWN"
    filing = tmp_path / "filing.statement"
    filing.write_bytes(setting.setting.log.entries[1])
    with pytest.raises(Malformed):
        read_signed(filing)


async def test_evidence_of_before_the_correction_does_not_go_with_it(setting: ActSetting) -> None:
    number, desk, log = setting.numbers[0], setting.setting.desk, setting.setting.log
    held = setting.register().find(number)
    assert held is not None
    old = parse_evidence(await log.evidence(held.cert_key))
    done = await correct(setting, corrections(setting, (number, "例改名", "", "", "姓名变更")))
    (issued,) = issued_by(done, desk.settings)
    judge = Judge(desk.settings.trust)
    with pytest.raises(Unverified):
        judge.check(issued, old)
    bundle = bundle_of(issued, judge.check(issued, parse_evidence(await log.evidence(held.cert_key))))
    assert bundle.face.name == "例改名"

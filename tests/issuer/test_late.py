"""Late permits: drafted once, asked for, and issued under exactly the permit that is in the log."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from issuer.batch import Step
from issuer.desk import Outcome
from issuer.late import draft_late, format_request, issue_permitted, permitted_hashes, read_permit
from issuer.sample import sample_lines
from ledger.console.bodies import read_body
from ledger.errors import Malformed, Refused, Unverified
from ledger.printing.fonts import load_fonts
from ledger.records import cose
from ledger.records.kinds import Reason
from ledger.records.permit import LatePermit, permitted_hash, verify_permitted
from ledger.records.statements import propose
from ledger.reference_data import load_catalogue
from tests.support.fake_log import AUTHORITY, FILING_NUMBER, ORIGIN
from tests.support.issuer_desk import TODAY, Crash, Setting, set_up, write_csv

FONTS = load_fonts()


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    lines = sample_lines(3, FILING_NUMBER, 1, issue_day=TODAY - 100, catalogue=load_catalogue())
    return write_csv(tmp_path / "old.csv", list(lines))


def permit_of(outcome: Outcome) -> LatePermit:
    """What the authority makes of the request."""
    drafts = list(outcome.state.drafts.values())
    text = format_request(drafts, Reason.OTHER)
    assert not any(draft.face.name in text or draft.face.number in text for draft in drafts)
    body = read_body("late-permit", text, TODAY)
    assert isinstance(body, LatePermit)
    return body


async def test_drafted_permitted_and_issued(setting: Setting, roster: Path, tmp_path: Path) -> None:
    refused = await setting.issue(roster)
    assert {problem.code for problem in refused.problems()} >= {"ISSUE_LATE"}
    drafted = await draft_late(setting.desk, roster, setting.world(), FONTS)
    permit = permit_of(drafted)
    assert (permit.count, permit.first_day, permit.last_day) == (3, TODAY - 100, TODAY - 100)
    file = tmp_path / "permit.statement"
    file.write_bytes(setting.log.add_authority(permit))
    outcome = await issue_permitted(setting.desk, roster, read_permit(file), setting.world(), FONTS)
    assert outcome.clean and len(setting.log.issues()) == 3
    for issue in setting.log.issues():
        assert issue.permit is not None
        verify_permitted(permit, issue.permit, permitted_hash(FILING_NUMBER, issue.cert_key, issue.as_map()))
    again = await issue_permitted(setting.desk, roster, read_permit(file), setting.world(), FONTS)
    assert again.clean and len(setting.log.issues()) == 3


async def test_the_same_drafts_are_asked_for_again(setting: Setting, roster: Path) -> None:
    def watch(step: Step, count: int) -> None:
        if step is Step.KEPT:
            raise Crash

    with pytest.raises(Crash):
        await draft_late(setting.desk, roster, setting.world(watch), FONTS)
    first = await draft_late(setting.desk, roster, setting.world(), FONTS)
    second = await draft_late(setting.desk, roster, setting.world(), FONTS)
    hashes = [permitted_hashes(list(each.state.drafts.values())) for each in (first, second)]
    assert hashes[0] == hashes[1] and len(hashes[0]) == 3
    assert tomllib.loads(format_request(list(first.state.drafts.values()), Reason.OTHER))["permitted"]


@pytest.mark.parametrize("step", [Step.KEPT, Step.SENT, Step.RECORDED])
async def test_killed_while_it_is_issued(setting: Setting, roster: Path, tmp_path: Path, step: Step) -> None:
    permit = permit_of(await draft_late(setting.desk, roster, setting.world(), FONTS))
    file = tmp_path / "permit.statement"
    file.write_bytes(setting.log.add_authority(permit))

    def watch(now: Step, count: int) -> None:
        if now is step:
            raise Crash

    with pytest.raises(Crash):
        await issue_permitted(setting.desk, roster, read_permit(file), setting.world(watch), FONTS)
    outcome = await issue_permitted(setting.desk, roster, read_permit(file), setting.world(), FONTS)
    assert outcome.clean and len(setting.log.issues()) == 3


async def test_permits_that_do_not_fit(setting: Setting, roster: Path, tmp_path: Path) -> None:
    file = tmp_path / "permit.statement"
    drafted = await draft_late(setting.desk, roster, setting.world(), FONTS)
    permit = permit_of(drafted)
    other = LatePermit(permit.number, permit.reason, permit.first_day, permit.last_day, bytes(32), 3)
    file.write_bytes(setting.log.add_authority(other))
    with pytest.raises(Refused) as refused:
        await issue_permitted(setting.desk, roster, read_permit(file), setting.world(), FONTS)
    assert refused.value.code == "PERMIT_OTHER"

    proposal = propose(ORIGIN, permit)
    parts = tuple(cose.sign_part(proposal.protected, proposal.payload, AUTHORITY[who]) for who in (1, 2))
    file.write_bytes(proposal.signed(parts))
    with pytest.raises(Refused) as refused:
        await issue_permitted(setting.desk, roster, read_permit(file), setting.world(), FONTS)
    assert refused.value.code == "PERMIT_UNKNOWN"
    setting.log.add_authority(permit)  # signed by others: another leaf
    with pytest.raises(Unverified):
        await issue_permitted(setting.desk, roster, read_permit(file), setting.world(), FONTS)
    assert setting.log.issues() == []

    today = sample_lines(1, FILING_NUMBER, 2, issue_day=TODAY, catalogue=load_catalogue())
    fresh = write_csv(tmp_path / "fresh.csv", list(today))
    outcome = await draft_late(setting.desk, fresh, setting.world(), FONTS)
    assert "ISSUE_NOT_LATE" in {problem.code for problem in outcome.problems()} and not outcome.state.drafts
    with pytest.raises(Refused) as refused:
        await issue_permitted(setting.desk, fresh, read_permit(file), setting.world(), FONTS)
    assert refused.value.code == "NO_DRAFTS"
    file.write_bytes(setting.log.entries[1])
    with pytest.raises(Malformed):
        read_permit(file)

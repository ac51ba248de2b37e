"""What a person reads while papers wait for the auditor's line, and about those that go without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from issuer.console.waiting import tell_without, told_waiting
from issuer.proofs import LINE_S, fetch_evidence
from issuer.results import all_issued
from tests.support.fake_log import AUDITOR
from tests.support.issuer_desk import sample, set_up, write_csv


def test_it_is_announced_once_and_only_when_somebody_waits(capsys: pytest.CaptureFixture[str]) -> None:
    with told_waiting(quiet=False):
        pass
    assert capsys.readouterr().err == ""
    with told_waiting(quiet=False) as watch:
        for seconds in (0, 0.5, 1.5, LINE_S + 3):
            watch(7, seconds)
    told = capsys.readouterr().err
    assert told.count("7 proofs have no map auditor's line yet") == 1 and f"at most {LINE_S} s" in told
    with told_waiting(quiet=True) as watch:
        watch(7, 0)
    assert capsys.readouterr().err == ""


async def test_papers_without_a_line_are_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting = set_up(tmp_path / "desk")
    outcome = await setting.issue(write_csv(tmp_path / "r.csv", sample(2)))
    issued = all_issued(outcome.state, setting.desk.settings, outcome.changes)

    async def sleep(_: float) -> None:
        return

    trust = setting.desk.settings.trust
    evidence = await fetch_evidence(issued, setting.log, trust, sleep)
    assert tell_without(evidence, trust) == [] and capsys.readouterr().err == ""
    numbers = tell_without(evidence, replace(trust, map_auditors=(AUDITOR.ed25519,)))
    told = capsys.readouterr().err
    assert numbers == sorted(evidence) and all(number in told for number in numbers)
    assert "cert-issuer print" in told

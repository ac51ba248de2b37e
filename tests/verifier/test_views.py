"""What is shown of a certificate: the day it ended, and why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ledger.records.kinds import CertificateStatus, FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import EndAppointment, Listed, Ruling
from ledger.records.reasons import reason_text
from ledger.records.supervision import FilingStanding, KeyStanding
from tests.support.builders import DAY, NUMBER, make_body, octets
from verifier.views import ended_day, reason_of


def logged(body: Any, status: CertificateStatus = CertificateStatus.REVOKED, effective: int = DAY) -> Any:
    event = None if body is None else SimpleNamespace(body=body)
    return SimpleNamespace(state=SimpleNamespace(status=status, effective_day=effective), event=event)


@pytest.mark.parametrize("reason", Reason)
def test_a_ruling_gives_its_reason(reason: Reason) -> None:
    for body in (
        Ruling(Kind.REVOKE, Listed((octets("k"),)), reason, DAY, NUMBER),
        EndAppointment(octets("k"), reason, DAY, NUMBER),
    ):
        assert reason_of(logged(body)) == reason_text(reason)


def test_every_other_cause_has_words_of_its_own() -> None:
    said = {
        reason_of(logged(None, CertificateStatus.REPLACED)),
        reason_of(logged(KeyStanding(NUMBER, octets("k"), KeyStatus.COMPROMISED, DAY))),
        reason_of(logged(FilingStanding(NUMBER, FilingStatus.CANCELLED, Reason.OTHER, DAY))),
        reason_of(logged(None)),
    }
    assert len(said) == 4


def test_a_post_that_ran_out_ended_on_its_last_day_and_an_ended_one_when_it_was_ended() -> None:
    post = make_body().post("post", last_day=DAY + 9).appoint
    in_force: Any = SimpleNamespace(status=CertificateStatus.IN_FORCE, effective_day=DAY)
    assert ended_day(post, in_force) == DAY + 9
    ended: Any = SimpleNamespace(status=CertificateStatus.ENDED, effective_day=DAY + 3)
    assert ended_day(post, ended) == DAY + 3
    assert ended_day(make_body().certificate("c").issue, ended) == DAY + 3

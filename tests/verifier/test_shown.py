"""What is shown of a certificate: the day it ended, and why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ledger.records.kinds import CertificateStatus, FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import EndAppointment, Listed, Ruling
from ledger.records.reasons import reason_text
from ledger.records.supervision import FilingStanding, KeyStanding
from tests.support.builders import DAY, NUMBER, octets
from verifier.shown import ended_day, reason_of


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
    view: Any = SimpleNamespace(post=(DAY, DAY + 9))
    assert ended_day(logged(None, CertificateStatus.IN_FORCE), view) == DAY + 9
    assert ended_day(logged(None, CertificateStatus.ENDED, DAY + 3), view) == DAY + 3
    assert ended_day(logged(None, effective=DAY + 4), SimpleNamespace(post=None)) == DAY + 4  # type: ignore[arg-type]

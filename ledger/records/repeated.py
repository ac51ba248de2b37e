"""Whether a statement that is in the log already would act once more.

Rulings carry no number of their own: suspended, restored and suspended again on one day for one reason is the same
statement twice, byte for byte. The log cannot hold it twice, and whoever sends it must not hear that it is done.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import Refused
from ledger.records.kinds import Kind
from ledger.records.life import Listed, Ruling
from ledger.records.rules.life import ACTS
from ledger.records.status import Authentic, Member, Moment, View, apply
from ledger.records.transitions import Act, after

UNNUMBERED: Final = frozenset({Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE, Kind.END_APPOINTMENT, Kind.FILING_STATUS})


def acts_again(view: View, authentic: Authentic, moment: Moment) -> bool:
    """For a statement that is in the log: whether something has undone it since, so that it would act again.

    False while it still holds, or what came after allows it no more: then it was sent twice, as retries are.
    """
    if authentic.statement.kind not in UNNUMBERED:
        return False
    body = authentic.statement.body
    if isinstance(body, Ruling) and isinstance(body.whom, Listed):
        # Each by itself: a list could not be said again as a whole while one of them still stands.
        return any(_would_act(view.member(cert_key), ACTS[body.kind]) for cert_key in body.whom.cert_keys)
    try:
        change = apply(view, authentic, moment)
    except Refused:
        return False
    certificates = ((view.member(cert_key), state.status) for cert_key, state in change.certificates.items())
    filings = ((view.filing(number), state.status) for number, state in change.filings.items())
    return any(member is None or member[1].status is not status for member, status in certificates) or any(
        filing is None or filing.status is not status for filing, status in filings
    )


def _would_act(member: Member | None, act: Act) -> bool:
    if member is None:
        return False
    try:
        after(act, member[1].status, "cert_key")
    except Refused:
        return False
    return True

"""Whether a statement that is in the log already would act once more.

Rulings carry no number of their own: suspended, restored and suspended again on one day for one reason is the same
statement twice, byte for byte. The log cannot hold it twice, and whoever sends it must not hear that it is done.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import Refused
from ledger.records.kinds import Kind
from ledger.records.status import Authentic, Moment, View, apply

UNNUMBERED: Final = frozenset({Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE, Kind.END_APPOINTMENT, Kind.FILING_STATUS})


def acts_again(view: View, authentic: Authentic, moment: Moment) -> bool:
    """For a statement that is in the log: whether something has undone it since, so that it would act again.

    False while it still holds, or what came after allows it no more: then it was sent twice, as retries are.
    """
    if authentic.statement.kind not in UNNUMBERED:
        return False
    try:
        change = apply(view, authentic, moment)
    except Refused:
        return False
    certificates = ((view.member(cert_key), state.status) for cert_key, state in change.certificates.items())
    filings = ((view.filing(number), state.status) for number, state in change.filings.items())
    return any(member is None or member[1].status is not status for member, status in certificates) or any(
        filing is None or filing.status is not status for filing, status in filings
    )

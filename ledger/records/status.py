"""The fold: what each statement of the log does to the state. Pure, so that everybody gets the same answer.

    apply(view, authentic statement, moment) -> Change      or raises Refused

Every rule that can be checked from public bytes alone is in here, in the rooms `rules/`, `track` and `transitions`,
and nowhere else; the ledger's admission adds only what needs openings or the private index. The numbers in the rules
are those of admission, and so is the order, but that a cert key which is there already (11) is named before its track
is asked (10). The same as a table: docs/states.md, which a test compares with what these files do.

     4 known kind                      10 track
     5 key known and live              11 legal transition
     6 signature(s): see `Authentic`   12 caps
     8 filing, window, row, dates
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ledger.records.kinds import Kind
from ledger.records.life import Range, Ruling
from ledger.records.refusals import Refusal, refuse
from ledger.records.rules.authority import (
    apply_authority_change,
    apply_filing,
    apply_filing_change,
    apply_genesis,
    apply_late_permit,
    apply_log_key,
    apply_published,
)
from ledger.records.rules.certificates import (
    MAX_LAG_DAYS,
    apply_appoint,
    apply_issue,
    apply_reissue,
    check_grant,
    check_scope,
)
from ledger.records.rules.claims import apply_claim, apply_claim_act, apply_pack
from ledger.records.rules.life import apply_correct, apply_end, apply_ruling
from ledger.records.rules.signers import record_key_of
from ledger.records.rules.sweeps import apply_filing_status, apply_key_status
from ledger.records.statements import Statement
from ledger.records.track import MAX_POSTS, MAX_TRACK
from ledger.records.view import (
    Authentic,
    Change,
    Member,
    Moment,
    Signed,
    View,
    authenticate_authority,
    authenticate_record,
    signed_row,
)

__all__ = [
    "ALONE",
    "MAX_LAG_DAYS",
    "MAX_POSTS",
    "MAX_TRACK",
    "RULES",
    "Authentic",
    "Change",
    "Member",
    "Moment",
    "Signed",
    "View",
    "apply",
    "authenticate_authority",
    "authenticate_record",
    "check_grant",
    "check_scope",
    "record_key_of",
    "signed_row",
    "stands_alone",
]


def apply(view: View, authentic: Authentic, moment: Moment) -> Change:
    """The state change of one statement, or Refused with the code of the first rule that it breaks."""
    statement = authentic.statement
    rule = RULES.get(statement.kind)
    if rule is None:  # 4
        raise refuse(Refusal.MALFORMED, "kind")
    if view.authority is not None and view.authority.successor:
        raise refuse(Refusal.LOG_CLOSED, "kind")
    return rule(view, authentic, moment)


def stands_alone(statement: Statement) -> bool:
    """Whether a statement must be the only one of its batch.

    It then changes who may sign, or sweeps over many certificates: nothing else is judged at the same log time, and a
    reader needs nothing but the state before the batch to check every signature in it.
    """
    body = statement.body
    return statement.kind in ALONE or (isinstance(body, Ruling) and isinstance(body.whom, Range))


ALONE: Final = {Kind.AUTHORITY_CHANGE, Kind.LOG_KEY, Kind.FILING_CHANGE, Kind.FILING_STATUS, Kind.KEY_STATUS}

RULES: Final[Mapping[Kind, Callable[[View, Authentic, Moment], Change]]] = {
    Kind.GENESIS: apply_genesis,
    Kind.AUTHORITY_CHANGE: apply_authority_change,
    Kind.LOG_KEY: apply_log_key,
    Kind.FILING: apply_filing,
    Kind.FILING_CHANGE: apply_filing_change,
    Kind.FILING_STATUS: apply_filing_status,
    Kind.LATE_PERMIT: apply_late_permit,
    Kind.KEY_STATUS: apply_key_status,
    Kind.CATALOGUE: apply_published,
    Kind.LADDER: apply_published,
    Kind.ISSUE: apply_issue,
    Kind.APPOINT: apply_appoint,
    Kind.END_APPOINTMENT: apply_end,
    Kind.CORRECT: apply_correct,
    Kind.SUSPEND: apply_ruling,
    Kind.RESTORE: apply_ruling,
    Kind.REVOKE: apply_ruling,
    Kind.REISSUE: apply_reissue,
    Kind.PACK: apply_pack,
    Kind.CLAIM: apply_claim,
    Kind.PAY: apply_claim_act,
    Kind.RELEASE: apply_claim_act,
    Kind.CLAW_BACK: apply_claim_act,
}

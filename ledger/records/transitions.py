"""The table of the fold: what each act makes of a certificate in each status. The same table is in docs/states.md.

A cell is the new status, the refusal of a statement that names this certificate, or `None` where an act that sweeps
over many certificates passes this one by. Nothing else in the fold decides about a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from ledger.records.kinds import CertificateStatus
from ledger.records.refusals import Refusal, refuse


class Act(StrEnum):
    """What is done to one certificate, by a statement about it, its filing or its key."""

    SUSPEND = "suspend"
    RESTORE = "restore"
    REVOKE = "revoke"
    CORRECT = "correct"
    REPLACE = "reissue"  # seen from the old certificate
    END = "end-appointment"
    FILING_SUSPENDED = "filing suspended"
    FILING_RESUMED = "filing resumed"
    FILING_CANCELLED = "filing cancelled"
    KEY_VOIDED = "key compromised"
    SUCCESSOR_VOIDED = "its reissue void"


Cell: TypeAlias = CertificateStatus | Refusal | None

_S = CertificateStatus
_R = Refusal
_ORDER: Final = tuple(CertificateStatus)
TABLE: Final[Mapping[Act, tuple[Cell, ...]]] = {
    # in the order of CertificateStatus: in force, suspended, revoked, void, replaced, ended
    Act.SUSPEND: (_S.SUSPENDED, _R.ALREADY_SUSPENDED, _R.ALREADY_REVOKED, _R.FINAL, _R.FINAL, _R.FINAL),
    Act.RESTORE: (_R.NOTHING_TO_RESTORE, _S.IN_FORCE, _S.IN_FORCE, _R.FINAL, _R.FINAL, _R.FINAL),
    Act.REVOKE: (_S.REVOKED, _S.REVOKED, _R.ALREADY_REVOKED, _R.FINAL, _R.FINAL, _S.REVOKED),
    Act.CORRECT: (_S.IN_FORCE, _S.SUSPENDED, _R.ALREADY_REVOKED, _R.FINAL, _R.FINAL, _R.FINAL),
    Act.REPLACE: (_S.REPLACED, _R.NOT_IN_FORCE, _R.ALREADY_REVOKED, _R.FINAL, _R.FINAL, _R.FINAL),
    Act.END: (_S.ENDED, _S.ENDED, _R.ALREADY_REVOKED, _R.FINAL, _R.FINAL, _R.FINAL),
    Act.FILING_SUSPENDED: (_S.SUSPENDED, None, None, None, None, None),
    Act.FILING_RESUMED: (None, _S.IN_FORCE, None, None, None, None),
    Act.FILING_CANCELLED: (_S.VOID, _S.VOID, None, None, None, None),
    Act.KEY_VOIDED: (_S.VOID, _S.VOID, _S.VOID, None, _S.VOID, _S.VOID),
    Act.SUCCESSOR_VOIDED: (None, None, None, None, _S.IN_FORCE, None),
}


def after(act: Act, status: CertificateStatus, field: str) -> CertificateStatus:
    """The status after an act on a certificate that the statement names. Raises Refused; `field` is what to look at."""
    cell = TABLE[act][_ORDER.index(status)]
    if isinstance(cell, Refusal):
        raise refuse(cell, field)
    assert cell is not None, "an act that sweeps asks `swept`"
    return cell


def swept(act: Act, status: CertificateStatus) -> CertificateStatus | None:
    """The status after an act that sweeps over many certificates; None where it passes by."""
    cell = TABLE[act][_ORDER.index(status)]
    return cell if isinstance(cell, CertificateStatus) else None

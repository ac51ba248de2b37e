"""Which bits stand for a certificate's state, and where: one table for every kind of list.

    state on the log                                     revocation  suspension  refresh  standing   token
    in force                                                 0           0          0         0      0 valid
    in force, a higher grade was earned since                0           0          1         0      3 superseded
    corrected since: exports of before the correction        0           0          1         0      3 superseded
    suspended                                                0           1          0         1      2 suspended
    revoked, void, a post that was ended                     1           0          0         1      1 invalid
    replaced by a reissue                                    1           0          1         1      1 invalid

`standing` is for Open Badges 3.0, which allows one status entry only (1EdTech schema): not in force, for whatever
reason. Its purpose is "revocation", which every verifier checks.

A place in the lists is the log index of the statement whose openings an export shows: the issue, or the newest
correction. So it is unique, needs no register, and a correction leaves the exports of before behind. List n holds the
indexes n * 131,072 and the following. A bit says what the log proves today; it falls again when the log restores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.records.kinds import CertificateStatus
from ledger.records.state import CertificateState

LIST_BITS: Final = 131_072  # entries of a list, the least that Bitstring Status List 1.0 allows: 16 KiB
PURPOSES: Final = {
    "revocation": "revocation",
    "suspension": "suspension",
    "refresh": "refresh",
    "standing": "revocation",
}  # name of a list to its statusPurpose
VALID, INVALID, SUSPENDED, SUPERSEDED = 0, 1, 2, 3  # Token Status List 7.1; 3 is application specific
_OUT: Final = (
    CertificateStatus.REVOKED, CertificateStatus.VOID, CertificateStatus.REPLACED, CertificateStatus.ENDED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where an export's bits are: list and position in it."""

    index: int  # on the log

    @property
    def list(self) -> int:
        return self.index // LIST_BITS

    @property
    def position(self) -> int:
        return self.index % LIST_BITS


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lists say at one place."""

    revoked: bool
    suspended: bool
    superseded: bool

    def bit(self, name: str) -> bool:
        """The bit in the list with this name."""
        match name:
            case "revocation":
                return self.revoked
            case "suspension":
                return self.suspended
            case "refresh":
                return self.superseded
        assert name == "standing"
        return self.revoked or self.suspended

    @property
    def token(self) -> int:
        """The two bits of a Token Status List; the worse counts."""
        if self.revoked:
            return INVALID
        if self.suspended:
            return SUSPENDED
        return SUPERSEDED if self.superseded else VALID


def standing_of(cert_key: bytes, state: CertificateState, *, newest: bool) -> Standing:
    """The bits for a proven state. `newest`: whether these are the openings that hold now."""
    highest = state.summary.highest
    upgraded = (
        state.status is CertificateStatus.IN_FORCE
        and highest is not None
        and highest.cert_key != cert_key
        and highest.grade > state.grade
        and state.grade <= 6  # posts are no grades
    )
    return Standing(
        revoked=state.status in _OUT,
        suspended=state.status is CertificateStatus.SUSPENDED,
        superseded=upgraded or not newest or state.status is CertificateStatus.REPLACED,
    )

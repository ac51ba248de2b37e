"""Evidence judged by this verifier's trust: what is proven, and whether enough others stand behind it. Pure.

A checkpoint short of its witnesses is still the log's own word: its content is shown as genuine, but is never current.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Malformed, Unverified
from ledger.records.dates import batch_day
from ledger.records.evidence import Evidence
from ledger.records.evidence_check import ProvenState, Sealed, prove_in, seal_under, verify_evidence, verify_stapled
from ledger.tlog.checkpoint import CosignedCheckpoint, open_cosigned
from ledger.tlog.policy import NO_WITNESSES
from verifier.former import Keys, check_until, keys_of
from verifier.trust import Trust


@dataclass(frozen=True, slots=True)
class Proven:
    """A proven state, and who vouches for its checkpoint besides the log."""

    state: ProvenState
    witnessed: bool  # the policy's quorum of witnesses, where it asks for one

    @property
    def audited(self) -> bool:
        """A pinned map auditor cosigned this very checkpoint: its state is the right fold of the log."""
        return self.state.opened.auditor_time_s is not None


def open_evidence(
    evidence: Evidence, trust: Trust, now_ms: int, *, stapled: bool = False, carried: bool = False
) -> Proven:
    """Check evidence under the pinned keys. Raises Unverified (or Malformed) when it does not prove what it says.

    `carried`: it comes out of a file or receipt and not from the log of today, so that a former pair of keys may have
    signed it: then no time in it, the log's or a cosigner's, is later than that pair's last moment. Raises UnknownKeys
    when none of the keys that are believed for its time signed it.
    """
    check = verify_stapled if stapled else verify_evidence
    latest_s = (now_ms + trust.max_skew_ms) // 1000
    keys: Keys = trust.keys
    until_ms = None
    if carried:
        keys, until_ms = keys_of(evidence.checkpoint, trust.origin, trust.keys, trust.former)
        latest_s = latest_s if until_ms is None else min(latest_s, until_ms // 1000)
    pinned = evidence, trust.origin, keys
    try:
        proven = Proven(check(*pinned, trust.policy, trust.map_auditors, latest_s=latest_s), witnessed=True)
    except Unverified:
        if not trust.policy.has_quorum:
            raise
        proven = Proven(check(*pinned, NO_WITNESSES, trust.map_auditors, latest_s=latest_s), witnessed=False)
    check_until(proven.state.opened.log_time_s, until_ms)
    return _dated(proven)


class Opener:
    """Checks many answers in a row under one trust: as `open_evidence`, each by itself.

    1 checkpoint   the last one is kept, with the moment it was opened at; of the same bytes it is not opened again
    2 seal         the last one under it is kept; the same bytes are not checked again
    3 rest         of every answer
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._opened: tuple[bytes, int, CosignedCheckpoint, bool] | None = None  # note, latest_s, opened, witnessed
        self._sealed: Sealed | None = None

    def open(self, evidence: Evidence, now_ms: int) -> Proven:
        """Raises Unverified (or Malformed) when it does not prove what it says."""
        opened, witnessed = self._checkpoint(evidence.checkpoint, now_ms)  # 1
        sealed = self._sealed
        if (
            sealed is None
            or sealed.opened is not opened
            or (sealed.own, sealed.after) != (evidence.seal, evidence.next)
        ):
            sealed = self._sealed = seal_under(evidence, opened)  # 2
        return _dated(Proven(prove_in(evidence, sealed), witnessed))  # 3

    def _checkpoint(self, note: bytes, now_ms: int) -> tuple[CosignedCheckpoint, bool]:
        latest_s, kept = (now_ms + self._trust.max_skew_ms) // 1000, self._opened
        if kept is None or kept[:2] != (note, latest_s):  # a second later other cosignatures may count
            kept = self._opened = note, latest_s, *open_note(note, self._trust, latest_s)
        return kept[2:]


def _dated(proven: Proven) -> Proven:
    """The same, if its times are of this calendar: whoever signs a log may write any number. Raises Unverified."""
    try:
        batch_day(proven.state.seal.time)
        batch_day(proven.state.time_ms)
    except Malformed as error:
        raise Unverified("evidence: a time that no clock shows") from error
    return proven


def open_note(note: bytes, trust: Trust, latest_s: int) -> tuple[CosignedCheckpoint, bool]:
    """The checkpoint, and whether it has the policy's quorum, of cosignatures not later than `latest_s`. Raises
    Unverified and Malformed."""
    pinned = note, trust.origin, trust.keys
    try:
        return open_cosigned(*pinned, trust.policy, trust.map_auditors, latest_s=latest_s), True
    except Unverified:
        if not trust.policy.has_quorum:
            raise
    return open_cosigned(*pinned, NO_WITNESSES, trust.map_auditors, latest_s=latest_s), False

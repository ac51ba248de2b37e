"""What the log says about certificates today, for the lists: every answer proven, of our own certificates, and fresh.

A list that was made from an old answer would call a revoked certificate sound for another month. So its checkpoints are
no older than receipts may be, and there is no falling back on bundles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from issuer.config import LogTrust
from issuer.exports.holdings import Holding
from issuer.proofs import EvidenceClient, fetch_evidence
from issuer.receipt import CLOCK_S
from ledger.errors import Unverified
from ledger.records.evidence import Evidence
from ledger.records.state import CertificateState, parse_certificate_state
from ledger.text import Text
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.policy import NO_WITNESSES

TOGETHER: Final = 200  # between two steps of a progress bar
_ATTEMPTS: Final = 3


async def fetch_states(
    holdings: Sequence[Holding],
    client: EvidenceClient,
    trust: LogTrust,
    now_ms: int,
    advance: Callable[[int], None],
) -> dict[bytes, CertificateState]:
    """States by cert key. Raises Unavailable, Unverified."""
    states: dict[bytes, CertificateState] = {}
    fresh: set[bytes] = set()  # checkpoints, which many answers share
    for some in _without_doubles(holdings):
        found = await fetch_evidence(
            [one.item for one in some], client, trust, asyncio.sleep, attempts=_ATTEMPTS
        )  # by number
        for evidence in found.values():
            if evidence.checkpoint not in fresh:
                _check_fresh(evidence, trust, now_ms)
                fresh = {evidence.checkpoint}
            states[evidence.cert_key] = parse_certificate_state(evidence.state)
        advance(len(some))
    return states


def _without_doubles(holdings: Sequence[Holding]) -> Iterator[list[Holding]]:
    """Groups in which no number occurs twice: a certificate and its reissue share theirs."""
    group: dict[str, Holding] = {}
    for holding in holdings:
        if holding.item.number in group or len(group) == TOGETHER:
            yield list(group.values())
            group = {}
        group[holding.item.number] = holding
    if group:
        yield list(group.values())


def _check_fresh(evidence: Evidence, trust: LogTrust, now_ms: int) -> None:
    opened = open_cosigned(evidence.checkpoint, trust.origin, trust.keys, NO_WITNESSES)
    if abs(opened.log_time_s * 1000 - now_ms) > CLOCK_S * 1000:
        raise Unverified(
            Text(
                f"证明：签署时间与本机时钟相差超过 {CLOCK_S} 秒，请检查本机时钟",
                f"evidence: signed more than {CLOCK_S} s from this computer's clock; is the clock right?",
            )
        )

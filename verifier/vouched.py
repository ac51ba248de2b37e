"""Evidence that a map auditor vouches for, from a ledger whose newest head has no such line yet.

The line comes a moment after a head was published, and only the very checkpoint that bears it counts. So:

    1 newest    what the log says now, by its newest head (the caller has opened it)
    2 cosigned  the same question under the newest head that a pinned auditor has cosigned; it holds by itself, under
                the same pins, and its own cosignatures say how old it is
    3 same      it is taken only where it says the same as 1. Whatever changed since then stays as 1 says it: a
                revocation stands without anybody's line, and good news waits for one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.evidence import Evidence, parse_evidence
from ledger.tlog.note import VerifierKey
from verifier.proven import Proven, open_evidence
from verifier.trust import Trust


class CosignedProofs(Protocol):
    """A ledger, as far as it gives evidence under a head that somebody cosigned. Raises Unavailable, Refused."""

    async def evidence(
        self,
        cert_key: bytes,
        *,
        size: int | None = None,
        day: int | None = None,
        cosigned: Sequence[VerifierKey] = (),
    ) -> bytes: ...


async def vouched_evidence(
    newest: tuple[Evidence, Proven],
    proofs: CosignedProofs,
    trust: Trust,
    now_ms: int,
    *,
    size: int | None = None,
    day: int | None = None,
) -> tuple[Evidence, Proven]:
    """`newest` (1), or what a map auditor of `trust` vouches for that says the same. Raises Unverified or Malformed
    when the ledger gives a proof that does not hold."""
    evidence, first = newest
    if first.audited or not trust.map_auditors:
        return newest
    try:
        raw = await proofs.evidence(evidence.cert_key, size=size, day=day, cosigned=trust.map_auditors)  # 2
    except (Unavailable, Refused):  # a ledger that knows no such question, or had no such moment then
        return newest
    found = parse_evidence(raw)
    second = open_evidence(found, trust, now_ms)
    if found.cert_key != evidence.cert_key:
        raise Unverified("evidence of something else than was asked for")
    same = second.state.state == first.state.state  # 3: an absence is no state in both
    return (found, second) if second.audited and second.witnessed and same else newest

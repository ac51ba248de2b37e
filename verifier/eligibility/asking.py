"""Certificates for a decision: each item is checked like any other, and what is green opens the door.

The first item is the one applied with. When it does not count, no other takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from verifier.eligibility.certificate import VerifiedCertificate, rejected, verified
from verifier.eligibility.decision import Rejected
from verifier.eligibility.earlier import Judge, examined_on, track_stands
from verifier.lookup import Examined
from verifier.verdict import VALID_FAMILY, Verdict


class Examiner(Judge, Protocol):
    """Checks one item: `verifier.lookup.Lookup`."""

    async def examine(self, item: str | bytes) -> Examined: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """What the items that somebody showed come to: what may be decided on, what was left out, and every verdict."""

    certificates: tuple[VerifiedCertificate, ...]
    rejected: tuple[Rejected, ...]
    verdicts: tuple[Verdict, ...]


async def examine_shown(examiner: Examiner, items: Sequence[str | bytes], day: int | None = None) -> Shown:
    """Check every item, in order; as of the end of `day`, if one is given. Raises what the check of one raises
    (Unavailable; Refused for a day that the log does not have)."""
    certificates, left_out, verdicts = list[VerifiedCertificate](), list[Rejected](), list[Verdict]()
    first_counts = True
    for at, item in enumerate(items):
        examined = await examiner.examine(item)
        if day is not None:
            examined = await examined_on(examiner, examined, day)
        verdicts.append(examined.verdict)
        answer = examined.answer
        if examined.verdict.code not in VALID_FAMILY:
            left_out.append(rejected(examined.verdict, day))
            first_counts &= at > 0
            continue
        assert answer is not None and answer.register is not None, "green rests on a register"
        track = day is None or await track_stands(examiner, examined)
        found = verified(examined.verdict, answer.register, answer.trust, day, track=track)
        if all(found.record.cert_key != other.record.cert_key for other in certificates):
            certificates.append(found)
    return Shown(tuple(certificates) if first_counts else (), tuple(left_out), tuple(verdicts))

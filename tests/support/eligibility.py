"""Drawn certificates and facts for packs, and certificates out of a real small log.

Drawn by a seeded `random.Random`: a decision costs a tenth of a millisecond, so many are made; a seed finds one again.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ledger.records.dates import format_day, parse_day
from tests.support.build_log import Certificate, LogBuilder, register_of
from verifier.eligibility.certificate import VerifiedCertificate, verified
from verifier.eligibility.decision import Rejected
from verifier.eligibility.kinds import Kind, ValueType
from verifier.eligibility.pack import Pack
from verifier.eligibility.records import CertificateRecord
from verifier.verify import Evidence, verify

LINEAGES = ("6-18-01-01", "6-31-01-03", "4-10-01-05")
FIRST, LAST = parse_day("2016-01-01"), parse_day("2027-12-31")
_SCHEMES = ("ui-skill-subsidy", "training-subsidy", "iit-continuing-education", "sz-training-a", "qc-eldercare-years")
_REJECTED = (Rejected("revoked", "STATUS"), Rejected("stale", "NOT_PROVEN"), Rejected("tampered", "NOT_GENUINE"))
_NEAR = (0, 1, 2, 3, 6, 11, 12, 19, 20, 36, 47, 48, 60, 120)  # around what rules ask for


def day(random: Random) -> int:
    return random.randint(FIRST, LAST)


def record(random: Random) -> CertificateRecord:
    """A certificate or post, linked or not."""
    post = random.random() < 0.2
    grade = random.randint(7, 8) if post else random.randint(2, 6)
    linked = post or random.random() < 0.8
    lineage = random.choice(LINEAGES)
    return CertificateRecord(
        cert_key=bytes([random.randrange(4)]) * 32,
        kind="appointment" if post else "certificate",
        occupation=lineage,
        lineage=lineage,
        trade=random.choice(["", "数控车工"]),
        grade=grade,
        issue_day=day(random),
        filing="Y000051001064",
        route="appointment" if post else "exam",
        audience="" if post else "public",
        linked=linked,
        track_highest=0 if not linked else random.randint(grade, 6) if grade < 7 else 6,
        posts=tuple(
            (random.randint(7, 8), day(random), random.choice([0, day(random)]))
            for _ in range(random.choice([0, 0, 1, 2]))
        ),
    )


def records(random: Random, most: int = 3) -> list[CertificateRecord]:
    return [record(random) for _ in range(random.randint(0, most))]


def rejected(random: Random) -> list[Rejected]:
    return random.choices(_REJECTED, k=random.choice([0, 0, 1, 2]))


def value_of(random: Random, type_: ValueType) -> Any:
    """A value as somebody would write it."""
    if type_.kind is Kind.BOOL:
        return random.random() < 0.5
    if type_.kind is Kind.DATE:
        return format_day(day(random))
    if type_.kind is Kind.ENUM:
        return random.choice(type_.values)
    if type_.kind is Kind.SET:
        return random.sample(type_.values, random.randint(0, len(type_.values)))
    if type_.kind is Kind.HISTORY:
        return [_claim(random) for _ in range(random.choice([0, 0, 1, 4]))]
    number = random.choice(_NEAR) if random.random() < 0.7 else random.randint(type_.low, type_.high)
    return min(max(number, type_.low), type_.high)


def facts(random: Random, pack: Pack, given: float = 0.8) -> dict[str, Any]:
    """Facts that the pack asks for, each given with that probability."""
    return {name: value_of(random, each.type) for name, each in pack.inputs.items() if random.random() < given}


def _claim(random: Random) -> dict[str, Any]:
    return {
        "scheme": random.choice(_SCHEMES),
        "lineage": random.choice(LINEAGES),
        "grade": random.randint(2, 6),
        "day": format_day(day(random)),
        "certificate": (bytes([random.randrange(4)]) * 32).hex(),
        "tags": random.choice([[], ["shortage"]]),
    }


async def verified_of(log: LogBuilder, certificate: Certificate) -> VerifiedCertificate:
    """The certificate as it stands in the log now, through the whole check."""
    register = await register_of(log, certificate)
    verdict = verify(Evidence(certificate.code(), register), log.trust(), log.time)
    return verified(verdict, register, log.trust())

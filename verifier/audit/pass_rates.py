"""Pass rates out of a sheet of sittings: what is compared with what, and when that is an alarm. Pure.

    more than sat   more certificates stand than candidates sat: at once, for every sitting
    unlisted        certificates whose assessment lies between a body's sittings, on a day that the sheet does not have
    all passed      a sitting of `pass_full_sat` candidates or more that nobody failed
    outlier         a body's rate in one occupation and grade against the middle (median) of the other bodies' rates

An outlier is off by `pass_points` percentage points or more *and* would come about by chance less often than once in
10^`pass_odds` (binomial, both sides, the median taken as the true rate). Both, since with thousands of candidates the
smallest difference is no chance. It needs `pass_sat` candidates, and `pass_bodies` others of as many. The median and
not the pooled rate, so that one large body which lets everybody pass does not turn the honest ones into outliers. Young
sittings, whose certificates may still be on their way, are left out of rates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Any, Final

from ledger.text import Text
from verifier.audit.alarms import Alarm, AlarmCode, alarm
from verifier.audit.config import Thresholds
from verifier.audit.sitting_counts import SittingCounts
from verifier.audit.sittings import Sitting

_SURE: Final = 0.001  # no rate is taken for nearer to 0 or 1: a single candidate would then be an impossibility
BELIEVED: Final = Text(
    "通过率按所给考试人数表计算；该表不在日志中，本审计无法证明其真实。撤销、无效的证书不计",
    "Pass rates are worked out from the sheet of sittings that was given; it is not in the log, and nothing here proves"
    " it. Certificates that were revoked or are void do not count",
)


@dataclass(frozen=True, slots=True)
class Rate:
    """One body in one occupation and grade, over all its sittings that are old enough."""

    filing: str
    occupation: str
    grade: int
    sat: int
    certificates: int
    others: int = 0  # bodies it is compared with
    reference: float | None = None  # the median of their rates; None: too few of them
    outlier: bool = False

    @property
    def rate(self) -> float:
        return self.certificates / self.sat


def rates_of(counts: SittingCounts, limits: Thresholds, last_day: int) -> list[Rate]:
    """Every body's rate, as of `last_day`, the day of the log's last batch; bodies in order."""
    totals: dict[tuple[str, str, int], list[int]] = {}
    for one, certificates in zip(counts.sittings.rows, counts.certificates, strict=True):
        if one.sat and one.last_day + limits.pass_settle_days <= last_day:
            total = totals.setdefault((one.filing, one.occupation, one.grade), [0, 0])
            total[0] += one.sat
            total[1] += certificates
    large: dict[tuple[str, int], list[float]] = {}  # rates of the bodies that are compared
    for (_, occupation, grade), (sat, certificates) in totals.items():
        if sat >= limits.pass_sat:
            large.setdefault((occupation, grade), []).append(certificates / sat)
    for one_cell in large.values():
        one_cell.sort()
    return [
        _judged(Rate(*cell, sat, certificates), large.get(cell[1:], []), limits)
        for cell, (sat, certificates) in totals.items()
    ]


def find_alarms(counts: SittingCounts, rates: Sequence[Rate], limits: Thresholds) -> list[Alarm]:
    """What of it somebody should ask about."""
    found: list[Alarm] = []
    for one, certificates in zip(counts.sittings.rows, counts.certificates, strict=True):
        found += _of_sitting(one, certificates, limits)
    for filing, count in sorted(counts.unlisted.items()):
        if count:
            found.append(alarm(AlarmCode.SITTING_UNLISTED, filing, (), count, count=count))
    for rate in rates:
        if rate.outlier and rate.reference is not None:
            subject = f"{rate.filing} {rate.occupation}/{rate.grade}"
            found.append(
                alarm(
                    AlarmCode.PASS_RATE_OUTLIER, subject, (), rate.certificates,
                    filing=rate.filing, occupation=rate.occupation, level=7 - rate.grade, sat=rate.sat,
                    rate=f"{100 * rate.rate:.1f}", others=rate.others, reference=f"{100 * rate.reference:.1f}",
                )
            )  # fmt: skip
    return found


def as_json(counts: SittingCounts, rates: Sequence[Rate]) -> dict[str, Any]:
    """The part of the report."""
    return {
        "sheet": counts.sittings.name,
        "sittings": len(counts.sittings.rows),
        "sat": sum(one.sat for one in counts.sittings.rows),
        "certificates": sum(counts.certificates),
        "unlisted": sum(counts.unlisted.values()),
        "rates": [
            {
                "filing": one.filing,
                "occupation": one.occupation,
                "grade": one.grade,
                "sat": one.sat,
                "certificates": one.certificates,
                "rate": round(100 * one.rate, 1),
                "others": one.others,
                "reference": None if one.reference is None else round(100 * one.reference, 1),
                "outlier": one.outlier,
            }
            for one in rates
        ],
    }


def chance(hits: int, tries: int, rate: float) -> float:
    """How often something at least as far off would come about, both sides together: the exact binomial tail on the
    side of `hits`, twice. 0 <= hits <= tries, 0 < rate < 1."""
    step, end = (-1, 0) if hits < tries * rate else (1, tries)
    term = exp(
        lgamma(tries + 1) - lgamma(hits + 1) - lgamma(tries - hits + 1)
        + hits * log(rate) + (tries - hits) * log(1 - rate)
    )  # fmt: skip
    total, odds, at = term, rate / (1 - rate), hits
    while at != end and term > total * 1e-12:
        term *= at / (tries - at + 1) / odds if step < 0 else (tries - at) / (at + 1) * odds
        at += step
        total += term
    return min(1.0, 2 * total)


def _judged(rate: Rate, large: Sequence[float], limits: Thresholds) -> Rate:
    others = len(large) - 1
    if rate.sat < limits.pass_sat or others < limits.pass_bodies or rate.certificates > rate.sat:
        return rate
    reference = _median_without(large, bisect_left(large, rate.rate))
    expected = min(max(reference, _SURE), 1 - _SURE)
    far = abs(rate.rate - reference) * 100 >= limits.pass_points
    outlier = far and chance(rate.certificates, rate.sat, expected) < 10.0**-limits.pass_odds
    return Rate(
        rate.filing, rate.occupation, rate.grade, rate.sat, rate.certificates, others, reference, outlier
    )  # fmt: skip


def _median_without(rising: Sequence[float], out: int) -> float:
    """The median of all but the one at `out`: of thousands of bodies each is left out once."""
    count = len(rising) - 1
    middle = [rising[at if at < out else at + 1] for at in ((count - 1) // 2, count // 2)]
    return sum(middle) / 2


def _of_sitting(one: Sitting, certificates: int, limits: Thresholds) -> Iterator[Alarm]:
    subject = f"{one.filing} {one.occupation}/{one.grade} {one.period}"
    words = {"filing": one.filing, "occupation": one.occupation, "level": 7 - one.grade, "period": one.period}
    if certificates > one.sat:
        yield alarm(AlarmCode.MORE_THAN_SAT, subject, (), certificates, count=certificates, sat=one.sat, **words)
    elif certificates == one.sat >= limits.pass_full_sat:
        yield alarm(AlarmCode.ALL_PASSED, subject, (), certificates, sat=one.sat, **words)

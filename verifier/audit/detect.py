"""From the statistics to the alarms they give cause for. Pure: the same numbers and thresholds, the same alarms.

What the public log cannot tell is in LIMITS, which every report repeats: an audit that does not say what it did not
look at would be read as if it had.
"""

from __future__ import annotations

import statistics as averages
from collections.abc import Iterator
from typing import Final

from ledger.records.dates import format_day
from ledger.text import Text
from verifier.audit.alarms import Alarm, AlarmCode, alarm
from verifier.audit.config import Thresholds
from verifier.audit.statistics import UNEXAMINED, Body, Statistics

LIMITS: Final[tuple[Text, ...]] = (
    Text(
        "通过率无法从公开日志得知：未通过者没有任何记录。此处只看不经考试取得的占比；通过率须由机构提供考生名册核对",
        "Pass rates cannot be known from the public log: those who fail leave no trace. Seen here is only the share"
        " given without an examination; pass rates need the body's list of candidates",
    ),
    Text(
        "不同职业的轨迹之间无法从外部关联到同一人；一人多职业、同日两地只有在提供开示（--openings）时才检查",
        "Tracks of different occupations cannot be linked to one person from outside; one person with many occupations,"
        " or in two places on one day, is checked only where openings are given (--openings)",
    ),
    Text(
        "证书编号和姓名不在日志中：格式、唯一性和证面只对提供了开示的证书检查",
        "Numbers and names are not in the log: form, uniqueness and face are checked only where openings are given",
    ),
    Text(
        "一个轨迹是否收齐了某人的全部证书，由发证机构和日志担保，无法从外部证明",
        "That a track holds all certificates of its person is vouched for by issuer and log; it cannot be proven from"
        " outside",
    ),
)  # fmt: skip


def detect(numbers: Statistics, thresholds: Thresholds) -> list[Alarm]:
    """Every alarm that the statistics give cause for, bodies in the order of their filing numbers."""
    found: list[Alarm] = []
    for number in sorted(numbers.bodies):
        body = numbers.bodies[number]
        found += _burst(number, body, thresholds)
        found += _spike(number, body, thresholds)
        found += _lag(number, body, thresholds)
        found += _route(number, body, thresholds)
    found += _concentration(numbers, thresholds)
    found += _rushes(numbers, thresholds)
    return found


def _burst(number: str, body: Body, limits: Thresholds) -> Iterator[Alarm]:
    days = [one for at, one in body.days.items() if 0 <= at - body.filed_day < limits.burst_days]
    count = sum(one.certificates for one in days)
    if count >= limits.burst_certificates:
        ends = (min(one.first for one in days), max(one.last for one in days))
        yield alarm(
            AlarmCode.BURST_AFTER_FILING, number, ends, count,
            days=limits.burst_days, count=count, limit=limits.burst_certificates,
        )  # fmt: skip


def _spike(number: str, body: Body, limits: Thresholds) -> Iterator[Alarm]:
    """The worst day of the days kept, against the median of the others."""
    if len(body.days) < limits.spike_days + 1:
        return
    worst = max(body.days, key=lambda at: body.days[at].certificates)
    median = averages.median(one.certificates for at, one in body.days.items() if at != worst)
    day = body.days[worst]
    if day.certificates >= limits.spike_certificates and day.certificates > limits.spike_factor * median:
        yield alarm(
            AlarmCode.DAILY_SPIKE, number, (day.first, day.last), day.certificates,
            day=format_day(worst), count=day.certificates, median=round(median), factor=limits.spike_factor,
        )  # fmt: skip


def _lag(number: str, body: Body, limits: Thresholds) -> Iterator[Alarm]:
    late = sum(count for lag, count in body.lags.items() if lag > limits.lag_days)
    if late >= limits.lag_certificates and 100 * late >= limits.lag_share * body.certificates:
        entries = [index for lag, index in body.slowest if lag > limits.lag_days]
        share = 100 * late // body.certificates
        yield alarm(AlarmCode.LAG_OUTLIER, number, entries, late, share=share, count=late, days=limits.lag_days)


def _route(number: str, body: Body, limits: Thresholds) -> Iterator[Alarm]:
    count = sum(n for route, n in body.routes.items() if route in UNEXAMINED)
    if count >= limits.route_certificates and 100 * count >= limits.route_share * body.certificates:
        yield alarm(AlarmCode.ROUTE_OUTLIER, number, (), count, share=100 * count // body.certificates, count=count)


def _concentration(numbers: Statistics, limits: Thresholds) -> Iterator[Alarm]:
    since = max(numbers.days, default=0) - limits.concentration_days
    counts = {
        number: count
        for number, body in numbers.bodies.items()
        if (count := sum(one.certificates for at, one in body.days.items() if at > since))
    }
    total = sum(counts.values())
    if len(counts) < limits.concentration_bodies or total < limits.concentration_certificates:
        return
    for number, count in sorted(counts.items()):
        if 100 * count >= limits.concentration_share * total:
            yield alarm(
                AlarmCode.CONCENTRATION, number, (), count,
                share=100 * count // total, count=count, days=limits.concentration_days,
            )  # fmt: skip


def _rushes(numbers: Statistics, limits: Thresholds) -> Iterator[Alarm]:
    for rush in sorted(numbers.rushes, key=lambda one: one.first):
        if rush.certificates >= limits.track_certificates and rush.days <= limits.track_days:
            yield alarm(
                AlarmCode.TRACK_RUSH, rush.track, (rush.first, rush.last), rush.certificates,
                days=rush.days, count=rush.certificates,
            )  # fmt: skip

"""Pass rates: what is an alarm, what is chance, and what is not compared at all."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.audit.config import Thresholds
from verifier.audit.pass_rates import as_json, chance, find_alarms, rates_of
from verifier.audit.sitting_counts import SittingCounts
from verifier.audit.sittings import Sitting, Sittings

WORK, DAY, NOW = "6-18-01-01", 20_500, 20_700
LIMITS = Thresholds()


def body(n: int) -> str:
    return f"Y0000510000{n:02}"


def counted(*rows: tuple[int, int, int], day: int = DAY, unlisted: int = 0, grade: int = 4) -> SittingCounts:
    """(body, sat, certificates) for each."""
    made = SittingCounts(
        Sittings([Sitting(at, body(n), WORK, grade, day, day, sat) for at, (n, sat, _) in enumerate(rows, 2)])
    )
    made.certificates = [rows[one.row - 2][2] for one in made.sittings.rows]
    if unlisted:
        made.unlisted[body(1)] = unlisted
    return made


def alarms(counts: SittingCounts, now: int = NOW, limits: Thresholds = LIMITS) -> list[tuple[str, str]]:
    found = find_alarms(counts, rates_of(counts, limits, now), limits)
    return [(str(one.code), one.subject.split()[0]) for one in found]


HONEST = [(1, 200, 140), (2, 100, 65), (3, 400, 300), (4, 50, 36)]


def test_ordinary_rates_raise_nothing() -> None:
    assert alarms(counted(*HONEST)) == []


def test_more_certificates_than_candidates_at_once() -> None:
    """However few, and however young."""
    assert alarms(counted((1, 3, 4)), now=DAY) == [("more_than_sat", body(1))]
    assert alarms(counted((1, 0, 1)), now=DAY) == [("more_than_sat", body(1))]
    assert alarms(counted((1, 3, 3), (2, 0, 0)), now=DAY) == []


def test_certificates_of_no_sitting() -> None:
    assert alarms(counted((1, 30, 3), unlisted=2)) == [("sitting_unlisted", body(1))]


def test_everybody_passed() -> None:
    assert alarms(counted((1, 99, 99), (2, 100, 99))) == []
    assert alarms(counted((1, 100, 100)), now=DAY) == [("all_passed", body(1))]


@pytest.mark.parametrize(("sat", "certificates"), [(90, 89), (200, 40)])
def test_an_outlier_above_or_below(sat: int, certificates: int) -> None:
    assert alarms(counted(*HONEST, (5, sat, certificates))) == [("pass_rate_outlier", body(5))]


def test_a_giant_that_passes_everybody_makes_no_outliers_of_the_others() -> None:
    """As the pooled rate would: it is nearly 100 % with the giant in it."""
    assert alarms(counted(*HONEST, (5, 100_000, 99_990))) == [("pass_rate_outlier", body(5))]


def test_what_is_not_compared() -> None:
    odd = (5, 90, 89)
    assert alarms(counted(*HONEST[:2], odd)) == []  # with too few others
    assert alarms(counted(*HONEST[:3], odd)) == [("pass_rate_outlier", body(5))]
    assert alarms(counted(*HONEST[:2], (3, 29, 20), odd)) == []  # of whom one is too small
    assert alarms(counted(*HONEST, (5, 29, 29))) == []  # too small itself
    assert alarms(counted(*HONEST, odd), now=DAY + LIMITS.pass_settle_days - 1) == []  # still on their way
    assert alarms(counted(*HONEST, odd), now=DAY + LIMITS.pass_settle_days) != []
    assert alarms(counted(*HONEST, (5, 50_000, 40_000))) == []  # 10 points off: no chance, and no matter
    other = counted(odd, grade=3)
    mixed = SittingCounts(Sittings([*counted(*HONEST).sittings.rows, *other.sittings.rows]))
    mixed.certificates = [70 if one.grade == 3 else 20 for one in mixed.sittings.rows]
    assert [rate.others for rate in rates_of(mixed, LIMITS, NOW) if rate.grade == 3] == [0]  # another grade


def test_sittings_of_one_body_are_added_up() -> None:
    rows = [Sitting(2 + n, body(5), WORK, 4, DAY - n, DAY - n, 20) for n in range(5)]
    counts = SittingCounts(Sittings([*counted(*HONEST).sittings.rows, *rows]))
    passed = {body(n): count for n, _, count in HONEST}
    counts.certificates = [passed.get(one.filing, 20) for one in counts.sittings.rows]
    (rate,) = (one for one in rates_of(counts, LIMITS, NOW) if one.filing == body(5))
    assert (rate.sat, rate.certificates, rate.others, rate.outlier) == (100, 100, 4, True)
    assert rate.reference == pytest.approx((0.70 + 0.72) / 2)


def test_the_report_says_all_of_it() -> None:
    counts = counted(*HONEST, (5, 90, 89), unlisted=1)
    said = as_json(counts, rates_of(counts, LIMITS, NOW))
    assert (said["sittings"], said["sat"], said["certificates"], said["unlisted"]) == (5, 840, 630, 1)
    assert [one for one in said["rates"] if one["outlier"]] == [
        {"filing": body(5), "occupation": WORK, "grade": 4, "sat": 90, "certificates": 89, "rate": 98.9, "others": 4,
         "reference": 71.0, "outlier": True}
    ]  # fmt: skip


@given(st.data(), st.integers(1, 60), st.integers(1, 99))
def test_chance_is_the_exact_tail(data: st.DataObject, tries: int, percent: int) -> None:
    hits = data.draw(st.integers(0, tries))
    rate = Fraction(percent, 100)
    low = hits < tries * percent / 100
    side = range(hits + 1) if low else range(hits, tries + 1)
    exact = sum(comb(tries, at) * rate**at * (1 - rate) ** (tries - at) for at in side)
    assert chance(hits, tries, percent / 100) == pytest.approx(min(1.0, float(2 * exact)), rel=1e-6)


def test_chance_of_large_numbers_ends() -> None:
    assert chance(1_000_000, 1_000_000, 0.001) == 0
    assert 0.9 < chance(500_000, 1_000_000, 0.5) <= 1

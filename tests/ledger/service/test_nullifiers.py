"""What a claim uses up: who blocks whom, what a voucher holds, and that nothing can be read from either."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Unverified
from ledger.records.pack import ClaimTerms
from ledger.service.nullifiers import Holder, Nullifiers, Voucher, digest_of
from ledger.service.private_index import PrivateIndex
from ledger.store.protocol import Purpose
from tests.support.builders import octets
from tests.support.claims import PAYER_NUMBER, TERMS, claim, make_pack, make_payer

YEAR = 2026


def drawing(seed: int = 1) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def make(key: str = "index") -> Nullifiers:
    return Nullifiers(PrivateIndex(octets(key), drawing()))


def holder(grade: int = 4, **changes: Any) -> Holder:
    own = Holder(octets("cert"), octets("cert"), octets("track", 16), "", grade, ("111", "CHN", "1"))
    return replace(own, **changes)


class Scheme:
    """A ledger in small: what is taken, and by which claim."""

    def __init__(self, terms: ClaimTerms = TERMS) -> None:
        self.terms, self.made, self.held, self.random = terms, make(), dict[bytes, int](), drawing(2)
        self._numbers = itertools.count()

    def claim(self, holder: Holder, year: int = YEAR) -> int | None:
        """The number of a claim that was reserved, or None."""
        chosen = self.made.wanted(self.terms, year, holder).choose(lambda one: one in self.held, self.random)
        if chosen is None:
            return None
        assert len(chosen) == self.terms.width and list(chosen) == sorted(set(chosen))
        number = next(self._numbers)
        self.held |= dict.fromkeys(chosen, number)
        return number

    def free(self, number: int) -> None:
        self.held = {one: at for one, at in self.held.items() if at != number}


def another(grade: int, label: str, **changes: Any) -> Holder:
    """Another certificate of the same person and lineage."""
    return holder(grade, cert_key=octets(label), first=octets(label), **changes)


def test_one_certificate_once_also_after_a_reissue() -> None:
    scheme = Scheme(replace(TERMS, lower_grades=False, slots=0))
    assert scheme.claim(holder()) is not None
    assert scheme.claim(holder()) is None
    reissued = holder(cert_key=octets("reissued"), track_id=octets("elsewhere", 16))
    assert scheme.claim(reissued) is None, "it stays the same certificate"


def test_an_exclusion_group_joins_schemes_and_another_does_not() -> None:
    scheme = Scheme(replace(TERMS, groups=("SKILL",)))
    assert scheme.claim(holder()) is not None
    scheme.terms = replace(TERMS, scheme="TRAINING", groups=("OTHER",))
    assert scheme.claim(holder()) is not None
    scheme.terms = replace(TERMS, scheme="THIRD", groups=("OTHER", "SKILL"))
    assert scheme.claim(holder()) is None


def test_a_grade_once_in_a_lineage_or_in_each_trade() -> None:
    scheme = Scheme(replace(TERMS, slots=0))
    assert scheme.claim(another(4, "a", trade="A")) is not None
    assert scheme.claim(another(4, "b", trade="B")) is None
    assert scheme.claim(another(4, "c", trade="B", track_id=octets("lineage", 16))) is not None
    scheme = Scheme(replace(TERMS, slots=0, by_trade=True))
    assert scheme.claim(another(4, "a", trade="A")) is not None
    assert scheme.claim(another(4, "b", trade="B")) is not None


@pytest.mark.parametrize("order", list(itertools.permutations([3, 4, 5])))
def test_who_claims_a_grade_has_used_up_the_lower_ones(order: tuple[int, ...]) -> None:
    scheme = Scheme(replace(TERMS, slots=0))
    highest = 0
    for grade in order:
        assert (scheme.claim(another(grade, f"g{grade}")) is not None) == (grade > highest)
        highest = max(highest, grade)


def test_without_that_rule_every_grade_once() -> None:
    scheme = Scheme(replace(TERMS, lower_grades=False, slots=0))
    assert all(scheme.claim(another(grade, f"g{grade}")) is not None for grade in (5, 3, 4))


def test_a_lower_grade_stays_used_up_when_the_claim_on_it_is_released() -> None:
    scheme = Scheme(replace(TERMS, slots=0))
    lower = scheme.claim(another(3, "low"))
    higher = scheme.claim(another(5, "high"))
    assert lower is not None and higher is not None
    scheme.free(lower)
    assert scheme.claim(another(3, "low again")) is None
    scheme.free(higher)
    assert scheme.claim(another(3, "low again")) is not None


def test_so_many_a_year_of_one_person_in_all_lineages() -> None:
    scheme = Scheme(replace(TERMS, slots=2))
    lineages = [another(3, f"c{at}", track_id=octets(f"t{at}", 16)) for at in range(4)]
    taken = [scheme.claim(one) for one in lineages]
    assert [one is not None for one in taken] == [True, True, False, False]
    assert scheme.claim(lineages[2], YEAR + 1) is not None
    assert scheme.claim(replace(lineages[3], person=("111", "CHN", "2"))) is not None
    assert taken[0] is not None
    scheme.free(taken[0])
    assert scheme.claim(replace(lineages[3], first=octets("x"), track_id=octets("ty", 16))) is not None


@given(st.integers(2, 8), st.integers(2, 8))
def test_two_grades_share_no_number_of_nullifiers(one: int, other: int) -> None:
    made, draw = make(), drawing()
    sets = [made.wanted(TERMS, YEAR, holder(grade)).choose(lambda _: False, draw) for grade in (one, other)]
    assert len(sets[0] or ()) == len(sets[1] or ()) == TERMS.width


def test_another_key_gives_other_nullifiers_and_every_value_counts() -> None:
    plain = make().wanted(TERMS, YEAR, holder())
    assert make().wanted(TERMS, YEAR, holder()) == plain
    assert not set(plain.all) & set(make("other").wanted(TERMS, YEAR, holder()).all)
    assert len(set(plain.all)) == len(plain.all)
    other = make().wanted(replace(TERMS, scheme="X", groups=("Y",)), YEAR, holder())
    assert not set(plain.all) & set(other.all)


def test_a_nullifier_is_its_own_row_and_a_link_opens_for_its_claim() -> None:
    made = make()
    row = made.taken_row(octets("n"), octets("claim"))
    assert (row.hmac, row.purpose, row.body) == (octets("n"), Purpose.CLAIM, octets("claim"))
    link = made.link_row(octets("claim"), octets("cert"))
    assert octets("cert") not in link.body and link.hmac == made.link_hmac(octets("claim"))
    assert made.open_link(octets("claim"), link.body) == octets("cert")
    for leaf, sealed in ((octets("other"), link.body), (octets("claim"), link.body[:-1]), (octets("claim"), b"")):
        with pytest.raises(Unverified):
            made.open_link(leaf, sealed)


VOUCHER = Voucher(
    PAYER_NUMBER, make_pack().digest, YEAR, digest_of((octets("n"),)), octets("c"), octets("t", 16), (octets("high"),)
)


def test_a_voucher_comes_back_unread_and_unchanged() -> None:
    made = make()
    sealed = made.seal_voucher(VOUCHER)
    assert made.open_voucher(sealed) == VOUCHER
    assert not any(part in sealed for part in (VOUCHER.cert_key, VOUCHER.track_id, VOUCHER.barred[0]))
    link = made.link_row(octets("claim"), octets("cert")).body
    wrong = [b"", sealed[:-1], sealed + b"\0", bytes([sealed[0] ^ 1]) + sealed[1:], sealed[:-1] + b"\0", link]
    for other in wrong:
        with pytest.raises(Unverified):
            made.open_voucher(other)
    with pytest.raises(Unverified):
        make("other").open_voucher(sealed)


def test_a_voucher_fits_the_claim_that_it_was_given_for_alone() -> None:
    body: Any = claim(make_payer(), octets("c"), (octets("n"),), year=YEAR).statement.body
    assert VOUCHER.fits(body)
    others = [
        {"issuer": "Z000051000002"},
        {"pack": octets("other")},
        {"year": YEAR - 1},
        {"nullifiers": (octets("m"),)},
        {"nullifiers": tuple(sorted((octets("m"), octets("n"))))},
    ]
    assert not any(VOUCHER.fits(replace(body, **changes)) for changes in others)

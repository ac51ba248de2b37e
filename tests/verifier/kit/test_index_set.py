"""Places in the log on the wire: exact, small, and one spelling that is read."""

from __future__ import annotations

import math
import random

import pytest

from ledger.errors import Malformed
from ledger.records import canonical
from tests.support.page_modules import ask, refused
from verifier.kit.index_set import IndexSet, parse_index_set

DRAW = random.Random(8)
SETS = [
    [], [0], [1], [0, 1, 2], [5, 6, 9], [2**53 - 1], list(range(100_000, 150_000)),
    DRAW.sample(range(100_000), 1000), [*range(10), *range(5000, 9000, 2), 10**9],
    [at for start in DRAW.sample(range(0, 10**6, 1000), 30) for at in range(start, start + DRAW.randrange(1, 900))],
]  # fmt: skip


def wire(found: IndexSet) -> bytes:
    return canonical.encode(found.as_value())


@pytest.mark.parametrize("indexes", SETS, ids=len)
def test_what_is_written_is_read_back(indexes: list[int]) -> None:
    one = IndexSet.of(indexes)
    assert parse_index_set(canonical.decode(wire(one), limit=2**24)) == one
    assert len(one) == len(set(indexes))
    for index in [*indexes[:50], *(at + 1 for at in indexes[:50]), *(abs(at - 1) for at in indexes[:50])]:
        assert (index in one) == (index in set(indexes))


def test_scattered_places_cost_little_more_than_their_entropy() -> None:
    """One in a hundred of a million."""
    places = random.Random(9).sample(range(1_000_000), 10_000)
    entropy = 1_000_000 * -(0.01 * math.log2(0.01) + 0.99 * math.log2(0.99)) / 8
    assert len(wire(IndexSet.of(places))) < 1.25 * entropy
    assert len(wire(IndexSet.of(range(200_000, 300_000)))) < 30


@pytest.mark.parametrize(
    "value",
    [
        None, [], [1, 0, 0], [0, 0, 0, ""], [-1, 0, 0, b""], [0, 41, 0, b""], [0, 0, 0, b"\0"], [1, 0, 0, b""],
        [1, 0, 0, b"\0" * 20], [1, 0, 0, b"\xc0\0"], [1, 0, 0, b"\xe0"], [2, 0, 0, b"\xc0"], [2**22 + 1, 0, 0, b""],
        [1, 40, 0, b"\0\0\xff" + b"\xff" * 6],
    ],
)  # fmt: skip
def test_anything_else_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        parse_index_set(value)


def test_ranges_rise_and_do_not_touch() -> None:
    for ranges in (((3, 3),), ((0, 2), (2, 4)), ((5, 6), (1, 2)), ((-2, 0),), ((0, 2**53 + 1),)):
        with pytest.raises(Malformed):
            IndexSet(ranges)


def test_browsers_read_the_same() -> None:
    raws = [wire(IndexSet.of(indexes)) for indexes in SETS]
    for _ in range(150):
        changed = bytearray(DRAW.choice(raws[:6] + raws[7:9]))
        changed[DRAW.randrange(len(changed))] ^= 1 << DRAW.randrange(8)
        raws.append(bytes(changed))
    told = ask([{"ask": "indexes", "raw": raw.hex()} for raw in raws])
    for raw, theirs in zip(raws, told, strict=True):
        try:
            assert theirs == [list(one) for one in parse_index_set(canonical.decode(raw, limit=2**24)).ranges]
        except Malformed:
            assert refused(theirs) == "malformed", raw.hex()

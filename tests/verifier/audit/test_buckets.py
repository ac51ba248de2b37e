"""Leaves and tracks: what is stored and what is new read as one, before and after a flush, and grow by their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.store.protocol import StateRow
from ledger.tlog.map_slots import bucket_of
from verifier.audit.buckets import SCHEMA, Buckets
from verifier.audit.packed import LEAF_BYTES, open_leaves

DEPTH = 3


def key(number: int) -> bytes:
    return sha256(b"key %d" % number).digest()


def state(number: int, version: int, track: int = 0) -> StateRow:
    return StateRow(key(number), sha256(b"%d %d" % (number, version)).digest(), b"", bytes([track]) * 16, b"")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = opened()
    yield made
    made.close()


def opened() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.executescript(SCHEMA)
    return made


def take(buckets: Buckets, states: list[StateRow], first: int) -> None:
    roots = {bucket_of(one.map_key, DEPTH): one.value for one in states}
    buckets.take(states, first, roots.items(), DEPTH)


STEP = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=6)


@given(st.lists(st.tuples(STEP, st.booleans(), st.booleans()), max_size=8))
@settings(max_examples=60, deadline=None)
def test_it_reads_as_a_dictionary_would(steps: list[tuple[list[tuple[int, int]], bool, bool]]) -> None:
    """Whatever is flushed and whatever is read in between."""
    connection = opened()
    buckets, model, placed = Buckets(connection), {}, 0
    tracks: dict[bytes, set[bytes]] = {}
    for step, (numbers, flush, read) in enumerate(steps):
        states = list({number: state(number, step, track) for number, track in numbers}.values())
        if read:
            buckets.of([bucket_of(one.map_key, DEPTH) for one in states])
        take(buckets, states, placed)
        for place, one in enumerate(states, placed):
            model[one.map_key] = one.value, place
            tracks.setdefault(one.track, set()).add(one.map_key)
        placed += len(states)
        if flush:
            buckets.flush()
        everything = [key(number) for number in range(13)]
        assert buckets.find(everything, DEPTH) == model
        assert list(buckets.leaves(0, 7)) == sorted((map_key, value) for map_key, (value, _) in model.items())
        for number in range(8):
            leaves = open_leaves(buckets.of([number])[number])
            assert leaves == list(buckets.leaves(number, number))
        for track in range(4):
            assert set(buckets.members([bytes([track]) * 16], DEPTH)) >= tracks.get(bytes([track]) * 16, set())
        assert buckets.roots().keys() == {bucket_of(map_key, DEPTH) for map_key in model}
    connection.close()


def test_a_bucket_grows_by_its_keys_and_not_by_their_changes(db: sqlite3.Connection) -> None:
    buckets = Buckets(db)
    for version in range(9):
        buckets.find([key(1)], DEPTH)  # every batch reads what it changes
        take(buckets, [state(1, version)], version)
        buckets.flush()
    (size,) = db.execute("SELECT max(length(leaves)) FROM bucket").fetchone()
    assert size <= 2 * LEAF_BYTES
    assert buckets.find([key(1)], DEPTH) == {key(1): (state(1, 8).value, 8)}


def test_what_is_forgotten_was_never_there(db: sqlite3.Connection) -> None:
    buckets = Buckets(db)
    take(buckets, [state(1, 1, track=1)], 0)
    buckets.flush()
    take(buckets, [state(1, 2, track=1), state(2, 2, track=1)], 1)
    assert buckets.find([key(1)], DEPTH)[key(1)][1] == 1
    buckets.forget()
    assert buckets.find([key(1), key(2)], DEPTH) == {key(1): (state(1, 1).value, 0)}
    assert buckets.members([bytes([1]) * 16], DEPTH) == [key(1)]
    assert buckets.roots() == {bucket_of(key(1), DEPTH): state(1, 1).value}


def test_a_track_that_is_unknown_has_no_members(db: sqlite3.Connection) -> None:
    assert Buckets(db).members([b"t" * 16], DEPTH) == []

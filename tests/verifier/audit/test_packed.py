"""Rows that hold many things: each is read as it was packed, and a row that is cut is no row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.records.kinds import Kind
from ledger.records.view import Signed
from ledger.store.protocol import StateRow
from verifier.audit.packed import (
    ENTRIES,
    LEAF_BYTES,
    STATES,
    find_leaf,
    newest_leaves,
    open_leaves,
    pack_entries,
    pack_leaf,
    pack_signed,
    pack_states,
    pieces,
    unpack_entries,
    unpack_signed,
    unpack_state,
)

KEY = st.integers(0, 9).map(lambda number: bytes([number]) * 32)  # few, so that some come twice
LEAF = st.tuples(KEY, st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1))
STATE = st.builds(
    StateRow, KEY, KEY, st.binary(max_size=40), st.binary(max_size=16), st.binary(min_size=1, max_size=600)
)
SIGNED = st.builds(
    Signed,
    st.integers(0, 2**63 - 1),
    st.sampled_from([Kind.ISSUE, Kind.REISSUE, Kind.APPOINT, Kind.CORRECT]),
    KEY,
    st.binary(min_size=8, max_size=8),
    st.integers(-25_567, 376_199),
)


@given(st.lists(STATE, min_size=1, max_size=STATES))
def test_states_are_read_by_their_place(states: list[StateRow]) -> None:
    packed = pack_states(states)
    for slot, state in enumerate(states):
        assert unpack_state(packed, len(states), slot) == (state.subject, state.track, state.body)
    for count, slot in ((len(states), len(states)), (len(states) + 1, 0), (len(states), -1)):
        with pytest.raises(Malformed):
            unpack_state(packed, count, slot)


@given(st.lists(LEAF, max_size=40))
def test_of_the_leaves_of_one_key_the_last_counts(came: list[tuple[bytes, bytes, int]]) -> None:
    leaves, outdated = newest_leaves(b"".join(pack_leaf(*leaf) for leaf in came))
    wanted = {key: (value, place) for key, value, place in came}
    assert open_leaves(leaves) == [(key, wanted[key][0]) for key in sorted(wanted)]
    assert outdated == (len(wanted) < len(came))
    for number in range(10):
        key = bytes([number]) * 32
        assert find_leaf(leaves, key) == wanted.get(key)


@given(st.lists(SIGNED, max_size=5))
def test_what_a_filing_signed_is_read_as_it_was_packed(rows: list[Signed]) -> None:
    assert unpack_signed(pack_signed(rows)) == rows


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=ENTRIES))
def test_entries_are_read_as_they_were_packed(entries: list[bytes]) -> None:
    assert unpack_entries(pack_entries(entries), len(entries)) == entries


def test_a_row_that_is_cut_is_malformed() -> None:
    leaf = pack_leaf(bytes(32), bytes(32), 1)
    assert len(leaf) == LEAF_BYTES
    with pytest.raises(Malformed):
        newest_leaves(leaf[:-1])
    with pytest.raises(Malformed):
        unpack_signed(pack_signed([Signed(1, Kind.ISSUE, bytes(32), bytes(8), 3)])[1:])
    with pytest.raises(Malformed):
        unpack_entries(pack_entries([b"entry"])[:-1], 1)
    assert [list(piece) for piece in pieces([1, 2, 3], 2)] == [[1, 2], [3]]

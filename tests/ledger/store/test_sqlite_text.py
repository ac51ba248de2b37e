"""The shared SQL as SQLite runs it in bulk: all rows in one are those that it would give one by one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Damaged
from ledger.store import sql
from ledger.store.migrations import migrations
from ledger.store.sqlite_batch import all_rows, insert_rows
from ledger.store.sqlite_text import any_of, carried_out, each_range, in_one_row, numbered, pieces

short = st.binary(max_size=3)


@given(st.dictionaries(short, st.tuples(short, st.integers(0, 2**63 - 1), short, short), max_size=40), st.data())
def test_all_rows_in_one_are_the_rows(
    states: dict[bytes, tuple[bytes, int, bytes, bytes]], data: st.DataObject
) -> None:
    with closing(carried_out(migrations(private=True), "sqlite")) as store:
        insert_rows(store, sql.NEW_STATE, [(key, value, at, b"s", t, b) for key, (value, at, t, b) in states.items()])
        insert_rows(store, sql.PUT_ENTRY, [(at, key, b"", 0, key) for at, key in enumerate(states)])
        keys = data.draw(st.lists(short, min_size=1, max_size=50, unique=True))
        ends = data.draw(st.lists(st.tuples(short, short), min_size=1, max_size=20))
        ranges = [value for place, (low, high) in enumerate(ends) for value in (place, low, high)]
        asked = [
            *((any_of(text, len(keys)), keys) for text in (sql.STATE, sql.TRACK, sql.FIND, sql.INDEX)),
            (each_range(sql.LEAVES, len(ends)), ranges),
            (numbered(sql.ENTRIES_AT), (0, len(states) // 2)),
        ]
        for text, values in asked:
            assert sorted(all_rows(store, text, values)) == sorted(store.execute(text, values).fetchall()), text
        numbers = [row[0] for row in all_rows(store, numbered(sql.ENTRIES_AT), (0, len(states)))]
        assert sorted(numbers) == list(range(len(states)))


def test_all_rows_come_in_one_step() -> None:
    """Each row that SQLite finds by itself waits for the interpreter lock."""
    with closing(sqlite3.connect(":memory:")) as store:
        store.execute("CREATE TABLE entry (idx bigint PRIMARY KEY, body bytea)")
        insert_rows(store, "INSERT INTO entry (idx, body) VALUES ($1, $2)", [(at, b"%d" % at) for at in range(3000)])
        text, numbers = in_one_row(numbered(sql.ENTRIES_AT))
        assert len(store.execute(text, (0, 3000)).fetchall()) == 1 and numbers == (True, False)
        assert len(all_rows(store, numbered(sql.ENTRIES_AT), (0, 3000))) == 3000


@pytest.mark.parametrize("wrong", [None, 2.5, 1e20, "five", b"\5"])
def test_a_number_that_is_none_is_damage(wrong: object) -> None:
    with closing(sqlite3.connect(":memory:")) as store:
        store.execute("CREATE TABLE entry (idx bigint, body bytea)")
        store.executemany("INSERT INTO entry VALUES (?, ?)", [(1, b"one"), (wrong, b"two")])
        with pytest.raises(Damaged, match="run fsck"):
            all_rows(store, "SELECT idx, body FROM entry", ())


@pytest.mark.parametrize("count", [0, 1, 5, 1023, 1024, 3000])
def test_pieces_are_of_few_lengths_and_lose_nothing(count: int) -> None:
    found = list(pieces(range(count)))
    assert [item for piece in found for item in piece] == list(range(count))
    assert {len(piece) for piece in found} <= {1024, 256, 64, 16, 4, 1}

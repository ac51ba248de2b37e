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
from ledger.store.sqlite_text import any_of, carried_out, each_range, in_one_row, numbered, rows_of

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
        asked = [
            *(one for text in (sql.STATE, sql.TRACK, sql.FIND, sql.INDEX) for one in any_of(text, keys)),
            *each_range(sql.LEAVES, [(place, low, high) for place, (low, high) in enumerate(ends)]),
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


COUNTS = [0, 1, 3, 4, 5, 63, 255, 1023, 1024, 1025, 2049, 4095, 4096, 4097, 9000]


@pytest.mark.parametrize("count", COUNTS)
def test_many_rows_are_few_statements_and_none_is_lost_or_made(count: int) -> None:
    """A text with more places than rows writes these alone; more rows than any text takes are several statements."""
    rows = [(at, b"%d" % at, bytes(4), at % 3, b"") for at in range(count)]
    with closing(sqlite3.connect(":memory:")) as store:
        store.execute(
            "CREATE TABLE entry (idx bigint PRIMARY KEY, body bytea, chain bytea, kind smallint, known_as bytea)"
        )
        assert len(list(rows_of(sql.PUT_ENTRY, rows))) == -(-count // 4096)
        insert_rows(store, sql.PUT_ENTRY, rows)
        assert store.execute("SELECT * FROM entry ORDER BY idx").fetchall() == rows


@pytest.mark.parametrize("count", COUNTS)
def test_many_keys_and_ranges_are_few_questions_and_each_is_asked_once(count: int) -> None:
    keys = [at.to_bytes(4, "big") for at in range(count)]
    with closing(carried_out(migrations(private=True), "sqlite")) as store:
        insert_rows(store, sql.NEW_STATE, [(key, key, 0, b"", b"", b"") for key in keys])
        found = [row for one in any_of(sql.STATE, keys) for row in all_rows(store, *one)]
        assert sorted(row[0] for row in found) == keys
        ranges = [(place, key, key) for place, key in enumerate(keys)]
        read = [row for one in each_range(sql.LEAVES, ranges) for row in all_rows(store, *one)]
        assert sorted(read) == [(place, key, key) for place, key in enumerate(keys)]
        for made in (any_of(sql.STATE, keys), each_range(sql.LEAVES, ranges)):
            assert len(list(made)) == -(-count // 4096)


def test_the_texts_are_few() -> None:
    """Each is compiled once and kept by the connection: 128 of them (Python's default)."""
    rows = [(at, b"", b"", 0, b"") for at in range(5000)]
    texts = {text for count in (*range(1, 5000, 7), 4) for text, _ in rows_of(sql.PUT_ENTRY, rows[:count])}
    assert len(texts) == 8


def test_a_row_that_is_there_rolls_all_back_or_stays_as_its_insert_says() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as store:
        store.execute("CREATE TABLE tile (level smallint, idx bigint, body bytea, PRIMARY KEY (level, idx))")
        insert_rows(store, sql.PUT_TILE, [(0, at, b"old") for at in range(3)])
        insert_rows(store, sql.PUT_TILE, [(0, at, b"new") for at in range(2, 5)])
        assert store.execute("SELECT body FROM tile ORDER BY idx").fetchall() == [(b"old",)] * 2 + [(b"new",)] * 3
        store.execute("BEGIN")
        store.execute("DELETE FROM tile WHERE idx = 0")
        with pytest.raises(sqlite3.IntegrityError):
            insert_rows(store, "INSERT INTO tile (level, idx, body) VALUES ($1, $2, $3)", [(1, 1, b""), (0, 4, b"")])
        assert not store.in_transaction and store.execute("SELECT count(*) FROM tile").fetchone() == (5,)

"""The steps of a file: each one whole or not at all, and an upgrade that was broken off is gone on with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.store import sql, sqlite_schema
from ledger.store.migrations import Migration, migrations
from ledger.store.sqlite_schema import check_tables, make_tables, upgrade_tables
from tests.support.stores import before_checkpoint_step

HERE = Path("log.db")
WRONG = Migration("0098_wrong", "CREATE TABLE half (x bigint); CREATE TABLE half (x bigint)")


def test_a_step_that_fails_leaves_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrations(private=True)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as store:
        make_tables(store, HERE, private=True)
        more = Migration("0097_more", "CREATE TABLE more (x bigint)")
        monkeypatch.setattr(sqlite_schema, "migrations", lambda *, private: [*steps, more, WRONG])
        assert upgrade_tables(store, HERE, private=True, dry_run=True) == ["0097_more", "0098_wrong"]
        with pytest.raises(Unavailable, match="0098_wrong failed"):
            upgrade_tables(store, HERE, private=True, dry_run=False)
        with pytest.raises(Refused, match=r"SCHEMA .*older"):
            check_tables(store, HERE, private=True)
        right = Migration("0098_wrong", "CREATE TABLE half (x bigint)")
        monkeypatch.setattr(sqlite_schema, "migrations", lambda *, private: [*steps, more, right])
        assert upgrade_tables(store, HERE, private=True, dry_run=False) == ["0098_wrong"]
        check_tables(store, HERE, private=True)


def test_states_of_before_are_all_there(tmp_path: Path) -> None:
    """In the order in which they lay, which is that of the log."""
    rows = [(bytes([at * 7 % 251]) * 32, bytes([at]) * 32, at // 3, b"s", bytes([at % 5]), b"b") for at in range(100)]
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as store:
        make_tables(store, HERE, private=True)
        before_checkpoint_step(store.execute, postgres=False)
        store.execute("DELETE FROM migration WHERE name >= '0010'")
        store.executemany(sql.NEW_STATE.replace("$", "?"), rows)
        made = upgrade_tables(store, HERE, private=True, dry_run=False)
        assert made == ["0010_checkpoint", "0011_state", "0012_places_private"]
        check_tables(store, HERE, private=True)
        found = store.execute("SELECT map_key, value, since, subject, track, body FROM state ORDER BY rowid").fetchall()
        assert found == rows
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_tables_of_somebody_else_are_no_store() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as store:
        store.execute("CREATE TABLE entry (x bigint)")
        with pytest.raises(Unavailable, match="not a store of this program"):
            check_tables(store, HERE, private=False)

"""The steps of a file: each one whole or not at all, and an upgrade that was broken off is gone on with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.store import sqlite_schema
from ledger.store.migrations import Migration, migrations
from ledger.store.sqlite_schema import check_tables, make_tables, upgrade_tables

HERE = Path("log.db")
WRONG = Migration("0098_wrong", "CREATE TABLE half (x bigint); CREATE TABLE half (x bigint)")


def test_a_step_that_fails_leaves_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrations(private=True)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as store:
        make_tables(store, HERE, private=True)
        more = Migration("0097_more", "CREATE TABLE more (x bigint)")
        monkeypatch.setattr(sqlite_schema, "migrations", lambda *, private: [*steps, more, WRONG])
        assert upgrade_tables(store, HERE, private=True, dry_run=True) == ["0097_more", "0098_wrong"]
        with pytest.raises(sqlite3.OperationalError):
            upgrade_tables(store, HERE, private=True, dry_run=False)
        with pytest.raises(Refused, match=r"SCHEMA .*older"):
            check_tables(store, HERE, private=True)
        right = Migration("0098_wrong", "CREATE TABLE half (x bigint)")
        monkeypatch.setattr(sqlite_schema, "migrations", lambda *, private: [*steps, more, right])
        assert upgrade_tables(store, HERE, private=True, dry_run=False) == ["0098_wrong"]
        check_tables(store, HERE, private=True)


def test_tables_of_somebody_else_are_no_store() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as store:
        store.execute("CREATE TABLE entry (x bigint)")
        with pytest.raises(Unavailable, match="not a store of this program"):
            check_tables(store, HERE, private=False)

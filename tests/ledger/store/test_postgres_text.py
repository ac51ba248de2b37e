"""The texts that PostgreSQL runs are those of `sql`, for many rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.store import sql
from ledger.store.migrations import migrations
from ledger.store.postgres_text import ddl, each_range, many
from ledger.store.sqlite import create_sqlite

INSERTS = {name: text for name, text in vars(sql).items() if name.startswith(("PUT_", "CLAIM_", "RENEW_"))}


def test_targets_and_arrays() -> None:
    assert sql.target(sql.PUT_EVENT) == ("event", ("cert_key", "idx"))
    assert many(sql.PUT_CHUNK) == (
        "INSERT INTO map_chunk (chunk, since, body) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])"
        " ON CONFLICT (chunk) DO UPDATE SET since = excluded.since, body = excluded.body"
    )


@pytest.mark.parametrize("name", sorted(INSERTS.keys() - {"PUT_CHECKPOINT", "PUT_HEAD"}))
def test_the_types_are_those_of_the_tables(name: str, tmp_path: Path) -> None:
    table, columns = sql.target(INSERTS[name])
    store = create_sqlite(tmp_path / "log.db", private=True)
    types = {row[1]: row[2].lower() for row in store._reader.execute(f"PRAGMA table_info({table})")}
    store.close_now()
    arrays = ", ".join(f"${at}::{types[column]}[]" for at, column in enumerate(columns, 1))
    assert f"unnest({arrays})" in many(INSERTS[name])


def test_ranges_keep_what_else_is_asked() -> None:
    text = each_range(sql.LEAVES_AS_OF)
    assert "$3" in text and text.count("$1") == text.count("$2") == 1


def test_text_compares_by_bytes() -> None:
    statements = [ddl(statement) for step in migrations(private=True) for statement in step.statements()]
    assert any("text " in statement for statement in statements)
    assert all(statement.count("text ") == statement.count('text COLLATE "C"') for statement in statements)

"""Both kinds of store, for tests that must hold on each. `path` names one store; nothing has to exist there.

@pytest.fixture(params=KINDS) ... kind = KINDS[request.param]
store = await kind.create(tmp_path / "log.db", private=True)
kind.change(tmp_path / "log.db", "UPDATE …")         behind its back
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from ledger.store.opening import create_store, open_store
from tests.support.postgres import HASTY, PATIENT, postgres_server


class SqliteKind:
    """Stores in files."""

    duplicate = sqlite3.IntegrityError  # what a broken uniqueness constraint raises

    def place(self, path: Path) -> str:
        return str(path)

    def exists(self, path: Path) -> bool:
        return path.exists()

    async def create(self, path: Path, *, private: bool) -> Any:
        return await create_store(str(path), path.parent, private=private)

    async def open(self, path: Path, *, private: bool, read_only: bool = False, hasty: bool = False) -> Any:
        return await open_store(str(path), path.parent, private=private, read_only=read_only)

    def change(self, path: Path, text: str) -> list[Any]:
        """One statement of SQL; a blob is written as x'00'."""
        raw = sqlite3.connect(path)
        try:
            rows = raw.execute(text).fetchall()
            raw.commit()
            return rows
        finally:
            raw.close()


class PostgresKind:
    """Stores in schemas of their own on one real server."""

    duplicate = asyncpg.UniqueViolationError

    def __init__(self) -> None:
        self._places: dict[Path, str] = {}

    def place(self, path: Path) -> str:
        if path not in self._places:
            self._places[path] = postgres_server().place(path.stem)
        return self._places[path]

    def exists(self, path: Path) -> bool:
        return path in self._places

    async def create(self, path: Path, *, private: bool) -> Any:
        place = self.place(path)
        owner = postgres_server().owner(place) if private else place.replace("ledger_app@", "ledger_owner@")
        use = place if private else owner  # a replica may run as the owner of its tables
        self._places[path] = use
        return await create_store(use, path.parent, private=private, owner=owner, deadlines=PATIENT)

    async def open(self, path: Path, *, private: bool, read_only: bool = False, hasty: bool = False) -> Any:
        deadlines, place = HASTY if hasty else PATIENT, self.place(path)
        return await open_store(place, path.parent, private=private, read_only=read_only, deadlines=deadlines)

    def change(self, path: Path, text: str) -> list[Any]:
        # x'00' is a bit string there.
        return [tuple(row) for row in postgres_server().sql(self.place(path), _blobs(text))]


def _blobs(text: str) -> str:
    parts = text.split("x'")
    return parts[0] + "".join("'\\x" + part.replace("'", "'::bytea", 1) for part in parts[1:])


StoreKind = SqliteKind | PostgresKind
KINDS: dict[str, Callable[[], StoreKind]] = {"sqlite": SqliteKind, "postgres": PostgresKind}

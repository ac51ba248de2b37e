"""Both kinds of store, for tests that must hold on each. `path` names one store; nothing has to exist there.

@pytest.fixture(params=KINDS) ... kind = KINDS[request.param]
store = await kind.create(tmp_path / "log.db", private=True)
kind.change(tmp_path / "log.db", "UPDATE …")         behind its back
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg

from ledger.store.migrations import migrations
from ledger.store.opening import create_store, open_store
from tests.support.postgres import HASTY, OWNER, PATIENT, postgres_server


def before_checkpoint_step(run: Callable[[str], Any], *, postgres: bool) -> None:
    """Make the tables of a store, to which `run` speaks SQL, what they were before step 0010."""
    # 0011
    if postgres:
        run("DROP INDEX state_track")
        run("CREATE INDEX state_track ON state (track)")
    else:
        run("ALTER TABLE state RENAME TO state_anew")
        for text in migrations(private=False)[0].statements():
            if text.startswith("CREATE TABLE state ("):
                run(text)
        run("INSERT INTO state SELECT map_key, value, since, subject, track, body FROM state_anew")
        run("DROP TABLE state_anew")
        run("CREATE INDEX state_track ON state (track)")
        run("CREATE INDEX state_since ON state (since, map_key)")
    run("ALTER TABLE checkpoint DROP COLUMN size")


def before_map_step(run: Callable[[str], list[Any]], *, postgres: bool) -> int:
    """Make a store, to which `run` speaks SQL, what it was before step 0005, and return its count of bucket roots,
    which were a row each then."""

    def literal(value: bytes) -> str:
        return f"'\\x{value.hex()}'::bytea" if postgres else f"x'{value.hex()}'"

    roots: dict[int, tuple[int, bytes]] = {}
    for chunk, since, body in run("SELECT chunk, since, body FROM map_chunk"):
        for at in range(0, len(body), 32):
            roots[256 * chunk + at // 32] = (since, body[at : at + 32])
    for seal, body in run("SELECT seal, body FROM map_change ORDER BY seal"):
        for at in range(0, len(body), 36):
            bucket = int.from_bytes(body[at : at + 4], "big")
            if seal > roots.get(bucket, (-1, b""))[0]:
                roots[bucket] = (seal, body[at + 4 : at + 36])
    kept = {bucket: root for bucket, (_, root) in roots.items() if any(root)}
    before_checkpoint_step(run, postgres=postgres)
    run("ALTER TABLE envelope RENAME COLUMN place TO locator")
    run("DROP TABLE map_chunk")
    run("DROP TABLE map_change")
    run("CREATE TABLE map_bucket ( bucket bigint PRIMARY KEY, root bytea NOT NULL )")
    if postgres:
        run(f"ALTER TABLE map_bucket OWNER TO {OWNER}")
        run("ALTER TABLE state DROP CONSTRAINT state_pkey, ADD CONSTRAINT state_pkey PRIMARY KEY (map_key)")
    for bucket, root in kept.items():
        run(f"INSERT INTO map_bucket VALUES ({bucket}, {literal(root)})")
    for index, body in run("SELECT idx, body FROM entry WHERE length(known_as) = 8"):
        run(f"UPDATE entry SET known_as = {literal(sha256(body).digest())} WHERE idx = {index}")
    run("ALTER TABLE entry RENAME COLUMN known_as TO identity")
    if postgres:
        run("ALTER TABLE entry RENAME CONSTRAINT entry_known_as_key TO entry_identity_key")
    run("DELETE FROM migration WHERE name >= '0005'")
    return len(kept)


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

"""The store for production under faults: one real cluster for a run, one schema for each log.

The cluster's files lie in memory where there is room, so that a synchronised commit costs little: what is tried here is
a lost process, session or answer, not a power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg

from campaigns.faults.stores import Fault, Sqlite, prove, step_of
from ledger.__main__ import main
from ledger.service.config import LedgerSettings
from ledger.service.guard import Guard
from ledger.service.guards import open_guard
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.store import postgres_link, postgres_session, postgres_writer
from ledger.store.opening import create_store, open_store
from ledger.store.postgres_link import Deadlines, Place, parse_place
from tests.support.fault_store import flip
from tests.support.postgres import GUARD_DATABASE, Server, postgres_server

_PORT = re.compile(r"@127\.0\.0\.1:\d+")
_BITS = {"smallint": 15, "integer": 31, "bigint": 48}
_TABLES = (
    "SELECT table_name::text FROM information_schema.tables"
    " WHERE table_schema = current_schema() AND table_name <> 'migration' ORDER BY 1"
)
_COLUMNS = (
    "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND table_name <> 'migration' ORDER BY 1, 2"
)


class Postgres:
    """Schemas of the run's cluster."""

    name = "postgres"

    @property
    def server(self) -> Server:
        return postgres_server()

    def settings(self, folder: Path) -> dict[str, Any]:
        place = self.server.place(folder.name)
        return {"store": place, "store_owner": self.server.owner(place)}

    def own(self, folder: Path, of: Path) -> None:
        """A schema as the product makes it, filled by the superuser."""
        path, place = folder / SETTINGS_FILE, self.server.place(folder.name)
        source = _place(of)
        text = path.read_text("utf-8")
        assert text.count(source) == 1
        path.write_text(text.replace(source, place), "utf-8")

        async def make() -> None:
            await (await create_store(place, folder, private=True, owner=self.server.owner(place))).close()

        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(asyncio.run, make()).result()
        schema = parse_place(source).schema
        for (table,) in self.server.sql(place, _TABLES):
            self.server.sql(place, f'INSERT INTO "{table}" SELECT * FROM "{schema}"."{table}"')

    def discard(self, folder: Path) -> None:
        place = _place(folder)
        self.server.sql(place, f'DROP SCHEMA "{parse_place(place).schema}" CASCADE')

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        async def connect(place: Place, deadlines: Deadlines) -> Any:
            return _Failing(await postgres_link.connect(place, deadlines), fault)

        async def connect_checked(place: Place, deadlines: Deadlines) -> Any:
            return _Failing(await postgres_link.connect_checked(place, deadlines), fault)

        with (
            patch.object(postgres_writer, "connect", connect),
            patch.object(postgres_session, "connect_checked", connect_checked),
        ):
            yield

    def put_between(self, folder: Path, port: int) -> None:
        """A stopped log reaches its store through the proxy on `port` from now on; checks go past it."""
        path = folder / SETTINGS_FILE
        path.write_text(_PORT.sub(f"@127.0.0.1:{port}", path.read_text("utf-8")), "utf-8")

    def back_up(self, folder: Path, to: Path) -> None:
        to.mkdir(parents=True)
        _run("backup", "--dir", str(folder), "--out", str(to / "log.db"))

    def put_back(self, backup: Path, folder: Path) -> None:
        """As the manual says: an empty database, filled by the operator's command."""
        place = _place(folder)
        schema = re.findall(r"schema=(\w+)", place)[0]
        self.server.sql(place, f'DROP SCHEMA "{schema}" CASCADE')
        owner = self.server.owner(place)
        _run("restore", "--dir", str(folder), "--from", str(backup / "log.db"), "--store-owner", owner)

    async def open(self, folder: Path) -> Any:
        return await open_store(_place(folder), folder, private=True)

    async def check(self, folder: Path) -> list[str]:
        store = await open_store(_place(folder), folder, private=True, read_only=True)
        scratch = Sqlite().scratch(folder)
        try:
            return await prove(store, scratch)
        finally:
            await scratch.close()
            await store.close()

    @contextmanager
    def flipped_row(self, folder: Path, draw: random.Random) -> Iterator[str]:
        place = _place(folder)
        while True:
            tables = self._columns(place)
            table = draw.choice(sorted(tables))
            column, kind = draw.choice(tables[table])
            rows = self.server.sql(place, f"SELECT ctid, {column} FROM {table} ORDER BY {column}")
            if not rows:
                continue
            at, value = draw.choice(rows)
            change = f"UPDATE {table} SET {column} = $1 WHERE ctid = $2 RETURNING ctid"
            try:
                ((moved,),) = self.server.sql(place, change, _flipped(value, kind, draw), at)
            except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, UnicodeDecodeError):
                continue  # the store itself does not take it
            break
        try:
            yield table
        finally:
            self.server.sql(place, change, value, moved)

    @functools.cache  # noqa: B019  # one object for a run
    def _columns(self, place: str) -> dict[str, list[tuple[str, str]]]:
        """Column and type, by table."""
        tables: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in self.server.sql(place, _COLUMNS):
            tables.setdefault(table, []).append((column, kind))
        return tables

    def rows(self, folder: Path) -> dict[str, int]:
        place = _place(folder)
        tables = [table for (table,) in self.server.sql(place, _TABLES)]
        return {table: self.server.sql(place, f"SELECT count(*) FROM {table}")[0][0] for table in tables}

    def guard_settings(self, folder: Path) -> dict[str, Any]:
        place = self.server.place(folder.name, database=GUARD_DATABASE)
        return {"guard": place, "guard_owner": self.server.owner(place)}

    async def open_guard(self, folder: Path) -> Guard:
        settings = load_settings(LedgerSettings, folder / SETTINGS_FILE)
        return await open_guard(settings.guard, folder, settings.origin, settings.store)

    @contextmanager
    def flipped_guard(self, folder: Path, draw: random.Random) -> Iterator[None]:
        """In its row, as a file's page may be: the server's checksums are not asked."""
        place = load_settings(LedgerSettings, folder / SETTINGS_FILE).guard
        ((size, root),) = self.server.sql(place, "SELECT size, root FROM guard")
        change = "UPDATE guard SET size = $1, root = $2"
        if draw.randrange(2):
            self.server.sql(place, change, _flipped(size, "bigint", draw), root)
        else:
            self.server.sql(place, change, size, _flipped(root, "bytea", draw))
        try:
            yield
        finally:
            self.server.sql(place, change, size, root)

    # Pages of the cluster are the server's own matter: it has checksums for them. A row stands in their place.
    flipped_file: Callable[[Postgres, Path, random.Random], contextlib.AbstractContextManager[str]] = flipped_row


class _Failing:
    """A writer's session that fails at one step; of a COMMIT, whichever way, it is over with it."""

    def __init__(self, inner: Any, fault: Fault) -> None:
        self._inner, self._fault = inner, fault
        self._commit = ""  # the step that a COMMIT would be now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def execute(self, text: str, *values: Any, **how: Any) -> Any:
        step = step_of(text)
        if text == "BEGIN":
            self._commit = ""
        elif text == "COMMIT":
            step = self._commit
        return await self._at(step, lambda: self._inner.execute(text, *values, **how))

    async def fetch(self, text: str, *values: Any, **how: Any) -> Any:
        step = step_of(text)
        return await self._at(step, lambda: self._inner.fetch(text, *values, **how))

    async def copy_records_to_table(self, table: str, **how: Any) -> Any:
        step = {"entry": "entries", "state": "states"}.get(table, "")
        return await self._at(step, lambda: self._inner.copy_records_to_table(table, **how))

    async def _at(self, step: str, act: Callable[[], Awaitable[Any]]) -> Any:
        if step == "entries":
            self._commit = "commit"
        commits = step in ("commit", "publish")  # a checkpoint is kept by one statement
        if not self._fault.strikes(step):
            return await act()
        result = await act() if self._fault.kept else None
        if step == "check" and self._fault.kept:  # memory that went bad between the server and us
            return [(flip(row[0], 77),) for row in result]
        if commits:
            self._inner.terminate()
        raise ConnectionResetError(104, "Connection reset by peer")


def _place(folder: Path) -> str:
    """The address of a log's store, past any proxy."""
    store = load_settings(LedgerSettings, folder / SETTINGS_FILE).store
    return _PORT.sub(f"@127.0.0.1:{postgres_server().port}", store)


def _run(*words: str) -> None:
    """The operator's command, in a thread: it has a loop of its own."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), ThreadPoolExecutor(1) as elsewhere:
        code = elsewhere.submit(main, words).result()
    if code != 0:
        raise AssertionError(f"{words[0]} ended with {code}: {said.getvalue()[-2000:]}")


def _flipped(value: Any, kind: str, draw: random.Random) -> Any:
    """A value with one bit changed."""
    if isinstance(value, int):
        return value ^ 1 << draw.randrange(_BITS[kind])
    raw = value.encode() if isinstance(value, str) else value
    changed = flip(raw, draw.randrange(8 * len(raw))) if raw else b"\x01"
    return changed.decode() if isinstance(value, str) else changed

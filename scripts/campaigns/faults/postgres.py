"""The store for production under faults: one real cluster for a run, in it one schema for each log, and one in another
database for its guard.

The cluster's files lie in memory where there is room, so that a synchronised commit costs little: what is tried here is
a lost process, session or answer, not a power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import json
import random
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg

from campaigns.faults.stores import Fault, Sqlite, prove, step_of
from ledger.__main__ import main
from ledger.service import postgres_guard
from ledger.service.config import LedgerSettings
from ledger.service.guard import Guard
from ledger.service.guards import create_guard, open_guard
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.store import postgres_durable, postgres_link, postgres_session, postgres_writer
from ledger.store.opening import create_store, open_store
from ledger.store.postgres_link import Deadlines, Place, parse_place
from tests.support.fault_store import flip
from tests.support.postgres import GUARD_DATABASE, SUPERUSER, Server, postgres_server

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
        guard = self.server.place(folder.name, database=GUARD_DATABASE)
        return {
            "store": place,
            "store_owner": self.server.owner(place),
            "guard": guard,
            "guard_owner": self.server.owner(guard),
        }

    def own(self, folder: Path, of: Path) -> None:
        """Schemas as the product makes them, filled by the superuser."""
        path, place = folder / SETTINGS_FILE, self.server.place(folder.name)
        source, text = _place(of), path.read_text("utf-8")
        guard = self.server.place(folder.name, database=GUARD_DATABASE)
        for old, new in ((source, place), (_guard(of), guard)):
            assert text.count(old) == 1
            text = text.replace(old, new)
        path.write_text(text, "utf-8")

        async def make() -> None:
            await (await create_store(place, folder, private=True, owner=self.server.owner(place))).close()

        _elsewhere(make())
        schema = parse_place(source).schema
        tables = [table for (table,) in self.server.sql(place, _TABLES)]
        copies = "".join(f'INSERT INTO "{table}" SELECT * FROM "{schema}"."{table}";' for table in tables)
        self.server.sql(place, f"DO $$BEGIN {copies} END$$")
        self._make_guard(folder)
        self._remember(folder, *self.remembered(of))

    def discard(self, folder: Path) -> None:
        for place in (_place(folder), _guard(folder)):
            self._drop(place)

    def _drop(self, place: str) -> None:
        self.server.sql(place, f'DROP SCHEMA "{parse_place(place).schema}" CASCADE')

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        async def connect(place: Place, deadlines: Deadlines) -> Any:
            return _Failing(await postgres_link.connect(place, deadlines), fault)

        async def connect_checked(place: Place, deadlines: Deadlines) -> Any:
            return _Failing(await postgres_durable.connect_checked(place, deadlines), fault)

        with (
            patch.object(postgres_writer, "connect", connect),
            patch.object(postgres_session, "connect_checked", connect_checked),
        ):
            yield

    @contextmanager
    def failing_guard(self, fault: Fault, folder: Path) -> Iterator[Callable[[], int]]:
        """Its one statement is its write and its commit in one. "guard write": the server refuses, before or after it
        wrote the row. "guard sync": the session ends, before or after the commit, and there is no other for a while.
        """
        ended: list[Any] = []

        async def connect_checked(place: Place, deadlines: Deadlines) -> Any:
            if ended:
                raise asyncpg.TooManyConnectionsError("sorry, too many clients already")
            return _FailingGuard(await postgres_durable.connect_checked(place, deadlines), fault, ended)

        with patch.object(postgres_guard, "connect_checked", connect_checked):
            yield lambda: self.remembered(folder)[0]

    def put_between(self, folder: Path, port: int) -> None:
        """A stopped log reaches store and guard through the proxy on `port` from now on; checks go past it."""
        path = folder / SETTINGS_FILE
        path.write_text(_PORT.sub(f"@127.0.0.1:{port}", path.read_text("utf-8")), "utf-8")

    def back_up(self, folder: Path, to: Path) -> None:
        to.mkdir(parents=True)
        _run("backup", "--dir", str(folder), "--out", str(to / "log.db"))

    def put_back(self, backup: Path, folder: Path) -> None:
        """As the manual says: an empty database, filled by the operator's command."""
        place = _place(folder)
        self._drop(place)
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

    def remembered(self, folder: Path) -> tuple[int, bytes]:
        """As another session sees it: what is committed."""
        ((size, root),) = self.server.sql(_guard(folder), "SELECT size, root FROM guard")
        return size, root

    async def beside_guard(self, folder: Path) -> Any:
        """A session of the superuser's in the guard's schema, past any proxy."""
        schema = parse_place(_guard(folder)).schema
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.server.port,
            user=SUPERUSER,
            database=GUARD_DATABASE,
            server_settings={"search_path": schema},
            command_timeout=30,
        )

    def _remember(self, folder: Path, size: int, root: bytes) -> None:
        self.server.sql(_guard(folder), "UPDATE guard SET size = $1, root = $2", size, root)

    def back_up_guard(self, folder: Path, to: Path) -> None:
        size, root = self.remembered(folder)
        to.write_text(json.dumps([size, root.hex()]), "utf-8")

    def put_back_guard(self, kept: Path, folder: Path) -> None:
        size, root = json.loads(kept.read_text("utf-8"))
        self._remember(folder, size, bytes.fromhex(root))

    def new_guard(self, folder: Path) -> None:
        self._drop(_guard(folder))
        self._make_guard(folder)

    def _make_guard(self, folder: Path) -> None:
        settings = load_settings(LedgerSettings, folder / SETTINGS_FILE)
        owner = self.server.owner(settings.guard)
        _elsewhere(create_guard(settings.guard, folder, settings.origin, settings.store, owner=owner))

    async def open_guard(self, folder: Path) -> Guard:
        settings = load_settings(LedgerSettings, folder / SETTINGS_FILE)
        return await open_guard(settings.guard, folder, settings.origin, settings.store)

    @contextmanager
    def flipped_guard(self, folder: Path, draw: random.Random) -> Iterator[None]:
        """In its row, as a file's page may be: the server's checksums are not asked."""
        size, root = self.remembered(folder)
        if draw.randrange(2):
            self._remember(folder, _flipped(size, "bigint", draw), root)
        else:
            self._remember(folder, size, _flipped(root, "bytea", draw))
        try:
            yield
        finally:
            self._remember(folder, size, root)

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


class _FailingGuard:
    """The guard's session."""

    def __init__(self, inner: Any, fault: Fault, ended: list[Any]) -> None:
        self._inner, self._fault, self._ended = inner, fault, ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def execute(self, text: str, *values: Any, **how: Any) -> Any:
        grows, fault = text.startswith("UPDATE guard "), self._fault
        if grows and fault.strikes("guard write"):
            if fault.kept:
                await self._written(text, *values, commit=False)
            raise asyncpg.DiskFullError("could not extend file: No space left on device")
        if grows and fault.strikes("guard sync"):
            await self._written(text, *values, commit=fault.kept)
            self._inner.terminate()
            self._ended.append(self._inner)
            raise ConnectionResetError(104, "Connection reset by peer")
        return await self._inner.execute(text, *values, **how)

    async def _written(self, text: str, *values: Any, commit: bool) -> None:
        transaction = self._inner.transaction()
        await transaction.start()
        assert await self._inner.execute(text, *values) == "UPDATE 1"
        await (transaction.commit() if commit else transaction.rollback())


def _place(folder: Path) -> str:
    """The address of a log's store, past any proxy."""
    return _past(load_settings(LedgerSettings, folder / SETTINGS_FILE).store)


def _guard(folder: Path) -> str:
    """And of its guard."""
    return _past(load_settings(LedgerSettings, folder / SETTINGS_FILE).guard)


def _past(address: str) -> str:
    return _PORT.sub(f"@127.0.0.1:{postgres_server().port}", address)


def _elsewhere(work: Coroutine[Any, Any, None]) -> None:
    """In a thread, with a loop of its own."""
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, work).result()


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

"""The site's store in one SQLite file: one connection on a thread of its own, so that no fsync stalls the loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from ledger.durable import keep_rollback_journal
from ledger.errors import Unavailable
from ledger.store.drift import refuse_drift, sqlite_drift
from ledger.store.migrations import TABLE_OF_STEPS, missing_steps
from ledger.store.sqlite_text import numbered
from ledger.text import Text
from verifier.site.store import RECORD, STEPS, Row, Transaction, Value, check_steps, missing, site_steps

T = TypeVar("T")
_WAIT_S: Final = 10  # for another process's transaction
_TURN_S: Final = 20.0  # for this one's, as where there are several connections


def open_store(path: Path) -> SqliteSite:
    """Raises Unavailable when there is no such file, Refused on drift."""
    if not path.exists():
        raise missing(path)
    connection = _connect(path)
    try:
        with _unavailable("open"):
            check_steps(dict(connection.execute(STEPS)), str(path))
        refuse_drift(sqlite_drift(connection, site_steps()), str(path))
    except BaseException:
        connection.close()
        raise
    return SqliteSite(connection)


def prepare(path: Path) -> list[str]:
    """The steps that were missing, all done in one transaction; a crash leaves none of them."""
    connection = _connect(path)
    try:
        with _unavailable("prepare"):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(TABLE_OF_STEPS)
            steps = missing_steps(site_steps(), dict(connection.execute(STEPS)), str(path))
            refuse_drift(sqlite_drift(connection, [step for step in site_steps() if step not in steps]), str(path))
            for step in steps:
                for statement in step.statements():
                    connection.execute(statement)
                connection.execute(numbered(RECORD), (step.name, step.digest))
            connection.execute("COMMIT")
        return [step.name for step in steps]
    finally:
        connection.close()


class SqliteSite:
    """Implements SiteStore."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="site-store")
        self._one = asyncio.Lock()  # a transaction's statements stand together

    async def fetch(self, text: str, *values: Value) -> list[Row]:
        async with self._turn():
            return await self._run(lambda: self._fetch(text, values))

    async def execute(self, text: str, *values: Value) -> int:
        async with self._turn():
            return await self._run(lambda: self._execute(text, values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._turn():
            try:
                await self._run(lambda: self._execute("BEGIN IMMEDIATE", ()))  # goes on where it is given up
                yield _Inside(self)
                await self._run(lambda: self._execute("COMMIT", ()))
            except BaseException:
                await asyncio.shield(self._run(self._roll_back))
                raise

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_TURN_S):
                await self._one.acquire()
        except TimeoutError as error:
            raise Unavailable(
                Text("站点数据库正忙，请稍后重试", "the site's store is busy: no turn came; try again later")
            ) from error
        try:
            yield
        finally:
            self._one.release()

    async def close(self) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown(wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        with _unavailable("statement"):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _fetch(self, text: str, values: Sequence[Value]) -> list[Row]:
        return self._connection.execute(numbered(text), values).fetchall()

    def _execute(self, text: str, values: Sequence[Value]) -> int:
        return self._connection.execute(numbered(text), values).rowcount

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class _Inside:
    """The store inside a transaction, whose lock is held."""

    def __init__(self, site: SqliteSite) -> None:
        self._site = site

    async def fetch(self, text: str, *values: Value) -> list[Row]:
        return await self._site._run(lambda: self._site._fetch(text, values))

    async def execute(self, text: str, *values: Value) -> int:
        return await self._site._run(lambda: self._site._execute(text, values))


def _connect(path: Path) -> sqlite3.Connection:
    with _unavailable("open"):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_WAIT_S)
        try:
            keep_rollback_journal(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what a person had erased is gone from the pages too
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def _unavailable(doing: str) -> Iterator[None]:
    """What the world does to a statement is Unavailable; a broken constraint is a bug and stays what it is."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise Unavailable(Text(f"站点存储没有完成操作（{doing}）：{error}", f"site store: {doing}: {error}")) from error

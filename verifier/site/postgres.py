"""The site's store in a PostgreSQL schema of its own, shared by any number of verifiers behind a load balancer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from ledger.errors import Refused, Unavailable
from ledger.store.drift import postgres_drift, refuse_drift
from ledger.store.migrations import TABLE_OF_STEPS, missing_steps
from ledger.store.postgres_durable import check_durable, connect_checked
from ledger.store.postgres_link import Deadlines, Place, end, unavailable
from ledger.store.postgres_session import warnings
from ledger.store.postgres_text import ddl
from ledger.text import Text
from verifier.site.store import RECORD, STEPS, Row, Transaction, Value, check_steps, missing, site_steps

_CONNECTIONS: Final = 6
_DEADLINES: Final = Deadlines(connect=5.0, command=20.0, lock=10.0)
_ALONE: Final = Text(
    "站点存储：对备库的等待被中止，结果未得到确认，请检查备库后重试",
    "The site's store: the wait for a standby was ended, and what was done is not confirmed; look at the standby, then "
    "try again",
)


async def open_store(place: Place) -> PostgresSite:
    """Raises Unavailable when there is none, Refused on drift or a server whose commits are not durable."""
    session = await connect_checked(place, _DEADLINES)
    try:
        with unavailable("open"):
            if await session.fetchval("SELECT to_regclass('migration')") is None:
                raise missing(place)
            check_steps({row["name"]: row["digest"] for row in await session.fetch(STEPS)}, str(place))
            refuse_drift(await postgres_drift(session.fetch, site_steps()), str(place))
    finally:
        await end(session)
    return PostgresSite(place)


async def prepare(place: Place) -> list[str]:
    """The steps that were missing, all done in one transaction under the store's lock; a crash leaves none of them."""
    session = await connect_checked(place, _DEADLINES)
    try:
        with unavailable("prepare"):
            async with session.transaction():
                await session.execute(_lock(place))
                if await session.fetchval("SELECT to_regnamespace($1)", place.schema) is None:
                    await session.execute(f'CREATE SCHEMA "{place.schema}"')
                await session.execute(ddl(TABLE_OF_STEPS))
                done = {row["name"]: row["digest"] for row in await session.fetch(STEPS)}
                steps = missing_steps(site_steps(), done, str(place))
                kept = [step for step in site_steps() if step not in steps]
                refuse_drift(await postgres_drift(session.fetch, kept), str(place))
                for step in steps:
                    await session.execute(ddl(";\n".join(step.statements())))
                    await session.execute(RECORD, step.name, step.digest)
        return [step.name for step in steps]
    finally:
        await end(session)


class PostgresSite:
    """Implements SiteStore on a bounded number of connections."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)
        self._closed = False

    async def fetch(self, text: str, *values: Value) -> list[Row]:
        async with self._session() as session:
            return await _fetch(session, text, values)

    async def execute(self, text: str, *values: Value) -> int:
        async with self._session() as session, self._durable(session):
            return await _execute(session, text, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._session() as session:
            with unavailable("begin"):
                await session.execute("BEGIN")
                await session.execute(_lock(self._place))
            yield _Inside(session)
            async with self._durable(session):
                with unavailable("commit"):
                    await session.execute("COMMIT")

    @asynccontextmanager
    async def _durable(self, session: Any) -> AsyncIterator[None]:
        """Steps 3 and 4 of postgres_durable. Somebody may also have ended the wait for a standby, which the server says
        in a warning."""
        await self._check(session)
        with warnings(session) as warned:
            yield
        await self._check(session)
        if warned:
            raise Unavailable(_ALONE)

    async def _check(self, session: Any) -> None:
        try:
            with unavailable("look"):
                await check_durable(session, self._place)
        except Refused as error:
            raise Unavailable(error.text) from error

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await end(self._idle.pop())

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        """A connection; one on which anything was raised is not used again, so that nothing of it stays open."""
        with unavailable("wait"):
            async with asyncio.timeout(_DEADLINES.command):
                await self._free.acquire()
        try:
            session = await self._taken()
            try:
                yield session
            except BaseException:
                session.terminate()
                raise
            if self._closed:
                await end(session)
            else:
                self._idle.append(session)
        finally:
            self._free.release()

    async def _taken(self) -> Any:
        while self._idle:
            session = self._idle.pop()
            try:
                with unavailable("look"):
                    await session.execute("SELECT 1")  # lost while it was idle, say with a server started again?
                return session
            except BaseException as error:  # nobody has it any more: also where whoever asked has gone away
                session.terminate()
                if not isinstance(error, Unavailable):
                    raise
        try:
            return await connect_checked(self._place, _DEADLINES)
        except Refused as error:  # at a start a reason to end, here a state that passes
            raise Unavailable(error.text) from error


class _Inside:
    """One connection inside its transaction."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def fetch(self, text: str, *values: Value) -> list[Row]:
        return await _fetch(self._session, text, values)

    async def execute(self, text: str, *values: Value) -> int:
        return await _execute(self._session, text, values)


async def _fetch(session: Any, text: str, values: tuple[Value, ...]) -> list[Row]:
    with unavailable("statement"):
        return [tuple(row) for row in await session.fetch(text, *values)]


async def _execute(session: Any, text: str, values: tuple[Value, ...]) -> int:
    with unavailable("statement"):
        told: str = await session.execute(text, *values)
    words = told.split()
    return int(words[-1]) if words and words[-1].isdigit() else 0


def _lock(place: Place) -> str:
    return f"SELECT pg_advisory_xact_lock({place.lock + 1 if place.lock < 0 else place.lock - 1})"

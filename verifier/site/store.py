"""The site's store: one SQL text for SQLite and PostgreSQL, chosen by the `site_store` setting alone.

    found = await store.fetch("SELECT name FROM account WHERE id = $1", account_id)
    async with store.transaction() as tx:
        if await tx.execute("INSERT INTO … ON CONFLICT DO NOTHING", …) != 1: …

Columns are text, bigint and bytea; parameters are numbered `$1`. Uniqueness is told by ON CONFLICT and the count of
rows, never by catching. What `execute` or a transaction returned is on disk (SQLite: WAL, synchronous=FULL; PostgreSQL:
a server whose commits are durable). Transactions of one store run one after the other, those of other processes
included; a crash inside one leaves nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeAlias

from ledger.errors import Refused, Unavailable
from ledger.store.migrations import Migration, missing_steps, steps_in
from ledger.text import Text

Value: TypeAlias = str | int | bytes | None
Row: TypeAlias = tuple[Any, ...]
STEPS: Final = "SELECT name, digest FROM migration"
RECORD: Final = "INSERT INTO migration (name, digest) VALUES ($1, $2)"
_OLDER: Final = Text(
    "站点存储缺少升级步骤：请运行 cert-verifier site-store",
    "The site's store lacks steps of this version: run cert-verifier site-store",
)


class Transaction(Protocol):
    async def fetch(self, text: str, *values: Value) -> list[Row]:
        """The rows of one statement; in a transaction INSERT … RETURNING included. Raises Unavailable."""
        ...

    async def execute(self, text: str, *values: Value) -> int:
        """How many rows one statement changed. Raises Unavailable."""
        ...


class SiteStore(Transaction, Protocol):
    """Outside a transaction each statement is one of its own; one that writes is executed, not fetched from."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Committed at the end of the block, rolled back when it raises. Raises Unavailable."""
        ...

    async def close(self) -> None: ...


def site_steps() -> list[Migration]:
    return steps_in("verifier.site.migrations")


def check_steps(done: Mapping[str, bytes], where: str) -> None:
    """Raises Refused unless a store has exactly the steps of this version."""
    if missing_steps(site_steps(), done, where):
        raise Refused("SCHEMA", where, _OLDER)


def missing(where: object) -> Unavailable:
    return Unavailable(
        Text(
            f"{where} 没有站点存储：请先运行 cert-verifier site-store",
            f"no site store at {where}: run cert-verifier site-store first",
        )
    )

"""A log on a real store with the people of tests/support/builders, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.records.authority import Filing, Genesis
from ledger.records.statements import Statement
from ledger.records.status import Authentic, authenticate_authority, authenticate_record
from ledger.store.batch import Batch
from ledger.store.integrate import Integrator
from ledger.store.sqlite import SqliteStore, create_sqlite
from tests.support.builders import TIME, Authority, Body, make_authority, make_body

MAP_DEPTH = 4


@dataclass
class StoredLog:
    """`add` seals a batch; the first one has the genesis and the filings."""

    store: SqliteStore
    integrator: Integrator
    time: int = TIME

    @classmethod
    async def create(
        cls, path: Path, *bodies: Body, authority: Authority | None = None, store: Any = None
    ) -> StoredLog:
        """`store` is an empty one to use instead of a new file at `path`."""
        store = store or create_sqlite(path, private=False)
        await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
        log, authority = cls(store, await Integrator.open(store)), authority or make_authority()
        filings = [authority.sign(body.filing) for body in bodies or (make_body(),)]
        await log.add(authority.sign(authority.genesis), *filings)
        return log

    async def authenticate(self, statement: Statement, batch: Sequence[Statement] = ()) -> Authentic:
        """Step 6 under the keys of the committed state, or of a genesis or filing of the same batch."""
        filings = {one.body.number: one.body for one in batch if isinstance(one.body, Filing)}
        if statement.envelope.single:
            state = await self.integrator.filing(statement.envelope.issuer)
            terms = state.terms if state else filings[statement.envelope.issuer]
            key = terms.record_key(statement.kid)
            assert key is not None
            return authenticate_record(statement, key.public)
        genesis = next((one.body for one in batch if isinstance(one.body, Genesis)), None)
        people = self.integrator.authority or genesis
        assert people is not None
        return authenticate_authority(statement, people)

    async def begin(self, *statements: Statement, time: int = 0) -> Batch:
        self.time = time or self.time + 1000
        return await self.integrator.begin(statements, self.time)

    async def add(self, *statements: Statement, time: int = 0) -> list[int]:
        """One sealed batch of these statements; their indexes. Raises Refused and stores nothing."""
        batch = await self.begin(*statements, time=time)
        indexes = [batch.add(await self.authenticate(one, statements)) for one in statements]
        await self.integrator.commit(await batch.finish())
        return indexes

    async def entries(self) -> list[bytes]:
        return await self.store.entries(0, self.integrator.size)

"""A batch folded on one that is still being committed: the log as it will be when that one is durable.

While the store writes (and waits for the disk), the next batch of plain certificates is folded and hashed on what the
batch before will leave. Nothing of it is stored, signed or answered before that batch is: its compare-and-swap names
the head that the other one has to bring about first.

What the store holds is read as ever, and what the batch before changes is put over it. A read may come before or after
that commit: it is the same then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from ledger.records.issue import Issue
from ledger.records.state import AuthorityState, FilingState
from ledger.records.statements import Statement
from ledger.store.batch import Base, Prepared
from ledger.store.growth import by_key
from ledger.store.protocol import PrivateStore, StateRow, StoredHead
from ledger.tlog.map_slots import bucket_of
from ledger.tlog.map_tree import MapAhead, MapTree
from ledger.tlog.merkle import Frontier

T = TypeVar("T")


def plain(statements: Sequence[Statement]) -> bool:
    """Whether a batch of these may be folded ahead, and another one on it: certificates that replace nothing and need
    no permit, nearly all that there are. They read what `StoreAhead` knows of, and no more."""
    return all(
        isinstance(body := statement.body, Issue) and not body.replaces and body.permit is None
        for statement in statements
    )


class Ahead:
    """Implements ledger.store.batch.Base on a committed log (`base`) and a batch prepared on that, not yet accepted."""

    def __init__(self, base: Base, tree: MapTree, before: Prepared) -> None:
        self._base, self._before = base, before
        self.head: StoredHead = before.head
        self.frontier: Frontier = before.frontier
        self.edge = before.edge
        self.depth, self.places = base.depth, base.places
        self.map: MapAhead = tree.ahead(before.change)
        self.store = cast(PrivateStore, StoreAhead(cast(PrivateStore, base.store), before, base.depth))

    @property
    def authority(self) -> AuthorityState | None:
        return self._before.authority

    async def filing(self, number: str) -> FilingState | None:
        found = self._before.filings.get(number)
        return await self._base.filing(number) if found is None else found

    async def proven_entry(self, index: int) -> bytes:
        raise AssertionError("a plain certificate asks for no earlier statement")

    async def proven_states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        assert not map_keys, "a plain certificate asks for no claim"
        return {}


class StoreAhead:
    """The reads of Store and PrivateStore that plain certificates need, as they will be when `before` is durable."""

    def __init__(self, store: PrivateStore, before: Prepared, depth: int) -> None:
        self._store, self._depth = store, depth
        stored = before.stored
        self._start = stored.before.size if stored.before else 0
        self._entries = [row.body for row in stored.entries]
        self._states = {row.map_key: row for row in stored.states}
        self._index = {row.hmac: row.body for row in (*stored.private.index, *stored.private.renewed)}
        self._buckets: dict[int, dict[bytes, bytes]] = {}
        for row in stored.states:
            self._buckets.setdefault(bucket_of(row.map_key, depth), {})[row.map_key] = row.value

    async def states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        return {**await self._store.states(map_keys), **_known(self._states, map_keys)}

    async def tracks(self, places: Sequence[bytes]) -> list[StateRow]:
        wanted = frozenset(places)
        found = {row.map_key: row for row in await self._store.tracks(places)}
        found.update({key: row for key, row in self._states.items() if row.track in wanted})
        return list(found.values())

    async def leaves(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        """Of whole buckets only."""
        found = await self._store.leaves(ranges)
        for at, (low, _) in enumerate(ranges):
            fresh = self._buckets.get(bucket_of(low, self._depth))
            if fresh is not None:
                found[at] = sorted({**by_key(found[at]), **fresh}.items())
        return found

    async def entries(self, start: int, end: int) -> list[bytes]:
        held = await self._store.entries(start, min(end, self._start)) if start < self._start else []
        return held + self._entries[max(0, start - self._start) : max(0, end - self._start)]

    async def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        assert not identities, "a plain certificate is found by its key"
        return {}

    async def index(self, hmacs: Sequence[bytes]) -> dict[bytes, bytes]:
        return {**await self._store.index(hmacs), **_known(self._index, hmacs)}


def _known(of: Mapping[bytes, T], keys: Sequence[bytes]) -> dict[bytes, T]:
    return {key: of[key] for key in keys if key in of}

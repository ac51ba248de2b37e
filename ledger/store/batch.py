"""The statements of one batch while they are folded, and the batch when it is complete.

A batch stands on the committed log (`integrate.Integrator`), which also commits it. Nothing here writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from ledger.records.claim_state import ClaimState, claim_map_key, encode_nullifier, nullifier_map_key, nullifier_value
from ledger.records.refusals import Refusal, refuse
from ledger.records.seal import CHAIN_START, Seal, extend_chain
from ledger.records.state import (
    AuthorityState,
    CertificateState,
    FilingState,
    authority_map_key,
    certificate_map_key,
    certificate_value,
    filing_map_key,
    filing_value,
)
from ledger.records.statements import Statement
from ledger.records.status import Authentic, Member, Moment, Signed, apply, stands_alone
from ledger.store.growth import StoredLeaves, check_leaves, grow_tiles, merge_leaves
from ledger.store.protocol import SEAL_KIND, EntryRow, PrivateRows, StateRow, StoredBatch, StoredHead, known_as
from ledger.store.view import Source, StoreView
from ledger.tlog.map_slots import buckets_of
from ledger.tlog.map_tree import MapAhead, MapChange, MapTree
from ledger.tlog.merkle import Frontier, Subtree, leaf_hash


class Base(Source, Protocol):
    """The committed log that a batch extends."""

    @property
    def head(self) -> StoredHead | None: ...
    @property
    def frontier(self) -> Frontier: ...
    @property
    def edge(self) -> Mapping[int, tuple[int, bytes]]:
        """The growing tile rows: level -> index and bytes."""

    @property
    def depth(self) -> int: ...
    @property
    def map(self) -> MapTree | MapAhead: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is complete but not committed."""

    stored: StoredBatch
    seal: bytes  # the entry
    frontier: Frontier
    completed: Mapping[Subtree, bytes]  # every subtree hash that became known
    change: MapChange
    edge: Mapping[int, tuple[int, bytes]]
    filings: dict[str, FilingState]
    authority: AuthorityState | None
    statements: Sequence[Statement]  # of the batch, in order
    view: StoreView  # the state after it, as far as the batch touched it
    statuses: Mapping[int, int]  # how many certificates gained (or, negative, lost) each status

    @property
    def head(self) -> StoredHead:
        return self.stored.head


class Batch:
    """The statements of one batch while they are folded."""

    def __init__(self, base: Base, time: int, view: StoreView, leaves: StoredLeaves) -> None:
        """`leaves`: those that were read for the view."""
        self._base, self._before, self._leaves = base, base.head, leaves
        self._start = base.head.size if base.head else 0
        self.time = time
        self.view = view
        self._entries: list[Statement] = []
        self._certificates: dict[bytes, CertificateState] = {}
        self._claims: dict[bytes, ClaimState] = {}
        self._nullifiers: dict[bytes, bytes] = {}
        self._changed_filings: set[str] = set()
        self._named: list[tuple[int, str, int]] = []
        self._signed: list[tuple[str, Signed]] = []
        self._events: list[tuple[bytes, int]] = []
        self._statuses: dict[int, int] = {}
        self._closed = False  # by a statement that stands alone

    def __len__(self) -> int:
        return len(self._entries)

    def member(self, cert_key: bytes) -> Member | None:
        """A certificate that a statement of this batch names, as it is now."""
        return self.view.member(cert_key)

    def moment(self) -> Moment:
        """Where the next statement would stand."""
        return Moment(self._start + len(self._entries), self.time)

    def add(self, authentic: Authentic) -> int:
        """Fold one statement; its index, or Refused with nothing changed."""
        moment = self.moment()
        statement = authentic.statement
        alone = stands_alone(statement)
        if self._closed or (alone and self._entries):
            raise refuse(Refusal.STANDS_ALONE, "kind")
        view = self.view
        change = apply(view, authentic, moment)
        self._closed = alone
        self._entries.append(statement)
        statuses = self._statuses
        for cert_key, state in change.certificates.items():
            before = view.member(cert_key)
            gained = int(state.status)
            statuses[gained] = statuses.get(gained, 0) + 1
            if before is not None:
                lost = int(before[1].status)
                statuses[lost] = statuses.get(lost, 0) - 1
                if before[1].event_count < state.event_count:
                    self._events.append((cert_key, moment.index))
        row = view.take(change, statement, moment)
        self._changed_filings.update(change.filings)
        self._certificates.update(change.certificates)
        if change.claims or change.nullifiers:
            self._claims.update(change.claims)
            self._nullifiers.update(change.nullifiers)
        if change.published:
            self._named += [(int(kind), name, moment.index) for kind, name in change.published]
        if row is not None:
            self._signed.append(row)
        return moment.index

    async def finish(self, private: PrivateRows | None = None, sealed_root: bytes | None = None) -> Prepared:
        """Close the batch: chain, state map, seal, tree. Nothing is stored yet.

        Between its parts the event loop comes by: a commit of the batch before is a row of answers from a server, and
        each would wait for all of this.

        `sealed_root`: what the log's own seal states, for those who replay it. An equal map root shows that the stored
        leaves it came from are right, as no others hash to it; otherwise they are hashed too: Unverified for others.
        """
        if not self._entries:
            raise AssertionError("an empty batch has no seal")
        base, before, start = self._base, self._before, self._start
        assert base.head is before, "a batch is finished on the log that it was begun on"
        covered = start + len(self._entries)
        states = self._state_rows()
        await asyncio.sleep(0)
        buckets, change, held = await self._change_map(states, sealed_root)
        await asyncio.sleep(0)
        leaves = [statement.leaf_hash for statement in self._entries]
        chain = extend_chain(before.chain if before else CHAIN_START, leaves)
        seal = Seal(covered, self.time, change.root, change.count, chain[-1], before.seal if before else -1).encode()
        leaves.append(leaf_hash(seal))
        chain += extend_chain(chain[-1], leaves[-1:])
        frontier, completed = base.frontier.append(leaves)
        await asyncio.sleep(0)
        tiles, edge = grow_tiles(base.edge, completed)
        head = StoredHead(covered + 1, frontier.root(), chain[-1], covered, self.time, change.root, change.count)
        rows = [
            EntryRow(at, one.entry, link, one.kind, known_as(one.kind, one.identity, at))
            for at, (one, link) in enumerate(zip(self._entries, chain, strict=False), start)
        ]
        rows.append(EntryRow(covered, seal, chain[-1], SEAL_KIND, known_as(SEAL_KIND, b"", covered)))
        stored = StoredBatch(
            before, head, rows, tiles, states, buckets, self._named, self._signed, self._events,
            private or PrivateRows(), held,
        )  # fmt: skip
        view = self.view
        filings = {number: view.filings[number] for number in self._changed_filings}
        return Prepared(
            stored, seal, frontier, completed, change, edge, filings, view.authority, self._entries, view,
            self._statuses,
        )  # fmt: skip

    def _state_rows(self) -> list[StateRow]:
        rows = []
        authority = self.view.authority
        if authority is not None and authority != self._base.authority and authority.in_map:
            key, origin = authority_map_key(authority.origin), authority.origin.encode()
            rows.append(StateRow(key, authority.value(), origin, b"", authority.encode()))
        for number in sorted(self._changed_filings):
            filing = self.view.filings[number]
            body = filing.encode()
            rows.append(StateRow(filing_map_key(number), filing_value(body), number.encode(), b"", body))
        map_keys = self.view.map_keys
        places = self._base.places.of([state.track_id for state in self._certificates.values()])
        for (cert_key, state), place in zip(self._certificates.items(), places, strict=True):
            key = map_keys.get(cert_key) or certificate_map_key(cert_key)
            body = state.encode()
            rows.append(StateRow(key, certificate_value(body), cert_key, place, body))
        for leaf, claim in self._claims.items():
            rows.append(StateRow(claim_map_key(leaf), claim.value(), leaf, b"", claim.encode()))
        for nullifier, leaf in self._nullifiers.items():
            body = encode_nullifier(leaf)
            rows.append(StateRow(nullifier_map_key(nullifier), nullifier_value(body), nullifier, b"", body))
        return rows

    async def _change_map(
        self, states: Sequence[StateRow], sealed_root: bytes | None
    ) -> tuple[list[tuple[int, bytes]], MapChange, Set[bytes]]:
        depth, tree = self._base.depth, self._base.map
        wanted: dict[int, dict[bytes, bytes]] = {}
        keys = [row.map_key for row in states]
        for row, number in zip(states, buckets_of(keys, depth), strict=True):
            wanted.setdefault(number, {})[row.map_key] = row.value
        numbers = list(wanted)
        found = await self._leaves.of(numbers)
        if sealed_root is None:
            check_leaves(tree, numbers, found)
            await asyncio.sleep(0)
        changed, gained = merge_leaves(numbers, found, wanted)
        await asyncio.sleep(0)
        change = tree.prepare(changed, gained)
        if sealed_root is not None and change.root != sealed_root:
            check_leaves(tree, numbers, found)
        base = 1 << depth
        held = {key for leaves in found for key, _ in leaves}.intersection(keys)
        return [(number, change.nodes[base + number]) for number in numbers], change, held

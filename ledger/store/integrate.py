"""From authentic statements to one sealed, committed batch: the same code for the ledger and for every replica.

    integrator = await Integrator.open(store)
    batch = await integrator.begin(statements, time)      loads what they may touch
    index = batch.add(authentic)                          the fold; raises Refused and changes nothing
    prepared = await batch.finish()                       chain, map root, seal, tree
    await integrator.commit(prepared)                     one transaction

A replica compares `prepared.seal` with the seal that the log published: equal bytes mean equal chain, equal map
root, equal key count. Nothing here signs, and nothing here trusts the sender of a statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ledger.errors import Damaged, Malformed, Refused, Unverified
from ledger.records.authority import FiledKey, Genesis
from ledger.records.seal import extend_chain, verify_seal_of
from ledger.records.state import (
    AuthorityState,
    CertificateState,
    FilingState,
    authority_map_key,
    certificate_map_key,
    filing_map_key,
)
from ledger.records.statements import Statement, parse_statement
from ledger.store.ahead import Ahead
from ledger.store.batch import Base, Batch, Prepared
from ledger.store.growth import StoredLeaves, bucket_range, check_leaves, root_again
from ledger.store.hashes import Hashes
from ledger.store.map_rows import Sweep, read_roots
from ledger.store.protocol import StateRow, Store, StoredBatch, StoredHead
from ledger.store.standing import authority_of, filing_of
from ledger.store.track_places import TRACK_PLACES, TrackPlaces
from ledger.store.view import Behind, certificate_of, load_view
from ledger.text import Text
from ledger.tlog.map_proof import verify_absence, verify_presence
from ledger.tlog.map_slots import bucket_of
from ledger.tlog.map_tree import MapTree
from ledger.tlog.merkle import Frontier, leaf_hash, verify_inclusion

MAP_DEPTH = 18  # buckets = 2**18: 16 MiB of memory, 40 keys a bucket at 10 million


class Integrator:
    """The committed state of one log, and the only way to extend it. Not safe for concurrent batches."""

    def __init__(self, store: Store, depth: int, places: TrackPlaces) -> None:
        self.store = store
        self.depth = depth
        self.places = places
        self.head: StoredHead | None = None
        self.frontier = Frontier.empty()
        self.map = MapTree(depth)
        self.authority: AuthorityState | None = None
        self.edge: Mapping[int, tuple[int, bytes]] = {}  # level -> index and bytes of the growing tile row
        self.watchers: list[Callable[[Prepared], None]] = []  # called with each batch once it is current
        self._sweep = Sweep(depth, {}, 0)
        self._filings: dict[str, FilingState] = {}
        self._record_keys: dict[bytes, FiledKey] = {}
        self._committing = asyncio.Lock()

    @classmethod
    async def open(cls, store: Store) -> Integrator:
        """Read the committed head of `store`.

        Raises Unverified, Malformed or Unavailable when tiles, map buckets or the last seal do not match the head, or
        what was fixed with the log cannot be read.
        """
        depth = await store.meta("map_depth")
        places = TrackPlaces(await store.meta(TRACK_PLACES))
        self = cls(store, int.from_bytes(depth or MAP_DEPTH.to_bytes(1, "big"), "big"), places)
        head = await store.head()
        if head is None:
            return self
        edge: dict[int, tuple[int, bytes]] = {}
        for level in range(8):
            count = head.size >> (8 * level)
            if count % 256:
                body = await store.tile(level, count // 256)
                if body is None or len(body) != 32 * (count % 256):
                    raise Damaged(
                        Text(
                            f"存储：第 {level} 层的边缘树块与树头不符",
                            f"store: the edge tile of level {level} does not match the head",
                        )
                    )
                edge[level] = (count // 256, body)
        self.frontier = Frontier(head.size, await Hashes(store).cover(head.size))
        kept = await read_roots(store, self.depth, head.seal)
        # Seconds of a deep map, in which who leads still has to say so (`ledger.service.standby`).
        self.map = await asyncio.to_thread(MapTree.restore, self.depth, kept.roots, head.map_count)
        self._sweep = Sweep(self.depth, kept.since, kept.left)
        if self.frontier.root() != head.root or self.map.root != head.map_root:
            raise Damaged(
                Text(
                    "存储：树块或状态表得不出已提交的树头，请运行 fsck",
                    "store: tiles or map do not reproduce the committed head; run fsck",
                )
            )
        opening, last = await _check_ends(store, head)
        _check_seal(last, head)
        first = parse_statement(opening).body
        if not isinstance(first, Genesis):
            raise Damaged(Text("存储：第 0 条不是创世语句", "store: entry 0 is not a genesis"))
        self.head, self.edge = head, edge
        self.authority = await self._load_authority(first, leaf_hash(opening))
        return self

    @property
    def size(self) -> int:
        return self.head.size if self.head else 0

    @property
    def record_keys(self) -> Mapping[bytes, FiledKey]:
        """Record keys of the filings that were looked at so far, by kid: a hint for those who read ahead."""
        return self._record_keys

    async def filing(self, number: str) -> FilingState | None:
        """The committed state of a filing."""
        found = self._filings.get(number)
        if found is None:
            row = await self._proven_row(filing_map_key(number))
            if row is None:
                return None
            found = await filing_of(self.store, row)
            self._keep_filing(number, found)
        return found

    async def certificate(self, cert_key: bytes) -> CertificateState | None:
        """The committed state of a certificate, or None when the map has no such key."""
        row = await self._proven_row(certificate_map_key(cert_key))
        return None if row is None else certificate_of(row)

    async def begin(
        self,
        statements: Sequence[Statement],
        time: int,
        behind: Behind | None = None,
        ahead: Ahead | None = None,
    ) -> Batch:
        """Start a batch at log time `time` (ms), which must be later than the last one's; on the committed log, or on
        the one that is being committed (`ahead`): then the statements must be `plain`."""
        base: Base = ahead or self
        if base.head is not None and time <= base.head.time:
            raise Refused("CLOCK", "time", Text("日志时间必须递增", "Log time must increase"))
        leaves = StoredLeaves(base.store, base.map, base.depth)
        return Batch(base, time, await load_view(base, statements, behind or Behind(), leaves), leaves)

    def ahead(self, prepared: Prepared) -> Ahead:
        """The log as it will be with a batch that was prepared on it and is about to be committed."""
        return Ahead(self, self.map, prepared)

    async def commit(self, prepared: Prepared) -> None:
        """Make a prepared batch durable, then current. After any error the caller must open the store anew."""
        before = self.frontier

        def check(entries: Sequence[bytes]) -> None:
            # The rows as the store gives them back, hashed and folded one by one: another way to the same root.
            if root_again(before, [leaf_hash(entry) for entry in entries]) != prepared.head.root:
                raise AssertionError("the stored entries do not hash to the root that is about to be committed")

        async with self._committing:
            await self.store.append(self._with_chunks(prepared), check)
            self.head, self.frontier = prepared.head, prepared.frontier
            self.map.accept(prepared.change)
            self.edge = prepared.edge
            for number, state in prepared.filings.items():
                self._keep_filing(number, state)
            self.authority = prepared.authority
            for watcher in self.watchers:
                watcher(prepared)

    def _with_chunks(self, prepared: Prepared) -> StoredBatch:
        """What is stored, with the chunks of the map whose turn it is: only now is the map known that it changes."""
        stored = prepared.stored
        chunks = self._sweep.take(self.map, prepared.change, len(stored.buckets), stored.head.seal)
        return replace(stored, chunks=chunks, floor=self._sweep.floor)

    def _keep_filing(self, number: str, state: FilingState) -> None:
        before = self._filings.get(number)
        if before is None or before.terms is not state.terms:
            self._record_keys.update({key.kid: key for key in state.terms.record_keys})
        self._filings[number] = state

    async def _proven_row(self, map_key: bytes) -> StateRow | None:
        """The state row under `map_key`, or None, as the map root of the last seal proves it. Raises Unverified."""
        with suppress(Malformed, Unverified):
            return await self._prove_row(map_key)
        try:
            async with self._committing:  # no batch is durable and not yet current, and none comes between two reads
                return await self._prove_row(map_key)
        except (Malformed, Unverified) as error:
            raise Damaged(
                Text(
                    "存储：有一行状态与封印的状态表不符，请运行 fsck",
                    "store: a state row is not that of the sealed map; run fsck",
                )
            ) from error

    async def _prove_row(self, map_key: bytes) -> StateRow | None:
        row = (await self.store.states([map_key])).get(map_key)
        bucket = self.map.landing_bucket(map_key)
        leaves = [] if bucket is None else (await self.store.leaves([bucket_range(bucket, self.depth)]))[0]
        proof = self.map.prove(map_key, leaves)
        if row is None:
            verify_absence(self.map.root, map_key, proof)
        else:
            verify_presence(self.map.root, map_key, row.value, proof)
        return row

    async def proven_states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        """The state rows under these keys, absent ones left out, as the map root of the last seal proves them.

        Raises Unverified. All at once: one read of the rows, and one of the buckets that they lie in.
        """
        if not map_keys:
            return {}
        with suppress(Unverified):
            return await self._prove_rows(map_keys)
        async with self._committing:  # as in _proven_row
            return await self._prove_rows(map_keys)

    async def _prove_rows(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        rows = await self.store.states(map_keys)
        numbers = sorted({bucket_of(key, self.depth) for key in map_keys})
        found = await self.store.leaves([bucket_range(number, self.depth) for number in numbers])
        check_leaves(self.map, numbers, found)
        wanted = set(map_keys)
        proven = {key: value for leaves in found for key, value in leaves if key in wanted}
        if proven != {key: row.value for key, row in rows.items()}:
            raise Damaged(
                Text(
                    "存储：有一行状态与封印的状态表不符，请运行 fsck",
                    "store: a state row is not that of the sealed map; run fsck",
                )
            )
        return rows

    async def _load_authority(self, genesis: Genesis, leaf: bytes) -> AuthorityState:
        return authority_of(genesis, leaf, await self._proven_row(authority_map_key(genesis.origin)))

    async def proven_entry(self, index: int) -> bytes:
        """A committed entry, shown to be in the tree. Raises Damaged."""
        head = self.head
        entries = await self.store.entries(index, index + 1)
        if head is None or not entries:
            raise Damaged(Text("存储：缺少条目，请运行 fsck", "store: an entry is missing; run fsck"))
        (path,) = await Hashes(self.store).inclusion([index], head.size)
        try:
            verify_inclusion(leaf_hash(entries[0]), index, head.size, path, head.root)
        except Unverified as error:
            raise Damaged(
                Text("存储：有一条目不在日志的树中，请运行 fsck", "store: an entry is not in the log's tree; run fsck")
            ) from error
        return entries[0]


async def _check_ends(store: Store, head: StoredHead) -> tuple[bytes, bytes]:
    """Entry 0, which names the authority, and the last seal, both shown to be in the tree."""
    ends = (0, head.seal)
    entries = [entry for index in ends for entry in await store.entries(index, index + 1)]
    if len(entries) != len(ends):
        raise Damaged(
            Text("存储：缺少第 0 条或最后的封印，请运行 fsck", "store: entry 0 or the last seal is missing; run fsck")
        )
    paths = await Hashes(store).inclusion(ends, head.size)
    for index, entry, path in zip(ends, entries, paths, strict=True):
        verify_inclusion(leaf_hash(entry), index, head.size, path, head.root)
    return entries[0], entries[1]


def _check_seal(entry: bytes, head: StoredHead) -> None:
    """What the head says beside size and root is what its seal says: the next seal is made from it."""
    seal = verify_seal_of(entry, head.size)
    said = (seal.time, seal.map_root, seal.map_count, extend_chain(seal.chain, [leaf_hash(entry)])[0])
    if said != (head.time, head.map_root, head.map_count, head.chain):
        raise Damaged(Text("存储：树头与其封印不符，请运行 fsck", "store: the head differs from its seal; run fsck"))

"""The store for production: one schema of a PostgreSQL 15+ database for each log, through asyncpg.

One session writes (`postgres_writer`) and another keeps checkpoints, a bounded pool reads; all use the SQL of
`ledger.store.sql`. A ledger's role
may not change or delete what is append-only, and its store refuses to open when it could.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

import asyncpg

from ledger.errors import Damaged, Refused, Unavailable
from ledger.records.view import Signed
from ledger.store import sql
from ledger.store.gathering import Gathering
from ledger.store.map_rows import pack_change
from ledger.store.postgres_link import Deadlines, Place, ReadPool, Snapshot
from ledger.store.postgres_schema import check_role, check_schema
from ledger.store.postgres_session import Session
from ledger.store.postgres_text import each_bucket, each_range, many
from ledger.store.postgres_writer import Writer
from ledger.store.protocol import (
    HEAD_MOVED,
    ROW_THERE,
    EntryRow,
    IndexRow,
    Slot,
    StateRow,
    StateVersion,
    StoredBatch,
    StoredHead,
    index_values,
    signed_row,
    unchanged_bucket,
)
from ledger.text import Text

_AT_ONCE = 8192  # rows in one INSERT
_READ_S = 10.0  # for the few rows that a front reads for each request
_BucketOf: TypeAlias = tuple[bytes, bytes, bytes]  # low, high, the key whose body is wanted
_BucketRow: TypeAlias = tuple[bytes, bytes, int, bytes | None]


class PostgresStore:
    """Implements Store and VersionedStore and, when opened with `private`, PrivateStore."""

    reads_at_once: ClassVar[bool] = False
    reads_first: ClassVar[bool] = False
    tracks_in_order: ClassVar[bool] = False

    def __init__(
        self,
        place: Place,
        reads: ReadPool | Snapshot,
        writer: Writer | None,
        notes: Session | None,
        *,
        private: bool,
    ) -> None:
        """`notes`: the session that checkpoints are kept by; like `writer`, None in a store that is only read."""
        self._place = place
        self._reads = reads
        self._writer, self._notes = writer, notes
        self._private = private
        self._checker = ThreadPoolExecutor(1, thread_name_prefix="store-check")
        self._entry = Gathering(self._entries_at)
        self._bucket = Gathering(self._buckets_of)
        self._tile = Gathering(self._tiles_at)

    async def meta(self, name: str) -> bytes | None:
        row = await self._one(sql.META, name)
        return None if row is None else row[0]

    async def put_meta(self, values: Mapping[str, bytes]) -> None:
        async def write(session: Any) -> None:
            await session.executemany(sql.PUT_META, list(values.items()))

        await self._writing.transact(write)
        for name, value in values.items():
            if await self.meta(name) != value:
                raise Refused("META_FIXED", name, Text("创建时确定的设置不能更改", "Fixed when the log was created"))

    async def head(self) -> StoredHead | None:
        row = await self._one(sql.HEAD)
        return None if row is None else StoredHead(*row)

    async def append(self, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        # A crash before COMMIT leaves the old head and nothing of the batch; after it, all of the batch.
        try:
            await self._writing.append(lambda session: self._append(session, batch, check), batch.before, batch.head)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Damaged(ROW_THERE) from error

    async def _append(self, session: Any, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        head = batch.head
        fields = (head.size, head.root, head.chain, head.seal, head.time, head.map_root, head.map_count)
        if batch.before is None:
            swapped = await session.execute(sql.FIRST_HEAD, *fields)
        else:
            swapped = await session.execute(sql.SWAP_HEAD, *fields, batch.before.size, batch.before.root)
        if swapped.split()[-1] != "1":
            raise Refused("HEAD_MOVED", "head", HEAD_MOVED)
        await self._copy(
            session, sql.PUT_ENTRY, [(e.index, e.body, e.chain, e.kind, e.known_as) for e in batch.entries]
        )
        start = batch.before.size if batch.before else 0
        entries = [row[0] for row in await session.fetch(sql.ENTRIES, start, head.size)]
        # What is read back is checked while the other rows are written.
        checking = asyncio.get_running_loop().run_in_executor(self._checker, check, entries)
        try:
            await self._append_beside(session, batch)
        except BaseException:
            checking.add_done_callback(asyncio.Future.exception)  # nobody else is told of two errors
            raise
        await checking

    async def _append_beside(self, session: Any, batch: StoredBatch) -> None:
        """All of a batch but its entries. Few questions: for each the event loop has to come by again."""
        head, private = batch.head, batch.private
        fresh, later = batch.state_values()
        signed = [(n, s.index, int(s.kind), s.cert_key, s.kid, s.day) for n, s in batch.signed]
        await self._put(session, sql.PUT_TILE, {(level, at): (level, at, body) for level, at, body in batch.tiles})
        if later:
            await session.execute(sql.KEEP_STATE, [values[0] for values in later])
            await self._put(session, sql.PUT_STATE, {values[0]: values for values in later})
        await self._copy(session, sql.NEW_STATE, fresh)
        await self._insert(session, sql.PUT_CHANGE, [(head.seal, pack_change(batch.buckets))])
        await self._put(session, sql.PUT_CHUNK, {values[0]: values for values in batch.chunks})
        if batch.chunks and batch.floor >= 0:
            await session.execute(sql.SWEEP_CHANGES, batch.floor)
        await self._copy(session, sql.PUT_NAMED, batch.named)
        await self._copy(session, sql.PUT_SIGNED, signed)
        await self._copy(session, sql.PUT_EVENT, batch.events)
        if self._private:
            await self._copy(session, sql.PUT_INDEX, index_values(private.index))
            await self._put(session, sql.RENEW_INDEX, {row[0]: row for row in index_values(private.renewed)})
            envelopes = [(row.place, int(row.slot), row.body) for row in private.envelopes]
            await self._insert(session, sql.PUT_ENVELOPE, envelopes)

    async def entries(self, start: int, end: int) -> list[bytes]:
        if end == start + 1:
            return list(await self._entry(start))
        return [row[0] for row in await self._reads.fetch(sql.ENTRIES, start, end)]

    async def rows(self, start: int, end: int) -> list[EntryRow]:
        return [EntryRow(*row) for row in await self._reads.fetch(sql.ROWS, start, end)]

    async def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        return await self._pairs(sql.FIND, identities)

    async def tile(self, level: int, index: int) -> bytes | None:
        return await self._tile((level, index))

    async def states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]:
        return {row[0]: StateRow(*row) for row in await self._each(sql.STATE, map_keys)}

    async def tracks(self, places: Sequence[bytes]) -> list[StateRow]:
        return [StateRow(*row) for row in await self._each(sql.TRACK, places)]

    async def leaves(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        return await self._ranges(sql.LEAVES, ranges)

    async def state_as_of(self, map_key: bytes, seal: int) -> StateVersion | None:
        row = await self._one(sql.STATE_AS_OF, map_key, seal)
        return None if row is None else StateVersion(*row)

    async def leaves_as_of(self, ranges: Sequence[tuple[bytes, bytes]], seal: int) -> list[list[tuple[bytes, bytes]]]:
        return await self._ranges(sql.LEAVES_AS_OF, ranges, seal)

    async def bucket_as_of(
        self, low: bytes, high: bytes, map_key: bytes, seal: int
    ) -> tuple[list[tuple[bytes, bytes]], StateVersion | None]:
        found = unchanged_bucket(await self._bucket((low, high, map_key)), seal)
        if found is None:
            (leaves,) = await self.leaves_as_of([(low, high)], seal)
            return leaves, await self.state_as_of(map_key, seal)
        return found

    async def changed_since(self, seal: int, after: bytes, limit: int) -> list[tuple[int, bytes]]:
        return [tuple(row) for row in await self._reads.fetch(sql.CHANGED_SINCE, seal, after, limit)]

    async def history_after(self, map_key: bytes, since: int, count: int) -> list[tuple[bytes, StateVersion]]:
        rows = await self._reads.fetch(sql.HISTORY_AFTER, map_key, since, count)
        return [(key, StateVersion(*row)) for key, *row in rows]

    async def seal_from(self, index: int) -> int | None:
        row = await self._one(sql.SEAL_FROM, index)
        return None if row is None else row[0]

    async def map_chunks(self) -> list[tuple[int, int, bytes]]:
        return [tuple(row) for row in await self._reads.fetch(sql.CHUNKS)]

    async def map_changes(self, seal: int, count: int) -> list[tuple[int, bytes]]:
        return [tuple(row) for row in await self._reads.fetch(sql.CHANGES, seal, count)]

    async def named(self, kind: int) -> dict[str, int]:
        return {row[0]: row[1] for row in await self._reads.fetch(sql.NAMED, kind)}

    async def find_named(self, kind: int, name: str) -> int | None:
        row = await self._one(sql.FIND_NAMED, kind, name)
        return None if row is None else row[0]

    async def signed(self, number: str, first: int, last: int) -> list[Signed]:
        return [signed_row(*row) for row in await self._reads.fetch(sql.SIGNED, number, first, last)]

    async def events(self, cert_key: bytes) -> list[int]:
        return [row[0] for row in await self._reads.fetch(sql.EVENTS, cert_key)]

    async def signed_after(self, number: str, index: int, count: int) -> list[tuple[str, Signed]]:
        rows = await self._reads.fetch(sql.SIGNED_AFTER, number, index, count)
        return [(filing, signed_row(*row)) for filing, *row in rows]

    async def events_after(self, cert_key: bytes, index: int, count: int) -> list[tuple[bytes, int]]:
        return [tuple(row) for row in await self._reads.fetch(sql.EVENTS_AFTER, cert_key, index, count)]

    async def checkpoint(self) -> bytes | None:
        row = await self._one(sql.CHECKPOINT)
        return None if row is None else row[0]

    async def checkpoint_size(self) -> int | None:
        row = await self._one(sql.CHECKPOINT_SIZE)
        return None if row is None else row[0]

    async def put_checkpoint(self, note: bytes, size: int) -> None:
        # By a session of its own: it need not wait for the commit that has begun meanwhile, and the row itself tells
        # one over fewer leaves. In one statement: whoever takes the place of a process that stands still finds no
        # transaction of its that holds the row.
        if self._notes is None:
            raise _reading_only()
        if (await self._notes.put(sql.PUT_CHECKPOINT, note, size)).split()[-1] != "1":
            raise Refused("HEAD_MOVED", "head", HEAD_MOVED)

    async def some_member(self) -> StateRow | None:
        row = await self._one(sql.SOME_MEMBER)
        return None if row is None else StateRow(*row)

    async def hold(self) -> None:
        await self._writing.hold()

    async def check_durable(self) -> None:
        await self._writing.check_durable()

    async def envelope(self, place: bytes, slot: Slot) -> bytes | None:
        row = await self._one(sql.ENVELOPE, place, int(slot))
        return None if row is None else row[0]

    async def index(self, hmacs: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._pairs(sql.INDEX, hmacs)

    async def claim(self, rows: Sequence[IndexRow]) -> dict[bytes, bytes]:
        async def write(session: Any) -> None:
            await self._insert(session, sql.CLAIM_INDEX, index_values(rows))

        await self._writing.transact(write)
        return await self.index([row.hmac for row in rows])

    async def page(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a copy that is being made (`ledger.store.copying`)."""
        return [tuple(row) for row in await self._reads.fetch(text, *values)]

    async def keep(self) -> None:
        if self._writer is not None:  # a snapshot stays as it is
            await self._writer.keep()

    async def fill(self, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of a copy, that must be new, in one commit."""
        await self._writing.transact(lambda session: self._copy(session, insert, rows))

    async def close(self) -> None:
        self._checker.shutdown(wait=False)
        await self._entry.close()
        await self._bucket.close()
        await self._tile.close()
        await self._reads.close()
        for session in (self._notes, self._writer):
            if session is not None:
                await session.close()

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise _reading_only()
        return self._writer

    async def _one(self, text: str, *values: Any) -> Any:
        rows = await self._reads.fetch(text, *values)
        return rows[0] if rows else None

    async def _each(self, text: str, keys: Iterable[bytes]) -> Sequence[Any]:
        """The rows of every key, each once, in no particular order."""
        return await self._reads.fetch(text, list(dict.fromkeys(keys)))

    async def _pairs(self, text: str, keys: Iterable[bytes]) -> dict[bytes, Any]:
        return {row[0]: row[1] for row in await self._each(text, keys)}

    async def _ranges(
        self, text: str, ranges: Sequence[tuple[bytes, bytes]], *values: Any
    ) -> list[list[tuple[bytes, bytes]]]:
        """One question for all of them: each answer from the server costs more than the rows of a bucket."""
        lows, highs = [low for low, _ in ranges], [high for _, high in ranges]
        found: list[list[tuple[bytes, bytes]]] = [[] for _ in ranges]
        for place, key, value in await self._reads.fetch(each_range(text), lows, highs, *values):
            found[place - 1].append((key, value))
        return found

    async def _entries_at(self, indexes: Sequence[int]) -> dict[int, list[bytes]]:
        """For each the entry there, or none."""
        found: dict[int, list[bytes]] = {index: [] for index in indexes}
        for index, body in await self._reads.fetch(sql.EACH_ENTRY, indexes):
            found[index].append(body)
        return found

    async def _tiles_at(self, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes | None]:
        """For each the tile there, or None. Those that are asked for together are nearly always of one level."""
        found: dict[tuple[int, int], bytes | None] = dict.fromkeys(places)
        for level in {level for level, _ in places}:
            indexes = [index for at, index in places if at == level]
            found |= {(level, index): body for index, body in await self._reads.fetch(sql.EACH_TILE, level, indexes)}
        return found

    async def _buckets_of(self, asked: Sequence[_BucketOf]) -> dict[_BucketOf, list[_BucketRow]]:
        """For each the rows of `sql.BUCKET`."""
        found: dict[_BucketOf, list[_BucketRow]] = {bucket: [] for bucket in asked}
        lows, highs, keys = zip(*asked, strict=True)
        for place, *row in await self._reads.fetch(each_bucket(sql.BUCKET), lows, highs, keys):
            found[asked[place - 1]].append((row[0], row[1], row[2], row[3]))
        return found

    async def _copy(self, session: Any, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows that must be new."""
        if rows:
            table, columns = sql.target(insert)
            await session.copy_records_to_table(table, records=rows, columns=columns, schema_name=self._place.schema)

    async def _put(self, session: Any, upsert: str, rows: Mapping[Any, Sequence[Any]]) -> None:
        """Rows that take the place of what is there, by their keys: a key may come once in one statement."""
        await self._insert(session, upsert, list(rows.values()))

    async def _insert(self, session: Any, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        for at in range(0, len(rows), _AT_ONCE):
            columns = zip(*rows[at : at + _AT_ONCE], strict=True)
            await session.execute(many(insert), *(list(column) for column in columns))


def _reading_only() -> Unavailable:
    return Unavailable(Text("存储：以只读方式打开", "store: opened for reading only"))


async def open_postgres(
    place: Place, *, private: bool, read_only: bool = False, deadlines: Deadlines | None = None
) -> PostgresStore:
    """Open an existing store. Raises Unavailable when it is missing; Refused on schema drift, a second writer, a server
    that loses commits and, with `private`, a role that could change or delete entries.

    `read_only` opens a snapshot beside a running writer: nothing can be written, and later batches are not seen.
    """
    deadlines = deadlines or Deadlines()
    reading = replace(deadlines, command=deadlines.read)
    reads = await Snapshot.open(place, reading) if read_only else ReadPool(place, reading)
    writer = None if read_only else Writer(place, deadlines)
    notes = None if read_only else Session(place, deadlines)
    store = PostgresStore(place, reads, writer, notes, private=private)
    try:
        await check_schema(reads.fetch, place, private=private)
        if writer is not None:
            if private:
                await check_role(reads.fetch, place.schema)
            await writer.open()
            await check_schema(reads.fetch, place, private=private)  # once more: a migration may have had the lock
    except BaseException:
        await store.close()
        raise
    return store


async def open_reader(place: Place) -> PostgresStore:
    """The committed rows of a ledger's store as they are at each read, beside whoever writes; nothing can be written.
    Its role needs no more than to read. Raises Unavailable when it is missing, Refused on schema drift."""
    deadlines = Deadlines(command=_READ_S)
    store = PostgresStore(place, reads := ReadPool(place, deadlines), None, None, private=True)
    try:
        await check_schema(reads.fetch, place, private=True)
    except BaseException:
        await store.close()
        raise
    return store

"""Many rows at once of a SQLite store: what one batch writes, in the transaction that is open, and what is read for
one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from ledger.errors import Damaged, Refused
from ledger.store import sql
from ledger.store.map_rows import pack_change
from ledger.store.protocol import HEAD_MOVED, ROW_THERE, StoredBatch, index_values
from ledger.store.sqlite_text import any_of, in_one_row, numbered, rows_in, rows_of
from ledger.text import Text

Insert = Callable[[str, Sequence[Sequence[Any]]], None]


def write_batch(
    writer: sqlite3.Connection,
    insert: Insert,
    batch: StoredBatch,
    check: Callable[[Sequence[bytes]], None],
    *,
    private: bool,
) -> None:
    """All rows of `batch` by `insert`, with the head before them; then `check` gets the entries as the store gives them
    back. `private`: with what only the ledger keeps.

    Raises Refused("HEAD_MOVED") when the batch is not the next one, Damaged or sqlite3.IntegrityError when a row is
    there already, and what `check` raises: whoever opened the transaction rolls it back then.
    """
    head = batch.head
    fields = (head.size, head.root, head.chain, head.seal, head.time, head.map_root, head.map_count)
    if batch.before is None:
        swapped = writer.execute(numbered(sql.FIRST_HEAD), fields)
    else:
        swapped = writer.execute(numbered(sql.SWAP_HEAD), (*fields, batch.before.size, batch.before.root))
    if swapped.rowcount != 1:
        raise Refused("HEAD_MOVED", "head", HEAD_MOVED)
    insert(sql.PUT_ENTRY, [(e.index, e.body, e.chain, e.kind, e.known_as) for e in batch.entries])
    insert(sql.PUT_TILE, batch.tiles)
    _write_states(writer, insert, batch)
    insert(sql.PUT_CHANGE, [(head.seal, pack_change(batch.buckets))])
    insert(sql.PUT_CHUNK, batch.chunks)
    if batch.chunks and batch.floor >= 0:
        writer.execute(numbered(sql.SWEEP_CHANGES), (batch.floor,))
    insert(sql.PUT_NAMED, batch.named)
    insert(sql.PUT_SIGNED, [(n, s.index, int(s.kind), s.cert_key, s.kid, s.day) for n, s in batch.signed])
    insert(sql.PUT_EVENT, batch.events)
    if private:
        rows = batch.private
        insert(sql.PUT_INDEX, index_values(rows.index))
        insert(sql.RENEW_INDEX, index_values(rows.renewed))
        insert(sql.PUT_ENVELOPE, [(row.place, int(row.slot), row.body) for row in rows.envelopes])
    start = batch.before.size if batch.before else 0
    entries = all_rows(writer, numbered(sql.ENTRIES_AT), (start, head.size))
    check([body for _, body in sorted(entries)])


def _write_states(writer: sqlite3.Connection, insert: Insert, batch: StoredBatch) -> None:
    """The index by map key has the values too, and so tells only that no key has the same value twice (step 0011): that
    each has one row is looked for here, in pages that were just written."""
    fresh, later = batch.state_values()
    replaced = [values[0] for values in later]
    for text in (sql.KEEP_STATE, sql.CLEAR_STATE):
        for statement in any_of(text, replaced):
            writer.execute(*statement)
    states = [*later, *fresh]
    insert(sql.NEW_STATE, states)
    keys = [values[0] for values in states]
    there = sum(writer.execute(*statement).fetchone()[0] for statement in any_of(sql.COUNT_STATES, keys))
    if there != len(keys) or there != len(set(keys)):
        raise Damaged(ROW_THERE)


def all_rows(connection: sqlite3.Connection, select: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a SELECT of blobs and numbers, in no particular order, without waiting for the interpreter lock at
    each. Raises Damaged where a number is none."""
    text, numbers = in_one_row(select)
    (found,) = connection.execute(text, values).fetchone()
    try:
        return rows_in(found, numbers)
    except ValueError as error:
        raise Damaged(
            Text("存储：有一行的值类型不符，请运行 fsck", "store: a row with a value of another type; run fsck")
        ) from error


def insert_rows(writer: sqlite3.Connection, text: str, rows: Sequence[Sequence[Any]]) -> None:
    """These rows by the INSERT of one row, many in one statement."""
    for statement in rows_of(text, rows):
        writer.execute(*statement)

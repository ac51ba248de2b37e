"""A ledger's store copied into an empty one of either kind: row by row, in the order of the keys, in bounded memory.

    1 mark       the target remembers the head that it becomes a copy of; another one is refused from then on
    2 rows       each table in pages, one commit a page, from behind the last row that the target holds already
    3 count      every table has as many rows as the source: what was claimed in the private index meanwhile shows here
    4 head       last. Until then the target has no head, and nothing serves it

A crash anywhere leaves a target without a head; the same copy, made again from the same head, goes on in it. That the
rows are right is for fsck to say, afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from ledger.errors import Refused, Unavailable
from ledger.store import sql
from ledger.store.protocol import PrivateStore, StoredHead
from ledger.text import Text

_PAGE: Final = 2048  # rows; an entry is at most 8 KiB
_MARK: Final = "copy_of"
# What is inserted, and how many of its first columns are the key.
_TABLES: Final = (
    (sql.PUT_ENTRY, 1),
    (sql.PUT_TILE, 2),
    (sql.PUT_STATE, 1),
    (sql.PUT_HISTORY, 2),
    (sql.PUT_BUCKET, 1),
    (sql.PUT_NAMED, 2),
    (sql.PUT_SIGNED, 2),
    (sql.PUT_EVENT, 2),
    (sql.PUT_ENVELOPE, 2),
    (sql.PUT_INDEX, 1),
)
_NOT_EMPTY: Final = Text("目标存储已有内容", "The target holds a log already")
_CHANGED: Final = Text(
    "复制期间源存储有变化；请清空目标后重新复制",
    "The source changed while it was copied: begin again with an empty target",
)


class Copyable(PrivateStore, Protocol):
    """A store that gives and takes whole rows."""

    async def page(self, text: str, *values: Any) -> list[tuple[Any, ...]]: ...
    async def fill(self, insert: str, rows: Sequence[Sequence[Any]]) -> None: ...


async def copy_store(
    source: Copyable, target: Copyable, progress: Callable[[int, int], None] = lambda done, total: None
) -> StoredHead:
    """Copy all of a ledger's store; the head that both then have. `progress` gets (done, total) rows.

    Nothing else may write to either: `source` is a snapshot, or held by its lock. Raises Refused("NOT_EMPTY") when the
    target has a head, Refused("META_FIXED") when it was begun from another one, Refused("COPY_CHANGED") after 3.
    """
    head = await source.head()
    if head is None:
        raise Unavailable("the source has no head: it was never initialised")
    if await target.head() is not None:
        raise Refused("NOT_EMPTY", "target", _NOT_EMPTY)
    await target.put_meta({_MARK: head.size.to_bytes(8, "big") + head.root})  # 1
    await target.put_meta(dict(await source.page("SELECT name, value FROM meta WHERE name <> $1", _MARK)))
    counts = [await _count(source, insert) for insert, _ in _TABLES]
    done, total = 0, sum(counts)
    for insert, width in _TABLES:  # 2
        done = await _copy_table(source, target, insert, width, done, lambda at: progress(at, total))
    if [await _count(target, insert) for insert, _ in _TABLES] != counts:  # 3
        raise Refused("COPY_CHANGED", "source", _CHANGED)
    note = await source.checkpoint()
    if note is not None:
        await target.put_checkpoint(note)
    row = (1, head.size, head.root, head.chain, head.seal, head.time, head.map_root, head.map_count)
    await target.fill(sql.PUT_HEAD, [row])  # 4
    return head


async def _copy_table(
    source: Copyable, target: Copyable, insert: str, width: int, done: int, progress: Callable[[int], None]
) -> int:
    table, columns = sql.target(insert)
    at = await _last(target, table, columns[:width])
    if at:
        done += await _count(target, insert)
    while rows := await source.page(_page(table, columns, width, behind=bool(at)), *at):
        await target.fill(insert, rows)
        at = rows[-1][:width]
        done += len(rows)
        progress(done)
    return done


async def _last(store: Copyable, table: str, keys: Sequence[str]) -> tuple[Any, ...]:
    """The greatest key of a table, or ()."""
    falling = ", ".join(f"{name} DESC" for name in keys)
    rows = await store.page(f"SELECT {', '.join(keys)} FROM {table} ORDER BY {falling} LIMIT 1")  # noqa: S608
    return rows[0] if rows else ()


def _page(table: str, columns: Sequence[str], width: int, *, behind: bool) -> str:
    keys = ", ".join(columns[:width])
    places = ", ".join(f"${at}" for at in range(1, width + 1))
    where = f" WHERE ({keys}) > ({places})" if behind else ""
    return f"SELECT {', '.join(columns)} FROM {table}{where} ORDER BY {keys} LIMIT {_PAGE}"  # noqa: S608


async def _count(store: Copyable, insert: str) -> int:
    ((count,),) = await store.page(f"SELECT count(*) FROM {sql.target(insert)[0]}")  # noqa: S608
    return int(count)

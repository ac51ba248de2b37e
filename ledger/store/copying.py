"""A ledger's store copied into an empty one of either kind: row by row, in the order of the keys, in bounded memory.

    1 mark       the target remembers the head that it becomes a copy of; another one is refused from then on. A crash
                 before it leaves an empty store, behind it one that everybody refuses by its mark (`check_whole`)
    2 rows       each table in pages, one commit a page, from behind the last row that the target holds already. A crash
                 leaves whole pages, which are not copied again
    3 count      every table has as many rows as the source, and the private rows have the same keys: what was claimed
                 or erased meanwhile changes no head, and shows here
    4 proof      fsck over the copied rows, against the head that they become a copy of. A crash, or a row that is
                 wrong, leaves all rows and no head; the same copy again comes straight to this proof
    5 kept       all the while nobody could erase from the source (`keep`); should its connection have been lost
                 meanwhile, somebody could: the private rows have the same keys still, compared once more now that
                 nobody can again. The proof takes hours, and finds nothing wrong with a row too many
    6 head       last, in one commit. A crash before it is one of 4; behind it the copy is whole, proven, and the same
                 copy again is refused as NOT_EMPTY

Until 6 the target has no head, and nothing serves it: what is served is proven. Nobody erases from it either
(`check_whole`): what is not there yet would still come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, cast

from ledger.errors import Refused, Unavailable
from ledger.store import sql
from ledger.store.protocol import PrivateStore, Store, StoredHead
from ledger.text import Text
from ledger.tlog.checkpoint import parse_checkpoint
from ledger.tlog.note import parse_note

_PAGE: Final = 2048  # rows; an entry is at most 8 KiB
_MARK: Final = "copy_of"
# What is inserted, and how many of its first columns are the key.
_TABLES: Final = (
    (sql.PUT_ENTRY, 1),
    (sql.PUT_TILE, 2),
    (sql.NEW_STATE, 1),
    (sql.PUT_HISTORY, 2),
    (sql.PUT_CHUNK, 1),
    (sql.PUT_CHANGE, 1),
    (sql.PUT_NAMED, 2),
    (sql.PUT_SIGNED, 2),
    (sql.PUT_EVENT, 2),
    (sql.PUT_ENVELOPE, 2),
    (sql.PUT_INDEX, 1),
)
_PRIVATE: Final = _TABLES[-2:]
_NOT_EMPTY: Final = Text("目标存储已有内容", "The target holds a log already")
_CHANGED: Final = Text(
    "复制期间源存储有变化；请清空目标后重新复制",
    "The source changed while it was copied: begin again with an empty target",
)
_UNPROVEN: Final = Text(
    "副本未完成或未通过检查，不能使用：请用同一命令（restore 或 migrate-store）继续；检查不通过的请清空，换完好的来源",
    "A copy that is not finished, or did not pass its check, is not used: run the same restore or migrate-store again; "
    "where the check fails, empty it and copy from a sound source",
)
_DAMAGED: Final = Text(
    "复制的内容未通过检查，副本没有启用，也不会被使用：请清空目标，换用完好的来源",
    "What was copied did not pass its check. The copy has no head and nothing serves it: empty the target and copy "
    "from a sound source",
)


class Copyable(PrivateStore, Protocol):
    """A store that gives and takes whole rows. From `keep` until it is closed nobody erases from it."""

    async def keep(self) -> None: ...
    async def page(self, text: str, *values: Any) -> list[tuple[Any, ...]]: ...
    async def fill(self, insert: str, rows: Sequence[Sequence[Any]]) -> None: ...


class DamagedCopy(Refused):
    """What was copied is not a sound log. `problems` is all that fsck found."""

    def __init__(self, problems: Sequence[Text]) -> None:
        super().__init__("COPY_DAMAGED", "target", _DAMAGED)
        self.problems = tuple(problems)


class _Headed:
    """A copy as it will be with its head and checkpoint, for the proof that decides whether it gets them."""

    def __init__(self, copy: Copyable, head: StoredHead, note: bytes | None, note_size: int | None) -> None:
        self._copy, self._head, self._note, self._note_size = copy, head, note, note_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._copy, name)

    async def head(self) -> StoredHead:
        return self._head

    async def checkpoint(self) -> bytes | None:
        return self._note

    async def checkpoint_size(self) -> int | None:
        return self._note_size


async def check_whole(store: Store) -> None:
    """Raise Refused("UNPROVEN_COPY") for a store that a copy was begun in and not ended: whoever serves, checks,
    copies or erases from a log asks this first."""
    if await store.head() is None and await store.meta(_MARK) is not None:
        raise Refused("UNPROVEN_COPY", "store", _UNPROVEN)


async def copy_store(
    source: Copyable,
    target: Copyable,
    prove: Callable[[Copyable], Awaitable[list[Text]]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoredHead:
    """Copy all of a ledger's store; the head that both then have. `prove` says what is wrong with a store. `progress`
    gets (done, total) rows: those that are copied, and those whose keys are compared.

    Nothing else may write to either: `source` is a snapshot, or held by its lock. Raises Refused("NOT_EMPTY") when the
    target has a head, Refused("META_FIXED") when it was begun from another one, Refused("COPY_CHANGED") after 3 and 5,
    Refused("STORE_IN_USE") while somebody is being erased from the source, DamagedCopy after 4,
    Refused("UNPROVEN_COPY") when the source is a copy that was not ended.
    """
    await check_whole(source)
    head = await source.head()
    if head is None:
        raise Unavailable(Text("来源存储没有树头：从未初始化", "the source has no head: it was never initialised"))
    if await target.head() is not None:
        raise Refused("NOT_EMPTY", "target", _NOT_EMPTY)
    await source.keep()
    await target.put_meta({_MARK: head.size.to_bytes(8, "big") + head.root})  # 1
    await target.put_meta(dict(await source.page("SELECT name, value FROM meta WHERE name <> $1", _MARK)))
    counts = [await _count(source, insert) for insert, _ in _TABLES]
    done, total = 0, sum(counts) + sum(counts[-len(_PRIVATE) :])
    for insert, width in _TABLES:  # 2
        done = await _copy_table(source, target, insert, width, done, lambda at: progress(at, total))
    if [await _count(target, insert) for insert, _ in _TABLES] != counts:  # 3
        raise Refused("COPY_CHANGED", "source", _CHANGED)
    for insert, width in _PRIVATE:
        async for keys in _keys_of_both(source, target, insert, width):
            done += keys
            progress(done, total)
    note, note_size = await source.checkpoint(), await source.checkpoint_size()
    if problems := await prove(cast(Copyable, _Headed(target, head, note, note_size))):  # 4
        raise DamagedCopy(problems)
    await source.keep()  # 5
    for insert, width in _PRIVATE:
        async for _ in _keys_of_both(source, target, insert, width):
            pass
    if note is not None:  # one from before step 0010 has no size beside it
        known = parse_checkpoint(parse_note(note).text).size if note_size is None else note_size
        await target.put_checkpoint(note, known)
    row = (1, head.size, head.root, head.chain, head.seal, head.time, head.map_root, head.map_count)
    await target.fill(sql.PUT_HEAD, [row])  # 6
    return head


async def _keys_of_both(source: Copyable, target: Copyable, insert: str, width: int) -> AsyncIterator[int]:
    """How many keys of a table were compared, page by page. Raises Refused("COPY_CHANGED") where they differ."""
    table, columns = sql.target(insert)
    at: tuple[Any, ...] = ()
    while True:
        text = _page(table, columns[:width], width, behind=bool(at))
        keys = await source.page(text, *at)
        if keys != await target.page(text, *at):
            raise Refused("COPY_CHANGED", "source", _CHANGED)
        if not keys:
            return
        yield len(keys)
        at = keys[-1]


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

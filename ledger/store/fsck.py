"""The operator's check of a store: every entry again, every row against what the entries say.

The log is replayed from its bytes into a scratch store through the same fold; then chain, tiles, state rows with their
older versions and bucket roots, and what later statements find again by filing, certificate or name, are compared with
what the replay gave. Returns the list of everything wrong; empty means sound.

What only keeps the check from being made (a disk without room for the scratch store, a database that went away) is no
problem of the store, and raised; a database that says itself that its pages are damaged is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from hashlib import sha256

import msgspec

from ledger.errors import CertLedgerError, Damaged, Malformed, Unavailable, Unverified
from ledger.records.kinds import Kind
from ledger.records.seal import is_seal
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.map_rows import read_roots
from ledger.store.protocol import EntryRow, Store, VersionedStore
from ledger.store.replay import replay_stretch
from ledger.store.track_places import TRACK_PLACES
from ledger.text import Text
from ledger.tlog.checkpoint_text import parse_checkpoint
from ledger.tlog.note import parse_note
from ledger.tlog.tiles import tiles_for_size

_READ = 1024  # entries a read
_LIMIT = 100  # problems reported
_DAMAGED = ("XX001", "XX002")


async def fsck(
    store: VersionedStore,
    scratch: VersionedStore,
    workers: Executor,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Text]:
    """Check `store`; `scratch` is an empty store of the same kind. `progress` gets (done, total) entries. Raises
    Unavailable when the check cannot be made to its end."""
    problems: list[Text] = []
    try:
        await _check(store, scratch, workers, progress, problems)
    except Unavailable as error:
        if (damage := damage_of(error)) is None:
            raise
        problems.append(damage)
    return problems[:_LIMIT]


def damage_of(error: Unavailable) -> Text | None:
    """What is wrong with a store, where its own database refused to read it as damaged: SQLite's CORRUPT,
    PostgreSQL's data_corrupted and index_corrupted. None for anything else that keeps a store from answering."""
    cause = error.__cause__
    sqlite, postgres = getattr(cause, "sqlite_errorname", None), getattr(cause, "sqlstate", None)
    damaged = postgres in _DAMAGED or str(sqlite).startswith("SQLITE_CORRUPT")
    return Text(f"数据库已损坏：{error.what.zh}", f"the database is damaged: {error}") if damaged else None


@contextmanager
def _in_scratch() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        raise Unavailable(
            Text(
                f"检查用的临时存储（位置由 TMPDIR 决定）：{error.what.zh}",
                f"the scratch store of the check (TMPDIR says where): {error.what.en}",
            )
        ) from error


def _problem(error: CertLedgerError) -> Text:
    """What a store's rows do not say, for the list; raised on where it is the world that did not answer: that has a
    cause outside of us."""
    if isinstance(error, Unavailable):
        if error.__cause__ is not None:
            raise error
        return error.what
    if isinstance(error, Malformed | Unverified) and error.text is not None:
        return error.text
    return Text(f"重放不成立：{error}", str(error))


async def _check(
    store: VersionedStore,
    scratch: VersionedStore,
    workers: Executor,
    progress: Callable[[int, int], None],
    problems: list[Text],
) -> None:
    head = await store.head()
    if head is None:
        problems.append(Text("存储没有树头：从未初始化", "the store has no head: it was never initialised"))
        return
    fixed = {name: value for name in ("map_depth", TRACK_PLACES) if (value := await store.meta(name)) is not None}
    if fixed:
        with _in_scratch():
            await scratch.put_meta(fixed)
    try:
        replayed = await Integrator.open(scratch)
    except (Damaged, Malformed) as error:  # nothing is in it but what was fixed with the log
        problems.append(_problem(error))
        return
    pending: list[bytes] = []
    unchecked: list[EntryRow] = []  # read, but after the last seal that the replay has reached
    for start in range(0, head.size, _READ):
        rows = await store.rows(start, min(start + _READ, head.size))
        if [row.index for row in rows] != list(range(start, min(start + _READ, head.size))):
            problems.append(Text(f"第 {start + len(rows)} 条：缺失", f"entry {start + len(rows)}: missing"))
            return
        for row in rows:
            pending.append(row.body)
            unchecked.append(row)
            if is_seal(row.body):
                try:
                    with _in_scratch():
                        await replayed.commit(await replay_stretch(replayed, pending, workers))
                except CertLedgerError as error:
                    problems.append(_problem(error))
                    return
                pending = []
        problems += await _check_chain(scratch, [row for row in unchecked if row.index < replayed.size])
        unchecked = [row for row in unchecked if row.index >= replayed.size]
        progress(rows[-1].index + 1, head.size)
        if len(problems) > _LIMIT:
            return
    if pending:
        problems.append(
            Text(
                f"第 {head.size - 1} 条：日志没有以封印结束", f"entry {head.size - 1}: the log does not end with a seal"
            )
        )
    if replayed.head != head:
        problems.append(Text("树头：与条目的重放不同", "head: differs from the replay of the entries"))
    for row in await store.rows(head.size, head.size + _READ):  # no batch could be committed over it
        problems.append(Text(f"第 {row.index} 条：在树头之后", f"entry {row.index}: behind the head"))
    problems += await _check_checkpoint(store, scratch, head.size)
    problems += await _check_tiles(store, scratch, head.size)
    problems += await _check_states(store, scratch)
    problems += await _check_roots(store, scratch, replayed, head.seal)
    problems += await _check_versions(store, scratch)
    try:
        problems += await _check_signed(store, scratch)
    except CertLedgerError as error:
        problems.append(_problem(error))
    problems += await _check_events(store, scratch)
    for kind in (Kind.FILING, Kind.LATE_PERMIT, Kind.CATALOGUE, Kind.LADDER, Kind.PACK):
        if await store.named(int(kind)) != await scratch.named(int(kind)):
            problems.append(
                Text(
                    f"{kind.name.lower()} 语句的名称：与重放不同",
                    f"names of {kind.name.lower()} statements: differ from the replay",
                )
            )
    try:
        await Integrator.open(store)
    except CertLedgerError as error:
        problems.append(_problem(error))


async def _check_chain(scratch: Store, rows: list[EntryRow]) -> list[Text]:
    """Chain, kind and name of rows that the replay has committed."""
    if not rows:
        return []
    wanted = await scratch.rows(rows[0].index, rows[-1].index + 1)
    return [
        Text(f"第 {row.index} 条：该行与重放不同", f"entry {row.index}: row differs from the replay")
        for row, again in zip(rows, wanted, strict=True)
        if row != again and not _is_older(row, again)
    ]


def _is_older(row: EntryRow, again: EntryRow) -> bool:
    """Whether a row is what it was before migration 0007: every entry was then known as its identity."""
    older = len(again.known_as) == 8 and row.known_as == sha256(row.body).digest()
    return older and row == msgspec.structs.replace(again, known_as=row.known_as)


async def _check_checkpoint(store: Store, scratch: Store, size: int) -> list[Text]:
    """The kept checkpoint is of the log's tree, or the log does not start. Whose signatures it has is not asked."""
    note = await store.checkpoint()
    if note is None:
        return []
    try:
        kept = parse_checkpoint(parse_note(note).text)
    except Malformed:
        return [Text("检查点：无法读取", "checkpoint: cannot be read")]
    if not 0 < kept.size <= size or await Hashes(scratch).root(kept.size) != kept.root:
        return [
            Text(
                f"检查点：共 {kept.size} 条，不是本日志的树",
                f"checkpoint: of {kept.size} leaves, and not of this log's tree",
            )
        ]
    if (said := await store.checkpoint_size()) not in (None, kept.size):  # no newer one could take its place
        return [
            Text(
                f"检查点：共 {kept.size} 条，而其行写的是 {said}",
                f"checkpoint: of {kept.size} leaves, and its row says {said}",
            )
        ]
    return []


async def _check_tiles(store: Store, scratch: Store, size: int) -> list[Text]:
    problems = []
    for tile in tiles_for_size(size):
        if await store.tile(tile.level, tile.index) != await scratch.tile(tile.level, tile.index):
            problems.append(
                Text(
                    f"第 {tile.level} 层第 {tile.index} 个树块：与条目不符",
                    f"tile level {tile.level} index {tile.index}: differs from the entries",
                )
            )
    return problems


async def _check_signed(store: Store, scratch: Store) -> list[Text]:
    """By these rows a range, a filing's or a key's event finds the certificates that it concerns."""
    at = ("", -1)
    while True:
        wanted, found = await scratch.signed_after(*at, _READ), await store.signed_after(*at, _READ)
        if wanted != found:
            return [Text("签署行：与重放不同", "signed rows: differ from the replay")]
        if not wanted:
            return []
        number, row = wanted[-1]
        at = (number, row.index)


async def _check_events(store: Store, scratch: Store) -> list[Text]:
    """By these rows a compromise finds the corrections of a certificate."""
    at = (b"", -1)
    while True:
        wanted, found = await scratch.events_after(*at, _READ), await store.events_after(*at, _READ)
        if wanted != found:
            return [Text("证书的更正行：与重放不同", "events of certificates: differ from the replay")]
        if not wanted:
            return []
        at = wanted[-1]


async def _check_versions(store: VersionedStore, scratch: VersionedStore) -> list[Text]:
    """From these rows proofs of what held before are made: since when the newest holds, and every older one."""
    changed = (-1, b"")
    while True:
        pieces = await scratch.changed_since(*changed, _READ), await store.changed_since(*changed, _READ)
        if pieces[0] != pieces[1]:
            return [
                Text("状态表：状态的起始时间与重放不同", "state map: since when a state holds differs from the replay")
            ]
        if not pieces[0]:
            break
        changed = pieces[0][-1]
    at = (b"", -1)
    while True:
        wanted, found = await scratch.history_after(*at, _READ), await store.history_after(*at, _READ)
        if wanted != found:
            return [Text("状态的旧版本：与重放不同", "older versions of states: differ from the replay")]
        if not wanted:
            return []
        key, version = wanted[-1]
        at = (key, version.since)


async def _check_states(store: Store, scratch: Store) -> list[Text]:
    """The map's leaves a 256th of the key space at a time, so that a large map is never in memory as a whole."""
    problems: list[Text] = []
    for first in range(256):
        piece = (bytes([first]) + bytes(31), bytes([first]) + b"\xff" * 31)
        ours, theirs = await scratch.leaves([piece]), await store.leaves([piece])
        if ours != theirs:
            return [*problems, Text("状态表：键或值与重放不同", "state map: keys or values differ from the replay")]
        for start in range(0, len(ours[0]), _READ):
            keys = [key for key, _ in ours[0][start : start + _READ]]
            wanted = await scratch.states(keys)
            if await store.states(keys) != wanted:
                problems.append(
                    Text("状态表：所存的一个状态与重放不同", "state map: a stored state differs from the replay")
                )
            # By another index, and in SQLite with the row's own value where the others have that of theirs.
            in_tracks = {key: row for key, row in wanted.items() if row.track}
            members = await store.tracks(list({row.track for row in in_tracks.values()}))
            found = {row.map_key: row for row in members}
            if any(found.get(key) != row for key, row in in_tracks.items()):
                problems.append(
                    Text(
                        "状态表：有一状态在其轨迹中查不到与重放相同的结果",
                        "state map: a state is not found in its track as the replay has it",
                    )
                )
    return problems


async def _check_roots(store: Store, scratch: Store, replayed: Integrator, seal: int) -> list[Text]:
    """What a start would read, and not row by row: each store writes its chunks in a turn of its own."""
    wanted = await read_roots(scratch, replayed.depth, replayed.size - 1)
    try:
        found = await read_roots(store, replayed.depth, seal)
    except Damaged as error:
        return [Text(f"状态表各桶：{error.of('zh')}", f"map buckets: {error}")]
    return (
        [] if found.roots == wanted.roots else [Text("状态表各桶：与重放不同", "map buckets: differ from the replay")]
    )

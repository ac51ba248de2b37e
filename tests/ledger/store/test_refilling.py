"""A store that is older than what was signed gets the rest from a copy, and nothing that the log did not sign."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable, Unverified
from ledger.store.fsck import fsck
from ledger.store.protocol import StoredHead
from ledger.store.refilling import refill
from ledger.store.replay import BadEntry
from ledger.store.sqlite import SqliteStore, create_sqlite
from ledger.store.track_places import TRACK_PLACES, new_places
from tests.support.build_log import ORIGIN, LogBuilder
from tests.support.fault_store import flip

KEPT = new_places(os.urandom)


@pytest.fixture(scope="module")
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
async def copy(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    """A log that went on, as somebody's copy holds it: signed up to its third batch of four. Its owner has put a key
    into it that copies do not have."""
    made = await grown(tmp_path / "copy.db", 2)
    await made.store.put_meta({TRACK_PLACES: new_places(bytes)})
    await made.store.put_checkpoint(made.checkpoint(), made.integrator.size)
    await made.issue(made.certificate("not signed yet"))
    yield made
    await made.store.close()


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """The log's own store, as it was after its first two batches; with a private index."""
    store = create_sqlite(tmp_path / "old.db", private=True)
    await store.put_meta({TRACK_PLACES: KEPT})
    made = await LogBuilder.create(tmp_path, store=store)
    await made.issue(made.certificate("0"))
    yield store
    await store.close()


async def grown(path: Path, batches: int, *labels: str) -> LogBuilder:
    made = await LogBuilder.create(path)
    for label in labels or map(str, range(batches)):
        await made.issue(made.certificate(label))
    return made


def keys(log: LogBuilder) -> list[tuple[object, ...]]:
    return [LogBuilder(log.store, log.integrator, pair="later").signer.vkeys, log.signer.vkeys]


async def fill(store: SqliteStore, copy: LogBuilder, workers: ThreadPoolExecutor, origin: str = ORIGIN) -> StoredHead:
    return await refill(store, copy.store, origin, keys(copy), workers)  # type: ignore[arg-type]


async def test_it_ends_at_what_was_signed(
    copy: LogBuilder, old: SqliteStore, workers: ThreadPoolExecutor, tmp_path: Path
) -> None:
    before, said = await old.head(), list[tuple[int, int]]()
    assert before is not None
    head = await refill(
        old,
        copy.store,
        ORIGIN,
        keys(copy),
        workers,
        lambda done, total: said.append((done, total)),  # type: ignore[arg-type]
    )
    assert head == await old.head() and before.size < head.size < copy.integrator.size
    assert said == [(head.size, head.size)]
    assert await old.rows(0, head.size) == await copy.store.rows(0, head.size)
    assert await old.meta(TRACK_PLACES) == KEPT
    scratch = create_sqlite(tmp_path / "scratch.db", private=True)
    assert await fsck(old, scratch, workers) == []
    await scratch.close()
    with pytest.raises(Refused, match="REFILL_OLDER"):
        await fill(old, copy, workers)


async def test_an_empty_store_gets_everything(copy: LogBuilder, workers: ThreadPoolExecutor, tmp_path: Path) -> None:
    store = create_sqlite(tmp_path / "new.db", private=True)
    head = await fill(store, copy, workers)
    assert await store.rows(0, head.size) == await copy.store.rows(0, head.size)
    assert await store.meta("origin") == ORIGIN.encode()
    assert await store.meta("map_depth") == await copy.store.meta("map_depth") is not None
    assert await store.meta(TRACK_PLACES) is None, "whoever gave it could read when each track was drawn"
    scratch = create_sqlite(tmp_path / "scratch.db", private=True)
    assert await fsck(store, scratch, workers) == []
    await scratch.close()
    await store.close()


async def test_another_tree_is_never_mixed_in(old: SqliteStore, workers: ThreadPoolExecutor, tmp_path: Path) -> None:
    other, before = await grown(tmp_path / "other.db", 0, "x", "y"), await old.head()
    await other.store.put_checkpoint(other.checkpoint(), other.integrator.size)
    with pytest.raises(Refused, match="REFILL_OTHER"):
        await fill(old, other, workers)
    assert await old.head() == before
    await other.store.close()


async def test_what_the_log_did_not_sign_is_not_taken_in(
    copy: LogBuilder, old: SqliteStore, workers: ThreadPoolExecutor, tmp_path: Path
) -> None:
    before, note = await old.head(), await copy.store.checkpoint()
    assert note is not None
    unsigned = await grown(tmp_path / "unsigned.db", 3)
    with pytest.raises(Unavailable):
        await fill(old, unsigned, workers)
    stranger = LogBuilder(unsigned.store, unsigned.integrator, pair="a stranger's")
    await unsigned.store.put_checkpoint(stranger.checkpoint(), stranger.integrator.size)
    with pytest.raises(Unverified):
        await fill(old, unsigned, workers)
    with pytest.raises(Unverified):
        await fill(old, copy, workers, origin="log.example/another")
    short = await grown(tmp_path / "short.db", 0, "0", "another")
    await short.store.put_checkpoint(note, 1)  # the log signed it, but not over these entries
    with pytest.raises(Unverified, match="another tree"):
        await fill(old, short, workers)
    assert await old.head() == before
    await unsigned.store.close()
    await short.store.close()


async def test_entries_in_another_order_than_was_signed_are_not_taken_in(
    copy: LogBuilder, old: SqliteStore, workers: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Each is validly signed, and a seal is signed by nobody: only the tree that was signed tells. Head, checkpoint and
    tiles of the copy are those of the log."""
    bent, before = await grown(tmp_path / "bent.db", 0, "0", "2", "1"), await old.head()

    class Bent:
        def __getattr__(self, name: str) -> object:
            return getattr(copy.store, name)

        async def entries(self, start: int, end: int) -> list[bytes]:
            return await bent.store.entries(start, end)

    with pytest.raises(Unverified):
        await refill(old, Bent(), ORIGIN, keys(copy), workers)  # type: ignore[arg-type]
    assert await old.head() == before, "or nothing could be taken from the sound copy any more"
    assert (await fill(old, copy, workers)).size > before.size  # type: ignore[union-attr]
    await bent.store.close()


async def test_a_damaged_entry_is_named_and_what_is_before_it_stays(
    copy: LogBuilder, workers: ThreadPoolExecutor, tmp_path: Path
) -> None:
    head = await copy.store.head()
    assert head is not None

    class Damaged:
        """The copy with one bit of its newest signed certificate flipped."""

        def __getattr__(self, name: str) -> object:
            return getattr(copy.store, name)

        async def entries(self, start: int, end: int) -> list[bytes]:
            found = await copy.store.entries(start, end)
            return [flip(entry, 800) if start + at == 5 else entry for at, entry in enumerate(found)]

    store = create_sqlite(tmp_path / "new.db", private=True)
    with pytest.raises(BadEntry, match="entry 5"):
        await refill(store, Damaged(), ORIGIN, keys(copy), workers)  # type: ignore[arg-type]
    reached = await store.head()
    assert reached is not None and 0 < reached.size <= 5
    assert (await fill(store, copy, workers)).size > reached.size
    await store.close()

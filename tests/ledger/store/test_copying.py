"""A copy has every row, goes on after a crash, and is not served before it is whole."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as renewed

from ledger.errors import Refused, Unavailable
from ledger.service.private_index import NUMBERS_APART
from ledger.store import copying, sql
from ledger.store.copying import Copyable, DamagedCopy, check_whole, copy_store
from ledger.store.erasing import erase_rows
from ledger.store.postgres_link import connect, parse_place
from ledger.store.protocol import IndexRow, PrivateRows, Purpose, StoredHead
from ledger.store.sqlite import create_sqlite
from ledger.store.track_places import TRACK_PLACES
from ledger.text import Text
from tests.support.batches import accept, batch, contents, h
from tests.support.build_log import LogBuilder
from tests.support.postgres import PATIENT, postgres_server
from tests.support.standby import until
from tests.support.stores import KINDS, PostgresKind, SqliteKind, StoreKind

WAYS = sorted(itertools.product(KINDS, KINDS))


class Dies(Exception):
    """The process ends here."""


class Dying:
    """A target that takes so many pages and then no more."""

    def __init__(self, inner: Any, pages: int) -> None:
        self.inner, self.pages = inner, pages

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def fill(self, insert: str, rows: Any) -> None:
        if self.pages == 0:
            raise Dies
        self.pages -= 1
        await self.inner.fill(insert, rows)


async def sound(copied: Copyable) -> list[str]:
    assert await copied.head() is not None, "proven as it will be"
    return []


async def grown(kind: StoreKind, path: Path, batches: int = 3) -> Any:
    store = await kind.create(path, private=True)
    await store.put_meta({"origin": b"o", "map_depth": b"\4", NUMBERS_APART: b"", TRACK_PLACES: b"places"})
    head: StoredHead | None = None
    for _ in range(batches):
        made = batch(head, 3)
        await store.append(made, accept)
        head = made.head
    # A state that changed, so that there is history.
    await store.append(again := batch(head, 1), accept)
    await store.append(_same_state(again.head), accept)
    await store.put_checkpoint(b"note", 1)
    return store


def _same_state(before: StoredHead) -> Any:
    made = batch(before, 1)
    state = renewed(made.states[0], map_key=h("key 0"))
    return replace(made, states=[state], private=PrivateRows())


TABLES = (
    "entry", "tile", "state", "state_history", "map_chunk", "map_change", "named", "signed", "event", "envelope",
    "private_index", "head",
)  # fmt: skip


async def everything(store: Any) -> list[Any]:
    rows = [await store.page(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]
    meta = [await store.meta(name) for name in ("origin", "map_depth", NUMBERS_APART, TRACK_PLACES)]
    return [*rows, await store.checkpoint(), await store.checkpoint_size(), *meta]


@pytest.mark.parametrize(("one", "other"), WAYS)
async def test_every_way_copies_everything(tmp_path: Path, one: str, other: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(copying, "_PAGE", 2)
    source = await grown(KINDS[one](), tmp_path / "source.db")
    target = await KINDS[other]().create(tmp_path / "target.db", private=True)
    steps: list[tuple[int, int]] = []
    head = await copy_store(source, target, sound, lambda done, total: steps.append((done, total)))
    assert head == await source.head() == await target.head()
    assert await everything(source) == await everything(target)
    assert await contents(source) == await contents(target)
    assert steps == sorted(steps) and steps[-1][0] == steps[-1][1] > 20
    with pytest.raises(Refused) as refused:
        await copy_store(source, target, sound)
    assert refused.value.code == "NOT_EMPTY"
    await target.append(batch(head), accept)  # and it goes on
    await source.close()
    await target.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_copy_that_died_anywhere_has_no_head_and_goes_on(tmp_path: Path, kind: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(copying, "_PAGE", 2)
    source = await grown(SqliteKind(), tmp_path / "source.db")
    target = await KINDS[kind]().create(tmp_path / "target.db", private=True)
    died = 0
    while await target.head() is None:
        try:
            await copy_store(source, Dying(target, 3), sound)
        except Dies:
            died += 1
            assert await target.head() is None
            with pytest.raises(Refused, match="UNPROVEN_COPY"):
                await check_whole(target)
    assert died > 5
    await check_whole(target)
    assert await everything(source) == await everything(target)
    await source.close()
    await target.close()


async def test_a_copy_that_was_begun_from_another_head_is_not_gone_on_with(tmp_path: Path) -> None:
    source = await grown(SqliteKind(), tmp_path / "source.db")
    target = await PostgresKind().create(tmp_path / "target.db", private=True)
    with pytest.raises(Dies):
        await copy_store(source, Dying(target, 3), sound)
    await source.append(batch(await source.head()), accept)
    with pytest.raises(Refused, match="META_FIXED"):
        await copy_store(source, target, sound)
    assert await target.head() is None
    await source.close()
    await target.close()


async def test_a_claim_made_meanwhile_is_missed_by_nobody(tmp_path: Path) -> None:
    """A claim changes no head, and may come before the rows that were copied already."""
    source = await grown(SqliteKind(), tmp_path / "source.db")
    target = await SqliteKind().create(tmp_path / "target.db", private=True)
    with pytest.raises(Dies):
        await copy_store(source, Dying(target, 10), sound)  # all but the head
    await source.claim([IndexRow(bytes(32), Purpose.PERSON, 1, b"track")])
    with pytest.raises(Refused) as refused:
        await copy_store(source, target, sound)
    assert refused.value.code == "COPY_CHANGED"
    assert await target.head() is None
    await source.close()
    await target.close()


async def test_neither_is_one_that_takes_the_place_of_a_row_that_was_erased(tmp_path: Path) -> None:
    """As many rows as before; the copy would have kept one that its person had erased, and lacked the claim."""
    source = await grown(SqliteKind(), tmp_path / "source.db")
    target = await SqliteKind().create(tmp_path / "target.db", private=True)
    await source.claim([IndexRow(bytes([at]) * 32, Purpose.PERSON, 1, b"track") for at in (1, 2)])

    class Changing(Dying):
        """Erased and claimed while the last table is copied."""

        async def fill(self, insert: str, rows: Any) -> None:
            await self.inner.fill(insert, rows)
            if insert == sql.PUT_INDEX:
                await source.erase([], [bytes([1]) * 32])
                await source.claim([IndexRow(bytes(32), Purpose.PERSON, 1, b"track")])

    for held in (Changing(target, 0), target):  # and when it is gone on with
        with pytest.raises(Refused, match="COPY_CHANGED"):
            await copy_store(source, held, sound)
        assert await target.head() is None
    await source.erase([], [bytes(32)])
    await source.claim([IndexRow(bytes([1]) * 32, Purpose.PERSON, 1, b"track")])
    assert await copy_store(source, target, sound) == await source.head()
    await source.close()
    await target.close()


@dataclass(frozen=True)
class Named:
    places: Sequence[bytes]
    hmacs: Sequence[bytes]


async def erased(kind: StoreKind, path: Path, hmac: bytes) -> int:
    """How many rows, of one index row that is to be erased."""
    place = kind.place(path)
    owner = postgres_server().owner(place) if isinstance(kind, PostgresKind) else ""

    async def find(_: Any) -> Named:
        return Named([], [hmac])

    return (await erase_rows(place, path.parent, owner, find, PATIENT))[1]


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_nobody_is_erased_from_a_log_that_is_copied_elsewhere(tmp_path: Path, name: str) -> None:
    """The proof takes hours, and the copy would keep what its person had erased."""
    kind, row = KINDS[name](), bytes([1]) * 32
    source = await grown(kind, tmp_path / "source.db")
    await source.claim([IndexRow(row, Purpose.LOOKUP, 1, b"person")])
    target = await SqliteKind().create(tmp_path / "target.db", private=True)
    tried = list[str]()

    async def meanwhile(_: Copyable) -> list[str]:
        with pytest.raises(Refused, match="STORE_IN_USE") as refused:
            await erased(kind, tmp_path / "source.db", row)
        tried.append(refused.value.code)
        return []

    await copy_store(source, target, meanwhile)
    assert tried and await source.index([row]) == await target.index([row]) == {row: b"person"}
    await source.close()
    assert await erased(kind, tmp_path / "source.db", row) == 1, "and it is erased when the copy is over"
    await target.close()


async def test_an_erasure_while_the_sources_connection_was_lost_is_missed_by_nobody(tmp_path: Path) -> None:
    kind, row = PostgresKind(), bytes([1]) * 32
    source = await grown(kind, tmp_path / "source.db")
    await source.claim([IndexRow(row, Purpose.LOOKUP, 1, b"person")])
    target = await SqliteKind().create(tmp_path / "target.db", private=True)

    async def meanwhile(_: Copyable) -> list[str]:
        locks = f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = {objid}"
        assert postgres_server().sql(None, locks)
        await asyncio.to_thread(until, lambda: not postgres_server().sql(None, locks))
        assert await erased(kind, tmp_path / "source.db", row) == 1
        return []

    objid = parse_place(kind.place(tmp_path / "source.db")).erasing & 0xFFFFFFFF
    with pytest.raises(Refused, match="COPY_CHANGED"):
        await copy_store(source, target, meanwhile)
    assert await target.head() is None
    await source.close()
    await target.close()


async def test_no_copy_is_begun_while_an_erasure_is_on_its_way(tmp_path: Path) -> None:
    """It may wait for a standby, and what it deletes is seen by nobody until then."""
    kind = PostgresKind()
    source = await grown(kind, tmp_path / "source.db")
    target = await SqliteKind().create(tmp_path / "target.db", private=True)
    place = parse_place(kind.place(tmp_path / "source.db"))
    owner = await connect(place, PATIENT)
    assert await owner.fetchval(f"SELECT pg_try_advisory_lock({place.erasing})")
    with pytest.raises(Refused, match="STORE_IN_USE"):
        await copy_store(source, target, sound)
    await owner.close()
    await copy_store(source, target, sound)
    await source.close()
    await target.close()


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_nobody_is_erased_from_a_copy_that_has_not_ended(tmp_path: Path, name: str) -> None:
    """What is not there yet would still come."""
    kind, row = KINDS[name](), bytes([1]) * 32
    source = await grown(SqliteKind(), tmp_path / "source.db")
    await source.claim([IndexRow(row, Purpose.LOOKUP, 1, b"person")])
    target = await kind.create(tmp_path / "target.db", private=True)
    with pytest.raises(Dies):
        await copy_store(source, Dying(target, 3), sound)
    await target.close()
    with pytest.raises(Refused, match="UNPROVEN_COPY"):
        await erased(kind, tmp_path / "target.db", row)
    target = await kind.open(tmp_path / "target.db", private=True)
    await copy_store(source, target, sound)
    await source.close()
    await target.close()
    assert await erased(kind, tmp_path / "target.db", row) == 1


async def test_a_checkpoint_from_before_its_size_was_kept_is_copied_with_it(tmp_path: Path) -> None:
    log = await LogBuilder.create(tmp_path, store=create_sqlite(tmp_path / "source.db", private=True))
    await log.issue(log.certificate("0"))
    size = log.integrator.size
    await log.store.put_checkpoint(log.checkpoint(), size)
    log.store._writer.execute("UPDATE checkpoint SET size = NULL")  # as step 0010 leaves it
    target = await SqliteKind().create(tmp_path / "target.db", private=True)
    asked = list[int | None]()

    async def dies(copied: Copyable) -> list[str]:
        asked.append(await copied.checkpoint_size())
        raise Dies

    with pytest.raises(Dies):
        await copy_store(log.store, target, dies)
    await target.put_checkpoint(log.checkpoint(), size)  # and it died before it had a head
    with pytest.raises(Dies):
        await copy_store(log.store, target, dies)
    assert asked == [None, None], "of the source, whatever is there already"
    await copy_store(log.store, target, sound)
    assert await target.checkpoint_size() == size
    await log.store.close()
    await target.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_nothing_has_a_head_before_its_proof(tmp_path: Path, kind: str) -> None:
    source = await grown(SqliteKind(), tmp_path / "source.db")
    target = await KINDS[kind]().create(tmp_path / "target.db", private=True)
    await check_whole(target)

    async def dies(copied: Copyable) -> list[str]:
        assert await copied.head() == await source.head()
        assert await copied.entries(0, 3) == await source.entries(0, 3)
        assert await copied.checkpoint() == await source.checkpoint() is not None
        raise Dies

    async def damaged(copied: Copyable) -> list[Text]:
        return [Text("第 1 条：该行不同", "entry 1: row differs")]

    with pytest.raises(Dies):
        await copy_store(source, target, dies)
    for _ in range(2):
        with pytest.raises(DamagedCopy) as found:
            await copy_store(source, target, damaged)
        assert found.value.problems == (Text("第 1 条：该行不同", "entry 1: row differs"),)
        assert await target.head() is None and await target.checkpoint() is None
        with pytest.raises(Refused, match="UNPROVEN_COPY"):
            await check_whole(target)
        with pytest.raises(Refused, match="UNPROVEN_COPY"):
            await copy_store(target, source, sound)
    assert await copy_store(source, target, sound) == await source.head()
    await check_whole(target)
    assert await everything(source) == await everything(target)
    await source.close()
    await target.close()


async def test_nothing_is_copied_from_a_store_without_a_log(tmp_path: Path) -> None:
    source = await SqliteKind().create(tmp_path / "source.db", private=True)
    target = await SqliteKind().create(tmp_path / "target.db", private=True)
    with pytest.raises(Unavailable):
        await copy_store(source, target, sound)
    await source.close()
    await target.close()

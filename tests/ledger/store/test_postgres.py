"""Both stores hold the same rows after the same batches, whatever the batches; and fsck reads either."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.records.kinds import Kind
from ledger.records.view import Signed
from ledger.store.fsck import fsck
from ledger.store.integrate import Integrator
from ledger.store.migrations import migrations
from ledger.store.protocol import (
    EntryRow,
    EnvelopeRow,
    IndexRow,
    PrivateRows,
    Purpose,
    Slot,
    StateRow,
    StoredBatch,
    StoredHead,
)
from ledger.store.sqlite import SqliteStore, create_sqlite
from tests.support.builders import correct, ruling, two_keys
from tests.support.stored_log import StoredLog
from tests.support.stores import PostgresKind, SqliteKind, StoreKind

TABLES = {
    "entry": "idx", "tile": "level, idx", "state": "map_key", "state_history": "map_key, since", "map_chunk": "chunk",
    "map_change": "seal",
    "named": "kind, name", "head": "one", "envelope": "place, slot", "private_index": "hmac",
    "signed": "filing, idx", "event": "cert_key, idx",
}  # fmt: skip


async def tables(store: Any, *, private: bool) -> dict[str, list[Any]]:
    """Every row of every table of the log."""
    kept = {name: keys for name, keys in TABLES.items() if private or name not in ("envelope", "private_index")}
    steps = migrations(private=private)
    made = re.findall(r"CREATE TABLE (\w+)", " ".join(text for step in steps for text in step.statements()))
    assert kept.keys() == set(made) - {"meta", "checkpoint", "map_bucket"}
    rows = {}
    for name, keys in kept.items():
        text = f"SELECT * FROM {name} ORDER BY {keys}"
        rows[name] = store._all(text) if isinstance(store, SqliteStore) else await store._reads.fetch(text)
    return {name: [tuple(row) for row in found] for name, found in rows.items()}


small = st.integers(0, 6)
octets = st.binary(min_size=1, max_size=40)
big = st.integers(0, 2**63 - 1)
words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)
parts = st.fixed_dictionaries(
    {
        "bodies": st.lists(octets, min_size=1, max_size=8),
        "tiles": st.lists(st.tuples(small, big, octets), max_size=4),
        "states": st.lists(st.tuples(small, octets, st.sampled_from([b"", b"track"]), octets), max_size=8),
        "buckets": st.lists(st.tuples(small, octets), max_size=4),
        "names": st.lists(words, max_size=3, unique=True),
        "signed": st.lists(words, max_size=3, unique=True),
        "events": st.lists(octets, max_size=3, unique=True),
        "renewed": st.lists(st.tuples(small, octets), max_size=4),
        "envelopes": st.lists(st.tuples(small, octets), max_size=4),
    }
)


def made(before: StoredHead | None, part: dict[str, Any]) -> StoredBatch:
    start = before.size if before else 0
    size = start + len(part["bodies"])
    digest = lambda *what: sha256(repr(what).encode()).digest()  # noqa: E731
    head = StoredHead(size, digest("root", size), digest("chain", size), size - 1, 2**62 + size, digest(size), size)
    entries = [
        EntryRow(start + at, body, digest("chain", start + at), 4, digest("id", start + at))
        for at, body in enumerate(part["bodies"])
    ]
    return StoredBatch(
        before,
        head,
        entries,
        list({(level, at): (level, at, body) for level, at, body in part["tiles"]}.values()),
        list({k: StateRow(digest("key", k), v, b"s", track, body) for k, v, track, body in part["states"]}.values()),
        list({bucket: (bucket, root) for bucket, root in part["buckets"]}.values()),
        [(4, f"{name} {size}", start) for name in part["names"]],
        [(name, Signed(start, Kind.ISSUE, digest(name), b"kid", 20_600)) for name in part["signed"]],
        [(key, start) for key in part["events"]],
        PrivateRows(
            (IndexRow(digest("new", size), Purpose.NUMBER, 1, b"row"),),
            [IndexRow(digest("renewed", k), Purpose.LOOKUP, 2, body) for k, body in part["renewed"]],
            [EnvelopeRow(digest("at", k), Slot.FACE, body) for k, body in part["envelopes"]],
        ),
    )


async def answers(store: Any) -> list[Any]:
    """What both must answer in the same order, too."""
    head = await store.head()
    everything = [(bytes(32), b"\xff" * 32), (b"\x40" + bytes(31), b"\xa0" + bytes(31)), (b"\xff" * 32, bytes(32))]
    found: list[Any] = [
        await store.rows(0, head.size),
        await store.signed_after("", -1, 10_000),
        await store.events_after(b"", -1, 10_000),
        await store.changed_since(-1, b"\xff" * 32, 10_000),
        await store.leaves(everything),
        await store.named(4),
        sorted((await store.tracks([b"track"])), key=lambda row: row.map_key),
    ]
    for seal in range(0, head.size, 3):
        found.append(await store.leaves_as_of(everything, seal))
        found.append(await store.changed_since(seal, b"\x80" * 32, 3))
        found.append(await store.seal_from(seal))
        for key, _ in found[4][0]:
            found.append(await store.state_as_of(key, seal))
            found.append(await store.bucket_as_of(*everything[0], key, seal))
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("pair")


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=st.lists(parts, min_size=1, max_size=4))
def test_the_same_batches_leave_the_same_rows(pair: Path, history: list[dict[str, Any]]) -> None:
    async def run() -> None:
        path = pair / f"{len(list(pair.iterdir()))}.db"
        kinds: list[StoreKind] = [SqliteKind(), PostgresKind()]
        stores = [await kind.create(path, private=True) for kind in kinds]
        head = None
        for part in history:
            batch = made(head, part)
            seen: list[Any] = []
            for store in stores:
                await store.append(batch, seen.append)
            assert list(seen[0]) == list(seen[1]) == part["bodies"]
            head = batch.head
        one, other = [await answers(store) for store in stores]
        assert one == other
        one_rows, other_rows = [await tables(store, private=True) for store in stores]
        assert one_rows == other_rows
        for store in stores:
            await store.close()

    asyncio.run(run())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[PostgresKind, Path, StoredLog]]:
    """A small life on PostgreSQL."""
    kind, path = PostgresKind(), tmp_path / "life.db"
    body = two_keys()
    stored = await StoredLog.create(path, body, store=await kind.create(path, private=False))
    certificates = [body.certificate(label) for label in "abcde"]
    await stored.add(*(certificate.statement for certificate in certificates))
    await stored.add(body.sign(ruling(Kind.SUSPEND, *certificates[:2])))
    await stored.add(body.sign(correct(certificates[2], "one")))
    await stored.add(body.sign(ruling(Kind.RESTORE, certificates[0])))
    yield kind, path, stored
    await stored.store.close()


async def check(kind: PostgresKind, path: Path, folder: Path) -> list[str]:
    store = await kind.open(path, private=False, read_only=True)
    scratch = create_sqlite(folder / "scratch.db", private=False)
    with ThreadPoolExecutor(2) as workers:
        try:
            return [problem.en for problem in await fsck(store, scratch, workers)]
        finally:
            await store.close()
            await scratch.close()
            (folder / "scratch.db").unlink()


async def test_the_same_statements_make_the_same_log(log: tuple[PostgresKind, Path, StoredLog], tmp_path: Path) -> None:
    """The whole integrator over each store: heads, tiles, states, buckets, and what is found again, byte for byte."""
    _, _, stored = log
    store = create_sqlite(tmp_path / "twin.db", private=False)
    with ThreadPoolExecutor(2) as workers:
        assert await fsck(stored.store, store, workers) == []
    assert await store.head() == await stored.store.head() == stored.integrator.head
    assert await tables(store, private=False) == await tables(stored.store, private=False)
    await store.close()


async def test_it_goes_on_where_it_was(log: tuple[PostgresKind, Path, StoredLog]) -> None:
    _, _, stored = log
    again = await Integrator.open(stored.store)
    assert (again.head, again.map.root) == (stored.integrator.head, stored.integrator.map.root)
    more = replace(stored, integrator=again)
    await more.add(two_keys().certificate("later").statement)
    assert await again.certificate(two_keys().certificate("later").issue.cert_key) is not None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entry SET body = body || x'00' WHERE idx = 3",
        "DELETE FROM entry WHERE idx = 2",
        "UPDATE tile SET body = overlay(body placing x'00' from 5)",
        "UPDATE state SET body = body || x'00' WHERE track <> x''",
        "DELETE FROM signed WHERE idx = (SELECT max(idx) FROM signed)",
        "DELETE FROM event",
        "UPDATE map_change SET body = x'00'",
        "DELETE FROM map_change",
        "UPDATE head SET chain = x'00'",
    ],
)
async def test_fsck_finds_damage(log: tuple[PostgresKind, Path, StoredLog], tmp_path: Path, damage: str) -> None:
    kind, path, _ = log
    assert await check(kind, path, tmp_path) == []
    assert kind.change(path, damage + " RETURNING 1"), "it hits something"
    assert await check(kind, path, tmp_path) != []

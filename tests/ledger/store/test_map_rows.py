"""The rows of the map's bucket roots: a start reads the same map whatever was swept when, and never much more of it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Damaged, Malformed
from ledger.store.integrate import Integrator
from ledger.store.map_rows import FIRST_CHANGE, Sweep, pack_change, pack_chunks, read_roots
from ledger.store.migrations import migrations
from ledger.store.opening import upgrade_store
from ledger.tlog.map_slots import bucket_of
from ledger.tlog.map_tree import MapTree
from tests.support.batches import h
from tests.support.build_log import LogBuilder
from tests.support.postgres import postgres_server
from tests.support.stores import KINDS, PostgresKind, StoreKind, before_map_step

EVERYTHING = [(bytes(32), b"\xff" * 32)]


class Rows:
    """The two tables, as a batch leaves them."""

    def __init__(self) -> None:
        self.chunks: dict[int, tuple[int, bytes]] = {}
        self.changes: dict[int, bytes] = {}

    async def map_chunks(self) -> list[tuple[int, int, bytes]]:
        return [(chunk, *row) for chunk, row in sorted(self.chunks.items())]

    async def map_changes(self, seal: int, count: int) -> list[tuple[int, bytes]]:
        return [row for row in sorted(self.changes.items()) if row[0] > seal][:count]


def grow(depth: int, seed: int, batches: int, most: int, restart: float, before: int = 0) -> tuple[Rows, MapTree, int]:
    """Rows after random batches with restarts in between, the map built from all leaves, and the most buckets that were
    kept as changes."""
    draw, rows, leaves = random.Random(seed), Rows(), dict[bytes, bytes]()
    kept = 0
    for at in range(before):
        leaves[h(f"before {at}")] = h(at)
    tree = MapTree.build(depth, sorted(leaves.items()))
    for bucket in range(1 << depth if before else 0):
        root = tree.bucket_root(bucket)
        if root is not None:
            rows.changes[-1 - bucket] = root
    sweep = Sweep(depth, {}, 0)
    for seal in range(1, batches + 1):
        fresh = {h(draw.randrange(4 << depth)): h(f"{seal} {at}") for at in range(draw.randint(1, most))}
        gained = len(fresh.keys() - leaves.keys())
        leaves |= fresh
        numbers = {bucket_of(key, depth) for key in fresh}
        held: dict[int, list[tuple[bytes, bytes]]] = {number: [] for number in numbers}
        for leaf in sorted(leaves.items()):
            if (number := bucket_of(leaf[0], depth)) in held:
                held[number].append(leaf)
        change = tree.prepare(held, gained)
        rows.changes[seal] = pack_change((n, change.nodes[(1 << depth) + n]) for n in numbers)
        for chunk, since, body in sweep.take(tree, change, len(numbers), seal):
            rows.chunks[chunk] = (since, body)
        if sweep.floor >= 0:
            rows.changes = {seal: body for seal, body in rows.changes.items() if seal > sweep.floor}
        tree.accept(change)
        kept = max(kept, sum(len(body) // 36 for seal, body in rows.changes.items() if seal > 0))
        if draw.random() < restart:
            found = asyncio.run(read_roots(rows, depth, seal))  # type: ignore[arg-type]
            tree, sweep = MapTree.restore(depth, found.roots, len(leaves)), Sweep(depth, found.since, found.left)
    return rows, MapTree.build(depth, sorted(leaves.items())), kept


@settings(max_examples=25, deadline=None)
@given(
    depth=st.sampled_from([0, 1, 4, 8, 10]),
    seed=st.integers(0, 2**32),
    batches=st.integers(1, 25),
    most=st.sampled_from([1, 30, 600]),
    restart=st.sampled_from([0.0, 0.3, 1.0]),
    before=st.sampled_from([0, 300]),
)
def test_a_start_reads_the_map_of_all_leaves(
    depth: int, seed: int, batches: int, most: int, restart: float, before: int
) -> None:
    rows, tree, _ = grow(depth, seed, batches, most, restart, before)
    found = asyncio.run(read_roots(rows, depth, batches))  # type: ignore[arg-type]
    again = MapTree.restore(depth, found.roots, tree.count)
    assert again._heap == tree.copy()._heap and again.root == tree.root


@pytest.mark.parametrize("restart", [0.0, 0.2])
def test_changes_stay_bounded_and_old_rows_go(restart: float) -> None:
    depth, most = 10, 100
    rows, _, kept = grow(depth, 7, 120, most, restart, before=300)
    assert kept < (2 << depth if restart else (1 << depth) + 256) + most
    assert len(rows.chunks) == 4 and min(rows.changes) > 0


def test_chunks_go_in_turn_the_oldest_first() -> None:
    sweep, tree = Sweep(11, {0: 5, 1: 3, 2: 9, 4: 3, 5: 4, 6: 4, 7: 1}, 200), MapTree(11)
    change = tree.prepare({}, 0)
    take = lambda changed, seal: [(chunk, at) for chunk, at, _ in sweep.take(tree, change, changed, seal)]  # noqa: E731
    assert take(55, 20) == [] and sweep.floor == -1
    assert take(1, 21) == [(3, 21)] and sweep.floor == 1
    assert take(3 * 256 + 255, 22) == [(1, 22), (4, 22), (7, 22)] and sweep.floor == 4
    assert take(1, 23) == [(5, 23)] and sweep.floor == 4
    assert [chunk for chunk, _ in take(99 * 256, 24)] == list(range(8)) and sweep.floor == 24


@pytest.mark.parametrize(
    ("chunks", "changes"),
    [
        ([(0, 1, bytes(8191))], []),
        ([(4, 1, bytes(8192))], []),
        ([(-1, 1, bytes(8192))], []),
        ([(0, 10, bytes(8192))], []),
        ([(0, -1, bytes(8192))], []),
        ([], [(1, bytes(35))]),
        ([], [(1, pack_change([(1024, bytes(32))]))]),
        ([], [(1, pack_change([(1, bytes(32)), (1, bytes(32))]))]),
        ([], [(1, pack_change([(2, bytes(32))]) + pack_change([(1, bytes(32))]))]),
        ([], [(10, b"")]),
        ([], [(-1, bytes(31))]),
        ([], [(-1025, bytes(32))]),
    ],
)
async def test_rows_that_are_none_are_damage(
    chunks: list[tuple[int, int, bytes]], changes: list[tuple[int, bytes]]
) -> None:
    rows = Rows()
    rows.chunks = {chunk: (since, body) for chunk, since, body in chunks}
    rows.changes = dict(changes)
    with pytest.raises(Damaged):
        await read_roots(rows, 10, 9)  # type: ignore[arg-type]


@pytest.mark.parametrize("roots", [{0: bytes(31)}, {0: bytes(33)}, {16: bytes(32)}, {-1: bytes(32)}])
def test_roots_that_are_none_make_no_chunks(roots: dict[int, bytes]) -> None:
    with pytest.raises(Malformed):
        pack_chunks(roots, 4, 0)


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_a_log_goes_on_over_restarts_on_each_store(tmp_path: Path, name: str) -> None:
    kind: StoreKind = KINDS[name]()
    path = tmp_path / "log.db"
    log = await LogBuilder.create(path, store=await kind.create(path, private=True))
    for at in range(6):
        await log.issue(*(log.certificate(f"{at} {one}") for one in range(5)))
        await log.store.close()
        log.store = await kind.open(path, private=True)
        log.integrator = await Integrator.open(log.store)
    (leaves,) = await log.store.leaves(EVERYTHING)
    assert log.integrator.map.root == MapTree.build(4, leaves).root
    ((_, since, _),) = await log.store.map_chunks()  # type: ignore[misc]
    assert all(seal > since > 0 for seal, _ in await log.store.map_changes(FIRST_CHANGE, 99))
    await log.store.close()


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_a_store_of_before_is_brought_up_with_its_roots(tmp_path: Path, name: str) -> None:
    kind: StoreKind = KINDS[name]()
    path = tmp_path / "log.db"
    log = await LogBuilder.create(path, store=await kind.create(path, private=True))
    await log.issue(*(log.certificate(f"{one}") for one in range(20)))
    await log.issue(log.certificate("later"))
    root, postgres = log.integrator.map.root, isinstance(kind, PostgresKind)
    await log.store.close()
    assert before_map_step(lambda text: kind.change(path, text), postgres=postgres) > 8
    place = kind.place(path)
    owner = postgres_server().owner(place) if postgres else ""
    assert await upgrade_store(place, tmp_path, private=True, owner=owner) == [
        step.name for step in migrations(private=True)[4:]
    ]
    log.store = await kind.open(path, private=True)
    log.integrator = await Integrator.open(log.store)
    assert log.integrator.map.root == root
    assert min(await log.store.map_changes(FIRST_CHANGE, 1))[0] < 0  # type: ignore[type-var]
    for at in range(4):
        await log.issue(*(log.certificate(f"{at} {one}") for one in range(5)))
    assert all(seal > 0 for seal, _ in await log.store.map_changes(FIRST_CHANGE, 99))
    root = log.integrator.map.root
    assert (await Integrator.open(log.store)).map.root == root
    await log.store.close()

from __future__ import annotations

import gc
import random
from pathlib import Path

import pytest

from ledger.store.integrate import Integrator
from ledger.store.serving import Serving
from ledger.store.sqlite import create_sqlite
from tests.support.build_log import LogBuilder
from tests.support.stores import KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_it_follows_what_is_published_and_nothing_else(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log.db"
    log = await LogBuilder.create(path, store=await KINDS[kind]().create(path, private=False))
    serving = Serving(log.integrator)
    heads = [log.integrator.head]
    assert serving.head == heads[0] and serving.map.root == log.integrator.map.root
    for at in range(5):
        await log.issue(log.certificate(f"c{at}"))
        heads.append(log.integrator.head)
        assert serving.head == heads[0], "committed is not published"
    serving.publish(heads[1].size - 1)
    assert serving.head == heads[0], "no head of that size"
    for head in (heads[1], heads[3], heads[5]):
        serving.publish(head.size)
        assert (serving.head, serving.size) == (head, head.size)
        assert (serving.map.root, serving.map.count) == (head.map_root, head.map_count)
    serving.publish(heads[2].size)
    assert serving.head == heads[5], "it never goes back"
    await log.store.close()


async def test_an_empty_log(tmp_path: Path) -> None:
    store = create_sqlite(tmp_path / "empty.db", private=False)
    serving = Serving(await Integrator.open(store))
    assert (serving.size, serving.head) == (0, None)
    serving.publish(0)
    assert serving.size == 0
    await store.close()


async def test_a_long_backlog_is_given_up_and_caught_up_with(tmp_path: Path) -> None:
    """Memory stays bounded; heads that were given up cannot be served, later ones can."""
    log = await LogBuilder.create(tmp_path / "log.db")
    serving = Serving(log.integrator, max_pending=40)
    begin = log.integrator.head
    heads = []
    for at in range(30):
        await log.issue(log.certificate(f"c{at}"))
        heads.append(log.integrator.head)
        assert serving._pending_nodes <= 40
        assert (serving.map.root, serving.map.count) == (begin.map_root, begin.map_count)
    serving.publish(heads[3].size)
    assert serving.head == begin, "what led to it was given up"
    assert serving.map.root == begin.map_root
    serving.publish(heads[-1].size)
    assert serving.head == heads[-1] and serving.map.root == heads[-1].map_root
    for at in range(3):
        await log.issue(log.certificate(f"d{at}"))
        serving.publish(log.integrator.size)
        assert serving.head == log.integrator.head and serving.map.root == log.integrator.map.root
    await log.store.close()


@pytest.mark.parametrize(("seed", "most"), [(1, 0), (2, 20), (3, 60), (4, 60), (5, 10_000)])
async def test_whatever_comes_between_it_is_the_map_of_its_head(tmp_path: Path, seed: int, most: int) -> None:
    """Batches and publications in any order, of any head, beside a second one that keeps up with all of them."""
    draw = random.Random(seed)
    log = await LogBuilder.create(tmp_path / "log.db")
    serving, other = Serving(log.integrator, max_pending=most), Serving(log.integrator)
    heads, kept = [log.integrator.head], []
    for at in range(60):
        if draw.random() < 0.6:
            await log.issue(*(log.certificate(f"{at} {one}") for one in range(draw.randrange(1, 4))))
            heads.append(log.integrator.head)
        else:
            serving.publish(draw.choice(heads[-8:]).size)
            other.publish(draw.choice(heads).size)
        for one in (serving, other):
            assert one.head in heads
            kept.append((one.kept_map(), one.head))
        for tree, head in (*((one.map, one.head) for one in (serving, other)), *kept[-12:]):
            assert (tree.root, tree.count) == (head.map_root, head.map_count)
        assert sum(nodes for _, nodes in serving._pending) == serving._pending_nodes <= most
    serving.publish(log.integrator.size)
    assert serving.head == log.integrator.head and serving.map.root == log.integrator.map.root
    assert serving._apart is None, "what was kept apart is let go"
    kept.clear()
    del tree
    gc.collect()
    assert len(log.integrator.map._views) == 2, "nor are views that nobody has"
    await log.store.close()

from __future__ import annotations

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

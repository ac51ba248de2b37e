from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.records.dates import batch_day
from ledger.records.seal import Seal, parse_seal
from ledger.store import history as module
from ledger.store.history import KEPT_MAPS, History
from ledger.store.protocol import Store
from ledger.text import Text
from tests.support.build_log import TIME, LogBuilder
from tests.support.stores import KINDS

DAY = 86_400_000


async def built(path: Path, batches: int = 9, store: Store | None = None) -> tuple[LogBuilder, History, list[int]]:
    """A log with one batch at its creation, then `batches` more, three on a day; the indexes of all seals."""
    log = await LogBuilder.create(path, store=store)
    seals = [log.integrator.size - 1]
    for at in range(batches):
        upgraded = log.certificate(f"c{at}", grade=2 + at % 4, track=f"t{at // 4}")
        log.envelopes.clear()
        await log.batch([upgraded.statement.entry], time=TIME + (at // 3 + 1) * DAY + at * 1000)
        seals.append(log.integrator.size - 1)
    return log, History(log.integrator), seals


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_every_older_map_is_rebuilt_to_its_seal(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log.db"
    log, history, seals = await built(path, store=await KINDS[kind]().create(path, private=False))
    for index in (*seals, *reversed(seals)):
        seal = await history.seal_at(index)
        tree = await history.map_at(seal)
        assert (tree.root, tree.count) == (seal.map_root, seal.map_count)
        assert len(history._kept) <= KEPT_MAPS
    await log.store.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_batches_that_are_committed_while_it_builds_do_not_disturb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log.db"
    log, history, seals = await built(path, batches=11, store=await KINDS[kind]().create(path, private=False))
    seal = await history.seal_at(seals[1])
    building = asyncio.create_task(history.map_at(seal))
    for at in range(5):
        await asyncio.sleep(0)
        late = log.certificate(f"late {at}", grade=5 if at == 0 else 4, track=f"n{at}" if at else "t2")
        await log.batch([late.statement.entry], time=log.time + 1)
    assert (await building).root == seal.map_root
    await log.store.close()


async def test_nor_one_that_comes_right_before_the_newest_map_is_taken(tmp_path: Path) -> None:
    log, history, seals = await built(tmp_path / "log.db", batches=11)
    seal, store, came = await history.seal_at(seals[-2]), history._store, list[int]()

    class Late:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def changed_since(self, seal: int, after: bytes, limit: int) -> list[tuple[int, bytes]]:
            found = await store.changed_since(seal, after, limit)
            if not found and not came:
                came.append(1)
                late = log.certificate("late", grade=5, track="another")
                await log.batch([late.statement.entry], time=log.time + 1)
            return found

    history._store = Late()  # type: ignore[assignment]
    assert (await history.map_at(seal)).root == seal.map_root and came
    await log.store.close()


async def test_the_last_seal_of_a_day(tmp_path: Path) -> None:
    log, history, seals = await built(tmp_path / "log.db")
    found = [parse_seal((await log.store.entries(index, index + 1))[0]) for index in seals]
    for published in (4, 7, len(found), len(found), 7):  # what is kept of a shorter log serves a longer one
        newest = found[published - 1]
        for day in range(batch_day(TIME) - 1, batch_day(newest.time) + 4):
            of_day = [seal for seal in found[:published] if batch_day(seal.time) <= day]
            if of_day:
                assert await history.seal_of_day(day, newest, newest.time + 3 * DAY) == of_day[-1]
            else:
                with pytest.raises(Refused, match="TOO_EARLY"):
                    await history.seal_of_day(day, newest, newest.time + 3 * DAY)
    newest = found[-1]
    with pytest.raises(Refused, match="NOT_YET"):
        await history.seal_of_day(batch_day(newest.time) + 1, newest, newest.time)
    assert await history.seal_of_day(batch_day(newest.time), newest, newest.time) == newest
    await log.store.close()


async def test_few_days_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_DAYS", 2)
    log, history, seals = await built(tmp_path / "log.db", batches=12)
    newest, first = await history.seal_at(seals[-1]), batch_day(TIME)
    wanted = [await history.seal_of_day(first + at, newest, newest.time) for at in range(4)]
    assert len({seal.covered for seal in wanted}) == 4
    for at, seal in (*enumerate(wanted), *enumerate(wanted)):
        assert await history.seal_of_day(first + at, newest, newest.time) == seal
        assert len(history._days) == 2
    await log.store.close()


async def test_a_size_that_no_seal_ends(tmp_path: Path) -> None:
    log, history, seals = await built(tmp_path / "log.db")
    size = log.integrator.size
    assert [s for s in range(-1, size + 3) if await _ends(history, s, size)] == [index + 1 for index in seals]
    await log.store.close()


async def _ends(history: History, size: int, published: int) -> bool:
    try:
        return (await history.seal_at_size(size, published)).covered == size - 1
    except Refused as refused:
        assert refused.code == "NO_SUCH_SIZE"
        return False


async def test_maps_are_built_one_at_a_time_and_few_may_wait(tmp_path: Path) -> None:
    log, history, seals = await built(tmp_path / "log.db")
    wanted = [await history.seal_at(index) for index in seals]
    answers = await asyncio.gather(*(history.map_at(seal) for seal in wanted), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert 0 < len(refused) < len(answers) and all(error.retry_after for error in refused)
    same = await asyncio.gather(*(history.map_at(wanted[3]) for _ in range(4)))
    assert all(tree is same[0] for tree in same)
    await log.store.close()


async def test_maps_that_take_long_get_a_part_of_the_time_where_strangers_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONG", 3)
    log, _, seals = await built(tmp_path / "log.db")
    history, own = History(log.integrator, pause=1_000_000), History(log.integrator)
    first, second, newer = [await history.seal_at(seals[at]) for at in (1, 2, -2)]
    assert (await history.map_at(first)).root == first.map_root
    until = history._pause_until
    with pytest.raises(Unavailable) as refused:
        await history.map_at(second)
    assert refused.value.retry_after == 60
    assert history._pause_until >= until, "to ask in a pause makes it no shorter"
    read = log.store.changed_since
    monkeypatch.setattr(log.store, "changed_since", None)
    with pytest.raises(Unavailable, match="takes long"):  # and at once, when it is known
        await history.map_at(second)
    monkeypatch.setattr(log.store, "changed_since", read)
    assert (await history.map_at(newer)).root == newer.map_root, "what is soon done is done"
    assert (await history.map_at(first)).root == first.map_root, "what is kept is given"
    history._pause_until = 0.0
    assert (await history.map_at(second)).root == second.map_root
    for seal in (first, second):  # on a replica of one's own
        assert (await own.map_at(seal)).root == seal.map_root
    await log.store.close()


@dataclass
class Held:
    """A store whose kept versions are read when `free` is set; how often somebody began with the newest of them."""

    store: Store
    free: asyncio.Event = field(default_factory=asyncio.Event)
    began: list[int] = field(default_factory=list)
    going: int = 0
    together: int = 0  # the most that read at the same time

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    async def changed_since(self, seal: int, after: bytes, limit: int) -> list[tuple[int, bytes]]:
        if after == module._BEGIN:
            self.began.append(seal)
        self.going += 1
        self.together = max(self.together, self.going)
        try:
            await self.free.wait()
            return await self.store.changed_since(seal, after, limit)  # type: ignore[attr-defined,no-any-return]
        finally:
            self.going -= 1


async def held(path: Path) -> tuple[LogBuilder, History, Held, list[Seal]]:
    log, history, seals = await built(path)
    found = [await history.seal_at(index) for index in seals]
    store = Held(log.store)
    history._store = store  # type: ignore[assignment]
    return log, history, store, found


async def given_up(history: History, store: Held, seal: Seal) -> None:
    """Somebody asks for a map, waits until it is begun, and goes away."""
    asking, before = asyncio.create_task(history.map_at(seal)), len(store.began)
    while len(store.began) == before:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_map_that_was_begun_is_made_whoever_has_gone_away(tmp_path: Path) -> None:
    log, history, store, seals = await held(tmp_path / "log.db")
    await given_up(history, store, seals[1])
    again = asyncio.create_task(history.map_at(seals[1]))
    for _ in range(5):
        await asyncio.sleep(0)
    again.cancel()
    assert store.began == [seals[1].covered], "the second one waits for what the first one began"
    store.free.set()
    async with asyncio.timeout(60):
        while seals[1].covered not in history._kept:
            await asyncio.sleep(0)
    assert (await history.map_at(seals[1])).root == seals[1].map_root
    assert store.began == [seals[1].covered]
    await log.store.close()


async def test_another_one_is_not_begun_beside_it(tmp_path: Path) -> None:
    log, history, store, seals = await held(tmp_path / "log.db")
    await given_up(history, store, seals[1])
    others = [asyncio.create_task(history.map_at(seal)) for seal in (seals[2], seals[3])]
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.began == [seals[1].covered]
    store.free.set()
    assert [(await other).root for other in others] == [seals[2].map_root, seals[3].map_root]
    assert store.began == [seal.covered for seal in seals[1:4]] and store.together == 1
    await log.store.close()


async def test_one_that_nobody_waits_for_and_cannot_be_made_is_begun_anew_by_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, history, store, seals = await held(tmp_path / "log.db")
    await given_up(history, store, seals[1])
    sound = store.store

    class Down:
        async def changed_since(self, *_: object) -> list[tuple[int, bytes]]:
            raise Unavailable(Text("没有应答", "the database is away"))

    store.store = Down()  # type: ignore[assignment]
    store.free.set()
    assert history._work is not None
    await asyncio.wait([history._work])
    with pytest.raises(Unavailable, match="away"):
        await history.map_at(seals[1])
    store.store = sound
    assert (await history.map_at(seals[1])).root == seals[1].map_root
    assert len(store.began) == 3 and not caplog.records, "the next to ask is told, and nobody else"
    await log.store.close()


async def test_closing_ends_what_is_made_and_tells_whoever_waits(tmp_path: Path) -> None:
    log, history, store, seals = await held(tmp_path / "log.db")
    running = asyncio.all_tasks()
    await given_up(history, store, seals[1])
    waiting = [asyncio.create_task(history.map_at(seal)) for seal in (seals[1], seals[2])]
    for _ in range(5):
        await asyncio.sleep(0)
    await history.close()
    assert store.going == 0
    for one in waiting:
        with pytest.raises(Unavailable, match="closed"):
            await one
    assert asyncio.all_tasks() == running and store.began == [seals[1].covered]
    with pytest.raises(Unavailable, match="closed"):
        await history.map_at(seals[2])
    await log.store.close()


async def test_damaged_versions_are_noticed(tmp_path: Path) -> None:
    log, history, seals = await built(tmp_path / "log.db")
    log.store._writer.execute("UPDATE state_history SET value = ? WHERE since < ?", (bytes(32), seals[-1]))
    with pytest.raises(Unavailable, match="fsck"):
        await history.map_at(await history.seal_at(seals[1]))
    await log.store.close()

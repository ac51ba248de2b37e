"""What a front reads of the log: rows as they are now, keys once a second at most, and nothing that does not fit."""

from __future__ import annotations

import asyncio

import pytest

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.state import FilingState, filing_map_key
from ledger.service.front_view import FrontView
from ledger.store.protocol import StateRow
from ledger.store.sqlite import create_sqlite
from ledger.text import Text
from tests.support.fault_store import flip
from tests.support.service_room import AUTHORITY, BODY, Room

NUMBER = BODY.filing.number


class Counting:
    """A store that counts how often somebody asks for all filings, and may spoil the row of one."""

    def __init__(self, inner: object) -> None:
        self.inner, self.asked, self.bit = inner, 0, -1

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    async def named(self, kind: int) -> dict[str, int]:
        self.asked += 1
        found: dict[str, int] = await self.inner.named(kind)  # type: ignore[attr-defined]
        return found

    async def states(self, keys: list[bytes]) -> dict[bytes, StateRow]:
        rows: dict[bytes, StateRow] = await self.inner.states(keys)  # type: ignore[attr-defined]
        if self.bit >= 0:
            rows = {
                key: StateRow(row.map_key, row.value, row.subject, row.track, flip(row.body, self.bit))
                for key, row in rows.items()
            }
        return rows


async def test_it_reads_what_the_log_holds(room: Room) -> None:
    async with room.open(run=False):
        await room.store.put_meta({"origin": AUTHORITY.origin.encode()})
        now = [100.0]
        store = Counting(room.store.inner)
        view = await FrontView.open(store, AUTHORITY.origin, lambda: now[0])  # type: ignore[arg-type]
        filing = await view.filing(NUMBER)
        assert isinstance(filing, FilingState) and filing == await room.sequencer.integrator.filing(NUMBER)
        assert await view.authority() == room.sequencer.integrator.authority
        assert await view.filing("Y000051099999") is None
        (key,) = BODY.filing.request_keys
        assert view.keys == {key.kid: (NUMBER, key.public)}
        assert await view.kept_size() == 0
        assert room.publisher.published is not None
        await room.store.put_checkpoint(room.publisher.published.note, room.publisher.published.size)
        assert await view.kept_size() == room.publisher.published.size

        keys = view.keys
        assert not await view.refresh() and store.asked == 1, "a moment ago"
        now[0] += 1.0
        assert await view.refresh() and store.asked == 2
        assert view.keys is keys, "whoever holds them sees the new ones"


async def test_who_asks_together_with_another_knows_what_that_one_read(room: Room) -> None:
    async with room.open(run=False):
        await room.store.put_meta({"origin": AUTHORITY.origin.encode()})
        now = [100.0]

        class Slow(Counting):
            async def named(self, kind: int) -> dict[str, int]:
                await asyncio.sleep(0.01)
                now[0] += 0.1
                return await super().named(kind)

        view = await FrontView.open(Slow(room.store.inner), AUTHORITY.origin, lambda: now[0])  # type: ignore[arg-type]
        now[0] += 1.0
        assert await asyncio.gather(*(view.refresh() for _ in range(3))) == [True] * 3


async def test_that_the_database_does_not_answer_is_not_told_as_an_unknown_key(room: Room) -> None:
    async with room.open(run=False):
        await room.store.put_meta({"origin": AUTHORITY.origin.encode()})
        now = [100.0]
        store = Counting(room.store.inner)
        view = await FrontView.open(store, AUTHORITY.origin, lambda: now[0])  # type: ignore[arg-type]
        now[0] += 1.0
        inner, store.inner = store.inner, Away()
        for _ in range(2):  # the second is not tried, a moment later
            with pytest.raises(Unavailable):
                await view.refresh()
        store.inner = inner
        now[0] += 1.0
        assert await view.refresh()


class Away:
    async def named(self, _kind: int) -> dict[str, int]:
        raise Unavailable(Text("没有应答", "store: read: it is starting"))


async def test_rows_that_do_not_belong_together_are_not_believed(room: Room) -> None:
    async with room.open(run=False):
        await room.store.put_meta({"origin": AUTHORITY.origin.encode()})
        row = (await room.store.states([filing_map_key(NUMBER)]))[filing_map_key(NUMBER)]
        for bit in range(0, 8 * len(row.body), 37):
            store = Counting(room.store.inner)
            store.bit = bit
            with pytest.raises((Malformed, Unverified)):
                await FrontView.open(store, AUTHORITY.origin, lambda: 0.0)  # type: ignore[arg-type]


async def test_another_log_and_an_empty_one_are_refused(room: Room) -> None:
    async with room.open(run=False):
        await room.store.put_meta({"origin": AUTHORITY.origin.encode()})
        with pytest.raises(Refused, match="ORIGIN"):
            await FrontView.open(room.store, "log.test.example/other", lambda: 0.0)
    empty = create_sqlite(room.folder / "empty.db", private=True)
    await empty.put_meta({"origin": AUTHORITY.origin.encode()})
    with pytest.raises(Unavailable, match="init"):
        await FrontView.open(empty, AUTHORITY.origin, lambda: 0.0)
    await empty.close()

"""What `serve` follows: a replica that does not open costs its own log only, and is opened when it can be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.qr import format_code
from ledger.store.opening import open_store
from ledger.store.sqlite import SqliteStore, open_sqlite
from ledger.text import Text
from tests.support.build_log import BASE, Certificate, FakeLedger, LogBuilder, served
from verifier import followed as following
from verifier.config import LogConfig, VerifierSettings, create_folder
from verifier.followed import followed
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.opened import recreate
from verifier.replica import Replica
from verifier.verdict import Code

SOON_S = (0.01, 0.01)
ORIGINS = ("log.test.example/2026", "log.test.example/2027", "log.test.example/2028")


@dataclass
class Province:
    """One log, on a server of its own, with one certificate."""

    log: LogBuilder
    certificate: Certificate
    config: LogConfig
    ledger: FakeLedger


@dataclass
class Desk:
    folder: Path
    now: int = 0
    provinces: list[Province] = field(default_factory=list)
    known: list[KnownLog] = field(default_factory=list)

    @property
    def settings(self) -> VerifierSettings:
        return VerifierSettings((BASE,), tuple(one.config for one in self.provinces), poll_ms=100)

    @property
    def lookup(self) -> Lookup:
        return Lookup(self.known, None, lambda: self.now)  # type: ignore[arg-type]

    def path(self, at: int) -> Path:
        return self.folder / self.provinces[at].config.place

    def place(self, at: int, store: str) -> None:
        """Name another store in the settings."""
        self.provinces[at].config = replace(self.provinces[at].config, store=store)

    @asynccontextmanager
    async def followed(self, **how: Any) -> AsyncIterator[None]:
        self.known = [KnownLog(trust, lambda: self.now) for trust in self.settings.trusts()]
        how = {"again_s": SOON_S, **how}
        async with followed(self.folder, self.settings, self.known, lambda: self.now, **how):
            yield

    async def code(self, at: int) -> Code:
        return (await self.lookup.by_text(format_code(self.provinces[at].certificate.code()))).code

    async def until(self, at: int, wanted: Code) -> None:
        async with asyncio.timeout(120):
            while await self.code(at) is not wanted:
                await asyncio.sleep(0.01)

    def condition(self, at: int) -> dict[str, Any]:
        return self.known[at].condition()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Two logs, and empty replicas of them."""
    made = Desk(tmp_path / "verifier")
    async with AsyncExitStack() as stack:
        for at, origin in enumerate(ORIGINS[:2]):
            log = await LogBuilder.create(tmp_path / f"{at}.db", origin=origin, seed=str(at))
            stack.push_async_callback(log.store.close)
            certificate = log.certificate(f"{at}")
            await log.issue(certificate)
            ledger = FakeLedger(log)
            url = await stack.enter_async_context(served(ledger))
            vkeys = tuple(key.format_vkey() for key in log.trust().keys)
            config = LogConfig(origin, vkeys, log.trust().genesis.hex(), ledger_url=url)
            made.provinces.append(Province(log, certificate, config, ledger))
            made.now = max(made.now, log.time)
        await create_folder(made.folder, made.settings)
        yield made


async def damage(desk: Desk, kind: str) -> Callable[[], Awaitable[object]]:
    """Keep the second replica from being opened; what mends it again."""
    path = desk.path(1)
    if kind == "missing":
        path.unlink()
        return partial(recreate, desk.folder, desk.settings)
    if kind == "in use":
        return open_sqlite(path, private=False).close
    if kind == "another log":  # it holds what it should not: Unverified
        async with desk.followed():
            await desk.until(0, Code.VALID)
        path.write_bytes(desk.path(0).read_bytes())
    elif kind == "damaged":
        path.write_bytes(b"not a store " * 1000)
    else:
        desk.place(1, "postgresql://nobody@127.0.0.1:1/none?schema=none")

    async def mend() -> None:
        path.unlink()
        async with asyncio.timeout(120):
            while True:
                try:
                    await recreate(desk.folder, desk.settings)
                    break
                except Refused as refused:  # it is being tried at this very moment
                    assert refused.code == "STORE_IN_USE"
                    await asyncio.sleep(0.001)

    return mend


def keepers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "_Keeper" in repr(task.get_coro())]


KINDS = {
    "missing": (Refused, "LOG_NOT_ADDED"),
    "in use": (Refused, "STORE_IN_USE"),
    "another log": (Unverified, "Unverified"),
    "damaged": (Unavailable, "Unavailable"),
    "down": (Unavailable, "Unavailable"),
}


class TestOneOfSeveral:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_that_does_not_open_is_told_and_opened_later(
        self, desk: Desk, caplog: pytest.LogCaptureFixture, kind: str
    ) -> None:
        mend, origin = await damage(desk, kind), desk.provinces[1].log.origin
        with caplog.at_level(logging.INFO, "verifier"):
            async with desk.followed():
                await desk.until(0, Code.VALID)
                assert await desk.code(1) is Code.UNAVAILABLE, "a no needs every log"
                told = [record for record in caplog.records if record.levelno == logging.ERROR]
                assert told and all(
                    f"replica of {origin} is not open: {KINDS[kind][1]}: " in r.getMessage() for r in told
                )
                wanted = {"origin": origin, "problem": KINDS[kind][1], "open": False, "synced": False, "target": 0}
                assert desk.condition(1) == wanted and "problem" not in desk.condition(0)
                if kind != "down":
                    await mend()
                    await desk.until(1, Code.VALID)
                    assert await desk.code(0) is Code.VALID
                    assert "problem" not in desk.condition(1) and desk.known[1].unopened == ""
                    assert f"replica of {origin} is open now" in caplog.messages
        assert [known.replica for known in desk.known] == [None, None]
        for at in (0, 1) if kind != "down" else (0,):
            await open_sqlite(desk.path(at), private=False).close()  # nobody has it any more

    async def test_the_first_of_the_settings_too(self, desk: Desk) -> None:
        desk.path(0).unlink()
        async with desk.followed():
            await desk.until(1, Code.VALID)
            assert await desk.code(0) is Code.UNAVAILABLE

    async def test_a_replica_in_use_is_said_to_be(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        close = await damage(desk, "in use")
        async with desk.followed():
            assert f"The replica of {ORIGINS[1]} is in use by another process" in caplog.text
        await close()

    async def test_a_bug_in_opening_one_is_nobody_elses(
        self, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, failing = following.open_replica, [True]

        async def opening(folder: Path, log: LogConfig, *how: Any) -> Any:
            if log.origin == ORIGINS[1] and failing:
                raise AssertionError("a bug")
            return await real(folder, log, *how)

        monkeypatch.setattr(following, "open_replica", opening)
        async with desk.followed():
            await desk.until(0, Code.VALID)
            assert desk.condition(1)["problem"] == "AssertionError"
            failing.clear()
            await desk.until(1, Code.VALID)
        assert [r.levelname for r in caplog.records if r.exc_info and "a bug" in str(r.exc_info[1])][:1] == ["CRITICAL"]

    async def test_pauses_grow_to_the_longest(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also of a replica that is damaged, where trying again helps only once somebody has mended it."""
        await damage(desk, "damaged")
        pauses, real = list[float](), asyncio.sleep
        keepers = set[Any]()

        async def sleep(seconds: float) -> None:
            if seconds >= 1:
                pauses.append(seconds)
                keepers.add(asyncio.current_task())
            await real(0.001 if len(pauses) < 9 else 600)

        monkeypatch.setattr(following.asyncio, "sleep", sleep)
        async with desk.followed(again_s=following.AGAIN_S), asyncio.timeout(120):
            while len(pauses) < 9:
                await real(0.01)
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60] and len(keepers) == 1


class TestBegin:
    async def test_all_are_opened_at_the_same_time(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        together, real = asyncio.Barrier(2), following.open_replica

        async def opening(*how: Any) -> Any:
            await together.wait()
            return await real(*how)

        monkeypatch.setattr(following, "open_replica", opening)
        async with asyncio.timeout(120), desk.followed():
            assert all(known.replica is not None for known in desk.known)

    async def test_a_slow_one_is_waited_for_and_one_that_hangs_is_not(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        answers, real = asyncio.Event(), following.open_replica

        async def opening(folder: Path, log: LogConfig, *how: Any) -> Any:
            if log.origin == ORIGINS[1]:
                await answers.wait()
            return await real(folder, log, *how)

        monkeypatch.setattr(following, "open_replica", opening)
        async with desk.followed(start_s=0.01):
            await desk.until(0, Code.VALID)
            assert f"replica of {ORIGINS[1]} is not open yet: answering begins without it" in caplog.messages
            answers.set()
            await desk.until(1, Code.VALID)
        answers.clear()
        asyncio.get_running_loop().call_later(0.05, answers.set)
        async with desk.followed():
            assert all(known.replica is not None for known in desk.known)

    async def test_one_that_hangs_does_not_hide_that_another_opens_late(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, failing = following.open_replica, [True, True]

        async def opening(folder: Path, log: LogConfig, *how: Any) -> Any:
            if log.origin == ORIGINS[1]:
                await asyncio.Event().wait()
            if failing:
                failing.pop()
                raise Unavailable(Text("没有应答", "down"))
            return await real(folder, log, *how)

        monkeypatch.setattr(following, "open_replica", opening)
        async with asyncio.timeout(120), desk.followed(start_s=0.0):
            assert desk.known[0].replica is not None

    async def test_none_that_opens_is_no_start(self, desk: Desk) -> None:
        desk.path(0).unlink()
        await damage(desk, "down")
        with pytest.raises(Refused) as refused:
            async with desk.followed():
                raise AssertionError("it does not begin")
        assert refused.value.code == "LOG_NOT_ADDED" and refused.value.field == ORIGINS[0], "the first one's"
        assert not keepers()

    @pytest.mark.parametrize("kind", KINDS)
    async def test_the_only_log_is_opened_or_nothing_is(
        self, desk: Desk, caplog: pytest.LogCaptureFixture, kind: str
    ) -> None:
        mend = await damage(desk, kind)
        caplog.clear()
        del desk.provinces[0]
        with pytest.raises(KINDS[kind][0]):
            async with desk.followed():
                raise AssertionError("it does not begin")
        assert not caplog.records, "what is raised is told by whoever starts"
        if kind == "in use":
            await mend()


class TestEnd:
    async def test_whenever_a_log_was_opened_nobody_has_its_replica_when_it_is_closed(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.path(1).unlink()
        events, close, follow = list[tuple[int, str]](), SqliteStore.close, Replica.follow

        async def closing(store: SqliteStore) -> None:
            at = next(at for at in (0, 1) if desk.path(at) == store._path)
            events.append((at, "closed" if desk.known[at].replica is None else "closed under those who ask"))
            await close(store)

        async def following(replica: Replica, *how: Any) -> None:
            at = next(at for at in (0, 1) if desk.known[at].replica is replica)
            try:
                await follow(replica, *how)
            finally:
                events.append((at, "followed"))

        monkeypatch.setattr(Replica, "follow", following)
        monkeypatch.setattr(SqliteStore, "close", closing)
        async with desk.followed():
            await desk.until(0, Code.VALID)
            await recreate(desk.folder, desk.settings)
            await desk.until(1, Code.VALID)
            events.clear()
        for at in (0, 1):
            assert [event for one, event in events if one == at] == ["followed", "closed"]

    async def test_what_is_made_for_nobody_ends_before_the_store_is_closed(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events, close, end = list[str](), SqliteStore.close, Replica.close

        async def closing(store: SqliteStore) -> None:
            events.append("store")
            await close(store)

        async def ending(replica: Replica) -> None:
            assert all(known.replica is not replica for known in desk.known)
            events.append("replica")
            await end(replica)

        monkeypatch.setattr(SqliteStore, "close", closing)
        monkeypatch.setattr(Replica, "close", ending)
        desk.provinces.pop()
        async with desk.followed():
            events.clear()
        assert events == ["replica", "store"]

    async def test_one_that_is_being_opened_is_given_up(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        given_up, real = list[str](), Replica.open

        async def opening(store: SqliteStore, *how: Any, **more: Any) -> Any:
            if store._path == desk.path(1):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    given_up.append(store._path.name)
                    raise
            return await real(store, *how, **more)

        monkeypatch.setattr(Replica, "open", opening)
        async with asyncio.timeout(120), desk.followed(start_s=0.01):
            assert keepers()
        assert given_up == [desk.path(1).name] and not keepers()
        await (await open_store(desk.path(1).name, desk.folder, private=False)).close()

    @pytest.mark.parametrize("several", [True, False])
    async def test_a_follower_that_ends_by_a_bug_is_no_longer_believed(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, several: bool
    ) -> None:
        if not several:
            del desk.provinces[1]

        async def poll(*_: object) -> None:
            raise ValueError("a bug")

        async with desk.followed():
            await desk.until(0, Code.VALID)
            replica = desk.known[0].replica
            assert replica is not None
            monkeypatch.setattr(replica, "poll", poll)
            await desk.until(0, Code.STALE)
            assert desk.known[0].replica is replica and "stopped by a bug" in caplog.text
            if several:
                await desk.until(1, Code.VALID)

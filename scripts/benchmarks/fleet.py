"""A log on more than one process: a leader, one that stands by, fronts between them and who sends.

PostgreSQL with real fsync, the guard in a database of its own, two witnesses that both must cosign; all on this one
machine, so that a rate is what all of them reach together, and the CPU of each says what would be the limit elsewhere.
Then whoever leads is killed, or stopped where it stands (SIGSTOP), under a light load: the gap is the time from that to
the next receipt that somebody gets through a front.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import psutil

from benchmarks import append, visibility
from benchmarks.figures import Figure
from benchmarks.machine import tree_cpu_seconds
from benchmarks.processes import Scale, free_port, run, started
from benchmarks.stores import own_cluster
from benchmarks.workload import (
    BATCH,
    ORIGIN,
    SECRET,
    Authority,
    Parcel,
    RunningLog,
    draw_parcels,
    make_log,
    pins_of,
    today,
)
from demonstration.settings import set_toml
from ledger.service.config import LedgerSettings
from ledger.service.front_run import FRONT_FILE, FrontSettings
from ledger.service.run import SETTINGS_FILE
from ledger.settings import format_settings, load_settings
from tests.support.postgres import GUARD_DATABASE, Server

FRONTS = 2
RUNS = 3
STOPPED = 2  # times that who leads is stopped: each takes as long as a standby waits
_SMALL = 5  # statements of a request while somebody is killed
_BEFORE = 20  # such requests, and a pause behind each
_PAUSE_S = 0.05
_FRONT = {"CERT_LEDGER_FRONT_PASSPHRASE": "a benchmark has no secrets"}
_GIVE_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class _Member:
    """A sequencer's folder and its ports."""

    home: Path
    port: int
    internal: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self, path: str) -> AsyncIterator[psutil.Process]:
        """Runs until the block ends, entered when `path` is answered with 200."""
        serve = ["-m", "ledger", "serve", "--dir", str(self.home), "--standby"]
        log = self.home.parent / f"{self.home.name}.log"
        async with started(serve, log, self.port, path, SECRET) as process:
            yield process


async def measure(folder: Path, scale: Scale) -> list[Figure]:
    home = folder / "fleet"
    home.mkdir()
    with own_cluster() as server:
        make_log(home, _places(server))
        vkeys, genesis = pins_of(home)
        async with visibility.witnesses(home, vkeys), AsyncExitStack() as fronts:
            members = _members(home)
            async with members[0].serving("/readyz") as process:
                await asyncio.sleep(1.1)  # a request signed in the second of the start is refused
                leader = RunningLog(home, members[0].url, process, vkeys, genesis)
                async with leader.client() as client:
                    await client.submit_authority(Authority(today()).filing())
                    ways = [await fronts.enter_async_context(_front(leader, members, at)) for at in range(FRONTS)]
                    stretch = scale.stretch // 2
                    count = (1 + RUNS * (1 + FRONTS)) * stretch + append.FLOOD * BATCH
                    parcels, _ = await draw_parcels(client, 0, count)
                    small, _ = await draw_parcels(
                        client, count, (RUNS + STOPPED) * (_BEFORE + 1) * _SMALL, batch=_SMALL
                    )
                figures = await _rates(leader, ways, parcels[append.FLOOD :], stretch // BATCH)
                figures += await _flood(ways, parcels[: append.FLOOD])
            return figures + await _gaps(ways[0], members, iter(small))


def _places(server: Server) -> list[str]:
    store, guard = server.place("fleet"), server.place("fleet", database=GUARD_DATABASE)
    return [
        "--store", store, "--store-owner", server.owner(store), "--guard", guard, "--guard-owner", server.owner(guard),
    ]  # fmt: skip


def _members(home: Path) -> tuple[_Member, _Member]:
    """The log's folder, and a copy of it as on a second machine."""
    shutil.copytree(home / "log", home / "standby")
    members = _Member(home / "log", free_port(), free_port()), _Member(home / "standby", free_port(), free_port())
    for member in members:
        set_toml(member.home / SETTINGS_FILE, port=member.port, internal_port=member.internal)
    return members


@asynccontextmanager
async def _front(log: RunningLog, members: Sequence[_Member], number: int) -> AsyncIterator[RunningLog]:
    """A front, as the log that callers see behind it."""
    home, port = log.folder / f"front{number}", free_port()
    home.mkdir()
    url = f"http://127.0.0.1:{port}"
    chosen = load_settings(LedgerSettings, log.folder / "log" / SETTINGS_FILE)
    settings = FrontSettings(
        origin=ORIGIN,
        store=chosen.store,
        sequencers=tuple(f"http://127.0.0.1:{member.internal}" for member in members),
        public_url=url,
        port=port,
    )
    (home / FRONT_FILE).write_text(format_settings(settings), "utf-8")
    run(
        ["-m", "ledger", "front-keys", "--dir", str(log.folder / "log"), "--out", str(home / settings.keys), "--light"],
        log.folder, SECRET | _FRONT,
    )  # fmt: skip
    serve = ["-m", "ledger", "front", "--dir", str(home)]
    async with started(serve, log.folder / f"front{number}.log", port, "/readyz", _FRONT) as process:
        await asyncio.sleep(1.1)
        yield replace(log, url=url, process=process)


async def _rates(
    leader: RunningLog, fronts: Sequence[RunningLog], parcels: Sequence[Parcel], stretch: int
) -> list[Figure]:
    """`stretch` requests a run, to the leader itself and through one front and through all of them, in turn."""
    waiting = iter(parcels)

    def some() -> list[Parcel]:
        return list(itertools.islice(waiting, stretch))

    ways = {"direct": [leader], "front": fronts[:1], "fronts": fronts}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    own: dict[str, list[float]] = {name: [] for name in ways}
    theirs: dict[str, list[float]] = {name: [] for name in ways}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await _sent(session, [leader], some())
        for _ in range(RUNS):
            for name, way in ways.items():
                before = tree_cpu_seconds(leader.process), _spent(fronts)
                rates[name].append(await _sent(session, way, drawn := some()))
                count = sum(len(parcel.entries) for parcel in drawn)
                own[name].append((tree_cpu_seconds(leader.process) - before[0]) / count * 1e6)
                theirs[name].append((_spent(fronts) - before[1]) / count * 1e6)
    said = {"direct": "to the leader itself", "front": "through one front", "fronts": f"through {FRONTS} fronts"}
    figures = []
    for name, text in said.items():
        figures.append(Figure(f"fleet.{name}", f"statements acknowledged {text}", "/s", tuple(rates[name])))
        figures.append(Figure(f"fleet.{name}_leader", f"CPU of the leader {text}", "µs", tuple(own[name])))
        if name != "direct":
            figures.append(Figure(f"fleet.{name}_cpu", "the same of all fronts", "µs", tuple(theirs[name])))
    return figures


async def _sent(session: aiohttp.ClientSession, ways: Sequence[RunningLog], parcels: Sequence[Parcel]) -> float:
    """Statements a second of all parcels, by each of these ways as many, and as many in flight as ever."""
    began = time.perf_counter()
    parts = (parcels[at :: len(ways)] for at in range(len(ways)))
    each = append.CONNECTIONS // len(ways)
    sent = await asyncio.gather(
        *(append.closed(session, way, part, each) for way, part in zip(ways, parts, strict=True))
    )
    return sum(each.statements for each in sent) / (time.perf_counter() - began)


async def _flood(fronts: Sequence[RunningLog], parcels: Sequence[Parcel]) -> list[Figure]:
    """All of these at once, through every front as many."""
    parts = (parcels[at :: len(fronts)] for at in range(len(fronts)))
    sent = await asyncio.gather(*(append.flooded(front, part) for front, part in zip(fronts, parts, strict=True)))
    longest = max(wait for each in sent for wait in each.latencies) * 1000
    said = f"{len(parcels)} requests at once through {len(fronts)} fronts"
    return [
        Figure("fleet.flood", f"{said}: longest wait, receipt or 503", "ms", (longest,), 2000, True),
        Figure("fleet.flood_503", f"{said}: answered 503", "", (float(sum(each.turned_away for each in sent)),)),
    ]


def _spent(logs: Sequence[RunningLog]) -> float:
    return sum(tree_cpu_seconds(log.process) for log in logs)


async def _gaps(front: RunningLog, members: tuple[_Member, _Member], small: Iterator[Parcel]) -> list[Figure]:
    """Whoever leads is killed, and later stopped; the other one takes over, and the first is started to stand by."""
    gaps: dict[int, list[float]] = {signal.SIGKILL: [], signal.SIGSTOP: []}
    leading, standing = members
    async with AsyncExitStack() as running:
        process = await running.enter_async_context(leading.serving("/readyz"))
        after = await running.enter_async_context(standing.serving("/livez"))
        for how in [signal.SIGKILL] * RUNS + [signal.SIGSTOP] * STOPPED:
            gaps[how].append(await _gap(front, process, how, small))
            if how == signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
            await _ended(process)  # one that was stopped sees what happened, and ends by itself
            leading, standing, process = standing, leading, after
            after = await running.enter_async_context(standing.serving("/livez"))
    takeover_ms = load_settings(LedgerSettings, members[0].home / SETTINGS_FILE).takeover_ms
    stopped = f"{takeover_ms / 1000:g} s"
    return [
        Figure("fleet.killed", "the leader is killed: until the next receipt", "s", tuple(gaps[signal.SIGKILL])),
        Figure(
            "fleet.stopped", f"the leader hangs (takeover after {stopped}): until the next receipt", "s",
            tuple(gaps[signal.SIGSTOP]),
        ),
    ]  # fmt: skip


async def _gap(front: RunningLog, leader: psutil.Process, how: int, small: Iterator[Parcel]) -> float:
    """Seconds from the signal to the receipt of what was sent behind it. Raises Failed, and TimeoutError."""
    sent = append.Sent()
    async with aiohttp.ClientSession(auto_decompress=False) as session, asyncio.timeout(_GIVE_UP_S):
        for _ in range(_BEFORE):
            await append.send(session, front, next(small), sent)
            await asyncio.sleep(_PAUSE_S)
        began = time.perf_counter()
        leader.send_signal(how)
        await append.send(session, front, next(small), sent)
        return time.perf_counter() - began


async def _ended(process: psutil.Process) -> None:
    async with asyncio.timeout(_GIVE_UP_S):
        while True:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
            await asyncio.sleep(0.05)

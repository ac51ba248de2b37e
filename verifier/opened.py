"""A verifier's folder while a command has it open: the replica of each log, shared with a running `serve`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.client import LedgerClient
from ledger.errors import CertLedgerError, Refused, Unverified
from ledger.log_folder import open_log
from ledger.progress import Progress
from ledger.remote import LogSource
from ledger.store.opening import create_store, is_postgres, open_store
from ledger.store.protocol import Store
from ledger.text import Text
from verifier.config import LogConfig, VerifierSettings
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.numbers.asking import Asked, Numbers
from verifier.replica import Replica
from verifier.served import is_served
from verifier.trust import Trust
from verifier.violation import say_failure

WAIT_S: Final = 10.0  # for another `check` or `sync` to finish with a replica
LOOK_S: Final = 0.05
_POOL_THREADS: Final = 2
_READ_ATTEMPTS: Final = 5
_NOT_ADDED: Final = Text(
    "没有日志 {origin} 的副本文件：新日志请用 add-log 添加，副本丢失的请用 sync --recreate 重建",
    "There is no replica of {origin}: a new log is added with add-log, a replica that was lost is made again with "
    "sync --recreate",
)
_IN_USE: Final = Text(
    "日志 {origin} 的副本正被另一进程使用：同一副本的另一个 serve、sync 或 check",
    "The replica of {origin} is in use by another process: another serve, sync or check of it",
)


@dataclass(frozen=True, slots=True)
class Opened:
    """One log's replica, and whether another process writes it, so that we only read."""

    origin: str
    replica: Replica
    shared: bool


async def known_logs(
    settings: VerifierSettings, stack: AsyncExitStack, now_ms: Callable[[], int], *, offline: bool = False, light: bool
) -> list[KnownLog]:
    """The logs of the settings, with their ledgers to ask unless `offline`, and without replicas. `light`: their
    ledgers are asked for proofs; raises Refused for a log without one."""
    found = []
    for log, trust in zip(settings.logs, settings.trusts(), strict=True):
        ledger = await stack.enter_async_context(LedgerClient(log.ledger_url)) if log.ledger_url else None
        if light and ledger is None:
            raise no_ledger(log.origin)
        asked = None if offline else ledger
        found.append(KnownLog(trust, now_ms, asked, proofs=asked if light else None))
    return found


@asynccontextmanager
async def opened(
    folder: Path,
    settings: VerifierSettings,
    now_ms: Callable[[], int],
    *,
    share: bool = False,
    wait_s: float = 0.0,
) -> AsyncIterator[list[Opened]]:
    """The replica of each log of the settings, in their order. With `share` a replica may be one that a running `serve`
    keeps up to date, or that somebody has not finished with after `wait_s`."""
    async with AsyncExitStack() as stack:
        pool = stack.enter_context(reading_pool())
        yield [
            await open_replica(folder, log, trust, pool, stack, now_ms, share=share, wait_s=wait_s)
            for log, trust in zip(settings.logs, settings.trusts(), strict=True)
        ]


def reading_pool() -> ThreadPoolExecutor:
    """Who checks signatures while replicas are read and followed."""
    return ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="signatures")


async def open_replica(
    folder: Path,
    log: LogConfig,
    trust: Trust,
    pool: Executor,
    stack: AsyncExitStack,
    now_ms: Callable[[], int],
    *,
    share: bool = False,
    wait_s: float = 0.0,
) -> Opened:
    """One log's replica, until `stack` is closed; the words as of `opened`. Raises Refused when it is not there or
    another process has it, Unverified when it is damaged or of another log, Unavailable."""
    store, shared = await _open_store(folder, log, share=share, wait_s=wait_s)
    stack.push_async_callback(store.close)
    source = await stack.enter_async_context(open_log(log.source_url))
    replica = await _read(store, source, trust, pool, now_ms, shared=shared)
    stack.push_async_callback(replica.close)
    return Opened(log.origin, replica, shared)


async def logs_to_ask(
    folder: Path,
    settings: VerifierSettings,
    stack: AsyncExitStack,
    now_ms: Callable[[], int],
    *,
    offline: bool,
    light: bool,
    quiet: bool,
    tell: Callable[[str], None],
) -> list[KnownLog]:
    """The logs of a folder for one command, until `stack` is closed: with their replicas unless `light` or the folder
    keeps none, brought up to date unless `offline`. What keeps one from that is told, and it answers as it is. Raises
    as `known_logs` and `opened`."""
    light = light or not settings.replica
    logs = await known_logs(settings, stack, now_ms, offline=offline, light=light)
    if light:
        return logs
    wait_s = 0.0 if offline else WAIT_S
    held = await stack.enter_async_context(opened(folder, settings, now_ms, share=True, wait_s=wait_s))
    for known, one in zip(logs, held, strict=True):
        known.replica = one.replica
        if offline or one.shared:
            continue
        try:
            await bring_up_to_date(one, now_ms, quiet=quiet)
        except CertLedgerError as error:
            tell(f"{one.origin}: {say_failure(error)}")
    return logs


async def numbers_to_ask(
    folder: Path,
    settings: VerifierSettings,
    lookup: Lookup,
    stack: AsyncExitStack,
    now_ms: Callable[[], int],
    *,
    offline: bool,
) -> Numbers | None:
    """Look-ups by number for one command; None where no ledger takes a token of this folder, or `offline`."""
    asked = []
    for known, log in zip(lookup.logs, settings.logs, strict=True):
        if log.token and not offline:
            client = LedgerClient(log.ledger_url, token=log.read_token(folder))
            asked.append(Asked(known, await stack.enter_async_context(client)))
    return Numbers(asked, lookup, now_ms) if asked else None


async def bring_up_to_date(one: Opened, now_ms: Callable[[], int], *, quiet: bool) -> None:
    """Look once at the log, with a progress bar. Raises what `Replica.poll` raises."""
    replica = one.replica
    label = Text(f"同步登记日志 {one.origin}", f"following {one.origin}")
    with Progress(None, label, sys.stderr, time.monotonic, done=replica.integrator.size, quiet=quiet) as progress:

        def reached(size: int) -> None:
            progress.total = replica.target
            progress.advance(size - progress.done)

        await replica.poll(now_ms(), reached)


def no_ledger(origin: str) -> Refused:
    """What needs the ledger's own answers cannot be done for a log that is only read as files."""
    text = Text("日志 {o} 未设置账本地址", "No ledger_url is set for the log {o}")
    return Refused("NO_LEDGER", origin, text.format(o=origin))


async def recreate(folder: Path, settings: VerifierSettings) -> list[str]:
    """Make the replicas that are gone again, empty; the origins of their logs. Those that are there stay."""
    made: list[str] = []
    for log in settings.logs:
        try:
            await (await create_store(log.place, folder, private=False)).close()
        except Refused as refusal:
            if refusal.code != "EXISTS":
                raise
        else:
            made.append(log.origin)
    return made


async def _open_store(folder: Path, log: LogConfig, *, share: bool, wait_s: float) -> tuple[Store, bool]:
    if not is_postgres(log.place) and not (folder / log.place).exists():
        raise Refused("LOG_NOT_ADDED", log.origin, _NOT_ADDED.format(origin=log.origin))
    until = time.monotonic() + wait_s
    while True:
        if not (share and is_served(folder)):
            try:
                return await open_store(log.place, folder, private=False), False
            except Refused as error:
                if error.code != "STORE_IN_USE":
                    raise
                if not share:
                    raise Refused(error.code, log.origin, _IN_USE.format(origin=log.origin)) from error
        if is_served(folder) or time.monotonic() >= until:
            return await open_store(log.place, folder, private=False, read_only=True), True
        await asyncio.sleep(LOOK_S)


async def _read(
    store: Store, source: LogSource, trust: Trust, pool: Executor, now_ms: Callable[[], int], *, shared: bool
) -> Replica:
    for _ in range(_READ_ATTEMPTS - 1):
        try:
            return await Replica.open(store, source, trust, pool, now_ms=now_ms())
        except Unverified:  # the writer committed between two of our reads
            if not shared:
                raise
            await asyncio.sleep(LOOK_S)
    return await Replica.open(store, source, trust, pool, now_ms=now_ms())

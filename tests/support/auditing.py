"""An auditor's folder in a test: settings for a log that the test built, opened on any source, small map."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.keystore import LIGHT_COST
from ledger.remote import LogSource
from tests.support.build_log import MAP_DEPTH, ORIGIN, TIME, LogBuilder, octets
from verifier.audit.config import STORE_FILE, AuditSettings, PinsConfig, create_folder
from verifier.audit.cosign import STATE_FILE, MapAuditor, create_keys
from verifier.audit.openings_folder import OpeningsFolder
from verifier.audit.run import Audit, open_audit
from verifier.audit.service import Service
from verifier.audit.statistics import Statistics
from verifier.audit.store import open_audit_store
from verifier.witness.decide import Cosigner
from verifier.witness.state import WitnessState

NOW = TIME + 60_000
NAME = "auditor.example/a1"
PASSPHRASE = b"a passphrase of the tests"


def settings_of(log: LogBuilder, url: str = "http://127.0.0.1:1", **changes: Any) -> AuditSettings:
    keys = tuple(key.format_vkey() for key in log.signer.vkeys)
    pins = PinsConfig(log.origin, keys, sha256(log.genesis_entry()).hexdigest())
    return AuditSettings(url, pins, **changes)


async def make_folder(folder: Path, settings: AuditSettings) -> None:
    """As `create_folder`, with a map of few buckets."""
    create_folder(folder, settings)
    store = open_audit_store(folder / STORE_FILE)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    store.flush(0, Statistics().encode())
    await store.close()


@asynccontextmanager
async def auditing(
    folder: Path, log: LogBuilder, source: LogSource, *, now_ms: int = NOW, **changes: Any
) -> AsyncIterator[Audit]:
    """The auditor of `log` in `folder`, made when it is not there yet."""
    settings = settings_of(log, **changes)
    if not folder.exists():
        await make_folder(folder, settings)
    with ThreadPoolExecutor(2) as pool:
        async with open_audit(folder, settings, source, pool, lambda: now_ms) as audit:
            yield audit


def codes(audit: Audit) -> list[str]:
    return [str(alarm.code) for alarm in audit.alarms()]


def make_keys(folder: Path) -> Cosigner:
    return create_keys(
        folder, NAME, ORIGIN, PASSPHRASE, created_day=1, cost=LIGHT_COST, random_bytes=lambda n: octets("k", n)
    )


class Clock:
    now_ms = NOW

    def ms(self) -> int:
        return self.now_ms

    def s(self) -> int:
        return self.now_ms // 1000


@asynccontextmanager
async def serving(
    tmp_path: Path,
    log: LogBuilder,
    source: LogSource,
    clock: Clock,
    every_s: float = 0.01,
    openings: OpeningsFolder | None = None,
    **changes: Any,
) -> AsyncIterator[tuple[Service, MapAuditor]]:
    (tmp_path / "keys").mkdir(exist_ok=True)
    cosigner = make_keys(tmp_path / "keys")
    state = WitnessState(tmp_path / "keys" / STATE_FILE)
    service = Service(clock.ms, every_s, openings)
    logs = {log.origin: log.signer.vkeys}
    judged = service.judge, service.check_ready
    auditor = MapAuditor(cosigner, logs, state, clock.s, *judged, on_asked=service.asked)
    async with auditing(tmp_path / "a", log, source, **changes) as audit, service.running(audit, auditor):
        yield service, auditor
    state.close()


def size_cosigned(auditor: MapAuditor, log: LogBuilder) -> int:
    return auditor.seen(log.origin).size

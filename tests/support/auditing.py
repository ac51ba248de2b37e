"""An auditor's folder in a test: settings for a log that the test built, opened on any source, small map."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.build_log import MAP_DEPTH, TIME, LogBuilder
from verifier.audit.config import STORE_FILE, AuditSettings, PinsConfig, create_folder
from verifier.audit.run import Audit, open_audit
from verifier.audit.statistics import Statistics
from verifier.audit.store import open_audit_store
from verifier.fetch import LogSource

NOW = TIME + 60_000


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

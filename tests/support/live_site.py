"""A verifier's site over a small built log with a witness and a map auditor, for a browser to visit.

    async with live_site(folder) as live: ...       live.url, live.log, live.certificate, live.fragment

The log's checkpoints are of the real present, because a browser's clock is. `live.lie` makes the server lie.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ledger.edge import Site, start_site
from ledger.records.qr import format_code
from ledger.records.rotation import LogKey
from ledger.records.secret import format_secret
from ledger.store.sqlite import create_sqlite
from ledger.tlog.note import VerifierKey
from tests.support.build_log import (
    AUDITOR,
    AUDITORS,
    ISSUE_DAY,
    MAP_DEPTH,
    ORIGIN,
    POLICY,
    WITNESS,
    Certificate,
    FakeLedger,
    LogBuilder,
)
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.places.web import places_room
from verifier.replica import Replica
from verifier.trust import Trust
from verifier.verdict import Verdict
from verifier.web.app import WebSettings, create_app
from verifier.web.route import Room
from verifier.web.trust_document import format_trust

NEXT = "log.test.example/next"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Lies:
    """What the server changes in its answers; nothing by default."""

    verdict: Callable[[Verdict], Verdict] = lambda verdict: verdict
    evidence: Callable[[bytes], bytes] = lambda raw: raw


class LyingLookup(Lookup):
    """The services of a verifier that may lie."""

    lies = Lies()

    async def by_secret(self, secret_text: str) -> Verdict:
        return self.lies.verdict(await super().by_secret(secret_text))

    async def evidence(self, cert_key: bytes, *, size: int | None = None, day: int | None = None) -> bytes:
        return self.lies.evidence(await super().evidence(cert_key, size=size, day=day))


@dataclass
class LiveSite:
    """One verifier, its log, and a certificate in it."""

    log: LogBuilder
    ledger: FakeLedger
    replica: Replica
    lookup: LyingLookup
    certificate: Certificate
    index: int
    site: Site | None = None
    trusts: list[Trust] = field(default_factory=list)

    @property
    def url(self) -> str:
        assert self.site is not None
        return self.site.url

    def page(self, certificate: Certificate | None = None, index: int | None = None) -> str:
        """The address of a certificate's page; with `index` (or for the first), what is printed in its code."""
        one = certificate or self.certificate
        if certificate is None:
            index = self.index
        text = format_code(one.code(index))
        return f"{self.url}/c/{format_secret(one.secret)}{text[text.index('#') :] if '#' in text else ''}"

    async def issue(self, *certificates: Certificate) -> list[int]:
        indexes = await self.log.issue(*certificates)
        await self.refresh()
        return indexes

    async def batch(self, *entries: bytes) -> None:
        await self.log.batch(entries)
        await self.refresh()

    async def refresh(self) -> None:
        self.ledger.time_ms = now_ms()
        await self.replica.poll(now_ms())


@asynccontextmanager
async def followed_site(folder: Path) -> AsyncIterator[LiveSite]:
    """The site of a log that was closed an hour ago, as its last checkpoint is, beside the log that follows it."""
    (folder / "closed").mkdir()
    async with live_site(folder / "closed", alone=False) as closed, live_site(folder, origin=NEXT, alone=False) as heir:
        certificate = closed.log.certificate("of the closed log alone")
        (index,) = await closed.log.issue(certificate)
        await closed.log.batch([closed.log.by_authority(LogKey(ISSUE_DAY, successor=NEXT))])
        an_hour_ago = now_ms() - 3_600_000
        closed.ledger.time_ms = an_hour_ago
        closed.replica.verified = None
        await closed.replica.poll(an_hour_ago)
        logs = (*closed.lookup.logs, *heir.lookup.logs)
        lookup = LyingLookup(logs, None, now_ms)  # type: ignore[arg-type]
        trusts = [log.trust for log in logs]
        both = replace(closed, lookup=lookup, trusts=trusts, certificate=certificate, index=index)
        settings = WebSettings(trusts[0].bases[0], trust=format_trust(trusts, load_messages()))
        both.site = await start_site(create_app(lookup, settings, [places_room(lookup, [])]), "127.0.0.1", 0)
        try:
            yield both
        finally:
            await both.site.stop()


@asynccontextmanager
async def live_site(
    folder: Path,
    *,
    auditor: bool = True,
    origin: str = ORIGIN,
    kit_keys: Sequence[VerifierKey] = (),
    rooms: Callable[[LiveSite], Sequence[Room]] = lambda live: (),
    **changes: Any,
) -> AsyncIterator[LiveSite]:
    """`auditor`: whether the map auditor cosigns; `changes`: of the trust."""
    log = await LogBuilder.create(folder / "log.db", origin=origin)
    log.cosigned_by = (WITNESS, AUDITOR) if auditor else (WITNESS,)
    certificate = log.certificate("one")
    (index,) = await log.issue(certificate)
    trust = replace(log.trust(policy=POLICY, map_auditors=AUDITORS), **changes)
    store = create_sqlite(folder / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    ledger = FakeLedger(log, time_ms=now_ms())
    with ThreadPoolExecutor(1) as pool:
        replica = await Replica.open(store, ledger, trust, pool)
        await replica.poll(now_ms())
        lookup = LyingLookup([KnownLog(trust, now_ms, ledger, replica=replica)], None, now_ms)  # type: ignore[arg-type]
        lookup.lies = Lies()
        live = LiveSite(log, ledger, replica, lookup, certificate, index, trusts=[trust])
        settings = WebSettings(trust.bases[0], trust=format_trust([trust], load_messages(), kit_keys))
        live.site = await start_site(
            create_app(lookup, settings, [places_room(lookup, []), *rooms(live)]), "127.0.0.1", 0
        )
        try:
            yield live
        finally:
            await live.site.stop()
    await store.close()
    await log.store.close()

"""A watched log: a site store, who watches, and a receiver of webhooks on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.build_log import Certificate
from tests.support.receipt_office import SIGNER, Office
from verifier.access.keys import ApiKey, ApiKeys
from verifier.site.store import SiteStore
from verifier.watch.delivery import Delivery
from verifier.watch.following import Following
from verifier.watch.outbound import Outbound
from verifier.watch.signing import Secrets
from verifier.watch.standing import standing_of
from verifier.watch.store import Watch, Watches

SECRET = b"s" * 32


@dataclass
class Receiver:
    """Answers each delivery with the next status, the last one for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Receiver]:
        async def take(request: web.Request) -> web.Response:
            self.got.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
            return web.Response(status=self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()


@dataclass
class WatchDesk:
    office: Office
    store: SiteStore
    watches: Watches
    key: ApiKey
    sent: str
    secrets: Secrets
    following: Following
    delivery: Delivery
    receiver: Receiver

    async def watch(self, certificate: Certificate, note: str = "") -> Watch:
        state = await self.office.replica.integrator.certificate(certificate.issue.cert_key)
        assert state is not None
        watch_id = self.watches.new_id()
        made = Watch(
            watch_id, self.key.id, certificate.issue.cert_key, self.receiver.url, note, self.office.now[0],
            standing_of(state, self.office.log.origin),
        )  # fmt: skip
        sealed = self.secrets.seal(watch_id, SECRET, lambda size: bytes(size))
        return (await self.watches.add(made, sealed))[0]

    async def look(self) -> int:
        return await self.following.look(self.office.lookup.logs[0])

    async def kinds(self, watch: Watch) -> list[str]:
        return [event.kind for event in reversed(await self.watches.events(watch.id))]


@asynccontextmanager
async def open_watch_desk(office: Office, store: SiteStore, receiver: Receiver, **how: Any) -> AsyncIterator[WatchDesk]:
    def now() -> int:
        return office.now[0]

    count = iter(range(1, 1_000_000))

    def drawn(size: int) -> bytes:
        return next(count).to_bytes(size, "big")

    watches = Watches(lambda: store, now, drawn)
    key, sent = await ApiKeys(lambda: store, now).add("示例人事", drawn)
    secrets = Secrets(SIGNER)
    async with Outbound(loopback=True, total_s=how.get("total_s", 60.0)) as outbound:
        yield WatchDesk(
            office, store, watches, key, sent, secrets, Following(office.lookup.logs, watches),
            Delivery(watches, secrets, outbound, now), receiver,
        )  # fmt: skip

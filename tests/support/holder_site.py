"""The whole site with holders' pages over a small real log, on a loopback port: a ledger of its own that keeps both
envelopes and matches ID tails, a replica, and a site's store.

async with holder_site(folder) as site: site.url, site.claim_fields(), site.desk …
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import jinja2
import pytest

from ledger.edge import start_site
from ledger.errors import Refused
from ledger.records.commitments import FieldOpening
from ledger.records.envelope import RestContent, seal_rest
from ledger.records.secret import cert_key_of, format_secret, locator_of
from ledger.store.sqlite import SqliteStore, create_sqlite
from ledger.text import Text
from tests.support.build_log import MAP_DEPTH, Certificate, FakeLedger, LogBuilder
from tests.support.ports import free_port
from verifier.config import LogConfig, VerifierSettings
from verifier.holders.accounts import Session
from verifier.holders.claim import fetch_held
from verifier.holders.desk import DESK, Desk, to_text
from verifier.holders.held import Held
from verifier.holders.room import build_room
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.replica import Replica
from verifier.scanning import Scanner
from verifier.site.context import Context
from verifier.site.opening import open_site, prepare_site
from verifier.trust import Trust
from verifier.web import view
from verifier.web.app import create_app
from verifier.web.assets import load_assets
from verifier.web.state import WebSettings
from verifier.web.trust_document import format_trust

TAIL = "123X"
# Both are the same for every site, and took longer than all the rest of one.
_site_assets = cache(load_assets)
_compile = view._compile


class HolderLedger(FakeLedger):
    """A ledger that also has rest envelopes, and knows how ID numbers end."""

    def __init__(self, log: LogBuilder) -> None:
        super().__init__(log)
        self.rest: dict[bytes, bytes] = {}
        self.tails: dict[bytes, str] = {}
        self.matches: list[bytes] = []

    async def envelope(self, issued: int, locator: bytes, slot: str) -> bytes | None:
        face = await super().envelope(issued, locator, "face")
        return self.rest.get(locator) if slot == "rest" and face is not None else face

    async def match(self, cert_key: bytes, last4: str) -> bool:
        self.matches.append(cert_key)
        if len(self.matches) > 1000:
            raise Refused("TRIES_USED", "cert_key", Text("用完", "used"))
        return self.tails.get(cert_key) == last4

    def keep(self, certificate: Certificate, tail: str = TAIL) -> None:
        """What admission of this certificate would have left here."""
        leaf = certificate.statement.leaf_hash
        openings: tuple[FieldOpening, ...] = tuple(o for o in certificate.openings if o.field.value != 1)
        content = RestContent(certificate.digests, openings)
        self.rest[locator_of(certificate.secret)] = seal_rest(certificate.holder_code, leaf, bytes(12), content)
        self.tails[cert_key_of(certificate.secret)] = tail


@cache
def _templates_of(sources: tuple[tuple[str, str], ...], labels: tuple[tuple[str, str], ...]) -> jinja2.Environment:
    return _compile(dict(sources), dict(labels))


@dataclass
class HolderSite:
    """What a test holds of it. The clock stands still unless the test moves it."""

    url: str
    folder: Path
    log: LogBuilder
    ledger: HolderLedger
    replica: Replica
    lookup: Lookup
    desk: Desk
    context: Context
    now: list[int]
    certificates: list[Certificate] = field(default_factory=list)

    def fields(self, which: int = 0, **changes: str) -> dict[str, str]:
        """The claim form, filled in."""
        certificate = self.certificates[which]
        typed = {
            "text": f"{self.url}/c/{format_secret(certificate.secret)}",
            "name": certificate.face.name,
            "tail": TAIL,
            "code": format_secret(certificate.holder_code),
        }
        return typed | changes

    async def signed_in(self, which: int = 0) -> tuple[Session, str]:
        """A session of whoever claimed that certificate, and its cookie."""
        accounts = self.desk.accounts
        token = await accounts.start(await accounts.claim(await self.held(which), None))
        session = await accounts.session(token)
        assert session is not None
        return session, f"{self.desk.cookie}={to_text(token)}"

    async def fetch(
        self, path: str, method: str = "GET", *, cookie: str = "", site: str = "same-origin", **how: Any
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers (lower case) of one request, as a browser sends it from a page of this site."""
        headers = {"Sec-Fetch-Site": site, "Accept-Language": "en"} | ({"Cookie": cookie} if cookie else {})
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self.url + path, allow_redirects=False, **how) as answer,
        ):
            return answer.status, await answer.read(), {k.lower(): v for k, v in answer.headers.items()}

    async def held(self, which: int) -> Held:
        """What a claim of it would leave."""
        certificate = self.certificates[which]
        found = await self.lookup.holding(cert_key_of(certificate.secret))
        assert found is not None
        return await fetch_held(certificate.secret, certificate.holder_code, *found)

    async def pass_time(self, ms: int) -> None:
        self.now[0] += ms
        self.ledger.time_ms = self.now[0]
        await self.replica.poll(self.now[0])


@asynccontextmanager
async def holder_site(
    folder: Path,
    *labels: str,
    place: str = "site.db",
    now_ms: int | None = None,
    erasure_key: str = "",
    photo: bytes = b"",
) -> AsyncIterator[HolderSite]:
    port = free_port()
    url = f"http://localhost:{port}"
    log = await LogBuilder.create(folder / "log.db")
    certificates = [log.certificate(label, photo=photo) for label in labels or ("one",)]
    await log.issue(*certificates)
    ledger, now = HolderLedger(log), [log.time if now_ms is None else now_ms]
    ledger.time_ms = now[0]
    for certificate in certificates:
        ledger.keep(certificate)
    store: SqliteStore = create_sqlite(folder / "replica.db", private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    trust = trust_of(log, url)
    settings = VerifierSettings((url,), (log_config(log, erasure_key),), site_store=place, port=port)
    with ThreadPoolExecutor(1) as pool:
        replica = await Replica.open(store, ledger, trust, pool)
        await replica.poll(now[0])
        known = KnownLog(trust, lambda: now[0], ledger, replica=replica)
        lookup = Lookup([known], Scanner(), lambda: now[0])
        await prepare_site(place, folder)
        context = Context(folder, settings, lookup, lambda: now[0], secrets.token_bytes)
        context.opened = await open_site(place, folder)
        words = format_trust([trust], load_messages())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("verifier.web.app.load_assets", _site_assets)
            patch.setattr(
                view, "_compile", lambda sources, labels: _templates_of(tuple(sources.items()), tuple(labels.items()))
            )
            app = create_app(lookup, WebSettings(base=url, trust=words, now_ms=lambda: now[0]), [build_room(context)])
        served = await start_site(app, "127.0.0.1", port)
        try:
            yield HolderSite(url, folder, log, ledger, replica, lookup, app[DESK], context, now, certificates)
        finally:
            await served.stop()
            await context.opened.close()
    await store.close()
    await log.store.close()


def trust_of(log: LogBuilder, url: str) -> Trust:
    return replace(log.trust(), bases=(url,))


def log_config(log: LogBuilder, erasure_key: str) -> LogConfig:
    genesis = sha256(log.genesis_entry()).hexdigest()
    keys = tuple(key.format_vkey() for key in log.signer.vkeys)
    return LogConfig(log.origin, keys, genesis, ledger_url="http://127.0.0.1:1", erasure_key=erasure_key)

"""A verifier's site with the rooms of eligibility, beside one log, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ledger.edge import Site, start_site
from tests.support.build_log import BASE, FILING
from tests.support.receipt_office import Office
from verifier.config import LogConfig, VerifierSettings
from verifier.eligibility.site import build_eligibility
from verifier.site.context import Context
from verifier.web.app import create_app
from verifier.web.state import WebSettings


@asynccontextmanager
async def eligibility_site(office: Office, folder: Path, wages: str = f"{FILING}=wage-sample") -> AsyncIterator[Site]:
    log = office.log
    keys = tuple(key.format_vkey() for key in log.signer.vkeys)
    config = LogConfig(log.origin, keys, log.trust().genesis.hex(), "https://ledger")
    settings = VerifierSettings((BASE,), (config,), wages=(wages,) if wages else ())
    ids = iter(range(1, 100))
    context = Context(folder, settings, office.lookup, lambda: office.now[0], lambda n: next(ids).to_bytes(n, "big"))
    web = WebSettings(BASE, now_ms=lambda: office.now[0])
    rooms = [build_eligibility(context)]
    site = await start_site(create_app(office.lookup, web, rooms), "127.0.0.1", 0)
    try:
        yield site
    finally:
        await site.stop()

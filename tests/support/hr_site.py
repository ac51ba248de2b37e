"""The whole site as `serve` puts it together for HR systems: a log, a replica, keys, receipts, lists, watches."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ledger.edge import Site, start_site
from tests.support.build_log import BASE
from tests.support.receipt_office import SIGNER, Office, open_office
from tests.support.site_stores import sqlite_store
from tests.support.verifier_settings import settings_of
from verifier.access.keys import ApiKeys
from verifier.access.web import build_access
from verifier.hiring.web import build_lists
from verifier.receipts.web import build_receipts
from verifier.site.context import Context
from verifier.watch.web import build_watch
from verifier.web.app import create_app
from verifier.web.state import WebSettings


@dataclass
class HrSite:
    office: Office
    site: Site
    key: str


@asynccontextmanager
async def open_hr_site(folder: Path, **settings: Any) -> AsyncIterator[HrSite]:
    async with open_office(folder) as office, sqlite_store(folder) as store:

        def now() -> int:
            return office.now[0]

        chosen = replace(settings_of(office.log), webhook_loopback=True, **settings)
        context = Context(folder, chosen, office.lookup, now, secrets.token_bytes, SIGNER, store)
        rooms = [build(context) for build in (build_access, build_receipts, build_lists, build_watch)]
        keys = ApiKeys(lambda: store, now)
        _, key = await keys.add("示例人事", secrets.token_bytes, per_minute=1_000_000)
        site = await start_site(create_app(office.lookup, WebSettings(BASE, now_ms=now), rooms), "127.0.0.1", 0)
        try:
            yield HrSite(office, site, key)
        finally:
            await site.stop()

"""The site as `serve` puts it together for HR systems: a log, a replica, keys, receipts, lists, watches; with
`everything` holders, eligibility, look-ups and the offline page too."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from ledger.edge import Site, start_site
from ledger.reference_data import load_ladder
from tests.support.build_log import BASE
from tests.support.number_desk import FakeIndex
from tests.support.receipt_office import SIGNER, Office, open_office
from tests.support.site_stores import sqlite_store
from tests.support.verifier_settings import settings_of
from verifier.access.keys import ApiKeys
from verifier.access.web import build_access
from verifier.hiring.web import build_lists
from verifier.holders.desk import DESK, to_text
from verifier.holders.held import Held
from verifier.kit.web import offline_room
from verifier.numbers.asking import Asked, Numbers
from verifier.numbers.web import numbers_room
from verifier.receipts.web import build_receipts
from verifier.serving import ROOMS
from verifier.site.context import Context
from verifier.watch.web import build_watch
from verifier.web.app import create_app
from verifier.web.route import Room
from verifier.web.schemas import OPENAPI_DOCUMENT
from verifier.web.state import WebSettings

HR_ROOMS = (build_access, build_receipts, build_lists, build_watch)


@dataclass
class HrSite:
    office: Office
    site: Site
    key: str
    app: web.Application

    def described(self) -> dict[str, Any]:
        """The operations by path, as the site says."""
        paths: dict[str, Any] = json.loads(self.app[OPENAPI_DOCUMENT])["paths"]
        return paths

    async def sign_in(self) -> tuple[str, bytes]:
        """The cookie of a holder who has the certificate; and its id in the account."""
        one, accounts = self.office.certificate, self.app[DESK].accounts
        found = await self.office.lookup.holding(one.issue.cert_key)
        assert found is not None
        leaf = found[1].state.commitment_leaf
        held = Held(one.secret, one.holder_code, one.face, one.digests, one.openings, leaf)
        token = await accounts.start(await accounts.claim(held, None))
        session = await accounts.session(token)
        assert session is not None
        return f"{self.app[DESK].cookie}={to_text(token)}", (await accounts.certificates(session))[0].id


@asynccontextmanager
async def open_hr_site(folder: Path, *, everything: bool = False, **settings: Any) -> AsyncIterator[HrSite]:
    async with open_office(folder) as office, sqlite_store(folder) as store:

        def now() -> int:
            return office.now[0]

        chosen = replace(settings_of(office.log), webhook_loopback=True, **settings)
        context = Context(folder, chosen, office.lookup, now, secrets.token_bytes, SIGNER, store)
        more: list[Room] = []
        if everything:
            index = FakeIndex()
            index.add(office.certificate, "123X")
            context.numbers = Numbers([Asked(office.lookup.logs[0], index)], office.lookup, now)
            more = [numbers_room(context.numbers, load_ladder(), now, behind_proxy=False), offline_room(None)]
        rooms = [build(context) for build in (ROOMS if everything else HR_ROOMS)] + more
        keys = ApiKeys(lambda: store, now)
        _, key = await keys.add("示例人事", secrets.token_bytes, per_minute=1_000_000)
        app = create_app(office.lookup, WebSettings(BASE, now_ms=now), rooms)
        site = await start_site(app, "127.0.0.1", 0)
        try:
            yield HrSite(office, site, key, app)
        finally:
            await site.stop()

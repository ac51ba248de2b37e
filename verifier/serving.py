"""`cert-verifier serve`: the application over the replicas that it follows, and the site's parts beside the checks."""

from __future__ import annotations

import gc
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web

from ledger.client import LedgerClient
from ledger.edge import Site, run_app
from ledger.edge_connection import EdgeSettings
from ledger.records.cose import Signer
from ledger.wall import wall_ms
from verifier.access.web import build_access
from verifier.config import VerifierSettings
from verifier.eligibility.site import build_eligibility
from verifier.followed import followed
from verifier.hiring.web import build_lists
from verifier.holders.room import build_room as build_holders
from verifier.kit.key import believed_makers
from verifier.kit.shelf import Shelf
from verifier.kit.web import offline_room
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.numbers.asking import Asked, Numbers
from verifier.numbers.web import numbers_room
from verifier.places.web import places_room
from verifier.receipts.web import build_receipts
from verifier.scanning import Scanner
from verifier.served import mark_served
from verifier.site.context import Builder, Context
from verifier.site.opening import open_site
from verifier.watch.web import build_watch
from verifier.web.app import create_app
from verifier.web.state import WebSettings
from verifier.web.trust_document import format_trust

ROOMS: Final[tuple[Builder, ...]] = (
    build_access, build_receipts, build_lists, build_watch, build_holders, build_eligibility,
)  # fmt: skip


def serve(
    folder: Path,
    settings: VerifierSettings,
    port: int | None,
    on_ready: Callable[[Site], None],
    shelf: Shelf | None = None,
    signer: Signer | None = None,
) -> None:
    """Follow the logs and answer over HTTP until told to stop. `shelf`: for the offline kits that this verifier makes;
    `signer`: of its receipts. Raises what opening the replicas or the site's store raises."""
    edge = EdgeSettings(behind_proxy=settings.behind_proxy, tls_cert=settings.tls_cert, tls_key=settings.tls_key)
    clients = [
        LedgerClient(log.ledger_url, token=log.read_token(folder)) if log.ledger_url else None for log in settings.logs
    ]
    pairs = zip(settings.trusts(), clients, strict=True)
    lookup = Lookup([KnownLog(trust, wall_ms, client) for trust, client in pairs], Scanner(), wall_ms)
    context = Context(folder, settings, lookup, wall_ms, secrets.token_bytes, signer)

    async def running(_app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for client in clients:
                if client is not None:
                    await stack.enter_async_context(client)
            context.opened = await open_site(settings.site_store, folder)
            stack.push_async_callback(context.opened.close)
            stack.enter_context(mark_served(folder))
            await stack.enter_async_context(followed(folder, settings, lookup.logs, wall_ms))
            gc.collect()
            gc.freeze()  # packs, catalogue, templates: nothing of them is garbage before the end
            gc.set_threshold(50_000, 20, 20)  # what a check makes is gone when it is answered, without any search
            if shelf is not None:
                kept = shelf.kept_fresh(lambda: [(known.replica, known.trust) for known in lookup.logs])
                await stack.enter_async_context(kept)
            yield
            context.opened = None

    asked = [
        Asked(known, client)
        for known, client, log in zip(lookup.logs, clients, settings.logs, strict=True)
        if client and log.token
    ]
    context.numbers = Numbers(asked, lookup, wall_ms) if asked else None
    rooms = [build(context) for build in ROOMS]
    if context.numbers is not None:
        ladder = lookup.logs[0].trust.ladder
        rooms.append(numbers_room(context.numbers, ladder, wall_ms, behind_proxy=settings.behind_proxy))
    rooms.append(places_room(lookup, list(zip(settings.trusts(), clients, strict=True))))
    trust = format_trust(settings.trusts(), load_messages(), believed_makers(folder, settings))
    rooms.append(offline_room(shelf))
    app = create_app(lookup, WebSettings(base=settings.bases[0], trust=trust), rooms)
    app.cleanup_ctx.insert(0, running)
    run_app(app, settings.host, settings.port if port is None else port, edge, on_ready=on_ready)

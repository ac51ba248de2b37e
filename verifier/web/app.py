"""Puts the verifier's web application together."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from ledger.edge import Intake, protect
from verifier.messages import load_messages
from verifier.web.assets import load_assets
from verifier.web.handlers import render_error
from verifier.web.openapi import format_openapi
from verifier.web.readiness import Readiness
from verifier.web.route import Room
from verifier.web.routes import ROUTES
from verifier.web.schemas import OPENAPI_DOCUMENT
from verifier.web.state import STATE, Meters, Services, State, WebSettings
from verifier.web.view import Pages

__all__ = ["Readiness", "Services", "WebSettings", "create_app"]


def create_app(services: Services, settings: WebSettings, rooms: Sequence[Room] = ()) -> web.Application:
    """The application, ready for `ledger.edge.start_site`. Nothing is shared between two of them; `rooms` are what this
    verifier offers beyond checks."""
    app = web.Application()
    messages = load_messages()
    assets = load_assets()
    routes = [*ROUTES, *(route for room in rooms for route in room.routes)]
    app[STATE] = State(
        services=services,
        settings=settings,
        messages=messages,
        pages=Pages(
            messages,
            assets.names,
            settings.base,
            settings.upload_limit // (1024 * 1024),
            {route.path for route in routes},
            recheck=bool(settings.trust),
        ),
        assets=assets.files,
        wasm_worker=assets.names["scan-worker.js"],
        meters=Meters(services.metrics),
        uploads=Intake(settings.uploads_memory),
    )
    app[OPENAPI_DOCUMENT] = format_openapi(routes, settings.base)
    for room in rooms:
        room.attach(app)
    for route in routes:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler)  # answers HEAD too
        else:
            app.router.add_route(route.method, route.path, route.handler)
    protect(app, render=render_error)
    return app

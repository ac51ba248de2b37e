"""Puts the verifier's web application together."""

from __future__ import annotations

from aiohttp import web

from ledger.edge import Intake, protect
from verifier.messages import load_messages
from verifier.web.handlers import render_error
from verifier.web.openapi import format_openapi
from verifier.web.routes import ROUTES
from verifier.web.schemas import OPENAPI_DOCUMENT
from verifier.web.state import STATE, Meters, Readiness, Services, State, WebSettings
from verifier.web.view import Pages, load_assets

__all__ = ["Readiness", "Services", "WebSettings", "create_app"]


def create_app(services: Services, settings: WebSettings) -> web.Application:
    """The application, ready for `ledger.edge.start_site`. Nothing is shared between two of them."""
    app = web.Application()
    messages = load_messages()
    assets, names = load_assets()
    app[STATE] = State(
        services=services,
        settings=settings,
        messages=messages,
        pages=Pages(messages, names, settings.base, settings.upload_limit // (1024 * 1024)),
        assets=assets,
        meters=Meters(services.metrics),
        uploads=Intake(settings.uploads_memory),
    )
    app[OPENAPI_DOCUMENT] = format_openapi(ROUTES, settings.base)
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler)  # answers HEAD too
        else:
            app.router.add_route(route.method, route.path, route.handler)
    protect(app, render=render_error)
    return app

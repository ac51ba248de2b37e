"""The room of API keys: the guard in front of every route, and what a key may."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from verifier.access.guard import Guard, required_key
from verifier.access.keys import ApiKeys
from verifier.access.repeats import Repeats
from verifier.site.context import Context
from verifier.verdict_json import iso_time
from verifier.web.answers import json_body
from verifier.web.route import ERRORS, Room, Route

_KEY: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "name": {"type": "string"},
        "per_minute": {"type": "integer", "minimum": 1},
        "max_rows": {"type": "integer", "minimum": 1},
        "created": {"type": "string", "format": "date-time"},
    },
    "required": ["id", "name", "per_minute", "max_rows", "created"],
    "additionalProperties": False,
}


def build_access(context: Context) -> Room:
    """The room. It comes first, so that its guard stands before all others."""
    keys = ApiKeys(lambda: context.store, context.now_ms)
    behind_proxy = context.settings.behind_proxy
    guard = Guard(keys, Repeats(context.now_ms), time.monotonic, behind_proxy=behind_proxy)

    def attach(app: web.Application) -> None:
        app.middlewares.append(guard.middleware())

    return Room(ROUTES, attach)


async def show(request: web.Request) -> web.StreamResponse:
    key = required_key(request)
    return json_body(
        {
            "id": key.id,
            "name": key.name,
            "per_minute": key.per_minute,
            "max_rows": key.max_rows,
            "created": iso_time(key.created_ms),
        }
    )


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/key",
        show,
        "What the API key in use may",
        {200: {"application/json": _KEY}, 503: ERRORS},
        keyed=True,
    ),
)

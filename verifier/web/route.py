"""One operation of the verifier's HTTP interface, as the application serves it and `openapi` describes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from verifier.web.schemas import ERROR

Schema = dict[str, Any]
BINARY: Final[Schema] = {"type": "string", "format": "binary"}
PLAIN: Final[Schema] = {"type": "string"}
HTML: Final = {"text/html": PLAIN}
LANG: Final[dict[str, Schema]] = {"lang": {"type": "string", "enum": ["zh", "en"]}}
ERRORS: Final = {"application/json": ERROR}
BODY_ERRORS: Final = dict.fromkeys((400, 408, 413, 415, 503), ERRORS)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `takes` and `gives` map media types to schemas; `gives` by status."""

    method: str
    path: str  # aiohttp and OpenAPI spell parameters alike
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    gives: dict[int, dict[str, Schema]]
    takes: dict[str, Schema] | None = None
    query: dict[str, Schema] | None = None
    keyed: bool = False  # needs an API key


@dataclass(frozen=True, slots=True)
class Room:
    """A part of the site that an operator can leave out: its routes, and what they need put into the application."""

    routes: tuple[Route, ...]
    attach: Callable[[web.Application], None]

"""The routes that every verifier serves; `route.Room` adds others."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from verifier.web import handlers
from verifier.web.assets import TYPES
from verifier.web.route import BINARY, BODY_ERRORS, ERRORS, HTML, LANG, PLAIN, Route
from verifier.web.schemas import FORM_FILE_OR_TEXT, OPENAPI_DOCUMENT, READINESS, TEXT_QUESTION, VERDICT


async def _openapi(request: web.Request) -> web.StreamResponse:
    return web.Response(body=request.app[OPENAPI_DOCUMENT], content_type="application/json")


ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/", handlers.start, "Start page: paste a text or upload a file", {200: HTML}, query=LANG),
    Route(
        "POST",
        "/verify",
        handlers.form,
        "Check what the start page's forms send; answers with the verdict page",
        {200: HTML} | BODY_ERRORS,
        takes={
            "application/x-www-form-urlencoded": FORM_FILE_OR_TEXT,
            "multipart/form-data": FORM_FILE_OR_TEXT,
        },
    ),
    Route(
        "GET",
        "/c/{secret}",
        handlers.page,
        "Verdict page of one certificate, the address in its QR code; 200 for every verdict",
        {200: HTML},
        query=LANG,
    ),
    Route(
        "POST",
        "/v1/verify",
        handlers.verify,
        "Check a link, the text of a QR code, a photo, a PDF or a bundle; 200 for every verdict",
        {200: {"application/json": VERDICT}} | BODY_ERRORS,
        takes={
            "application/json": TEXT_QUESTION,
            "multipart/form-data": FORM_FILE_OR_TEXT,
            **dict.fromkeys(sorted(handlers.RAW_TYPES), BINARY),
        },
    ),
    Route(
        "GET",
        "/v1/evidence/{cert_key}",
        handlers.evidence,
        "Proof of a certificate's state now, as of the first N leaves or as of a day; an absence is proven too",
        {200: {"application/cbor": BINARY}, 304: {}} | dict.fromkeys((400, 404, 422, 503), ERRORS),
        query={"size": {"type": "integer", "minimum": 1}, "date": {"type": "string", "format": "date"}},
    ),
    Route(
        "GET",
        "/v1/trust",
        handlers.trust,
        "What this verifier believes of each log, for browsers that check its answers again",
        {200: {"application/json": {"type": "object"}}, 404: ERRORS},
    ),
    Route(
        "GET",
        "/static/{name}",
        handlers.static,
        "Style sheets, scripts and pictures, named by their content",
        {200: dict.fromkeys(TYPES.values(), BINARY), 404: ERRORS},
    ),
    Route("GET", "/robots.txt", handlers.robots, "Keeps crawlers away", {200: {"text/plain": PLAIN}}),
    Route("GET", "/livez", handlers.livez, "The process turns", {200: {"text/plain": PLAIN}}),
    Route(
        "GET",
        "/readyz",
        handlers.readyz,
        "Whether checks can be answered now",
        {200: {"application/json": READINESS}, 503: {"application/json": READINESS}},
    ),
    Route("GET", "/metrics", handlers.metrics, "Prometheus meters", {200: {"text/plain": PLAIN}}),
    Route("GET", "/openapi.json", _openapi, "This description", {200: {"application/json": {"type": "object"}}}),
)

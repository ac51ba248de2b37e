"""What makes the site work without a network: the kit, the page that checks by it, and what a browser installs.

GET /offline          checks printed codes by the kit, in the browser
GET /kit              the signed kit; 404 where this verifier makes none, 503 before the first is made
GET /sw.js            the service worker, for the whole site
GET /app.webmanifest  name and icons
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from aiohttp import web

from ledger.edge import Rejected
from ledger.errors import Unavailable
from ledger.text import Text
from verifier.kit.shelf import Shelf
from verifier.verdict import Code
from verifier.web.answers import SCANNER_HEADERS, chosen_lang, html
from verifier.web.route import BINARY, ERRORS, HTML, LANG, PLAIN, Room, Route
from verifier.web.state import STATE

SHELF: Final = web.AppKey("kit shelf", Shelf)
_FIRST_S: Final = 5  # to ask again for the first kit
_MAKING: Final = Text("离线包正在制作，请稍后再取", "The offline kit is being made; please fetch it in a moment")
# What a kit can end in, and the word for its line where that of an online check would not do.
LINES: Final = {
    Code.OFFLINE_BUNDLE_OK: "kit_line_ok",
    Code.OFFLINE_SIGNATURE_OK: "kit_line_signature",
    Code.REVOKED: "kit_line_revoked",
    Code.ENDED: "kit_line_ended",
    Code.STALE: "kit_line_stale",
    Code.UNAVAILABLE: "kit_line_unavailable",
    Code.WRONG_DOMAIN: "kit_line_domain",
    Code.SUSPENDED: "",
    Code.TAMPERED: "",
    Code.ISSUER_OUT_OF_SCOPE: "",
    Code.UNREADABLE: "",
}
TITLES: Final = {Code.OFFLINE_BUNDLE_OK: "kit_title_ok"}  # a kit does not prove that the certificate was entered
_LASTING: Final = ("css", "js", "svg", "png", "wasm")  # static files that the installed site keeps


def offline_room(shelf: Shelf | None) -> Room:
    """`shelf`: None where this verifier makes no kits; the page then says so."""

    def attach(app: web.Application) -> None:
        if shelf is not None:
            app[SHELF] = shelf

    return Room(ROUTES, attach)


async def page(request: web.Request) -> web.StreamResponse:
    state, lang = request.app[STATE], chosen_lang(request)
    bands = state.pages.bands(LINES, lang, TITLES)
    switch = f"/offline?lang={'en' if lang == 'zh' else 'zh'}"
    text = state.pages.render("offline.html", lang, switch=switch, bands=bands)
    return html(request, text, headers=SCANNER_HEADERS)


async def kit(request: web.Request) -> web.StreamResponse:
    shelf = request.app.get(SHELF)
    if shelf is None:
        raise Rejected(404)
    if not shelf.raw:
        raise Unavailable(_MAKING, retry_after=_FIRST_S, public=True)
    headers = {"Cache-Control": "no-cache", "ETag": shelf.tag}
    if request.headers.get("If-None-Match") == shelf.tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=shelf.raw, content_type="application/cbor", headers=headers)


async def worker(request: web.Request) -> web.StreamResponse:
    """The worker and what it keeps: all static files by name, so that a new version of any is a new version of it."""
    assets, names = request.app[STATE].assets, request.app[STATE].pages.asset_names
    files = sorted(f"/static/{name}" for name in assets if name.rpartition(".")[2] in _LASTING)
    version = hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
    site = json.dumps({"version": version, "files": files})
    body = f"self.SITE = {site};\n".encode() + assets[names["sw.js"]].body
    return web.Response(body=body, content_type="text/javascript", headers={"Cache-Control": "no-cache"})


async def manifest(request: web.Request) -> web.StreamResponse:
    state, lang = request.app[STATE], chosen_lang(request)
    names = state.pages.asset_names
    said = {
        "id": "/",
        "name": state.messages.labels["site"].of(lang),
        "short_name": state.messages.labels["kit_short_name"].of(lang),
        "lang": "zh-CN" if lang == "zh" else "en",
        "start_url": f"/offline?lang={lang}",
        "scope": "/",
        "display": "standalone",
        "background_color": "#f4f5f7",
        "theme_color": "#17324d",
        "icons": [
            {"src": f"/static/{names['icon.svg']}", "sizes": "any", "type": "image/svg+xml"},
            {"src": f"/static/{names['icon-192.png']}", "sizes": "192x192", "type": "image/png"},
            {"src": f"/static/{names['icon-512.png']}", "sizes": "512x512", "type": "image/png", "purpose": "any"},
            {"src": f"/static/{names['icon-512.png']}", "sizes": "512x512", "type": "image/png", "purpose": "maskable"},
        ],
    }
    body = json.dumps(said, ensure_ascii=False).encode()
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Language"}
    return web.Response(body=body, content_type="application/manifest+json", headers=headers)


ROUTES: Final = (
    Route("GET", "/offline", page, "Checks printed codes by the kit, in the browser", {200: HTML}, query=LANG),
    Route(
        "GET",
        "/kit",
        kit,
        "The signed offline kit (formats.md 12)",
        {200: {"application/cbor": BINARY}, 304: {}, 404: ERRORS, 503: ERRORS},
    ),
    Route("GET", "/sw.js", worker, "The service worker", {200: {"text/javascript": PLAIN}}),
    Route(
        "GET",
        "/app.webmanifest",
        manifest,
        "What an installed site is called and looks like",
        {200: {"application/manifest+json": {"type": "object"}}},
        query=LANG,
    ),
)

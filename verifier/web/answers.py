"""What every route answers with: pages in the reader's language, JSON, and a stricter or wider policy where needed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from aiohttp import hdrs, web
from multidict import istr

from ledger.edge import CSP, Rejected
from ledger.edge_ready import Header
from verifier.web.moulds import Page

# Of the scanner alone, which reads pictures with WebAssembly.
WASM_CSP: Final = CSP.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
SCANNER_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": WASM_CSP,
        "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
    }
)

_CERT_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PROOF: Final[Mapping[str, str]] = {hdrs.CACHE_CONTROL: "no-cache", hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*"}
_HTML: Final = "text/html; charset=utf-8"
# Names that need not be folded for each answer.
_PLAIN: Final[Mapping[str, str]] = {
    hdrs.VARY: "Accept-Language, Accept-Encoding",
    istr("X-Robots-Tag"): "noindex",
    hdrs.CONTENT_TYPE: _HTML,
}
_PACKED: Final[Mapping[str, str]] = {**_PLAIN, hdrs.CONTENT_ENCODING: "gzip"}
_READY: Final = {packed: Header(_HTML, _PACKED if packed else _PLAIN) for packed in (False, True)}


def html(
    request: web.Request, page: str | Page, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A page. `headers` replace the site's own of the same name (a scanner's policy, say)."""
    if isinstance(page, str):
        page = Page(page.encode())
    sent, body = (_PACKED, page.packed()) if takes_gzip(request) else (_PLAIN, page.body)
    return web.Response(status=status, body=body, headers=sent if headers is None else {**sent, **headers})


def ready_html(request: web.Request, page: Page) -> web.StreamResponse:
    """A page as by `html`, in the least time. Nothing may be changed in the answer."""
    packed = takes_gzip(request)
    return _READY[packed].answer(request, page.packed() if packed else page.body)


def json_body(body: Mapping[str, object], status: int = 200) -> web.Response:
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(status=status, text=text, content_type="application/json")


def asked_cert_key(request: web.Request) -> bytes:
    """The cert key in the path, 32 bytes. Raises Rejected (404) where there is none."""
    text = request.match_info["cert_key"]
    if _CERT_KEY.fullmatch(text) is None:
        raise Rejected(404)
    return bytes.fromhex(text)


def proof_file(
    request: web.Request, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A proof about one certificate for anybody, asked for again each time; 304 to who has these bytes."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    sent = {**_PROOF, hdrs.ETAG: tag}
    if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
        return web.Response(status=304, headers=sent)
    return web.Response(body=body, content_type=content_type, headers=sent | dict(headers or {}))


def takes_gzip(request: web.Request) -> bool:
    return _takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")[:256])


def chosen_lang(request: web.Request) -> str:
    """`?lang=` wins, then the first of Chinese and English in Accept-Language, then Chinese."""
    asked = request.query.get("lang", "") if request.query_string else ""
    return asked if asked in ("zh", "en") else _preferred(request.headers.get(hdrs.ACCEPT_LANGUAGE, "")[:256])


@lru_cache(256)  # browsers say one of a few things
def _takes_gzip(accepted: str) -> bool:
    accepted = accepted.lower()
    return "gzip" in accepted and "gzip;q=0" not in accepted.replace(" ", "")


@lru_cache(256)
def _preferred(accepted: str) -> str:
    best, lang = 0.0, "zh"
    for item in accepted.split(","):
        tag, _, parameters = item.strip().lower().partition(";")
        primary = tag.strip().partition("-")[0]
        if primary in ("zh", "en") and (quality := _quality(parameters)) > best:
            best, lang = quality, primary
    return lang


def _quality(parameters: str) -> float:
    try:
        return float(parameters.strip().removeprefix("q=")) if parameters else 1.0
    except ValueError:
        return 0.0

"""What the handlers of holders' pages share: who is signed in, whose request it is, how a page is answered.

The cookie holds the session's token and nothing else: HttpOnly, SameSite=Strict, and Secure (with the `__Host-` prefix)
wherever the official address is https. What changes something is taken only from pages of this very site.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from ledger.edge import Rejected, read_body
from ledger.errors import Malformed, Unverified
from ledger.text import Text
from verifier.holders.accounts import SESSION_MS, Accounts, Session
from verifier.holders.passkeys import RelyingParty
from verifier.holders.requests import Requests
from verifier.holders.sealing import TOKEN_BYTES, RandomBytes
from verifier.holders.share_store import Shares
from verifier.holders.tries import Tries
from verifier.lookup import FileReader, Lookup
from verifier.watch.store import Watches
from verifier.web.answers import chosen_lang, html
from verifier.web.clients import Allowance, client_of
from verifier.web.forms import parse_multipart, parse_urlencoded
from verifier.web.state import STATE

_SMALL: Final = 64 * 1024  # bytes of a form without a file
# Forms say where they come from: under `no-referrer` a browser would send `Origin: null` with them.
PAGE_HEADERS: Final[Mapping[str, str]] = {"Referrer-Policy": "same-origin"}


@dataclass(slots=True)
class Desk:
    """One for each application."""

    base: str  # official address
    bases: tuple[str, ...]  # every address that codes may have
    lookup: Lookup
    accounts: Accounts
    shares: Shares
    tries: Tries
    requests: Requests
    watches: Watches
    erasure_keys: Mapping[str, bytes]  # of the operators of logs, by origin
    scanner: FileReader
    relying_party: RelyingParty | None
    now_ms: Callable[[], int]
    random_bytes: RandomBytes
    behind_proxy: bool
    claims: Allowance
    sign_ins: Allowance
    openings: Allowance  # of shares

    @property
    def secure(self) -> bool:
        return self.base.startswith("https://")

    @property
    def cookie(self) -> str:
        return "__Host-holder" if self.secure else "holder"


DESK: Final = web.AppKey("holders", Desk)


def desk_of(request: web.Request) -> Desk:
    return request.app[DESK]


async def signed_in(request: web.Request) -> Session | None:
    """Whoever this request's cookie stands for."""
    desk = desk_of(request)
    text = request.cookies.get(desk.cookie, "")
    try:
        token = from_text(text)
    except Malformed:
        return None
    return await desk.accounts.session(token) if len(token) == TOKEN_BYTES else None


async def acting(request: web.Request) -> Session:
    """Who changes something with this request. Raises Unverified from another site, 404 when nobody is signed in."""
    from_here(request)
    session = await signed_in(request)
    if session is None:
        raise Rejected(404)
    return session


def from_here(request: web.Request) -> None:
    """Raises Unverified unless a page of this site sent the request."""
    said = request.headers.get("Sec-Fetch-Site")
    if said is not None:
        allowed = said == "same-origin"
    else:
        try:
            allowed = urlsplit(request.headers.get("Origin", "")).netloc == request.host
        except ValueError:  # no address at all
            allowed = False
    if not allowed:
        raise Unverified(Text("请求来自其他网站", "a request from another site"))


def spend(request: web.Request, allowance: Allowance) -> None:
    """Raises Unavailable, saying when to come again, when this client has asked too much."""
    allowance.take(client_of(request, behind_proxy=desk_of(request).behind_proxy), time.monotonic())


def sign_in(request: web.Request, answer: web.StreamResponse, token: bytes) -> None:
    desk = desk_of(request)
    answer.set_cookie(
        desk.cookie,
        to_text(token),
        max_age=SESSION_MS // 1000,
        path="/",
        httponly=True,
        secure=desk.secure,
        samesite="Strict",
    )


def sign_out(request: web.Request, answer: web.StreamResponse) -> None:
    desk = desk_of(request)
    answer.del_cookie(desk.cookie, path="/", httponly=True, secure=desk.secure, samesite="Strict")


def page(request: web.Request, template: str, *, status: int = 200, lang: str = "", **values: object) -> web.Response:
    """A page of this part of the site."""
    lang = lang or chosen_lang(request)
    other = "en" if lang == "zh" else "zh"
    values.setdefault("switch", f"?lang={other}")
    text = request.app[STATE].pages.render(template, lang, **values)
    return html(request, text, status=status, headers=PAGE_HEADERS)


def say(request: web.Request, key: str, lang: str, **values: object) -> str:
    """Words of the catalogue where a template cannot name them."""
    text = request.app[STATE].messages.labels[key].of(lang)
    return text.format(**values) if values else text


def see(path: str, lang: str) -> web.Response:
    """After a form: look there."""
    return web.Response(status=303, headers={"Location": f"{path}?lang={lang}"})


async def read_fields(request: web.Request) -> tuple[dict[str, str], str]:
    """The fields of a small form, and its language. Raises Malformed."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise Rejected(415)
    fields = parse_urlencoded(await read_body(request, _SMALL))
    return fields, lang_of(request, fields)


async def read_upload(request: web.Request) -> tuple[dict[str, str], bytes, str]:
    """The plain fields of a form with a file, the file (empty: none was chosen), the language. Raises Malformed."""
    if request.content_type != "multipart/form-data":
        raise Rejected(415)
    state = request.app[STATE]
    with state.uploads.held() as count:
        body = await read_body(request, state.settings.upload_limit + _SMALL, on_bytes=count)
    parts = parse_multipart(request.headers["Content-Type"], body)
    fields = {name: part.text() for name, part in parts.items() if part.filename is None}
    chosen = parts.get("file")
    data = chosen.content if chosen is not None and chosen.filename is not None else b""
    if len(data) > state.settings.upload_limit:
        raise Rejected(413)
    return fields, data, lang_of(request, fields)


def lang_of(request: web.Request, fields: Mapping[str, str]) -> str:
    lang = fields.get("lang", "")
    return lang if lang in ("zh", "en") else chosen_lang(request)


def to_text(raw: bytes) -> str:
    """Bytes in addresses, cookies and JSON: base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_text(text: str, limit: int = _SMALL) -> bytes:
    """Raises Malformed for anything but the one spelling."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Malformed(Text("应为 base64url", "base64url")) from None
    if len(raw) > limit or to_text(raw) != text:
        raise Malformed(Text("应为 base64url", "base64url"))
    return raw

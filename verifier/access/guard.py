"""Stands before the handlers: who asks, how much of it is left, and whether it was asked before.

    1 key      `Authorization: Bearer cvk_…` names an API key; one that does not count is 401
    2 limit    by key, or by client: an IPv4 address or an IPv6 /48, from the trusted proxy hop only; past it 429
    3 files    what is posted is read for this key or client, as long as it listens (verifier.scanning)
    4 repeat   a POST with `Idempotency-Key` gets the answer of the first one (repeats)

What is limited for clients without a key: checks, receipts, shares, holders and their pages (10 a second, 50 at once),
and lists (one a minute, 10 at once). A client on loopback is not limited unless a proxy stands in front: then it is
whoever that says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from ledger.addresses import is_loopback
from ledger.edge import Rejected, Throttled, keep_body, read_body
from ledger.errors import Unavailable
from verifier.access.keys import ApiKey, ApiKeys
from verifier.access.repeats import Repeats, Stored
from verifier.scanning import asked_by
from verifier.web.clients import Allowance, client_of
from verifier.web.state import STATE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANONYMOUS_ROWS: Final = 500  # of a list without a key
ANONYMOUS_PAIRS: Final = 20  # of them, numbers with names: each is a guess that somebody may be making
_KEY: Final = web.RequestKey("api_key", ApiKey)
_LISTS: Final = frozenset(
    {"/lists", "/v1/hiring-lists", "/payroll", "/v1/payroll-runs", "/applications/batch", "/v1/application-runs"}
)
_CHECKS: Final = (
    "/c/",
    "/s/",
    "/holder",
    "/verify",
    "/receipt",
    "/v1/verify",
    "/v1/receipts",
    "/v1/evidence/",
    "/applications",
    "/v1/eligible",
)
_MAX_REPEATED: Final = 32 * 1024 * 1024 + 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Per minute, and at once."""

    checks: tuple[float, int] = (600.0, 50)
    lists: tuple[float, int] = (1.0, 10)


class Guard:
    """The middleware of one application. `now_s` is a steady clock."""

    def __init__(
        self,
        keys: ApiKeys,
        repeats: Repeats,
        now_s: Callable[[], float],
        *,
        behind_proxy: bool,
        limits: Limits | None = None,
    ) -> None:
        chosen = limits or Limits()
        self._keys = keys
        self._repeats = repeats
        self._now_s = now_s
        self._behind_proxy = behind_proxy
        self._checks = Allowance(*chosen.checks)
        self._lists = Allowance(*chosen.lists)
        self._by_key: dict[tuple[str, int], Allowance] = {}

    def middleware(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            key = await self._key(request)  # 1
            if key is not None:
                request[_KEY] = key
            self._take(request, key)  # 2
            if request.method != "POST":
                return await handler(request)
            name = request.headers.get("Idempotency-Key") if request.path.startswith("/v1/") else None
            # An answer that a repeat may come for is kept: a sender who hangs up may be the one who asks again.
            listens = partial(_listens, request) if name is None else lambda: True
            with asked_by(key.id if key is not None else self._client(request), listens):  # 3
                if name is None:
                    return await handler(request)
                return await self._once(request, handler, name)  # 4

        return guard

    async def _key(self, request: web.Request) -> ApiKey | None:
        header = request.headers.get("Authorization")
        if header is None or not request.path.startswith("/v1/"):
            return None
        scheme, _, sent = header.partition(" ")
        key = await self._keys.find(sent.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Rejected(401)
        return key

    def _take(self, request: web.Request, key: ApiKey | None) -> None:
        if key is not None:
            named = key.id, key.per_minute
            if named not in self._by_key:
                self._by_key[named] = Allowance(key.per_minute, max(10, key.per_minute // 6))
            return self._ask(self._by_key[named], key.id)
        posted = request.method == "POST" and request.path in _LISTS
        if not posted and not request.path.startswith(_CHECKS):
            return None
        client = self._client(request)
        return None if client is None else self._ask(self._lists if posted else self._checks, client)

    def _client(self, request: web.Request) -> str | None:
        """None for one that is not limited."""
        client = client_of(request, behind_proxy=self._behind_proxy)
        return None if not self._behind_proxy and client and is_loopback(client) else client

    def _ask(self, allowance: Allowance, client: str) -> None:
        try:
            allowance.take(client, self._now_s())
        except Unavailable as spent:
            raise Throttled(spent.retry_after or 1) from spent

    async def _once(self, request: web.Request, handler: Handler, name: str) -> web.StreamResponse:
        with request.app[STATE].uploads.held() as count:
            body = await read_body(request, _MAX_REPEATED, on_bytes=count)
            keep_body(request, body)
            return await self._answered(request, handler, name, body)

    async def _answered(self, request: web.Request, handler: Handler, name: str, body: bytes) -> web.Response:
        who = key.id if (key := key_of(request)) else client_of(request, behind_proxy=self._behind_proxy)
        asked = f"{request.method} {request.path_qs}\n{request.headers.get('Content-Type', '')}\n"

        async def answer() -> Stored:
            given = await handler(request)
            if not isinstance(given, web.Response) or not isinstance(given.body, bytes):
                raise AssertionError("an answer that may be repeated is whole")
            kept = tuple((key, value) for key, value in given.headers.items() if key in _KEPT_HEADERS)
            return Stored(given.status, given.content_type, given.body, kept)

        stored = await self._repeats.once(who, name, asked.encode("utf-8", "surrogateescape") + body, answer)
        headers = dict(stored.headers)
        return web.Response(status=stored.status, body=stored.body, content_type=stored.content_type, headers=headers)


_KEPT_HEADERS: Final = frozenset({"Location", "Content-Disposition", "X-Robots-Tag"})


def _listens(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def key_of(request: web.Request) -> ApiKey | None:
    """The API key behind a request; None without one."""
    return request.get(_KEY)


def required_key(request: web.Request) -> ApiKey:
    """The API key behind a request that needs one. Raises Rejected(401)."""
    key = key_of(request)
    if key is None:
        raise Rejected(401)
    return key

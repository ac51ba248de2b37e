"""Who sent a request: the filing whose request key signed it (RFC 9421), for the log's own process and for fronts."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ledger.edge import read_body
from ledger.errors import Malformed
from ledger.records.dates import batch_day
from ledger.records.kinds import FilingStatus, KeyStatus
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import FilingState
from ledger.request_signing import NonceMemory, OpenedRequest, open_request
from ledger.text import Text

RequestKeys = Mapping[bytes, tuple[str, bytes]]  # kid -> filing number, public key


_PUBLIC_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?", re.ASCII)


def check_public_url(url: str) -> None:
    """Raises Malformed for what no caller can sign for: every request would be refused, and none would say why."""
    if _PUBLIC_URL.fullmatch(url) is None:
        raise Malformed(Text("public_url：应为 https://主机[:端口]", "public_url: https://host[:port]"))


@dataclass(frozen=True, slots=True)
class Sender:
    """Who signed the head of a request, known before its body is read. Nothing is done for them before `read` or
    `accept_empty` has returned: until then anybody may be showing the head of somebody else's request once more."""

    filing: FilingState
    _opened: OpenedRequest
    _nonces: NonceMemory
    _judge: Callable[[], Awaitable[FilingState]]

    async def read(self, request: web.Request, limit: int, *, on_bytes: Callable[[int], None] | None = None) -> bytes:
        """The body that was signed for, read as `read_body` does. Raises Unverified for another, and what
        `Requesters.open` raises where the key was revoked while it came."""
        body = await read_body(request, limit, on_bytes=on_bytes)
        await self._accept(body)
        return body

    async def accept_empty(self) -> None:
        """Of a request that has no body. Raises Unverified where it was signed for one."""
        await self._accept(b"")

    async def _accept(self, body: bytes) -> None:
        self._opened.accept(body, int(time.time()), self._nonces)
        await self._judge()


@dataclass(frozen=True, slots=True)
class Requesters:
    """What a request's signature is checked against. `public_url` is the address as callers see it, with or without a
    slash at its end."""

    public_url: str
    keys: RequestKeys
    filing: Callable[[str], Awaitable[FilingState | None]]
    nonces: NonceMemory

    async def open(self, request: web.Request, *, suspended: bool = False) -> Sender:
        """The filing whose request key signed this; with `suspended` it may be so. Raises Unverified or Refused. Before
        the body is read: what strangers send takes no memory, which all bodies share, and no time."""
        opened = open_request(
            request.method,
            self.public_url.rstrip("/") + request.raw_path,
            request.headers,
            key_for=lambda kid: self.keys[kid][1] if kid in self.keys else None,
            now_s=int(time.time()),
            seen=self.nonces,
        )

        async def judge() -> FilingState:
            return await self._judge(opened.kid, suspended)

        return Sender(await judge(), opened, self.nonces, judge)

    async def _judge(self, kid: bytes, suspended: bool) -> FilingState:
        """The filing of a request key, as it is now. Raises Refused when the key is not live, or the filing not."""
        known = self.keys.get(kid)  # a front may have learnt of a change since the head was read
        filing = None if known is None else await self.filing(known[0])
        if filing is None:
            raise refuse(Refusal.KEY_NOT_LIVE, "kid")
        today = batch_day(int(time.time() * 1000))
        live = any(
            use.status is KeyStatus.LIVE and key.kid == kid and key.covers(today)
            for key, use in zip(filing.terms.request_keys, filing.request_keys, strict=True)
        )
        if not live:
            raise refuse(Refusal.KEY_NOT_LIVE, "kid")
        if filing.status is not FilingStatus.ACTIVE and not (suspended and filing.status is FilingStatus.SUSPENDED):
            raise refuse(Refusal.FILING_NOT_ACTIVE, "filing_number")
        return filing

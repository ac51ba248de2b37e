"""A server connection with the deadlines and the per-client cap that aiohttp lacks.

Below the application: what happens here is over before, or goes on after, a handler runs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from ledger.addresses import is_loopback
from ledger.edge_direct import Direct, DirectConnection
from ledger.edge_log import AccessLog, access, describe, log

_BAD = {"code": "bad_request", "zh": "请求格式不正确", "en": "The request is not well formed"}
_INTERNAL = {
    "code": "internal",
    "zh": "系统出错，已记录",
    "en": "Something went wrong on our side; it has been recorded",
}


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Limits of one listening site. Times in seconds.

    The per-client cap counts open connections by IPv4 address or IPv6 /64. It is off behind a proxy, where
    every connection has the proxy's address and the proxy has to limit.
    """

    header_seconds: float = 5.0  # from connecting, or from a later request's first byte, to its blank line
    body_seconds: float = 30.0  # from there to the last byte; also how long an answer may go unread
    keepalive_seconds: float = 60.0
    connections_per_client: int = 50
    limit_loopback: bool = False
    behind_proxy: bool = False  # a TLS proxy stands in front: plain HTTP outside loopback is then allowed
    tls_cert: Path | None = None
    tls_key: Path | None = None
    stop_seconds: float = 10.0  # for requests under way when told to stop

    def __post_init__(self) -> None:
        assert min(self.header_seconds, self.body_seconds, self.keepalive_seconds, self.stop_seconds) > 0
        assert self.connections_per_client > 0
        assert (self.tls_cert is None) == (self.tls_key is None), "certificate and key go together"


class BodyLate(asyncio.TimeoutError):
    """The body missed its deadline. A TimeoutError, because aiohttp's own draining swallows just that."""


class BodyBroken(asyncio.TimeoutError):
    """What came of the body is none. A TimeoutError as the other: nothing is left to be drained."""


class Clients:
    """Open connections by client, for one site."""

    __slots__ = ("_count", "_exempt_loopback", "_limit")

    def __init__(self, limit: int, *, exempt_loopback: bool) -> None:
        self._limit = limit
        self._exempt_loopback = exempt_loopback
        self._count: dict[str, int] = {}

    def enter(self, peer: object) -> str | None:
        """Count one more connection: its key ("" when exempt), or None when the client has too many."""
        host = peer[0] if isinstance(peer, tuple) and peer else ""
        key = client_key(str(host))
        if not key or (self._exempt_loopback and is_loopback(key)):
            return ""
        count = self._count.get(key, 0)
        if count >= self._limit:
            return None
        self._count[key] = count + 1
        return key

    def leave(self, key: str) -> None:
        left = self._count[key] - 1
        if left:
            self._count[key] = left
        else:
            del self._count[key]


class EdgeProtocol(DirectConnection):
    """aiohttp's connection with deadlines, and with what `direct` answers at once. One timer at a time is enough:

    header  runs from connecting, or from the first byte of a later request, until its blank line
    body    runs from there until the last byte
    write   runs while the client does not read what was written
    (an idle connection has aiohttp's own keep-alive timer)
    """

    __slots__ = ("_body", "_clients", "_header_since", "_key", "_limits", "_timer", "_write_timer")

    def __init__(
        self, manager: web.Server, limits: EdgeSettings, clients: Clients, *, hsts: bool, direct: Direct | None
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.keepalive_seconds,
            access_log_class=AccessLog,
            access_log=access,
            lingering_time=min(2.0, limits.body_seconds),
            auto_decompress=False,
            timeout_ceil_threshold=3600.0,
        )
        self.hsts, self.direct, self._at_boundary = hsts, direct, True
        self._limits = limits
        self._clients = clients
        self._key: str | None = ""
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._header_since: int | None = None  # requests seen when the header timer was started
        self._body: Any = None  # the StreamReader of a request whose body is still arriving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._key = self._clients.enter(transport.get_extra_info("peername"))
        super().connection_made(transport)
        if self._key is None:
            self._say_and_close(429)
            return
        self._await_header()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._key:
            self._clients.leave(self._key)
        self._key = ""
        self._stop_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.answered(data):
            self._stop_timer()  # of the header
            return
        seen, body = self._request_count, self._body
        super().data_received(data)
        if body is not None and not body.is_eof() and self._request_count != seen:
            # No request begins within a body: aiohttp counts what it could not read, and leaves whoever reads waiting.
            self._stop_timer()
            self._body = None
            body.set_exception(BodyBroken())
            self.close()
            return
        self.note_boundary(data, self._request_count - seen)
        if self._force_close or self._close:
            return
        if self._request_count != seen:  # a header came to its end; its body may still be on the way
            self._stop_timer()
            self._body = self._messages[-1][1] if self._messages else None
        if self._body is not None:
            if self._body.is_eof():
                self._body = None
                self._stop_timer()
            elif self._timer is None:
                self._timer = self._loop.call_later(self._limits.body_seconds, self._body_late)
        elif data and self._request_count == seen and self._timer is None:
            self._await_header()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self._loop.call_later(self._limits.body_seconds, self._unread)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers to what is not HTTP: aiohttp's own would echo the input into answer and log."""
        gone = self.transport is None or self.transport.is_closing()
        if request.writer.output_size > 0 or (gone and isinstance(exc, ConnectionError)):
            raise ConnectionError("an answer has already begun, or nobody is there for one")
        if status >= 500:
            log.error("failed", extra={"fields": describe(exc)})
        body = json.dumps({"error": _BAD if status < 500 else _INTERNAL}, ensure_ascii=False)
        response = web.Response(status=status, text=body, content_type="application/json")
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """aiohttp reports here what escaped it; only the place is logged, messages can carry user data."""
        log.error("connection failed", extra={"fields": describe(kw.get("exc_info"))})

    def _await_header(self) -> None:
        self._header_since = self._request_count
        self._timer = self._loop.call_later(self._limits.header_seconds, self._header_late)

    def _header_late(self) -> None:
        self._timer = None
        if self._request_count != self._header_since:
            return  # the header was completed by aiohttp's re-parsing of a declined upgrade
        if self._request_in_progress or self._messages:
            self.close()  # answer what was asked, then hang up
        else:
            self._say_and_close(408)

    def _body_late(self) -> None:
        self._timer = None
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(BodyLate())
            self.close()

    def _unread(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _say_and_close(self, status: int) -> None:
        if self.transport is not None and not self.transport.is_closing():
            said = {408: "408 Request Timeout\r\n", 429: "429 Too Many Requests\r\nRetry-After: 5\r\n"}[status]
            self.transport.write(f"HTTP/1.1 {said}Connection: close\r\nContent-Length: 0\r\n\r\n".encode())
        self.force_close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def client_key(host: str) -> str:
    """What one client is: an IPv4 address, or an IPv6 /64. Empty for what is no address (a Unix socket)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)).network_address)
    return str(address)

"""The HTTP edge that both services share: error answers, headers, body caps, serving and stopping.

`protect` gives an application one error table, the security headers of the product (strict CSP from the first
day) and the refusal of encoded request bodies. Deadlines and connection caps sit below it, in
`ledger.edge_connection`; the logs in `ledger.edge_log`.

    start_site(app, host, port)  serves and returns (tests, embedding)
    run_app(app, host, port)     serves until SIGINT or SIGTERM (programs)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import hdrs, http_parser, web
from multidict import CIMultiDict, istr

from ledger.addresses import is_loopback
from ledger.edge_connection import BodyBroken, BodyLate, Clients, EdgeProtocol, EdgeSettings
from ledger.edge_direct import DIRECT
from ledger.edge_files import TurnedAway, crowded, raise_limit
from ledger.edge_log import describe, log, start_logging
from ledger.errors import ERROR_CODE, CertLedgerError, Damaged, Malformed, Refused, Unavailable, Unverified, cannot
from ledger.text import Text

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Nothing from other sites, and no wasm (verifier/web/answers.py); `data:` for the photo inside the verdict page.
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("Content-Security-Policy", CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("Cache-Control", "no-store"),
)
_NAMED: Final = tuple((istr(name), value) for name, value in SECURITY_HEADERS)  # names that need no folding each time
HSTS: Final = "max-age=31536000; includeSubDomains"


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What a failed request is told, before it is put into JSON or a page."""

    status: int
    code: str
    text: Text
    field: str | None = None
    retry_after: int | None = None  # s
    reference: str | None = None  # finds a 500 in the log
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False

    def body(self) -> dict[str, object]:
        """`{"error": {"code", "field"?, "reference"?, "zh", "en"}}`."""
        error: dict[str, object] = {"code": self.code, "zh": self.text.zh, "en": self.text.en}
        if self.field is not None:
            error["field"] = self.field
        if self.reference is not None:
            error["reference"] = self.reference
        return {"error": error}


Renderer = Callable[[web.Request, ErrorAnswer], web.Response]
DEFAULT_STATUSES: Final[Mapping[type[CertLedgerError], int]] = {
    Malformed: 400,
    Unverified: 403,
    Refused: 422,
    Unavailable: 503,
}
_HTTP_ERRORS: Final[Mapping[int, tuple[str, Text]]] = {
    400: ("bad_request", Text("请求格式不正确", "The request is not well formed")),
    401: ("unauthorised", Text("API 密钥无效或已停用", "The API key is missing, unknown or revoked")),
    404: ("no_such_page", Text("没有这个页面", "There is no such page")),
    405: ("method_not_allowed", Text("不支持这种请求方法", "This method is not supported here")),
    408: ("too_slow", Text("请求发送超时，请重试", "The request took too long to arrive; please try again")),
    413: ("too_large", Text("内容太大", "The content is too large")),
    429: ("too_many_requests", Text("请求过于频繁，请稍后再试", "Too many requests; please try again later")),
    415: ("unsupported_type", Text("不支持这种内容类型", "This type of content is not supported")),
    500: ("internal", Text("系统出错，已记录", "Something went wrong on our side; it has been recorded")),
}
_BEARER: Final = (("WWW-Authenticate", "Bearer"),)
_BODY: Final = web.RequestKey("read_body", bytes)
_UNAVAILABLE: Final = Text("暂时无法处理，请稍后重试", "Cannot answer right now; please try again later")


class Throttled(Unavailable):  # named as its siblings in ledger.errors
    """This client has used up what it may ask: 429, and when to come again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(_HTTP_ERRORS[429][1], retry_after=retry_after)


class Rejected(CertLedgerError):  # named as its siblings in ledger.errors
    """A request refused at the HTTP level: 400, 401, 404, 405, 408, 413 or 415, with the words of the table."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def json_answer(_request: web.Request, answer: ErrorAnswer) -> web.Response:
    """The default renderer: the error as JSON."""
    return web.Response(
        status=answer.status,
        body=json.dumps(answer.body(), ensure_ascii=False).encode(),
        content_type="application/json",
        charset="utf-8",
    )


def protect(
    app: web.Application,
    *,
    statuses: Mapping[type[CertLedgerError], int] = DEFAULT_STATUSES,
    render: Renderer = json_answer,
) -> None:
    """Give `app` its error table, security headers and the refusal of `Content-Encoding` (415).

    `statuses` says which HTTP status each of the four failures becomes. A header already set by a handler is
    kept, so that tiles can be cached and a scanner page can ask for the camera.
    """
    table = {**DEFAULT_STATUSES, **statuses}

    @web.middleware
    async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
                raise Rejected(415)
            return await handler(request)
        except asyncio.CancelledError:
            raise
        except Exception as exc:  # the one table that turns failures into answers
            if isinstance(exc, ConnectionError) and (request.transport is None or request.transport.is_closing()):
                raise  # nobody is there any more, which is no failure of ours (`handle_error`)
            answer = _answer(exc, table)
        response = render(request, answer)
        if answer.retry_after is not None:
            response.headers["Retry-After"] = str(answer.retry_after)
        response.headers.extend(answer.headers)
        if answer.status >= 500:
            response.headers[ERROR_CODE] = answer.code
        if answer.close:
            response.force_close()
        return response

    app.middlewares.insert(0, edge)
    app.on_response_prepare.append(_add_security_headers)


def _answer(exc: Exception, statuses: Mapping[type[CertLedgerError], int]) -> ErrorAnswer:
    if isinstance(exc, Refused):
        return ErrorAnswer(statuses[Refused], exc.code, exc.text, field=exc.field)
    if isinstance(exc, Malformed):
        text = Text(f"格式不正确：{exc.of('zh')}", f"Not well formed: {exc}")
        return ErrorAnswer(statuses[Malformed], "malformed", text)
    if isinstance(exc, Unverified) and not isinstance(exc, Damaged):
        text = Text(f"未通过验证：{exc.of('zh')}", f"Does not verify: {exc}")
        return ErrorAnswer(statuses[Unverified], "unverified", text)
    if isinstance(exc, Throttled):
        return replace(_http_answer(429), retry_after=exc.retry_after)
    if isinstance(exc, Unavailable):
        retry = exc.retry_after if exc.retry_after is not None else 5
        return ErrorAnswer(statuses[Unavailable], "unavailable", exc.text or _UNAVAILABLE, retry_after=retry)
    if isinstance(exc, Rejected):
        return _http_answer(exc.status, _BEARER if exc.status == 401 else ())
    if isinstance(exc, BodyLate | BodyBroken):
        return replace(_http_answer(408 if isinstance(exc, BodyLate) else 400), close=True)
    if isinstance(exc, web.HTTPException):
        allow = exc.headers.get("Allow")
        return _http_answer(exc.status, (("Allow", allow),) if allow else ())
    reference = secrets.token_hex(6)
    log.error("failed", extra={"fields": {"reference": reference, **describe(exc)}})
    code, text = _HTTP_ERRORS[500]
    return ErrorAnswer(500, code, text, reference=reference)


def _http_answer(status: int, headers: tuple[tuple[str, str], ...] = ()) -> ErrorAnswer:
    code, text = _HTTP_ERRORS.get(status, _HTTP_ERRORS[500 if status >= 500 else 400])
    # The rest of a body that was refused is not worth reading: close instead of draining it.
    return ErrorAnswer(status, code, text, headers=headers, close=status in (408, 413, 415))


def secure(headers: CIMultiDict[str], *, hsts: bool) -> None:
    """Add the security headers that are not there."""
    headers.extend([pair for pair in _NAMED if pair[0] not in headers])
    if hsts:
        headers["Strict-Transport-Security"] = HSTS


async def _add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    secure(response.headers, hsts=getattr(request.protocol, "hsts", False))
    response.headers.popall(hdrs.SERVER, None)


async def read_body(request: web.Request, limit: int, *, on_bytes: Callable[[int], None] | None = None) -> bytes:
    """The request body, at most `limit` bytes. Reads one byte past it at most, then raises Rejected(413).

    `on_bytes` hears the size of every piece as it arrives and may raise to give up.
    """
    if request.content_length is not None and request.content_length > limit:
        raise Rejected(413)
    kept: bytes | None = request.get(_BODY)
    if kept is not None:
        if len(kept) > limit:
            raise Rejected(413)
        return kept
    body = bytearray()
    while chunk := await request.content.read(limit + 1 - len(body)):
        if on_bytes is not None:
            on_bytes(len(chunk))
        body += chunk
        if len(body) > limit:
            raise Rejected(413)
    return bytes(body)


def keep_body(request: web.Request, body: bytes) -> None:
    """What `read_body` gives from now on: for who had to read it before the handler."""
    request[_BODY] = body


class Intake:
    """How many bytes of request bodies are in memory. Counted as they arrive, so that a slow sender holds little."""

    __slots__ = ("_limit", "_used")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Give a function that counts bytes and raises Unavailable (retry after 2 s) past the limit."""
        mine = 0

        def count(size: int) -> None:
            nonlocal mine
            if self._used + size > self._limit:
                raise Unavailable(
                    Text("正在接收的请求已占满内存，请稍后重试", "request bodies fill their memory; try again later"),
                    retry_after=2,
                )
            mine += size
            self._used += size

        try:
            yield count
        finally:
            self._used -= mine


@dataclass(frozen=True, slots=True)
class Site:
    """A listening server. `port` is the bound one, also where 0 was asked for."""

    host: str
    port: int
    secure: bool
    _server: asyncio.Server
    _runner: web.AppRunner

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    async def stop(self) -> None:
        """Accept no more, finish what is under way within `stop_seconds`, run the app's clean-up."""
        self._server.close()
        await self._runner.cleanup()
        await self._server.wait_closed()


async def start_site(app: web.Application, host: str, port: int, settings: EdgeSettings | None = None) -> Site:
    """Serve `app`, which `protect` has seen, on host and port (0: any free one).

    Raises Refused("insecure_bind") for plain HTTP outside loopback, Unavailable when the address is taken or
    the TLS files cannot be read.
    """
    limits = settings or EdgeSettings()
    assert _add_security_headers in app.on_response_prepare, "protect(app) comes first"
    direct = app.get(DIRECT)
    if direct is not None and (len(app.middlewares) > 1 or len(app.on_response_prepare) > 1):
        raise AssertionError("a direct answer passes by whatever else looks at requests or changes answers")
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise AssertionError("aiohttp runs without its C parser")
    local = is_loopback(host)
    if not local and limits.tls_cert is None and not limits.behind_proxy:
        raise Refused(
            "insecure_bind",
            "host",
            Text(
                "对外提供服务必须使用 TLS：请设置证书和私钥，或设置 behind_proxy",
                "Serving outside loopback needs TLS: set certificate and key, or behind_proxy",
            ),
        )
    context = _tls(limits)
    runner = web.AppRunner(app, shutdown_timeout=limits.stop_seconds)
    await runner.setup()
    manager = runner.server
    assert manager is not None
    clients = Clients(
        sys.maxsize if limits.behind_proxy else limits.connections_per_client,
        exempt_loopback=not limits.limit_loopback,
    )
    hsts = not local if context is not None else limits.behind_proxy
    raise_limit()
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: TurnedAway() if crowded() else EdgeProtocol(manager, limits, clients, hsts=hsts, direct=direct),
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=None if context is None else limits.header_seconds,
            backlog=1024,
        )
    except OSError as exc:
        await runner.cleanup()
        raise cannot(Text(f"无法监听 {host} 端口 {port}", f"cannot listen on {host} port {port}"), exc) from exc
    return Site(host, server.sockets[0].getsockname()[1], context is not None, server, runner)


def run_app(
    app: web.Application,
    host: str,
    port: int,
    settings: EdgeSettings | None = None,
    *,
    on_ready: Callable[[Site], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then stop gracefully. Logs go to stderr as JSON lines."""
    start_logging()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        site = await start_site(app, host, port, settings)
        try:
            if on_ready is not None:
                on_ready(site)
            await stop.wait()
        finally:
            await site.stop()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


def _tls(limits: EdgeSettings) -> ssl.SSLContext | None:
    if limits.tls_cert is None or limits.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(limits.tls_cert, limits.tls_key)
    except (OSError, ssl.SSLError) as exc:
        raise Unavailable(
            Text(
                "无法读取 TLS 证书和私钥：请核对设置中的 tls_cert 与 tls_key",
                "cannot read the TLS certificate and key: look at tls_cert and tls_key in the settings",
            )
        ) from exc
    return context

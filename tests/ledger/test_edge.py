"""The shared HTTP edge: answers to failures, headers, caps, and what a raw socket can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ledger.addresses import is_loopback
from ledger.edge import (
    CSP,
    EdgeSettings,
    Intake,
    Site,
    protect,
    read_body,
    run_app,
    start_site,
)
from ledger.edge_connection import EdgeProtocol, client_key
from ledger.edge_log import JsonLines
from ledger.errors import Damaged, Malformed, Refused, Unavailable, Unverified
from ledger.text import Text
from tests.support.timers import HeldTimers

SECRET = "0123456789ABCDEFGHJKMNPQRS"


def make_app(**kw: object) -> web.Application:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await read_body(request, 100))

    async def slow(request: web.Request) -> web.Response:
        request.app[STARTED].set()
        await request.app[GO_ON].wait()
        return web.Response(text="done")

    async def big(request: web.Request) -> web.Response:
        return web.Response(body=bytes(20_000_000))

    async def own(request: web.Request) -> web.Response:
        return web.Response(text="t", headers={"Cache-Control": "public, max-age=9", "Permissions-Policy": "x"})

    async def fail(request: web.Request) -> web.Response:
        raise {
            "malformed": Malformed("checkpoint"),
            "unverified": Unverified("signature"),
            "refused": Refused("cap_used", "filing", Text("已用完", "used up")),
            "unavailable": Unavailable(Text("没有应答", "10.0.0.7 refused"), retry_after=7),
            "stopped": Unavailable(Text("要做的事", "what to do"), retry_after=8, public=True),
            "timeout": Unavailable(Text("没有应答", "no answer")),
            "damaged": Damaged(Text("存储：缺少条目，请运行 fsck", "store: an entry is missing; run fsck")),
            "bug": AssertionError(f"the secret {SECRET}"),
            "key": KeyError(SECRET),
        }[request.match_info["how"]]

    app = web.Application()
    app[STARTED], app[GO_ON] = asyncio.Event(), asyncio.Event()
    app.router.add_get("/", hello)
    app.router.add_post("/echo", echo)
    app.router.add_get("/slow", slow)
    app.router.add_get("/big", big)
    app.router.add_get("/own", own)
    app.router.add_get("/fail/{how}", fail)
    app.router.add_get("/c/{secret}", hello)
    protect(app, **kw)  # type: ignore[arg-type]
    return app


STARTED, GO_ON = web.AppKey("started", asyncio.Event), web.AppKey("go on", asyncio.Event)
PATIENCE_S = 60.0  # longer than any machine needs


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> HeldTimers:
    return HeldTimers(monkeypatch, EdgeProtocol, "_header_late", "_body_late", "_unread")


@asynccontextmanager
async def served(app: web.Application | None = None, **limits: object) -> AsyncIterator[Site]:
    site = await start_site(app or make_app(), "127.0.0.1", 0, EdgeSettings(**limits))  # type: ignore[arg-type]
    try:
        yield site
    finally:
        await site.stop()


async def get(site: Site, path: str, method: str = "GET", **kw: object) -> tuple[int, dict[str, str], bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, site.url + path, **kw) as answer,  # type: ignore[arg-type]
    ):
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All bytes until the server hangs up, be it with a reset because it was still being written to; fails the test
    when it never does.
    """
    got = b""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionResetError):
            while chunk := await reader.read(1 << 16):
                got += chunk
    return got


@asynccontextmanager
async def connection(site: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("malformed", 400, "malformed"),
        ("unverified", 403, "unverified"),
        ("refused", 422, "cap_used"),
        ("unavailable", 503, "unavailable"),
        ("damaged", 500, "internal"),
        ("bug", 500, "internal"),
        ("key", 500, "internal"),
    ],
)
async def test_each_failure_has_its_status_and_both_languages(how: str, status: int, code: str) -> None:
    async with served() as site:
        got, headers, body = await get(site, f"/fail/{how}")
    error = json.loads(body)["error"]
    assert (got, error["code"]) == (status, code)
    assert error["zh"] and error["en"]
    assert headers["content-security-policy"] == CSP


async def test_a_refusal_names_its_field_and_unavailable_when_to_retry() -> None:
    async with served() as site:
        _, _, refused = await get(site, "/fail/refused")
        _, seven, body = await get(site, "/fail/unavailable")
        _, default, _ = await get(site, "/fail/timeout")
        status, eight, stopped = await get(site, "/fail/stopped")
    assert json.loads(refused)["error"] == {
        "code": "cap_used",
        "field": "filing",
        "zh": "已用完",
        "en": "used up",
    }
    assert seven["retry-after"] == "7" and default["retry-after"] == "5"
    assert b"10.0.0.7" not in body + stopped
    assert (status, eight["retry-after"]) == (503, "8")
    error = json.loads(stopped)["error"]
    assert (error["code"], error["zh"], error["en"]) == ("unavailable", "要做的事", "what to do")


async def test_an_application_chooses_its_own_statuses() -> None:
    async with served(make_app(statuses={Unverified: 401})) as site:
        assert (await get(site, "/fail/unverified"))[0] == 401
        assert (await get(site, "/fail/damaged"))[0] == 500, "what is wrong with our store is not the caller's fault"
        assert (await get(site, "/fail/refused"))[0] == 422


async def test_a_bug_is_a_500_without_detail_whose_reference_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served() as site:
        _, _, body = await get(site, "/fail/bug")
    assert SECRET.encode() not in body and b"Assertion" not in body
    fields = [r.fields for r in caplog.records if r.getMessage() == "failed"]  # type: ignore[attr-defined]
    assert fields[0]["reference"] == json.loads(body)["error"]["reference"]
    assert fields[0]["error"] == "AssertionError" and any("test_edge.py" in at for at in fields[0]["at"])
    assert SECRET not in caplog.text + repr(fields)


async def test_unknown_path_and_method_answer_in_the_same_form() -> None:
    async with served() as site:
        status, _, body = await get(site, "/nowhere")
        wrong, headers, _ = await get(site, "/echo")
    assert (status, json.loads(body)["error"]["code"]) == (404, "no_such_page")
    assert wrong == 405 and headers["allow"] == "POST"


async def test_every_answer_has_the_security_headers_and_no_server_name() -> None:
    async with served() as site:
        for path in ("/", "/nowhere", "/fail/bug"):
            _, headers, _ = await get(site, path)
            assert headers["content-security-policy"] == CSP
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"
            assert "camera=()" in headers["permissions-policy"]
            assert "server" not in headers and "strict-transport-security" not in headers
        _, headers, _ = await get(site, "/own")
        assert headers["cache-control"] == "public, max-age=9" and headers["permissions-policy"] == "x"


def test_the_policy_has_no_unsafe_source() -> None:
    assert "unsafe" not in CSP and "*" not in CSP and "http" not in CSP


async def test_hsts_is_sent_behind_a_proxy() -> None:
    async with served(behind_proxy=True) as site:
        assert "max-age=31536000" in (await get(site, "/"))[1]["strict-transport-security"]


async def test_an_encoded_request_body_is_refused() -> None:
    async with served() as site:
        for encoding in ("gzip", "deflate", "br", "x"):
            sent = {"Content-Encoding": encoding}
            status, _, body = await get(site, "/echo", "POST", data=b"\x1f\x8b broken", headers=sent)
            assert (status, json.loads(body)["error"]["code"]) == (415, "unsupported_type")
        ok = await get(site, "/echo", "POST", data=b"x", headers={"Content-Encoding": "identity"})
        assert ok[0] == 200


async def test_a_body_may_have_the_cap_and_not_one_byte_more() -> None:
    async def chunks(total: int) -> AsyncIterator[bytes]:
        for _ in range(total // 10):
            yield b"x" * 10
        yield b"y" * (total % 10)

    async with served() as site:
        assert (await get(site, "/echo", "POST", data=b"x" * 100))[2] == b"x" * 100
        assert (await get(site, "/echo", "POST", data=chunks(100)))[0] == 200
        for data in (b"x" * 101, chunks(101)):
            status, _, body = await get(site, "/echo", "POST", data=data)
            assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")


async def test_a_slow_header_is_cut_off_with_408() -> None:
    async with served(header_seconds=0.2) as site, connection(site) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 408 ")


async def test_trickling_header_bytes_does_not_move_the_deadline() -> None:
    async with served(header_seconds=0.3) as site, connection(site) as (reader, writer):
        read = asyncio.ensure_future(until_closed(reader))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        while not read.done():
            writer.write(b"a")
            await asyncio.sleep(0.05)
        assert (await read).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_never_speaks_is_cut_off() -> None:
    async with served(header_seconds=0.2) as site, connection(site) as (reader, _):
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 408 ")


async def test_the_header_of_a_second_request_has_the_same_deadline(timers: HeldTimers) -> None:
    async with served() as site, connection(site) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
            assert timers.running == [], "idle is not slow: the keep-alive time is longer"
        writer.write(b"GET ")
        await timers.passes("_header_late")
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_slow_second_header_does_not_cut_the_answer_under_way(timers: HeldTimers) -> None:
    app = make_app()
    async with served(app) as site, connection(site) as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await app[STARTED].wait()
        writer.write(b"GET ")
        await timers.passes("_header_late")
        app[GO_ON].set()
        answer = await until_closed(reader)
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"done")


async def test_a_slow_body_is_cut_off_with_408() -> None:
    async with served(body_seconds=0.3, header_seconds=60) as site, connection(site) as (reader, writer):
        read = asyncio.ensure_future(until_closed(reader))
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n")
        for _ in range(80):
            writer.write(b"a")
            await asyncio.sleep(0.05)
            if read.done():
                break
        answer = await read
    assert answer.startswith(b"HTTP/1.1 408 ") and b'"too_slow"' in answer


@pytest.mark.parametrize("path", ["/echo", "/nowhere"])
async def test_a_body_that_breaks_is_over_at_once(path: str, timers: HeldTimers) -> None:
    """A chunk that is none, behind one that was good: no deadline would run any more for who reads it."""
    async with served() as site, connection(site) as (reader, writer):
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".encode())
        await timers.until("_body_late")
        writer.write(b"ZZ\r\n")
        answer = await until_closed(reader)
    assert answer.startswith(b"HTTP/1.1 400 " if path == "/echo" else b"HTTP/1.1 404 ")
    assert timers.running == []


async def test_who_goes_while_sending_is_no_failure_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """A telephone that loses its network: bugs would drown in these."""
    app, left = make_app(), asyncio.Event()

    async def note(request: web.Request) -> web.StreamResponse:
        try:
            return web.Response(body=await read_body(request, 1000))
        finally:
            left.set()

    app.router.add_post("/note", note)
    async with served(app) as site, connection(site) as (_, writer):
        writer.write(b"POST /note HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\nabc")
        await writer.drain()
        while not site._runner.server.connections:  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            await left.wait()
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_body_that_nobody_reads_does_not_hold_the_connection() -> None:
    async with served(body_seconds=0.2) as site, connection(site) as (reader, writer):
        writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\na")
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 404 ")


async def test_a_body_sent_in_pieces_within_the_deadline_arrives(timers: HeldTimers) -> None:
    async with served() as site, connection(site) as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
        await timers.until("_body_late")  # the header's own is over
        for piece in (b"ab", b"cd", b"ef"):
            await asyncio.sleep(0.01)
            assert timers.running == ["_body_late"]
            writer.write(piece)
        assert (await reader.readuntil(b"abcdef")).startswith(b"HTTP/1.1 200 ")
        assert timers.running == []


async def test_an_idle_connection_is_closed() -> None:
    async with served(keepalive_seconds=0.2) as site, connection(site) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await until_closed(reader)
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"hello")


async def test_a_client_that_does_not_read_is_cut_off(timers: HeldTimers) -> None:
    async with served() as site, connection(site) as (reader, writer):
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        await timers.passes("_unread")
        assert len(await until_closed(reader)) < 20_000_000


async def test_one_client_has_at_most_its_connections() -> None:
    async with served(connections_per_client=3, limit_loopback=True, header_seconds=600) as site:
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
        async with connection(site) as (reader, _):
            answer = await until_closed(reader)
            assert answer.startswith(b"HTTP/1.1 429 ") and b"\r\nRetry-After: 5\r\n" in answer
        held[0][1].close()
        await held[0][1].wait_closed()
        async with asyncio.timeout(PATIENCE_S):  # a place becomes free
            while (await get(site, "/"))[0] != 200:
                await asyncio.sleep(0.01)
        for _, writer in held:
            writer.close()


async def test_loopback_and_proxies_are_not_counted() -> None:
    for limits in ({}, {"limit_loopback": True, "behind_proxy": True}):
        async with served(connections_per_client=1, **limits) as site:
            held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(4)]
            assert (await get(site, "/"))[0] == 200
            for _, writer in held:
                writer.close()


def test_a_client_is_an_ipv4_address_or_an_ipv6_64() -> None:
    assert client_key("203.0.113.9") == client_key("::ffff:203.0.113.9") == "203.0.113.9"
    assert client_key("2001:db8:1:2:3::9") == client_key("2001:db8:1:2:ffff::1%eth0")
    assert client_key("2001:db8:1:2::1") != client_key("2001:db8:1:3::1")
    assert client_key("") == client_key("not an address") == ""
    assert is_loopback(client_key("::1"))


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + SECRET.encode() * 400 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        b"GET /\x00" + SECRET.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00 this is TLS",
    ],
    ids=["cl+te", "two-cl", "bad-chunk", "two-host", "long-field", "long-line", "fold", "nul", "tls"],
)
async def test_what_is_not_http_is_refused_without_echo(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with served(header_seconds=0.5) as site, connection(site) as (reader, writer):
        writer.write(raw)
        answer = await until_closed(reader)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert SECRET.encode() not in answer
    assert SECRET not in caplog.text + repr([r.__dict__.get("fields") for r in caplog.records])


async def test_the_access_log_has_patterns_and_never_paths(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ledger.edge.access")
    async with served() as site:
        await get(site, f"/c/{SECRET}?lang={SECRET}", headers={"Referer": SECRET, "User-Agent": SECRET})
        await get(site, f"/{SECRET}")
    lines = [JsonLines().format(r) for r in caplog.records if r.name == "ledger.edge.access"]
    fields = [json.loads(line) for line in lines]
    assert [(f["route"], f["status"], f["method"]) for f in fields] == [
        ("/c/{secret}", 200, "GET"),
        ("unmatched", 404, "GET"),
    ]
    assert SECRET not in "".join(lines)


def test_a_log_line_is_one_json_object_without_exception_messages() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as exc:
        record = logging.LogRecord("x", 40, "f", 1, "it %s", ("failed",), (ValueError, exc, exc.__traceback__))
    line = JsonLines().format(record)
    assert json.loads(line)["event"] == "it failed" and json.loads(line)["error"] == "ValueError"
    assert SECRET not in line and "\n" not in line


async def test_stopping_finishes_what_is_under_way() -> None:
    app = make_app()
    site = await start_site(app, "127.0.0.1", 0)
    asked = asyncio.ensure_future(get(site, "/slow"))
    await app[STARTED].wait()
    stopping = asyncio.ensure_future(site.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    app[GO_ON].set()
    await stopping
    assert (await asked)[2] == b"done"
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", site.port)


async def test_plain_http_stays_on_loopback() -> None:
    for host in ("0.0.0.0", "::", "verify.example"):
        with pytest.raises(Refused) as refused:
            await start_site(make_app(), host, 0)
        assert refused.value.code == "insecure_bind"
    site = await start_site(make_app(), "0.0.0.0", 0, EdgeSettings(behind_proxy=True))
    await site.stop()


async def test_a_taken_port_is_unavailable() -> None:
    async with served() as site:
        with pytest.raises(Unavailable):
            await start_site(make_app(), "127.0.0.1", site.port)


async def test_an_unprotected_application_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        await start_site(web.Application(), "127.0.0.1", 0)


def certificate(folder: Path) -> tuple[Path, Path]:
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    none = serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    return folder / "cert.pem", folder / "key.pem"


async def test_tls_serves_outside_loopback_with_hsts(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    site = await start_site(make_app(), "0.0.0.0", 0, EdgeSettings(tls_cert=cert, tls_key=key))
    trust = ssl.create_default_context(cafile=str(cert))
    trust.check_hostname = False
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"https://127.0.0.1:{site.port}/", ssl=trust) as answer,
        ):
            assert answer.status == 200 and "Strict-Transport-Security" in answer.headers
    finally:
        await site.stop()
    with pytest.raises(Unavailable):
        await start_site(make_app(), "0.0.0.0", 0, EdgeSettings(tls_cert=key, tls_key=cert))


def test_run_app_serves_until_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal
    import threading
    import urllib.request

    monkeypatch.setattr("ledger.edge._loop_factory", lambda: None)
    seen: list[bytes] = []

    def ready(site: Site) -> None:
        def visit() -> None:
            with urllib.request.urlopen(site.url + "/") as answer:
                seen.append(answer.read())
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=visit).start()

    run_app(make_app(), "127.0.0.1", 0, on_ready=ready)
    assert seen == [b"hello"]


def test_intake_counts_what_is_held_and_lets_go() -> None:
    intake = Intake(10)
    with intake.held() as first, intake.held() as second:
        first(6)
        second(4)
        with pytest.raises(Unavailable):
            second(1)
    with intake.held() as again:
        again(10)


async def test_a_line_of_the_access_log_is_a_record_for_any_formatter(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ledger.edge.access")
    async with served() as site:
        await get(site, "/")
    (record,) = [r for r in caplog.records if r.name == "ledger.edge.access"]
    whole = logging.LogRecord("", 20, "", 0, "", None, None).__dict__
    assert record.__dict__.keys() - whole.keys() <= {"fields", "taskName", "message", "asctime"}
    assert logging.Formatter(" ".join(f"%({name})s" for name in whole)).format(record)
    again = logging.makeLogRecord({"created": record.created})
    assert 0 <= record.msecs < 1000 and int(record.created) == int(again.created)

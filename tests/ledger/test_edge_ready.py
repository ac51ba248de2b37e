from __future__ import annotations

import asyncio
import json
import logging

import pytest
from aiohttp import web

from ledger.edge import CSP, protect, start_site
from ledger.edge_connection import EdgeSettings
from ledger.edge_log import JsonLines
from ledger.edge_ready import Header

BODY = b"\x00\x01 some bytes\r\n\r\n"
HEADERS = {"Cache-Control": "public, max-age=9", "ETag": '"x"'}
READY = Header("text/plain; charset=utf-8", HEADERS)
LARGE = bytes(3_000_000)


async def get_ready(request: web.Request) -> web.StreamResponse:
    return READY.answer(request, BODY)


async def get_usual(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=BODY, content_type="text/plain", charset="utf-8", headers=HEADERS)


async def get_large(request: web.Request) -> web.StreamResponse:
    return READY.answer(request, LARGE)


async def get_empty(request: web.Request) -> web.StreamResponse:
    return READY.answer(request, b"")


async def exchange(sent: bytes, *, behind_proxy: bool = False) -> bytes:
    """All that the server says to these bytes until it hangs up."""
    app = web.Application()
    for name, handler in (("ready", get_ready), ("usual", get_usual), ("large", get_large), ("empty", get_empty)):
        app.router.add_get(f"/{name}", handler)
    protect(app)
    site = await start_site(app, "127.0.0.1", 0, EdgeSettings(behind_proxy=behind_proxy))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(sent)
        received = await reader.read()
        writer.close()
        return received
    finally:
        await site.stop()


def request(path: str, method: str = "GET", version: str = "1.1", more: str = "") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\n{more}\r\n".encode()


LAST = request("/usual", more="Connection: close\r\n")  # so that the server hangs up


def split(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
    """The first answer: its status line, its other header lines sorted and without the time, and all behind them."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert any(line.startswith(b"Date: ") and line.endswith(b" GMT") for line in lines)
    return status, sorted(line for line in lines if not line.startswith(b"Date: ")), rest


@pytest.mark.parametrize("behind_proxy", [False, True])
async def test_what_is_sent_is_what_an_ordinary_answer_sends(behind_proxy: bool) -> None:
    ready, usual = [
        split(await exchange(request(path) + LAST, behind_proxy=behind_proxy)) for path in ("/ready", "/usual")
    ]
    assert ready[:2] == usual[:2] and ready[2].startswith(BODY + b"HTTP/1.1 200 OK\r\n")
    assert (b"Strict-Transport-Security" in b"".join(ready[1])) == behind_proxy
    assert f"Content-Security-Policy: {CSP}".encode() in ready[1]


@pytest.mark.parametrize(
    "kind",
    [{"method": "HEAD"}, {"version": "1.0"}, {"more": "Connection: close\r\n"}],
    ids=["HEAD", "HTTP/1.0", "close"],
)
async def test_other_requests_are_answered_as_always(kind: dict[str, str]) -> None:
    more = LAST if "method" in kind else b""  # the server hangs up by itself after the others
    ready, usual = [split(await exchange(request(path, **kind) + more)) for path in ("/ready", "/usual")]
    assert ready[:2] == usual[:2]
    assert ready[2].startswith(b"HTTP/1.1 200") if more else ready[2] == BODY


async def test_an_older_client_that_stays_is_answered_in_its_own_version() -> None:
    kind = {"version": "1.0", "more": "Connection: keep-alive\r\n"}
    ready, usual = [split(await exchange(request(path, **kind) + LAST)) for path in ("/ready", "/usual")]
    assert ready[:2] == usual[:2] and ready[0].startswith(b"HTTP/1.0 200")


async def test_large_and_empty_bodies_and_requests_sent_together() -> None:
    received = await exchange(b"".join(map(request, ("/large", "/empty", "/ready"))) + LAST)
    _, lines, rest = split(received)
    assert b"Content-Length: %d" % len(LARGE) in lines and rest.startswith(LARGE)
    _, lines, rest = split(rest[len(LARGE) :])
    assert b"Content-Length: 0" in lines
    assert split(rest)[2].startswith(BODY)


async def test_the_access_log_counts_it_like_any_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ledger.edge.access")
    received = await exchange(request("/ready") + LAST)
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name.endswith("access")]
    assert [(line["route"], line["status"]) for line in lines] == [("/ready", 200), ("/usual", 200)]
    assert lines[0]["bytes"] == received.index(b"HTTP/1.1", 1)


def test_a_header_of_two_lines_cannot_be_made() -> None:
    with pytest.raises(AssertionError):
        Header("text/plain", {"ETag": "a\r\nSet-Cookie: b"})

"""Direct answers beside the usual ones: the same server with and without them, fed the same bytes."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger import edge_direct
from ledger.edge import protect, read_body, start_site
from ledger.edge_connection import EdgeProtocol, EdgeSettings
from ledger.edge_direct import DIRECT, DirectConnection, add_direct, is_plain
from ledger.edge_log import JsonLines
from ledger.edge_ready import Header
from tests.support.in_memory import in_memory, undated
from tests.support.timers import HeldTimers

NOTE, TILE, LARGE = b"origin\n12\nroot\n", bytes(range(256)) * 32, bytes(40_000)
NOTE_HEADER = Header("text/plain; charset=utf-8", {"Cache-Control": "no-cache"})
TILE_HEADER = Header("application/octet-stream", {"Cache-Control": "public, max-age=9, immutable"})
TILES = {"0/000": TILE, "0/x001/002": TILE[:32], "large": LARGE, "empty": b""}
GET = b"GET /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n"
GET_TILE = b"GET /tile/0/000 HTTP/1.1\r\nHost: x\r\nUser-Agent: a b/1.0\r\nAccept: */*\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
PATIENCE_S = 60.0


@dataclass
class Server:
    """An application, and who was asked."""

    app: web.Application
    asked: list[str] = field(default_factory=list)  # paths that came to a handler
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


def make_server(*, direct: bool) -> Server:
    async def checkpoint(request: web.Request) -> web.StreamResponse:
        server.asked.append(request.path)
        return NOTE_HEADER.answer(request, NOTE)

    async def tile(request: web.Request) -> web.StreamResponse:
        server.asked.append(request.path)
        body = TILES.get(request.match_info["path"])
        if body is None:
            raise web.HTTPNotFound()
        return TILE_HEADER.answer(request, body)

    async def slow(request: web.Request) -> web.StreamResponse:
        server.asked.append(request.path)
        await server.go_on.wait()
        return web.Response(text="slow")

    async def echo(request: web.Request) -> web.StreamResponse:
        server.asked.append(request.path)
        return web.Response(body=await read_body(request, 100))

    async def fail(request: web.Request) -> web.StreamResponse:
        server.asked.append(request.path)
        return web.Response(text="not so bad")

    def find_tile(path: str, hsts: bool) -> bytes | None:
        body = TILES.get(path)
        return None if body is None else TILE_HEADER.whole(body, hsts)

    def find_nothing(path: str, hsts: bool) -> bytes | None:
        raise ValueError("a bug")

    app = web.Application()
    server = Server(app)
    for path, handler in (
        ("/checkpoint", checkpoint), ("/tile/{path:.+}", tile), ("/slow", slow), ("/fail", fail)
    ):  # fmt: skip
        app.router.add_get(path, handler)
    app.router.add_post("/echo", echo)
    if direct:
        add_direct(
            app, "/checkpoint", "/checkpoint", lambda rest, hsts: None if rest else NOTE_HEADER.whole(NOTE, hsts)
        )
        add_direct(app, "/tile/", "/tile/{path}", find_tile)
        add_direct(app, "/fail", "/fail", find_nothing)
    protect(app)
    return server


class Lines(logging.Handler):
    """The access lines, as they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = json.loads(JsonLines().format(record))
        self.lines.append({name: value for name, value in line.items() if name not in ("t", "ms")})


@contextmanager
def access_lines() -> Iterator[list[dict[str, object]]]:
    logger, handler = logging.getLogger("ledger.edge.access"), Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@dataclass(frozen=True)
class Seen:
    """All that can be seen of one connection after what was sent to it."""

    written: bytes
    closed: bool
    lines: list[dict[str, object]]
    requests: tuple[int, int]  # of the connection, of the server
    waiting: tuple[bool, bool]  # for the rest of a header, of a body


async def seen(pieces: Sequence[bytes], *, direct: bool, hsts: bool = False) -> tuple[Seen, list[str]]:
    server = make_server(direct=direct)
    with access_lines() as lines:
        async with in_memory(server.app) as connect:
            line = connect(hsts=hsts)
            manager = line.protocol._manager
            assert manager is not None
            await line.send(*pieces)
            protocol = line.protocol
            counts = protocol._request_count, manager.requests_count
            waiting = protocol._timer is not None, protocol._body is not None
            return Seen(undated(line.written), line.closed, list(lines), counts, waiting), server.asked


async def compare(pieces: Sequence[bytes], *, hsts: bool = False) -> int:
    """How many answers were direct, when nothing else tells the two servers apart."""
    (one, asked), (other, all_asked) = [await seen(pieces, direct=d, hsts=hsts) for d in (True, False)]
    assert one == other
    return len(all_asked) - len(asked)


def lines_of(*lines: bytes, path: bytes = b"/checkpoint") -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", *lines, b"", b""])


@pytest.mark.parametrize("hsts", [False, True])
async def test_a_plain_request_is_answered_directly_with_the_usual_bytes(hsts: bool) -> None:
    assert await compare([GET], hsts=hsts) == 1
    assert await compare([GET, GET_TILE, GET, GET_TILE, GET_TILE], hsts=hsts) == 5
    kept = b"Connection: Keep-Alive", b"accept-LANGUAGE: zh", b"X-Forwarded-For: 192.0.2.1, ::1"
    assert await compare([lines_of(b"Accept: */*", *kept, b"HOST: a:1", path=b"/tile/0/x001/002")], hsts=hsts) == 1
    assert await compare([lines_of(b"Host: x", path=b"/tile/empty")], hsts=hsts) == 1


USUAL = {
    "lower method": b"get /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n",
    "HEAD": b"HEAD /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST": b"POST /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n",
    "1.0": b"GET /checkpoint HTTP/1.0\r\nHost: x\r\n\r\n",
    "1.0 that stays": b"GET /checkpoint HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    "2.0": b"GET /checkpoint HTTP/2.0\r\nHost: x\r\n\r\n",
    "0.9": b"GET /checkpoint\r\n\r\n",
    "lower version": b"GET /checkpoint http/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"GET http://x/checkpoint HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab": b"GET\t/checkpoint HTTP/1.1\r\nHost: x\r\n\r\n",
    "space behind": b"GET /checkpoint HTTP/1.1 \r\nHost: x\r\n\r\n",
    "two hosts": lines_of(b"Host: x", b"Host: y"),
    "the same host twice": lines_of(b"Host: x", b"hOST: x"),
    "no host": lines_of(b"Accept: */*"),
    "no header": b"GET /checkpoint HTTP/1.1\r\n\r\n",
    "empty host": lines_of(b"Host: "),
    "bare LF": b"GET /checkpoint HTTP/1.1\nHost: x\n\n",
    "bare LF in the header": b"GET /checkpoint HTTP/1.1\r\nHost: x\nAccept: y\r\n\r\n",
    "bare LF at the end": b"GET /checkpoint HTTP/1.1\r\nHost: x\r\n\n",
    "bare CR": b"GET /checkpoint HTTP/1.1\r\nHost: x\rAccept: y\r\n\r\n",
    "leading CRLF": b"\r\n" + GET,
    "leading space": b" " + GET,
    "trailing CRLF": GET + b"\r\n",
    "NUL in the path": b"GET /check\0point HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a value": lines_of(b"Host: x\0y"),
    "control in a value": lines_of(b"Host: x", b"Accept: a\x01b"),
    "DEL in a value": lines_of(b"Host: x", b"Accept: a\x7fb"),
    "high byte in a value": lines_of(b"Host: x", b"Accept: \xff"),
    "UTF-8 in a value": lines_of(b"Host: x", "User-Agent: 中".encode()),
    "tab in a value": lines_of(b"Host: x", b"Accept: a\tb"),
    "space before the colon": lines_of(b"Host : x"),
    "space before a name": lines_of(b"Host: x", b" Accept: y"),
    "fold": lines_of(b"Host: x", b"Accept: y", b" z"),
    "no space behind the colon": lines_of(b"Host:x"),
    "two spaces behind the colon": lines_of(b"Host:  x"),
    "no colon": lines_of(b"Host: x", b"Accept"),
    "no name": lines_of(b"Host: x", b": y"),
    "close": lines_of(b"Host: x", b"Connection: close"),
    "odd connection": lines_of(b"Host: x", b"Connection: keep-alive, close"),
    "connection of nothing": lines_of(b"Host: x", b"Connection: x"),
    "two connections": lines_of(b"Host: x", b"Connection: keep-alive", b"Connection: close"),
    "connection twice": lines_of(b"Host: x", b"Connection: keep-alive", b"Connection: keep-alive"),
    "two agents": lines_of(b"Host: x", b"User-Agent: a", b"User-Agent: a"),
    "upgrade": lines_of(b"Host: x", b"Connection: upgrade", b"Upgrade: websocket"),
    "upgrade alone": lines_of(b"Host: x", b"Upgrade: h2c"),
    "expect": lines_of(b"Host: x", b"Expect: 100-continue"),
    "expect more": lines_of(b"Host: x", b"Expect: more"),
    "length": lines_of(b"Host: x", b"Content-Length: 0"),
    "body": lines_of(b"Host: x", b"Content-Length: 3") + b"abc",
    "a body like an end": lines_of(b"Host: x", b"Content-Length: 4") + b"\r\n\r\n",
    "bytes behind": GET + b"abc",
    "a byte behind": GET + b"a",
    "a letter like a line's end": GET + b"\n",
    "chunked": lines_of(b"Host: x", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "identity": lines_of(b"Host: x", b"Transfer-Encoding: identity"),
    "both lengths": lines_of(b"Host: x", b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "encoded": lines_of(b"Host: x", b"Content-Encoding: gzip"),
    "range": lines_of(b"Host: x", b"Range: bytes=0-1"),
    "if none match": lines_of(b"Host: x", b'If-None-Match: "x"'),
    "if modified": lines_of(b"Host: x", b"If-Modified-Since: Thu, 26 Nov 2026 11:00:00 GMT"),
    "cookie": lines_of(b"Host: x", b"Cookie: a=b"),
    "authorisation": lines_of(b"Host: x", b"Authorization: Bearer x"),
    "websocket key": lines_of(b"Host: x", b"Sec-WebSocket-Key1: x"),
    "unknown name": lines_of(b"Host: x", b"X-Any: y"),
    "underscore": lines_of(b"Host: x", b"User_Agent: y"),
    "query": lines_of(b"Host: x", path=b"/checkpoint?"),
    "query of something": lines_of(b"Host: x", path=b"/checkpoint?a=b"),
    "fragment": lines_of(b"Host: x", path=b"/checkpoint#a"),
    "two slashes": lines_of(b"Host: x", path=b"//checkpoint"),
    "slash behind": lines_of(b"Host: x", path=b"/checkpoint/"),
    "more behind": lines_of(b"Host: x", path=b"/checkpoints"),
    "escaped": lines_of(b"Host: x", path=b"/%63heckpoint"),
    "escaped tile": lines_of(b"Host: x", path=b"/tile/%30/000"),
    "escaped slash": lines_of(b"Host: x", path=b"/tile/0%2F000"),
    "dots": lines_of(b"Host: x", path=b"/tile/../checkpoint"),
    "dots that are a tile": lines_of(b"Host: x", path=b"/tile/./0/000"),
    "semicolon": lines_of(b"Host: x", path=b"/checkpoint;a"),
    "high byte in the path": lines_of(b"Host: x", path=b"/tile/\xff"),
    "another tile": lines_of(b"Host: x", path=b"/tile/0/001"),
    "no tile": lines_of(b"Host: x", path=b"/tile/"),
    "nowhere": lines_of(b"Host: x", path=b"/nowhere"),
    "a lookup that fails": lines_of(b"Host: x", path=b"/fail"),
    "too large to send": lines_of(b"Host: x", path=b"/tile/large"),
    "too large to ask": lines_of(b"Host: x", b"Accept: " + b"a" * 4100),
    "nine kilobytes": lines_of(b"Host: x", b"Accept: " + b"a" * 9000),
    "long path": lines_of(b"Host: x", path=b"/tile/" + b"a" * 9000),
    "many lines": lines_of(b"Host: x", *(b"A: b" for _ in range(200))),
    "two together": GET + GET_TILE,
    "two, the second unlike": GET + b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("name", USUAL)
async def test_whatever_else_arrives_is_answered_the_usual_way(name: str) -> None:
    raw = USUAL[name]
    assert await compare([raw]) == 0
    await compare([GET, raw, GET_TILE, GET])
    await compare([GET_TILE, GET + raw + GET, GET])


async def test_a_request_in_two_pieces_is_the_usual_ones_and_the_next_need_not_be() -> None:
    for at in range(1, len(GET)):
        assert await compare([GET_TILE, GET[:at], GET[at:]]) == 1
        direct = await compare([GET_TILE, GET[:at], GET[at:], GET, GET_TILE])
        assert direct in (2, 3) and (direct == 3) == (at <= len(GET) - 4), (
            "where the second piece ends with a whole end"
        )


async def test_the_half_of_a_request_is_not_the_beginning_of_what_follows() -> None:
    for at in range(1, len(GET)):
        assert await compare([GET[:at], GET]) == 0
        assert await compare([GET, GET[:at], GET_TILE, GET]) == 1
    chunked = lines_of(b"Host: x", b"Transfer-Encoding: chunked")
    for hidden in (POST, POST + b"\r\n", lines_of(b"Host: x", b"Content-Length: 400"), chunked, chunked + b"26\r\n"):
        assert await compare([hidden, GET, GET]) == 0, "the bytes of a body, or behind it"
    assert await compare([POST + b"\r\n\r\n", GET, GET]) == 1, "once the parser is known to stand between two again"
    assert await compare([POST[:-2], b"\r\n", b"\r\n\r\n", GET, GET]) == 1
    for behind in (GET + GET_TILE, USUAL["upgrade"], b"\r\n"):
        assert await compare([GET, behind, GET, GET]) == 2, "or the data was not one request"
    assert await compare([GET, GET + b"\r\n\r\n\r\n", GET, GET]) == 3, "blank lines before a request are skipped"


PARTS = st.one_of(
    st.sampled_from([GET, GET_TILE, POST + b"abcd", *USUAL.values()]),
    st.builds(
        lambda method, path, number, lines, end: method + b" " + path + b" HTTP/" + number + b"\r\n" + lines + end,
        st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"get"]),
        st.sampled_from([b"/checkpoint", b"/tile/0/000", b"/tile/0/001", b"/tile/empty", b"/echo", b"/x", b"/tile//"]),
        st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"1.2"]),
        st.lists(
            st.builds(
                lambda name, colon, value, end: name + colon + value + end,
                st.sampled_from(
                    b"Host Host Accept User-Agent Connection Content-Length X-Y Upgrade Transfer-Encoding "
                    b"If-None-Match Origin ".split(b" ")
                ),
                st.sampled_from([b": ", b": ", b": ", b":", b" : ", b""]),
                st.one_of(
                    st.sampled_from([b"x", b"keep-alive", b"close", b"0", b"4", b"chunked", b"websocket", b""]),
                    st.binary(max_size=4),
                ),
                st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\n "]),
            ),
            max_size=4,
        ).map(lambda lines: b"Host: x\r\n" * (len(lines) % 3 != 0) + b"".join(lines)),
        st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"", b"\r\nabcd", b"\r\n\r\n"]),
    ),
    st.binary(max_size=8),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=5), st.lists(st.integers(0, 400), max_size=3))
@example([GET, GET_TILE], [])
@example([GET], [5, 9])
def test_no_bytes_tell_the_two_servers_apart(parts: list[bytes], cuts: list[int]) -> None:
    """Requests one by one, and the same bytes cut anywhere."""
    raw = b"".join(parts)
    places = sorted({0, *(cut for cut in cuts if cut < len(raw)), len(raw)})
    asyncio.run(both(parts, [raw[start:end] for start, end in itertools.pairwise(places)]))


async def both(*pieces: Sequence[bytes]) -> None:
    for each in pieces:
        await compare(each)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([b"Host", b"Accept", b"X", b"connection", b"host", b"", b"A b"]), max_size=4), st.data()
)
def test_a_plain_header_is_lines_of_known_names(names: list[bytes], data: st.DataObject) -> None:
    values = [data.draw(st.sampled_from([b"x", b"keep-alive", b" x", b"", b"a b", b"\xe9"])) for _ in names]
    expected = (
        sorted({name.lower() for name in names}) == sorted(name.lower() for name in names)
        and b"host" in {name.lower() for name in names}
        and all(name.lower() in (b"host", b"accept", b"connection") for name in names)
        and all(value in (b"x", b"keep-alive", b"a b") for value in values)
        and all(value == b"keep-alive" for name, value in zip(names, values, strict=True) if name == b"connection")
    )
    header = b"".join(b"%b: %b\r\n" % pair for pair in zip(names, values, strict=True)) + b"\r\n"
    assert is_plain(header) == expected
    assert not is_plain(header[:-1]) and not is_plain(header + b"\r\n") and not is_plain(header + header)


async def test_a_body_that_has_not_come_is_no_boundary() -> None:
    async with in_memory(make_server(direct=True).app) as connect:
        for head, boundary in (
            (GET, True),
            (POST, False),
            (lines_of(b"Host: x", b"Transfer-Encoding: chunked"), False),
        ):
            line = connect()
            await line.send(lines_of(b"Host: x", b"X-Any: y"), head)
            assert line.protocol._at_boundary == boundary


async def test_nothing_overtakes_an_answer_that_is_under_way() -> None:
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        line = connect()
        assert await line.send(SLOW, GET_TILE, GET) == b""
        server.go_on.set()
        answers = (await line.send()).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [b"slow", TILE, NOTE]
        assert server.asked == ["/slow", "/tile/0/000", "/checkpoint"]
        await line.send(GET)
        assert len(server.asked) == 3, "and the next is direct again"


async def test_nothing_overtakes_what_has_arrived_in_the_same_turn_of_the_loop() -> None:
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        line = connect()
        await line.send()
        for piece in (lines_of(b"Host: x", b"X-Any: y", path=b"/tile/0/000"), GET, GET[:9], GET[9:], GET_TILE):
            line.protocol.data_received(piece)
        answers = (await line.send()).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [TILE, NOTE, NOTE, TILE]


async def test_requests_sent_together_are_answered_in_their_order() -> None:
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        line = connect()
        together = [GET, GET_TILE] * 40  # more than aiohttp keeps waiting
        answers = await line.send(b"".join(together), *[b""] * 20, GET_TILE)
        bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert bodies == [NOTE, TILE] * 40 + [TILE]


def state_of(protocol: EdgeProtocol) -> dict[str, object]:
    """What aiohttp keeps for a connection, where that can be compared."""
    names = [name for kind in RequestHandler.__mro__ for name in getattr(kind, "__slots__", ())]
    slots = {name: getattr(protocol, name, "unset") for name in names}
    plain = (int, float, str, bytes, bool, type(None))
    return {
        name: value
        if isinstance(value, plain)
        else (type(value).__name__, len(value) if hasattr(value, "__len__") else 0)
        for name, value in slots.items()
        if name not in ("_next_keepalive_close_time", "_cache")  # another moment; looked up when asked for
    }


async def test_afterwards_aiohttp_stands_where_it_would_have_stood() -> None:
    states = []
    for direct in (True, False):
        server = make_server(direct=direct)
        with access_lines():
            async with in_memory(server.app) as connect:
                line = connect()
                await line.send(GET, GET_TILE)
                assert (server.asked == []) == direct
                states.append(state_of(line.protocol))
    assert states[0] == states[1] and states[0]["_request_count"] == 2


def test_aiohttp_is_the_one_that_was_read() -> None:
    """Another one may keep more state, or another: read RequestHandler (start, data_received, the keep-alive timer) and
    the parser between two requests again, then write its version here."""
    assert version("aiohttp") == "3.14.5"
    own = {*DirectConnection.answered.__code__.co_names, *DirectConnection.note_boundary.__code__.co_names}
    inside = {name for kind in RequestHandler.__mro__ for name in getattr(kind, "__slots__", ())}
    methods = {"_process_keepalive"}
    assert {name for name in own if name.startswith("_") and name != "_at_boundary"} - {"_BLANK"} <= inside | methods


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> HeldTimers:
    return HeldTimers(monkeypatch, EdgeProtocol, "_header_late", "_body_late", "_unread", "_process_keepalive")


async def test_the_deadlines_of_a_connection_run_as_ever(timers: HeldTimers) -> None:
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        line = connect()
        assert timers.running == ["_process_keepalive", "_header_late"], "a connection that never speaks"
        await line.send(GET)
        assert timers.running == ["_process_keepalive"], "idle is not slow"
        await line.send(GET[:9])
        assert timers.running == ["_process_keepalive", "_header_late"]
        await line.send(GET[9:], GET)
        assert timers.running == ["_process_keepalive"]
        assert server.asked == ["/checkpoint"]


async def test_half_a_header_behind_a_direct_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldTimers(monkeypatch, EdgeProtocol, "_header_late")
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        line = connect()
        await line.send(GET, b"GET /")
        await held.passes("_header_late")
        assert line.written.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 408 " in line.written and line.closed


async def test_keep_alive_begins_anew_with_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server(direct=True)
    async with in_memory(server.app, EdgeSettings(keepalive_seconds=1000)) as connect:
        line = connect()
        loop, real = asyncio.get_running_loop(), asyncio.get_running_loop().time
        monkeypatch.setattr(loop, "time", lambda: real() + 999)
        await line.send(GET)
        for later, ended in ((1500, False), (2100, True)):  # it was due at 1000, and then at 1999
            monkeypatch.setattr(loop, "time", lambda later=later: real() + later)
            line.protocol._process_keepalive()
            assert line.closed == ended
        assert server.asked == []


async def test_an_idle_connection_is_closed_after_a_direct_answer() -> None:
    server = make_server(direct=True)
    site = await start_site(server.app, "127.0.0.1", 0, EdgeSettings(keepalive_seconds=0.2))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(GET)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).endswith(NOTE)
        writer.close()
    finally:
        await site.stop()
    assert server.asked == []


async def test_who_does_not_read_is_answered_the_usual_way_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldTimers(monkeypatch, EdgeProtocol, "_unread")
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        line = connect()
        line.stuck = True
        await line.send(GET_TILE)
        assert server.asked == []
        for _ in range(20):
            await line.send(GET_TILE)
        assert 7 <= len(server.asked) < 10, "then aiohttp waits for the client to read"
        await held.passes("_unread")
        assert line.aborted


def test_one_answer_never_fills_a_transport() -> None:
    async def limits() -> tuple[int, int]:
        site = await start_site(make_server(direct=True).app, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            return writer.transport.get_write_buffer_limits()
        finally:
            writer.close()
            await site.stop()

    assert asyncio.run(limits())[1] > edge_direct.MOST_SENT


async def test_a_connection_that_was_told_to_end_gives_no_answer() -> None:
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        early, ended, cut, stopped, broken = [connect() for _ in range(5)]
        early.protocol.close()  # before it began to listen
        for line in (ended, cut, stopped, broken):
            assert await line.send(GET)
        ended.protocol.close()
        cut.protocol.force_close()
        stopping = asyncio.ensure_future(stopped.protocol.shutdown(0.05))
        await asyncio.sleep(0)
        broken.closed = True  # the transport knows, and nobody has been told yet
        for line in (early, ended, cut, stopped, broken):
            before = line.written
            line.protocol.data_received(GET)
            assert await line.send() == b"" and line.written == before
        ended.protocol.force_close()
        await stopping
    assert server.asked == ["/checkpoint"], "of the broken one, whose answer has nowhere to go"


async def test_stopping_ends_idle_connections() -> None:
    server = make_server(direct=True)
    site = await start_site(server.app, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(GET)
    async with asyncio.timeout(PATIENCE_S):
        await reader.readuntil(NOTE)
        await site.stop()
        assert await reader.read() == b""
    writer.close()
    assert server.asked == []


async def test_a_client_has_no_more_connections_than_ever() -> None:
    server = make_server(direct=True)
    async with in_memory(server.app, EdgeSettings(connections_per_client=1)) as connect:
        first, second = connect(peer="192.0.2.1"), connect(peer="192.0.2.1")
        assert second.written.startswith(b"HTTP/1.1 429 ") and await second.send(GET) == b""
        assert (await first.send(GET)).startswith(b"HTTP/1.1 200 ")


async def test_without_an_access_log_none_is_written() -> None:
    with access_lines() as lines:
        logging.getLogger("ledger.edge.access").setLevel(logging.WARNING)
        async with in_memory(make_server(direct=True).app) as connect:
            assert await connect().send(GET)
    assert lines == []


async def test_what_looks_at_every_request_is_not_passed_by() -> None:
    @web.middleware
    async def other(request: web.Request, handler: object) -> web.StreamResponse:
        raise AssertionError

    async def signal(request: web.Request, response: web.StreamResponse) -> None: ...

    for add in (lambda app: app.middlewares.append(other), lambda app: app.on_response_prepare.append(signal)):
        server = make_server(direct=True)
        add(server.app)
        with pytest.raises(AssertionError, match="direct"):
            await start_site(server.app, "127.0.0.1", 0)


async def test_few_headers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_direct, "KEPT", 3)
    server = make_server(direct=True)
    async with in_memory(server.app) as connect:
        line = connect()
        for at in range(10):
            await line.send(lines_of(b"Host: x", b"Accept: %d" % at), lines_of(b"Host: x", b"X-Any: %d" % at))
            known = server.app[DIRECT]._plain
            assert 0 < len(known) <= 3 and all(is_plain(header) for header in known)
    assert len(server.asked) == 10

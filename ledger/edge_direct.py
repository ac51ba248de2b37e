"""Answers that nothing has to be waited for, sent before a request is made of what has arrived.

    add_direct(app, "/tile/", "/tile/{path}", lookup)     beside the route, which answers whatever this does not

aiohttp takes longer for a task, a request, its routes and its writer than a short answer takes; so a connection first
looks whether what has arrived is one plain GET of something that lies ready or can be made at once. In any doubt it
goes the usual way, which gives the same bytes, access line and deadlines. A direct answer is given when all this holds:

    1 idle       aiohttp waits for a request: none is under way, none is kept, and nobody has told the connection to end
    2 boundary   aiohttp's parser has read everything before as whole requests: what arrives begins a new one
    3 room       all that was written before has left this process
    4 line       `GET`, a path of plain characters, `HTTP/1.1`, in one small piece together with all that follows
    5 header     lines of the form `Name: value`, each name once and one of those that change nothing, a Host among
                 them, then the blank line, and nothing behind it
    6 answer     the application has it at once, whole and small enough never to fill the transport

and then

    7 send       in one piece
    8 account    as aiohttp does after an answer: requests counted, keep-alive begun anew, the access line written
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from ledger.edge_log import AccessLog

# The bytes of a 200 answer to what stands behind the prefix, with Strict-Transport-Security or without; None, or an
# error of any kind, where the ordinary handler has to say more or may wait. Never waits.
Lookup = Callable[[str, bool], bytes | None]

MOST_ASKED: Final = 4096  # bytes of a request; less than aiohttp takes for one line
MOST_SENT: Final = 32 * 1024  # bytes of an answer: half of what a transport takes before it says stop
KEPT: Final = 512  # headers known to be plain
_LINE: Final = re.compile(rb"GET (/[A-Za-z0-9/._-]+) HTTP/1\.1\r\n")
_HEADER: Final = re.compile(rb"(?:[A-Za-z-]+: [\x21-\x7e][\x20-\x7e]*\r\n)+\r\n")
_BLANK: Final = b"\r\n\r\n"
# What no handler behind `add_direct` and nothing on the way to it looks at. Connection is one of them only as below.
_NAMES: Final = frozenset(
    b"host user-agent accept accept-encoding accept-language cache-control pragma connection origin referer "
    b"x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip".split()
)


def is_plain(header: bytes) -> bool:
    """Step 5, for all bytes behind the request line."""
    if _HEADER.fullmatch(header) is None:
        return False
    names: set[bytes] = set()
    for line in header[: -len(_BLANK)].split(b"\r\n"):
        name, _, value = line.partition(b": ")
        name = name.lower()
        if name in names or name not in _NAMES or (name == b"connection" and value.lower() != b"keep-alive"):
            return False
        names.add(name)
    return b"host" in names


class Direct:
    """What one application answers directly."""

    def __init__(self) -> None:
        self._places: list[tuple[str, str, Lookup]] = []
        self._plain: set[bytes] = set()  # a client's header is the same from request to request

    def add(self, prefix: str, route: str, lookup: Lookup) -> None:
        self._places.append((prefix, route, lookup))

    def find(self, data: bytes, *, hsts: bool) -> tuple[str, bytes] | None:
        """Steps 4 to 6: the route's pattern and the whole answer; None when there is any doubt."""
        if len(data) > MOST_ASKED or (line := _LINE.match(data)) is None:  # 4
            return None
        path = line[1].decode()
        for prefix, route, lookup in self._places:
            if path.startswith(prefix):
                header = data[line.end() :]
                if header not in self._plain and not self._learn(header):  # 5
                    return None
                try:
                    answer = lookup(path[len(prefix) :], hsts)  # 6
                except Exception:  # noqa: BLE001  # the ordinary handler meets it too, and says what it is
                    return None
                return None if answer is None or len(answer) > MOST_SENT else (route, answer)
        return None

    def _learn(self, header: bytes) -> bool:
        if not is_plain(header):
            return False
        if len(self._plain) >= KEPT:
            self._plain.clear()
        self._plain.add(header)
        return True


DIRECT: Final = web.AppKey("direct", Direct)


def add_direct(app: web.Application, prefix: str, route: str, lookup: Lookup) -> None:
    """Let `lookup` answer GET of paths that begin so, before the handler of the route that is written `route`."""
    if DIRECT not in app:
        app[DIRECT] = Direct()
    app[DIRECT].add(prefix, route, lookup)


class DirectConnection(RequestHandler):
    """A connection of aiohttp that gives direct answers. All that the product knows of the inside of a RequestHandler
    beyond `ledger.edge_connection` is here; `tests/ledger/test_edge_direct.py` fails when aiohttp is another one."""

    __slots__ = ("_at_boundary", "direct", "hsts")

    direct: Direct | None
    hsts: bool

    def answered(self, data: bytes) -> bool:
        """Whether `data` was one request, and has its answer. False: nothing was done."""
        waiter, transport = self._waiter, self.transport
        if waiter is None or waiter.done() or self._close or self._force_close:  # 1
            return False
        if not self._at_boundary:  # 2
            return False
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():  # 3
            return False
        began = self._loop.time()
        found = None if self.direct is None else self.direct.find(data, hsts=self.hsts)  # 4, 5, 6
        if found is None:
            return False
        route, answer = found
        transport.write(answer)  # 7
        self._request_count += 1  # 8
        assert self._manager is not None
        self._manager.requests_count += 1
        now = self._loop.time()
        self._next_keepalive_close_time = now + self._keepalive_timeout  # the timer runs, and looks here when it ends
        if self._logging_enabled and isinstance(self.access_logger, AccessLog):
            self.access_logger.line("GET", route, 200, len(answer), now - began)
        return True

    def note_boundary(self, data: bytes, requests: int) -> None:
        """For step 2, when the parser was given `data` and found so many requests: whether it then stood between two.
        It does behind one request without a body, in data that ends with a blank line. Behind a request that ended
        before, that line would have ended another one, and blank lines before a request are none of its bytes."""
        self._at_boundary = (
            requests == 1 and data.endswith(_BLANK) and not self._upgraded and self._messages[-1][1] is EMPTY_PAYLOAD
        )

"""Answers whose header is known beforehand: its bytes are made once for a kind of answer, and the body goes out behind.

    TILE = Header("application/octet-stream", {"Cache-Control": "immutable"})
    return TILE.answer(request, body)

aiohttp fills a dictionary of ten headers for each answer, asks who wants to add to it, and writes it out again, which
took as long as all the rest of a short answer. What is sent is the same, in another order. Whatever is not a plain GET
on a connection that stays open is answered the usual way. `ledger.edge_direct` sends the same bytes without a request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from ledger.edge import secure


class Header:
    """Content type and headers of one kind of 200 answer; the security headers of `protect` come to them."""

    __slots__ = ("_headers", "_plain", "_strict")

    def __init__(self, content_type: str, headers: Mapping[str, str]) -> None:
        self._headers = {**headers, "Content-Type": content_type}
        self._plain = _written(self._headers, hsts=False)
        self._strict = _written(self._headers, hsts=True)

    def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """The 200 answer with this body. Nothing may be changed in it."""
        if request.method == "GET" and request.version == HttpVersion11 and request.keep_alive:
            return _Ready(self, getattr(request.protocol, "hsts", False), body)
        return web.Response(body=body, headers=self._headers)

    def whole(self, body: bytes, hsts: bool) -> bytes:
        """All bytes of that answer, as of now."""
        ending = b"Content-Length: %d\r\nDate: %s\r\n\r\n" % (len(body), _date(int(time.time())))
        return b"".join((self._strict if hsts else self._plain, ending, body))


class _Ready(web.StreamResponse):
    def __init__(self, header: Header, hsts: bool, body: bytes) -> None:
        super().__init__()
        self._header, self._hsts, self._content = header, hsts, body
        self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if not self._eof_sent:
            self._payload_writer = request.writer
        return self._payload_writer

    async def write_eof(self, data: bytes = b"") -> None:
        writer = self._payload_writer
        if writer is None:
            return
        await writer.write_eof(self._header.whole(self._content, self._hsts))
        self._eof_sent, self._payload_writer, self._body_length = True, None, writer.output_size


def _written(headers: Mapping[str, str], *, hsts: bool) -> bytes:
    """Status line and headers, without the last two."""
    all_of_them = CIMultiDict(headers)
    secure(all_of_them, hsts=hsts)
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in all_of_them.items())]
    assert all(line.isascii() and line.isprintable() for line in lines), "a header in one line of ASCII"
    return "".join(f"{line}\r\n" for line in lines).encode()


@lru_cache(2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()

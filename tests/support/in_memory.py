"""Connections of the edge without sockets: each byte arrives when a test says so, and nothing waits for a clock.

async with in_memory(app) as connect:
    line = connect()
    await line.send(b"GET / HTTP/1.1\\r\\n", b"Host: x\\r\\n\\r\\n")     two pieces
    line.written, line.closed, line.protocol
await line.send()                                                 what has been made possible meanwhile
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ledger.edge_connection import Clients, EdgeProtocol, EdgeSettings
from ledger.edge_direct import DIRECT

_TURNS = 12  # of the loop, for an answer that waits for nothing
_DATE = re.compile(rb"\r\nDate: [^\r\n]*\r\n")


class Line(asyncio.Transport):
    """A transport whose other end reads at once, unless it is `stuck`."""

    def __init__(self, protocol: EdgeProtocol, peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer})
        self.protocol, self.written, self.closed, self.aborted, self.stuck = protocol, b"", False, False, False
        self._unread = 0

    async def send(self, *pieces: bytes) -> bytes:
        """What is written back to these pieces, each answered as far as it can be before the next arrives."""
        before = len(self.written)
        await self._turns()
        for piece in pieces:
            if not self.closed:
                self.protocol.data_received(piece)
            await self._turns()
        return self.written[before:]

    async def _turns(self) -> None:
        for _ in range(_TURNS):
            waiter = self.protocol._waiter
            if waiter is not None and not waiter.done() and not self.closed:
                return  # it listens
            await asyncio.sleep(0)

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        if self.stuck:
            self._unread += len(data)
            if self._unread > 65_536 and not self.protocol.writing_paused:
                self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._unread

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


Connect = Callable[..., Line]


@asynccontextmanager
async def in_memory(app: web.Application, limits: EdgeSettings | None = None) -> AsyncIterator[Connect]:
    """Gives a function that connects to `app`."""
    settings = limits or EdgeSettings()
    runner = web.AppRunner(app)
    await runner.setup()
    manager = runner.server
    assert manager is not None
    clients = Clients(settings.connections_per_client, exempt_loopback=True)
    lines: list[Line] = []

    def connect(*, hsts: bool = False, peer: str = "127.0.0.1") -> Line:
        protocol = EdgeProtocol(manager, settings, clients, hsts=hsts, direct=app.get(DIRECT))
        lines.append(line := Line(protocol, (peer, 1)))
        protocol.connection_made(line)
        return line

    try:
        yield connect
    finally:
        for line in lines:
            line.abort()
        await asyncio.sleep(0)
        await runner.cleanup()


def said(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The access lines since last asked, without how long it took. `caplog` listens to ledger.edge.access."""
    lines = [dict(record.fields) for record in caplog.records if record.name == "ledger.edge.access"]  # type: ignore[attr-defined]
    caplog.clear()
    for line in lines:
        del line["ms"]
    return lines


def undated(written: bytes) -> bytes:
    """Without the time of each answer."""
    return _DATE.sub(b"\r\nDate: then\r\n", written)

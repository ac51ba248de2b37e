"""A small HTTP/1.1 load generator for GET: it reads status and length and nothing else, so that it stays cheap.

Closed loop: each connection asks again when it has its answer; gives requests per second.
Open loop: requests start by the clock whether or not earlier ones are answered, and the time of each counts from
when it should have started; gives honest latencies.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """What a run gave. Times in seconds."""

    elapsed: float
    latencies: tuple[float, ...]
    failures: int  # answers other than 200

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.elapsed


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._transport.write(request)  # type: ignore[attr-defined]
        return future

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._waiting:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            status = int(self._buffer[9:12])
            del self._buffer[:end]
            self._waiting.popleft().set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        while self._waiting:
            self._waiting.popleft().set_exception(exc or ConnectionResetError("closed"))

    def close(self) -> None:
        self._transport.close()


def get_request(path: str, host: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode()


async def closed_loop(
    host: str, port: int, requests: Sequence[bytes], seconds: float, connections: int, *, once: bool = False
) -> Load:
    """Every connection goes round the requests for `seconds`; `once`: until each was asked."""
    clients = await _connect(host, port, connections)
    latencies: list[float] = []
    failures = 0
    until = time.perf_counter() + seconds

    async def one(client: _Connection, at: int) -> None:
        nonlocal failures
        while (began := time.perf_counter()) < until and not (once and at >= len(requests)):
            failures += await client.ask(requests[at % len(requests)]) != 200
            latencies.append(time.perf_counter() - began)
            at += connections

    began = time.perf_counter()
    await asyncio.gather(*(one(client, at) for at, client in enumerate(clients)))
    return _done(clients, Load(time.perf_counter() - began, tuple(latencies), failures))


async def open_loop(
    host: str, port: int, requests: Sequence[bytes], seconds: float, rate: float, connections: int = 32
) -> Load:
    """`rate` requests a second, evenly spaced, on whichever connection is free."""
    clients = await _connect(host, port, connections)
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for client in clients:
        free.put_nowait(client)
    latencies: list[float] = []
    failures = 0
    began = time.perf_counter()

    async def one(number: int) -> None:
        nonlocal failures
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        client = await free.get()
        failures += await client.ask(requests[number % len(requests)]) != 200
        free.put_nowait(client)
        latencies.append(time.perf_counter() - due)

    await asyncio.gather(*(one(number) for number in range(int(seconds * rate))))
    return _done(clients, Load(time.perf_counter() - began, tuple(latencies), failures))


async def _connect(host: str, port: int, connections: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(_Connection, host, port))[1] for _ in range(connections)]


def _done(clients: Sequence[_Connection], load: Load) -> Load:
    for client in clients:
        client.close()
    return load

"""A proxy before a PostgreSQL server that loses the answer to one commit, as a network does: to a COMMIT, to the one
statement by which a guard remembers, or to the one that keeps a checkpoint.

proxy.cut = "before"    COMMIT never arrives
proxy.cut = "after"     it arrives, and its answer does not
proxy.cut = "late"      the client is cut off at once; COMMIT arrives only when `proxy.deliver` is set
proxy.through = 1       not the next COMMIT but the one after it
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.postgres import GUARD_DATABASE

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # simple query
_GUARDED = f"\0database\0{GUARD_DATABASE}\0".encode()  # in the first message of a session
_NOTE = "\n\n\u2014 ".encode()  # between the text and the signatures of a checkpoint that is sent to be kept
_GROW = re.compile(rb"\x00\x00\x00\x08.{8}\x00\x00\x00\x20", re.DOTALL)  # size and root that a guard is told, bound
# CommandComplete of each; before a COMMIT others may be of the last kind. A guard that has gone on answers UPDATE 0.
_DONE = (
    b"C\x00\x00\x00\x0bCOMMIT\x00",
    b"C\x00\x00\x00\x0dUPDATE 1\x00",
    b"C\x00\x00\x00\x0dUPDATE 0\x00",
    b"C\x00\x00\x00\x0fINSERT 0 1\x00",
)


class CommitProxy:
    """Passes everything through but the commit that it was told to spoil."""

    def __init__(self, to: int) -> None:
        self.to, self.port = to, 0
        self.cut = ""
        self.through = 0
        self.commits = 0  # that clients sent
        self.deliver = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        server, ask = await asyncio.open_connection("127.0.0.1", self.to)
        guard = False  # whether this connection is to a guard's database
        spoiled = asyncio.Event()  # this connection's commit is on its way, and its answer is not wanted

        async def forward() -> None:
            nonlocal guard
            while chunk := await client.read(65536):
                guard = guard or _GUARDED in chunk
                if _COMMIT in chunk or _NOTE in chunk or (guard and _GROW.search(chunk)):
                    self.commits += 1
                    cut, self.through = self.cut if self.through == 0 else "", max(0, self.through - 1)
                    if cut == "before":
                        self.cut = ""
                        return
                    if cut:
                        self.cut = ""
                        spoiled.set()
                    if cut == "late":
                        answer.transport.abort()
                        await self.deliver.wait()
                ask.write(chunk)
                await ask.drain()

        async def back() -> None:
            while chunk := await server.read(65536):
                if spoiled.is_set() and any(done in chunk for done in _DONE):
                    return
                if not spoiled.is_set():
                    answer.write(chunk)
                    await answer.drain()

        ways = [asyncio.create_task(forward()), asyncio.create_task(back())]
        self._tasks.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if ways[0].done() and spoiled.is_set():
            await asyncio.wait(ways)  # what was sent late is still worked on
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in (answer, ask):
            with suppress(OSError):
                writer.transport.abort()


@asynccontextmanager
async def commit_proxy(to: int, port: int = 0) -> AsyncIterator[CommitProxy]:
    """A proxy on a port of its own, or on that of one before it, before the server on port `to`."""
    proxy = CommitProxy(to)
    listening = await asyncio.start_server(proxy._serve, "127.0.0.1", port)
    proxy.port = int(listening.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        listening.close()
        for task in proxy._tasks:
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)

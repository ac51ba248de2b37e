"""The least an aiohttp server can do: the ceiling of every HTTP figure. `python -m benchmarks.hello PORT`."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web


async def _hello(_: web.Request) -> web.Response:
    return web.Response(body=b"hello\n", content_type="text/plain")


async def _serve(port: int) -> None:
    app = web.Application()
    app.router.add_get("/", _hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as _runner:
        _runner.run(_serve(int(sys.argv[1])))

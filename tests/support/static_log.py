"""A built log exported into real files, read in place or through a real static server.

files = await StaticLog.export(log, folder)      again: what is new
async with files.served() as url: ...            a server of plain files
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from ledger.export.folder import FolderPlace
from ledger.export.tiles import Export
from tests.support.build_log import FakeLedger, LogBuilder


@dataclass
class StaticLog:
    folder: Path

    @classmethod
    async def export(cls, log: LogBuilder, folder: Path, *, time_ms: int | None = None) -> StaticLog:
        async with FolderPlace(folder) as place:
            await Export(FakeLedger(log, time_ms), place, log.origin, [log.signer.vkeys]).once()
        return cls(folder)

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def flip(self, path: str, at: int = 40) -> None:
        """Change one byte of a file."""
        file = self.folder / path
        raw = bytearray(file.read_bytes())
        raw[at] ^= 1
        file.write_bytes(bytes(raw))

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_static("/logs/2026", self.folder)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/logs/2026"
        finally:
            await runner.cleanup()

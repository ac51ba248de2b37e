"""Reads a stranger's picture or PDF without letting it harm this process: in a child, few at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from ledger.scan_apart import PdfScan, read_apart

AT_ONCE: Final = 2


class Scanner:
    """Runs `ledger.scan_apart.read_apart` off the event loop, at most two at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)

    async def read(self, data: bytes) -> PdfScan:
        """QR texts and text layer. Raises Malformed when it cannot be decoded within the limits, Unavailable when
        the decoder does not run."""
        async with self._free:
            return await asyncio.to_thread(read_apart, data)

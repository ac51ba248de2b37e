"""A caller who declares a body and never sends it."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

_DECLARED: Final = 500_000  # bytes: no more than any of the routes takes
PATIENCE_S: Final = 10.0


async def answered_before_the_body(url: str, path: str) -> bytes:
    """The first line of what is answered to an unsigned POST of which only the head comes. Raises TimeoutError."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {_DECLARED}\r\n\r\n".encode()
    )
    try:
        return await asyncio.wait_for(reader.readline(), PATIENCE_S)
    finally:
        writer.close()
        await writer.wait_closed()

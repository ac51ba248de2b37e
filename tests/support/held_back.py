"""Callers who declare a body and never send it, or show the head of one request with the body of another."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from ledger.request_signing import sign_request
from tests.support.builders import Body
from tests.support.waiting import PATIENCE_S

_DECLARED: Final = 500_000  # bytes: no more than any of the routes takes


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


async def statuses_of_one_head(url: str, path: str, body: Body, raw: bytes) -> list[int]:
    """One signed head with another body than it is for, with its own, and with that again: what is answered. It may
    have been started just now, and refuses what was signed in that second."""
    await asyncio.sleep(1.0)
    kept = {"Content-Type": "application/json", "Idempotency-Key": "x"}
    signed = sign_request(
        "POST", url + path, kept, raw, signer=body.request, now_s=int(time.time()), nonce=os.urandom(16)
    )
    found = []
    async with aiohttp.ClientSession() as session:
        for data in (raw + b" ", raw, raw):
            async with session.post(url + path, data=data, headers=kept | signed) as answer:
                found.append(answer.status)
    return found

"""How many files this process may have open, and that connections leave some for its own work: a journal, a child."""

from __future__ import annotations

import asyncio
import os
import resource
from typing import Final, cast

KEPT: Final = 128  # descriptors for the program itself
MOST: Final = 65_536  # descriptors; more connections than that have no use for one process
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def raise_limit() -> None:
    """As many descriptors as this process may give itself: systems begin with 1,024 of what is often half a million."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def crowded() -> bool:
    """Whether fewer than `KEPT` descriptors are free. The system gives out the lowest that is."""
    try:
        lowest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    os.close(lowest)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and lowest >= soft - KEPT


class TurnedAway(asyncio.Protocol):
    """A connection that there is no room for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        stream.write(_FULL)
        stream.close()

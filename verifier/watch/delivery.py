"""Delivers events: at least once, in no promised order, again and again for three days.

An event is leased while it is being tried. Delivered is what was answered with 2xx; 410 ends the tries at once. After a
failure it is tried again after 10 s, 30 s, 2 min, 10 min, 30 min, then hourly; what is not delivered then stays
readable at `/v1/watches/{id}/events` and is told in the watcher's next list.

A receiver that took its time and said nothing is not asked for a minute, and what is due to it counts as tried: others'
news would wait for hours behind that of one who watches thousands of certificates and hangs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from ledger.edge_log import describe
from ledger.errors import CertLedgerError, Refused, Unavailable
from ledger.text import Text
from verifier.neighbour import Neighbour
from verifier.watch.outbound import Outbound
from verifier.watch.signing import Secrets, signed_headers
from verifier.watch.store import Due, Watches

AT_ONCE: Final = 8
LEASE_MS: Final = 60_000
PAUSES_S: Final = (10, 30, 120, 600, 1800, *(3600,) * 70)
_GONE: Final = 410
SLOW_S: Final = 5.0
QUIET_MS: Final = 60_000
_QUIET_ONES: Final = 1_000  # remembered
_log = logging.getLogger("verifier.watch")


class Delivery:
    """Sends what is due."""

    def __init__(self, watches: Watches, secrets: Secrets, outbound: Outbound, now_ms: Callable[[], int]) -> None:
        self._watches = watches
        self._secrets = secrets
        self._outbound = outbound
        self._now_ms = now_ms
        self._quiet: dict[str, Neighbour] = {}  # by host and port, while they are left alone

    async def run(self, every_s: float) -> None:
        """Until cancelled. What keeps it from working is told when it begins, and when it is over."""
        kept_by = ""
        while True:
            try:
                tried = await self.once()
            except CertLedgerError as error:
                if kept_by != type(error).__name__:
                    _log.warning("not delivered", extra={"fields": describe(error)})
                tried, kept_by = 0, type(error).__name__
            else:
                if kept_by:
                    _log.info("delivered again")
                kept_by = ""
            if tried < AT_ONCE:
                await asyncio.sleep(every_s)

    async def once(self) -> int:
        """Try what is due now, a few at once; how many were tried. Raises Unavailable without the store."""
        due = await self._watches.claim_due(AT_ONCE, LEASE_MS)
        await asyncio.gather(*(self._try(one) for one in due))
        return len(due)

    async def _try(self, due: Due) -> None:
        event, now, host = due.event, self._now_ms(), urlsplit(due.url).netloc
        receiver = self._receiver(host)
        status = 0
        with suppress(Refused, Unavailable):
            status = await receiver.ask(partial(self._post, due, now // 1000))
        self._remember(host, receiver)
        if 200 <= status < 300:
            await self._watches.delivered(event.id)
        elif status == _GONE or event.tries >= len(PAUSES_S):
            await self._watches.failed(event.id, None)
        else:
            await self._watches.failed(event.id, now + PAUSES_S[event.tries] * 1000)

    async def _post(self, due: Due, now_s: int) -> int:
        secret, body = self._secrets.open(due.event.watch_id, due.sealed), due.event.body.encode()
        return await self._outbound.post(due.url, body, signed_headers(due.event.id, now_s, body, secret))

    def _receiver(self, host: str) -> Neighbour:
        """The same for all that is sent there at the same time."""
        new = Neighbour(Text("接收方", "the receiver"), self._now_ms, wait_s=None, late_s=SLOW_S, alone_ms=QUIET_MS)
        return self._quiet.setdefault(host, new)

    def _remember(self, host: str, receiver: Neighbour) -> None:
        self._quiet.pop(host, None)
        if receiver.is_silent:
            self._quiet[host] = receiver
        while len(self._quiet) > _QUIET_ONES:
            del self._quiet[next(iter(self._quiet))]

"""Compares what changed in a replica with what watchers were told, from a durable cursor on.

    1 wait     until everything the replica has taken in stands under a verified checkpoint
    2 piece    the next keys whose state changed, behind the cursor
    3 watched  of those, the certificates that somebody watches, and how each stands now
    4 take     events, what was told, and the cursor in one transaction (store)

A first start begins at the present end of the log: nobody watched before. A certificate that is in several logs is
compared by the log whose change came; the log that logged it first tells its standing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, cast

from ledger.edge_log import describe
from ledger.errors import CertLedgerError
from ledger.store.protocol import VersionedStore
from verifier.known_log import KnownLog
from verifier.watch.standing import Standing, standing_of
from verifier.watch.store import Watches

PIECE: Final = 1024  # keys at a time
END: Final = b"\xff" * 32  # behind every key of a seal
_log = logging.getLogger("verifier.watch")


class Following:
    """Watches the replicas of some logs."""

    def __init__(self, logs: Sequence[KnownLog], watches: Watches) -> None:
        self._logs = tuple(logs)
        self._watches = watches

    async def run(self, every_s: float) -> None:
        """Until cancelled. What one look cannot do, the next one does."""
        while True:
            for log in self._logs:
                try:
                    await self.look(log)
                except CertLedgerError as error:
                    _log.warning("not compared", extra={"fields": describe(error)})
            await asyncio.sleep(every_s)

    async def look(self, log: KnownLog) -> int:
        """Take all changes up to the verified end; how many events they made. Raises Unavailable."""
        made = 0
        while (piece := await self._piece(log)) is not None:
            made += piece
        return made

    async def _piece(self, log: KnownLog) -> int | None:
        replica = log.replica
        if replica is None or replica.verified is None or replica.halted is not None:
            return None
        integrator, size = replica.integrator, replica.verified.size
        if integrator.size != size:  # 1
            return None
        origin = log.trust.origin
        cursor = await self._watches.cursor(origin)
        if cursor is None:
            await self._watches.advance(origin, size - 1, END, {}, size)
            return None
        store = cast("VersionedStore", integrator.store)
        changed = await store.changed_since(*cursor, PIECE)  # 2
        if not changed:
            return None
        watched = await self._watches.watched()
        standings: dict[bytes, Standing] = {}
        for _, map_key in changed:  # 3
            cert_key = watched.get(map_key)
            if cert_key is not None and await self._answers_first(log, cert_key):
                state = await integrator.certificate(cert_key)
                if state is not None:
                    standings[cert_key] = standing_of(state)
        if integrator.size != size:
            return None  # a batch came in between: once it is verified, from the same cursor again
        seal, map_key = changed[-1]
        return await self._watches.advance(origin, seal, map_key, standings, size)  # 4

    async def _answers_first(self, log: KnownLog, cert_key: bytes) -> bool:
        """Whether no other log has had the certificate for longer."""
        times = []
        for other in self._logs:
            state = await other.replica.integrator.certificate(cert_key) if other.replica else None
            if state is not None:
                times.append((state.issue_time, other is not log))
        return not times or not min(times)[1]

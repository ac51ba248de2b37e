"""Compares how watched certificates stand with what their watchers were told.

What changed in a replica, from a durable cursor on:

    1 wait     until everything the replica has taken in stands under a verified checkpoint
    2 piece    the next keys whose state changed, behind the cursor
    3 watched  of those, the certificates that somebody watches, and how each stands by all logs that count (`asking`)
    4 take     events, what was told, and the cursor in one transaction (store)

A first start begins at the present end of the log. One log that is down holds nobody else's news up: what was compared
without it is compared anew once it answers. So is everything at the start of the process, because what counts also
changes with the settings, and everything when a log is closed, whose successor counts from then on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, cast

from ledger.edge_log import describe
from ledger.errors import CertLedgerError, Unavailable
from ledger.store.protocol import VersionedStore
from ledger.text import Text
from verifier.known_log import KnownLog
from verifier.watch.asking import ask
from verifier.watch.store import Cursor, Watches

PIECE: Final = 1024  # keys at a time
ANEW: Final = 64  # certificates at a time
_LOOKS: Final = 10  # at what changed, for each at what has to be compared anew
END: Final = b"\xff" * 32  # behind every key of a seal
_log = logging.getLogger("verifier.watch")


class Following:
    """Watches the replicas of some logs."""

    def __init__(self, logs: Sequence[KnownLog], watches: Watches) -> None:
        self._logs = tuple(logs)
        self._watches = watches
        self._all = frozenset(log.trust.origin for log in logs)
        self._anew: dict[bytes, frozenset[str]] = {}  # cert key -> origins that it was not compared with
        self._ended: set[str] | None = None  # origins of closed logs when everything was last compared; None: never

    async def run(self, every_s: float) -> None:
        """Until cancelled. What one look cannot do, the next one does; a log that hangs only keeps its own waiting."""
        async with asyncio.TaskGroup() as group:
            for log in self._logs:
                group.create_task(_again(partial(self.look, log), every_s, {"log": log.trust.origin}))
            group.create_task(_again(self.anew, every_s * _LOOKS, {}))

    async def look(self, log: KnownLog) -> int:
        """Take all changes up to the verified end; how many events they made. Raises Unavailable."""
        made = 0
        while (piece := await self._piece(log)) is not None:
            made += piece
        return made

    async def anew(self) -> int:
        """Compare what could not be compared with every log, or never was by this process; how many events it made.
        Raises Unavailable."""
        await self._note_all()
        made, missed, keys = 0, frozenset[str](), list(self._anew)
        for start in range(0, len(keys), ANEW):
            chunk = [key for key in keys[start : start + ANEW] if not self._missed(key) <= missed]
            if chunk:
                made += await self._compare(chunk) or 0
                missed = missed.union(*map(self._missed, chunk))
        return made

    def note(self, cert_key: bytes) -> None:
        """A new watch: what became of the certificate since it was looked up, no cursor may come to any more."""
        self._anew[cert_key] = self._all

    def _missed(self, cert_key: bytes) -> frozenset[str]:
        return self._anew.get(cert_key, frozenset())

    async def _note_all(self) -> None:
        ended = {log.trust.origin for log in self._logs if log.successor}
        if self._ended is None or not ended <= self._ended:
            for cert_key in (await self._watches.watched()).values():
                self.note(cert_key)
            self._ended = ended

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
            await self._watches.begin(Cursor(origin, size - 1, END))
            return None
        store = cast("VersionedStore", integrator.store)
        changed = await store.changed_since(cursor.seal, cursor.map_key, PIECE)  # 2
        if not changed:
            return None
        watched = await self._watches.watched()
        cert_keys = [watched[map_key] for _, map_key in changed if map_key in watched]
        # A batch may come in between: once it is verified, from the same cursor again.
        return await self._compare(cert_keys, Cursor(origin, *changed[-1]), lambda: integrator.size == size)

    async def _compare(
        self, cert_keys: Sequence[bytes], cursor: Cursor | None = None, still: Callable[[], bool] = lambda: True
    ) -> int | None:
        """How many events it made; None when it was nothing any more. Without an answer of the cursor's own log it
        raises Unavailable."""
        for cert_key in cert_keys:
            self._anew.pop(cert_key, None)
        missed = self._all
        try:
            asked = await ask(self._logs, cert_keys)  # 3
            if not still():
                return None
            if cursor is not None and cursor.origin in asked.silent:
                raise Unavailable(Text("有变化的日志没有应答", "the log that changed does not answer"))
            made, behind = await self._watches.take(asked, cursor)  # 4
            missed = asked.silent | behind
            return made
        finally:
            if missed:
                self._anew.update((cert_key, missed | self._missed(cert_key)) for cert_key in cert_keys)


async def _again(work: Callable[[], Awaitable[int]], every_s: float, of: dict[str, object]) -> None:
    """For ever. What keeps it from working is told when it begins, and when it is over; `of`: whose work it is."""
    kept_by = ""
    while True:
        try:
            await work()
        except CertLedgerError as error:
            if kept_by != type(error).__name__:
                _log.warning("not compared", extra={"fields": of | describe(error)})
            kept_by = type(error).__name__
        else:
            if kept_by:
                _log.info("compared again", extra={"fields": of})
            kept_by = ""
        await asyncio.sleep(every_s)

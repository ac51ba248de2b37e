"""The kit that a serving verifier offers: made again every so often from its own replicas, kept in memory."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from ledger.errors import CertLedgerError
from verifier.kit.format import Kit, Signer, sign_kit
from verifier.kit.judge import believe
from verifier.kit.make import Source, make_kit
from verifier.kit.summary import shortcomings

EVERY_S: Final = 1800.0
_AGAIN_S: Final = (0.5, 15.0)  # after a failure, twice as long each time: nothing is verified in the first moments
_log = logging.getLogger("verifier")


class Shelf:
    """What `GET /kit` gives: the newest kit and its tag, or nothing yet. A failure keeps the one before."""

    def __init__(self, name: str, signer: Signer, limit_ms: int, now_ms: Callable[[], int]) -> None:
        self.raw = b""
        self.tag = ""
        self._kit: Kit | None = None
        self._name = name
        self._signer = signer
        self._limit_ms = limit_ms
        self._now_ms = now_ms

    async def renew(self, sources: Sequence[Source]) -> None:
        """Make the kit again. Raises what `make_kit` raises."""
        now_ms = self._now_ms()
        kit = await make_kit(sources, now_ms, self._limit_ms, before=self._kit)
        for said in shortcomings(believe(kit, [trust for _, trust in sources], now_ms), now_ms):
            _log.warning("kit: %s", said.en)
        self._kit = kit
        self.raw = await asyncio.to_thread(sign_kit, kit, self._name, self._signer)
        self.tag = f'"{hashlib.sha256(self.raw).hexdigest()[:32]}"'

    @asynccontextmanager
    async def kept_fresh(
        self, sources: Callable[[], Sequence[Source]], every_s: float = EVERY_S
    ) -> AsyncIterator[None]:
        """Renewed by a task of its own as long as this lasts, each time of what `sources` then are."""
        task = asyncio.create_task(self._renew_for_ever(sources, every_s))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def _renew_for_ever(self, sources: Callable[[], Sequence[Source]], every_s: float) -> None:
        again_s, longest_s = _AGAIN_S
        while True:
            try:
                await self.renew(sources())
                pause, again_s = every_s, _AGAIN_S[0]
            except CertLedgerError as error:
                _log.warning("no new kit: %s", type(error).__name__)
                pause, again_s = again_s, min(2 * again_s, longest_s)
            await asyncio.sleep(pause)

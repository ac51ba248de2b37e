"""Face envelopes as a verifier has them: fetched from the ledger when somebody looks, and kept for a minute at most."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from ledger.errors import CertLedgerError, Malformed, Unavailable
from ledger.records.envelope import FaceContent, open_face
from ledger.records.secret import correction_locator, locator_of
from ledger.records.state import CertificateState

ENVELOPE_S: Final = 2.0  # to wait for personal data before answering without it
ENVELOPE_KEPT_MS: Final = 60_000
MISS_KEPT_MS: Final = 5_000  # also how long a silent ledger is left alone
_KEPT: Final = 1024  # at most 24 KiB each


class EnvelopeSource(Protocol):
    """The ledger, as far as a check asks it something."""

    async def envelope(self, issued: int, locator: bytes, slot: str) -> bytes | None: ...


class Envelopes:
    """Fetches face envelopes and keeps them, sealed, for at most 60 s, so that an erasure takes effect; also where
    nobody asks any more, and where the clock was set back."""

    def __init__(self, source: EnvelopeSource | None, now_ms: Callable[[], int], seconds: float) -> None:
        self._source = source
        self._now_ms = now_ms
        self._seconds = seconds
        # Locator -> until when by the clock, and by the loop's; ciphertext.
        self._kept: OrderedDict[bytes, tuple[int, float, bytes | None]] = OrderedDict()
        self._sweeping: asyncio.TimerHandle | None = None
        self._asked: dict[bytes, asyncio.Task[bytes | None]] = {}
        self._silent_until = 0, 0.0  # by the clock, and by the loop's

    async def face(self, secret: bytes, state: CertificateState) -> FaceContent | None:
        """What the envelope of the current commitments opens to, or None: missing, unreadable, or no answer in time."""
        leaf = state.commitment_leaf
        first = leaf == state.issue_leaf
        locator = locator_of(secret) if first else correction_locator(secret, leaf)
        sealed = await self._sealed(state.issue_index, locator)
        if sealed is None:
            return None
        try:
            return open_face(secret, leaf, sealed)
        except (Malformed, Unavailable):
            return None

    async def _sealed(self, issued: int, locator: bytes) -> bytes | None:
        kept = self._kept.get(locator)
        if kept is not None and self._is_before(kept[0], kept[1]):
            return kept[2]
        if self._source is None or self._is_before(*self._silent_until):
            return None
        task = self._asked.get(locator)
        if task is None:
            task = self._asked[locator] = asyncio.create_task(self._fetch(self._source, issued, locator))
            task.add_done_callback(lambda _: self._asked.pop(locator, None))
        return await asyncio.shield(task)

    async def _fetch(self, source: EnvelopeSource, issued: int, locator: bytes) -> bytes | None:
        try:
            sealed = await asyncio.wait_for(source.envelope(issued, locator, "face"), self._seconds)
        except (Unavailable, TimeoutError):
            self._silent_until = self._in(MISS_KEPT_MS)
            return None
        except CertLedgerError:
            sealed = None
        self._sweep()
        self._kept.pop(locator, None)
        self._kept[locator] = *self._in(MISS_KEPT_MS if sealed is None else ENVELOPE_KEPT_MS), sealed
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(ENVELOPE_KEPT_MS / 1000, self._sweep_again)
        return sealed

    def _in(self, ms: int) -> tuple[int, float]:
        return self._now_ms() + ms, asyncio.get_running_loop().time() + ms / 1000

    def _is_before(self, until_ms: int, until_s: float) -> bool:
        return self._now_ms() < until_ms and asyncio.get_running_loop().time() < until_s

    def _sweep(self) -> None:
        """Drop what lies longest and is no longer to be kept."""
        while self._kept:
            until_ms, until_s, _ = next(iter(self._kept.values()))
            if self._is_before(until_ms, until_s):
                break
            self._kept.popitem(last=False)

    def _sweep_again(self) -> None:
        self._sweep()
        self._sweeping = None
        if self._kept:
            _, until_s, _ = next(iter(self._kept.values()))
            self._sweeping = asyncio.get_running_loop().call_at(until_s, self._sweep_again)

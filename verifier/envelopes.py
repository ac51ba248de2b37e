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
from ledger.text import Text
from verifier.neighbour import Neighbour, Until

ENVELOPE_S: Final = 2.0  # to wait for personal data before answering without it
ENVELOPE_KEPT_MS: Final = 60_000
MISS_KEPT_MS: Final = 5_000
ALONE_MS: Final = 5_000  # for which a ledger that gave no answer is asked for none: a page can do without
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
        self._ledger = Neighbour(Text("账本", "the ledger"), now_ms, wait_s=seconds, late_s=0.0, alone_ms=ALONE_MS)
        self._kept: OrderedDict[bytes, tuple[Until, bytes | None]] = OrderedDict()  # by locator, ciphertext
        self._sweeping: asyncio.TimerHandle | None = None
        self._asked: dict[bytes, asyncio.Task[bytes | None]] = {}

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
        if kept is not None and not kept[0].is_over(self._now_ms()):
            return kept[1]
        if self._source is None:
            return None
        task = self._asked.get(locator)
        if task is None:
            task = self._asked[locator] = asyncio.create_task(self._fetch(self._source, issued, locator))
            task.add_done_callback(lambda _: self._asked.pop(locator, None))
        return await asyncio.shield(task)

    async def _fetch(self, source: EnvelopeSource, issued: int, locator: bytes) -> bytes | None:
        try:
            sealed = await self._ledger.ask(lambda: source.envelope(issued, locator, "face"))
        except Unavailable:
            return None
        except CertLedgerError:
            sealed = None
        self._sweep()
        self._kept.pop(locator, None)
        kept_ms = MISS_KEPT_MS if sealed is None else ENVELOPE_KEPT_MS
        self._kept[locator] = Until.after(kept_ms, self._now_ms()), sealed
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(ENVELOPE_KEPT_MS / 1000, self._sweep_again)
        return sealed

    def _sweep(self) -> None:
        """Drop what lies longest and is no longer to be kept."""
        while self._kept:
            until, _ = next(iter(self._kept.values()))
            if not until.is_over(self._now_ms()):
                break
            self._kept.popitem(last=False)

    def _sweep_again(self) -> None:
        self._sweep()
        self._sweeping = None
        if self._kept:
            until, _ = next(iter(self._kept.values()))
            self._sweeping = asyncio.get_running_loop().call_at(until.loop_s, self._sweep_again)

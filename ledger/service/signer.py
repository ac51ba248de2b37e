"""The log's signature on its heads, given only after the guard has remembered them (guard.py).

A crash between commit and signature is cured by signing the committed head again at the next start.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.service.guard import Guard
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner


class HeadSigner:
    """Signs committed heads of one log. `now_s` gives the seconds that the ML-DSA signature states."""

    def __init__(self, signer: CheckpointSigner, guard: Guard, now_s: Callable[[], int]) -> None:
        self.signer = signer
        self._guard = guard
        self._now_s = now_s

    async def check(self, size: int, root: bytes) -> None:
        """Raise as Guard.check: before anything is signed, and without remembering."""
        await self._guard.check(size, root)

    async def sign(self, size: int, root: bytes) -> bytes:
        """The signed note for a head that is committed already. Raises as Guard.remember."""
        await self._guard.remember(size, root)
        return self.signer.sign(Checkpoint(self.signer.origin, size, root), self._now_s())

    async def close(self) -> None:
        await self._guard.close()

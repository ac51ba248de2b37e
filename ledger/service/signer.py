"""The log's signature on its heads, given only after the guard has remembered them (guard.py).

A crash between commit and signature is cured by signing the committed head again at the next start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ledger.service.guard import Guard, check_grown
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner


class HeadSigner:
    """Signs committed heads of one log. `now_s` gives the seconds that the ML-DSA signature states."""

    def __init__(self, signer: CheckpointSigner, guard: Guard, now_s: Callable[[], int]) -> None:
        self.signer = signer
        self._guard = guard
        self._now_s = now_s

    async def check(self, size: int, root: bytes, root_of: Callable[[int], Awaitable[bytes]]) -> None:
        """Raise Refused when this head is older than what was signed, or does not contain it (`root_of` gives the root
        of the first leaves of the stored tree): before anything is signed, and without remembering."""
        await self._guard.check(size, root)
        await check_grown(await self._guard.known(), size, root_of)

    async def sign(self, size: int, root: bytes) -> bytes:
        """The signed note for a head that is committed already. Raises as Guard.remember, and ClockStopped.

        Its time is of before the guard was asked: a process that stands still behind the guard, while another one takes
        its place and signs more, must not date its smaller head later than that.
        """
        time_s = self._now_s()
        await self._guard.remember(size, root)
        return self.signer.sign(Checkpoint(self.signer.origin, size, root), time_s)

    async def close(self) -> None:
        await self._guard.close()

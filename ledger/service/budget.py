"""How much one caller may ask in a while: a token bucket each. Whoever has all of them again is forgotten.

Drawing tracks answers alike for every person, so it tells nothing about who holds what; the budget keeps a stolen
request key from filling the private index, and a stolen token of a verifier from trying numbers and names at will.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import Unavailable

_FEW: Final = 1024  # names that are kept without looking


class Budget:
    """Tokens per name: `burst` at most, refilled by `per_s` each second. Time is given in seconds."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._left: dict[str, tuple[float, float]] = {}  # name -> tokens, when; not those that have all of theirs
        self._look_at = _FEW  # names from which on it is worth looking for those that have all of theirs again

    def take(self, name: str, tokens: int, now_s: float) -> None:
        """Raises Unavailable, saying when to come again, when fewer than `tokens` are left."""
        left, since = self._left.get(name, (float(self._burst), now_s))
        left = min(self._burst, left + max(0.0, now_s - since) * self._per_s)
        if left < tokens:
            raise Unavailable("this caller asks too much", retry_after=int((tokens - left) / self._per_s) + 1)
        self._left[name] = (left - tokens, now_s)
        if len(self._left) > self._look_at:
            self._left = {
                name: (left, since)
                for name, (left, since) in self._left.items()
                if left + (now_s - since) * self._per_s < self._burst
            }
            self._look_at = max(_FEW, 2 * len(self._left))

    def give_back(self, name: str, tokens: int) -> None:
        """What was taken, and need not count."""
        if name not in self._left:  # it has all of them again
            return
        left, since = self._left[name]
        if left + tokens >= self._burst:
            del self._left[name]
        else:
            self._left[name] = (left + tokens, since)

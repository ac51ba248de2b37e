"""How much one caller may ask in a while: a token bucket each, bounded by the filings and verifiers there are.

Drawing tracks answers alike for every person, so it tells nothing about who holds what; the budget keeps a stolen
request key from filling the private index, and a stolen token of a verifier from trying numbers and names at will.
"""

from __future__ import annotations

from ledger.errors import Unavailable


class Budget:
    """Tokens per name: `burst` at most, refilled by `per_s` each second. Time is given in seconds."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._left: dict[str, tuple[float, float]] = {}  # name -> tokens, when

    def take(self, name: str, tokens: int, now_s: float) -> None:
        """Raises Unavailable, saying when to come again, when fewer than `tokens` are left."""
        left, since = self._left.get(name, (float(self._burst), now_s))
        left = min(self._burst, left + max(0.0, now_s - since) * self._per_s)
        if left < tokens:
            raise Unavailable("this caller asks too much", retry_after=int((tokens - left) / self._per_s) + 1)
        self._left[name] = (left - tokens, now_s)

    def give_back(self, name: str, tokens: int) -> None:
        """What was taken, and need not count."""
        left, since = self._left[name]
        if left + tokens >= self._burst:
            del self._left[name]
        else:
            self._left[name] = (left + tokens, since)

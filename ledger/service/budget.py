"""How much one caller may ask in a while: a token bucket each. Whoever has all of them again is forgotten.

Drawing tracks answers alike for every person, so it tells nothing about who holds what; the budget keeps a stolen
request key from filling the private index, and a stolen token of a verifier from trying numbers and names at will.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import Unavailable
from ledger.text import Text

_FEW: Final = 1024  # names that are kept without looking
_MOST: Final = 1_000_000  # names that are kept; about 200 MB
_LOOK_S: Final = 60  # between two looks, while there are as many


class UsedUp(Unavailable):  # named as its siblings in ledger.errors
    """This caller has none left; for everybody else it says nothing."""


class Budget:
    """Tokens per name: `burst` at most, refilled by `per_s` each second. Time is given in seconds. While `most` names
    have used some of theirs, no other can be counted, and gets none."""

    def __init__(self, per_s: float, burst: int, most: int = _MOST) -> None:
        self._per_s, self._burst, self._most = per_s, burst, most
        self._left: dict[str, tuple[float, float]] = {}  # name -> tokens, when; not those that have all of theirs
        self._look_at = _FEW  # names from which on it is worth looking for those that have all of theirs again
        self._looked_s = 0.0

    def take(self, name: str, tokens: int, now_s: float) -> None:
        """Raises UsedUp, saying when to come again, when fewer than `tokens` are left; Unavailable when too many are
        counted."""
        left, since = self._left.get(name, (float(self._burst), now_s))
        left = min(self._burst, left + max(0.0, now_s - since) * self._per_s)
        if left < tokens:
            raise UsedUp(
                Text("该调用方请求过多，请稍后重试", "this caller asks too much; try again later"),
                retry_after=int((tokens - left) / self._per_s) + 1,
            )
        if name not in self._left and len(self._left) >= self._most:
            self._make_room(now_s)
        self._left[name] = (left - tokens, now_s)
        if len(self._left) > self._look_at:
            self._forget(now_s)

    def _make_room(self, now_s: float) -> None:
        if abs(now_s - self._looked_s) >= _LOOK_S:
            self._forget(now_s)
        if len(self._left) >= self._most:
            raise Unavailable(
                Text("正在计数的调用方过多，请稍后重试", "too many callers are counted; try again later"),
                retry_after=_LOOK_S,
            )

    def _forget(self, now_s: float) -> None:
        """Those that have all of theirs again."""
        self._left = {
            name: (left, since)
            for name, (left, since) in self._left.items()
            if left + (now_s - since) * self._per_s < self._burst
        }
        self._look_at, self._looked_s = max(_FEW, 2 * len(self._left)), now_s

    def give_back(self, name: str, tokens: int) -> None:
        """What was taken, and need not count."""
        if name not in self._left:  # it has all of them again
            return
        left, since = self._left[name]
        if left + tokens >= self._burst:
            del self._left[name]
        else:
            self._left[name] = (left + tokens, since)

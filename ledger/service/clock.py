"""Log time: milliseconds that only rise. A clock that goes back or leaps stops the log instead of bending it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.errors import Unavailable
from ledger.text import Text


class ClockStopped(Unavailable):
    """The clock cannot be trusted now; nothing is signed until it is right again, or is begun anew by a start."""


class ClockBehind(ClockStopped):
    """It is behind what was signed by it while it was wrong, goes on by itself when it has come there, and no start
    would do better."""


BACK_MS: Final = 5_000
FORWARD_MS: Final = 300_000
LOST_MS: Final = 86_400_000  # a batch sealed by a clock that is so far ahead would keep out all others for as long


class LogClock:
    """Batch times from a wall clock, watched by a steady one. Both callables give milliseconds."""

    def __init__(self, wall_ms: Callable[[], int], steady_ms: Callable[[], int]) -> None:
        self._wall_ms, self._steady_ms = wall_ms, steady_ms
        self._first = self._offset = wall_ms() - steady_ms()
        self._signed = 0  # the newest time of a signature (ms)

    def anew(self) -> LogClock:
        """As a start would begin it: with the wall clock as it is now."""
        return LogClock(self._wall_ms, self._steady_ms)

    def expected(self) -> int:
        """What the steady clock lets the wall clock say."""
        return self._steady_ms() + self._offset

    def now_s(self) -> int:
        """Whole seconds for a signature's own time, never fewer than before. Raises ClockStopped after a leap, and
        while the wall clock is behind the last signature."""
        now = self._checked()
        self._signed = max(now, self._signed)
        return self._signed // 1000

    def batch_time(self, last: int) -> int:
        """A time later than `last` (ms). Raises ClockStopped when the wall clock is behind the log or its last
        signature, or has leapt."""
        now = self._checked()
        if now < last - BACK_MS:
            raise ClockStopped(
                Text(
                    "时钟早于日志最近一批的时间，已停止签名：请校准时钟",
                    "the clock is behind the log's last batch; signing is stopped: set it right",
                ),
                retry_after=30,
            )
        return max(now, last + 1)

    def _checked(self) -> int:
        now = self._wall_ms()
        offset = now - self._steady_ms()
        if not _near(offset, self._offset):
            if not _near(offset, self._first):
                raise ClockStopped(
                    Text(
                        "时钟发生跳变：请校准，或按新时间重启日志",
                        "the clock has leapt; put it right, or start the log by the new time",
                    ),
                    retry_after=30,
                )
            self._offset = self._first  # a leap within the limit was followed, and is undone
        self._offset += max(-50, min(50, offset - self._offset))  # follow slow corrections, not leaps
        if now < self._signed - BACK_MS:  # a leap that was followed was signed in, and put right since
            raise ClockBehind(
                Text(
                    "时钟早于日志最近一次签名，到达该时刻后自动继续",
                    "the clock is behind the log's last signature; it goes on from there",
                ),
                retry_after=30,
            )
        return now


def _near(offset: int, known: int) -> bool:
    return -BACK_MS <= offset - known <= FORWARD_MS

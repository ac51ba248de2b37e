"""How long a statement that comes now would wait, and the refusal of what would wait too long.

Expected wait = statements ahead of it, under examination and in the queue together, divided by the rate at which a busy
pipeline lets them out. What a pipeline lets out while little comes says nothing about what it could: one statement
alone takes as long as a few hundred together, for the fsync is theirs in common. So the rate is learnt in two ways:

    a full     between two batches with a backlog all the time, enough of it to fill batches: what left in between, by
               a batch or without one, is what it can do, more or less than was believed
    b alone    a busy period, from nothing inside to nothing inside: what batches let out is the least it can do, so
               that it may raise the estimate and never lowers it. Without it an estimate that a stalled disk had
               brought down would let in too little to be ever measured again. What is answered without a batch shows
               nothing here: strangers are refused in half a millisecond each

Idle time is not looked at: after a quiet night the last rate holds. Pure: the clock is an argument.

What is inside stays: an estimate cannot know of a stall to come, but who waited through one is as good as answered, and
sent away would wait for longer. On a machine whose examination takes long that would even be all there is: each request
examined, found late, and sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil, exp
from typing import Final

from ledger.errors import Unavailable
from ledger.text import Text
from ledger.wire import MAX_SUBMISSIONS

LONGEST_S: Final = 1.15  # what a statement may be expected to wait until it is logged: it is answered within 2 s
IN_FRONT_S: Final = 0.5  # the same in a front, until it is examined: behind it the log has a backlog of its own
BATCH_S: Final = 0.3  # what one batch may take, at the rate that is believed
SMALLEST: Final = 512  # statements that a batch may have at any rate: of a slow disk each costs the same, however few
START: Final = 525.0  # statements a second, believed before there is a measurement, with the weight of one second
LEAST: Final = 30.0  # statements a second; no estimate is below, so that 35 are let in whatever was measured
_ENTRY: Final = b'"entr'  # CPython looks for six bytes and more in another way, which takes four times as long here
_FULL: Final = 256  # statements inside from which on batches are large enough to show the rate
_MEMORY_S: Final = 3.0  # of busy time, after which a measurement counts 1/e
CROWDED: Final = Text("等待入账的语句过多，请稍后重试", "too many statements are waiting; try again later")
_COME_AGAIN_S: Final = 60  # the longest Retry-After


def count_statements(body: bytes) -> int:
    """About how many submissions a request's body holds, before it is decoded: one `"entry"` each. No more than one may
    hold, whatever its bytes say: else a body of nothing but this word would keep all others out."""
    return min(max(1, body.count(_ENTRY)), MAX_SUBMISSIONS)


class Backlog:
    """Statements on their way through a pipeline, and the rate at which it works. `now_s`: a steady clock, in seconds;
    nothing is let in that would wait for longer than `longest_s`.

    `through` surrounds the way of a request; `finished` is told of statements that have come out, in the lumps in which
    they do: a whole batch at once.
    """

    def __init__(self, now_s: Callable[[], float], longest_s: float = LONGEST_S) -> None:
        self._now_s, self._longest_s = now_s, longest_s
        self._inside = 0
        self._left, self._busy_s = START, 1.0  # decayed sums; the rate is their quotient
        self._full_since: float | None = None  # when statements last came out, if the backlog was full ever since
        self._alone_since: float | None = None  # when the first came in, unless the rate was measured in full since
        self._alone = 0  # statements that came out since then
        self._beside = 0  # that came out since the last batch, and with the next one

    @property
    def rate(self) -> float:
        """Statements a second that a busy pipeline lets out."""
        return max(LEAST, self._left / self._busy_s)

    @property
    def wait_s(self) -> float:
        """What a statement that comes now would wait until it is logged."""
        return self._inside / self.rate

    @property
    def batch(self) -> int:
        """Statements that one batch should not exceed: who waits for it, waits while the one before is committed and
        then for all of it. On a machine where all takes thrice as long, the same number would take thrice as long.

        Where a batch itself costs f seconds, this leaves 0.3 - f for its statements, and so 1 - f / 0.3 of the rate
        that batches without end would reach.
        """
        return max(SMALLEST, int(self.rate * BATCH_S))

    def check(self) -> None:
        """Raise Unavailable, saying when to come again, when what comes now would wait longer than that."""
        if self.wait_s > self._longest_s:
            again = ceil(self.wait_s - self._longest_s / 2)  # half of what may wait is gone by then
            raise Unavailable(
                CROWDED,
                retry_after=min(again, _COME_AGAIN_S),
            )

    @contextmanager
    def through(self, count: int) -> Iterator[None]:
        """A request of `count` statements is inside for as long as this lasts. Nothing inside: it is taken, whatever
        its size. Raises as `check`.
        """
        self.check()
        if not self._inside:
            self._alone_since, self._alone = self._now_s(), 0
        self._inside += count
        try:
            yield
        finally:
            self._inside -= count
            if self._inside < self._full:
                self._full_since = None
            if not self._inside:
                self._learn_alone()

    def finished(self, count: int, *, batch: bool = True) -> None:
        """So many statements have come out, all at once and just now, of a batch or answered without one; their
        requests may still be inside."""
        self._beside += count
        if not batch:
            return  # the next batch tells how long that took
        now = self._now_s()
        if self._full_since is not None:  # a
            self._learn(self._beside, now - self._full_since)
            self._alone_since = None
        self._alone += count
        self._beside = 0
        self._full_since = now if self._inside >= self._full else None

    @property
    def _full(self) -> float:
        """Half of what is let in, where that is less: a low estimate can be measured, too."""
        return min(_FULL, self.rate * self._longest_s / 2)

    def _learn_alone(self) -> None:
        if self._alone_since is not None:
            seconds = self._now_s() - self._alone_since
            if self._alone > seconds * self.rate:  # b
                self._learn(self._alone, seconds)

    def _learn(self, count: int, seconds: float) -> None:
        """`count` statements in `seconds`, spread evenly over them, into sums that forget exponentially."""
        kept = exp(-seconds / _MEMORY_S)
        weight = _MEMORY_S * (1 - kept)  # of the stretch, in seconds
        self._left = self._left * kept + count * (weight / seconds if weight else 1.0)
        self._busy_s = self._busy_s * kept + weight

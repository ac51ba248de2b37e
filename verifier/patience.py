"""How long one of several logs is waited for.

A page has two seconds, and one log's database that stands still must not take what the others answer. So the replica of
each has ANSWER_S: what it has not said by then is not known, which makes nothing greener, because a "no" needs every
log. One that let its time pass is left alone for a moment (`verifier.neighbour`), so that not every scan waits for it;
one that fails at once costs nobody time. A verifier of one log waits for as long as its store does: nobody else could
answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter

from ledger.errors import Unavailable
from ledger.text import Text
from verifier.known_log import KnownLog
from verifier.neighbour import Neighbour

ANSWER_S: Final = 1.5
NOBODY_WAITS_S: Final = 60.0  # the same for a list of one's own, on a command line
ALONE_MS: Final = 5_000  # that a log is left alone which let its time pass
_T = TypeVar("_T")
_log = logging.getLogger("verifier")


class Patience:
    """With some logs, which are asked one thing after another. `answer_s`: for each answer of each of several."""

    def __init__(
        self, logs: Sequence[KnownLog], now_ms: Callable[[], int], metrics: CollectorRegistry, answer_s: float
    ) -> None:
        self._logs = tuple(logs)
        self._late = Counter(
            "certverifier_late_answers", "Answers that a log's replica did not give in time", ("origin",),
            registry=metrics,
        )  # fmt: skip
        self._replicas: dict[str, Neighbour] = {}  # by origin
        for origin in (log.trust.origin for log in self._logs):
            self._late.labels(origin)
            self._replicas[origin] = Neighbour(
                Text("日志副本", "the log's replica"), now_ms, wait_s=answer_s, late_s=None, alone_ms=ALONE_MS,
                tell=partial(self._tell, origin),
            )  # fmt: skip

    async def each(self, question: Callable[[KnownLog], Awaitable[_T]]) -> list[_T | Unavailable]:
        """What every log answers, in their order, or that it does not; all are asked at the same time. Raises what
        else a log raises."""
        found = list[_T | Unavailable]()
        for answer in await asyncio.gather(*(self.of(log, question) for log in self._logs), return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, Unavailable):
                raise answer
            found.append(answer)
        return found

    async def of(self, log: KnownLog, question: Callable[[KnownLog], Awaitable[_T]]) -> _T:
        """What one log answers. Raises Unavailable when it does not in time, or did not a moment ago; its work ends
        with that. Who gives proofs in place of a replica has deadlines of its own."""
        if len(self._logs) == 1 or log.replica is None:
            return await question(log)
        return await self._replicas[log.trust.origin].ask(partial(question, log))

    def _tell(self, origin: str) -> None:
        self._late.labels(origin).inc()
        _log.warning("replica of %s: no answer in time", origin)

"""Logs that follow one another: until when the last word of a closed one stands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledger.records.dates import batch_day, last_ms
from verifier.trust import Trust


class Moments(Protocol):
    """Of a checkpoint: `verifier.replica.Verified`."""

    @property
    def time_ms(self) -> int: ...

    @property
    def log_time_ms(self) -> int: ...


class Followed(Protocol):
    """A log as far as it is asked here: `verifier.known_log.KnownLog`."""

    trust: Trust

    @property
    def successor(self) -> str: ...

    @property
    def stands(self) -> Moments | None: ...


def stands_until(log: Followed, logs: Sequence[Followed], day: int) -> int | None:
    """The moment of `day` (its end, once that is over) until which the last map of a closed log stands, because the
    logs that follow it are verified and have come that far; None for a day that the log itself has, for one that they
    do not have yet, and where the log goes on or they are not known."""
    own, reached = log.stands, _reached_ms(log, logs)
    if own is None or reached is None:
        return None
    ended = batch_day(max(own.time_ms, own.log_time_ms))
    return min(last_ms(day), reached) if ended <= day <= batch_day(reached) else None


def _reached_ms(log: Followed, logs: Sequence[Followed], seen: frozenset[str] = frozenset()) -> int | None:
    """How far the successors have come."""
    heir = next((other for other in logs if other.trust.origin == log.successor), None)
    if heir is None or log.successor in seen or heir.stands is None:
        return None
    return _reached_ms(heir, logs, seen | {log.trust.origin}) or heir.stands.time_ms

"""How certificates stand by the answers of all logs that count for a page (`verifier.several`).

A log that does not answer in time is not asked again for the certificates beside it, and the others are not held up.
Neither does one that says more than its newest verified checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ledger.errors import Unavailable
from verifier.carried import Keyed
from verifier.known_log import KnownLog
from verifier.several import Answer, counting
from verifier.watch.standing import Standing, least_favourable, standing_of

ANSWER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """How a certificate stands, and under how many leaves of the log that tells it."""

    standing: Standing
    size: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the logs said of some certificates."""

    found: dict[bytes, Found]  # by cert key, where a log has it
    sizes: dict[str, int]  # by origin, the fewest leaves that an answer rests on
    silent: frozenset[str]  # origins of the logs that did not answer for one of them


async def ask(logs: Sequence[KnownLog], cert_keys: Sequence[bytes]) -> Asked:
    """Total, except for bugs."""
    found, sizes, silent = dict[bytes, Found](), dict[str, int](), set[str]()
    for cert_key in cert_keys:
        item = Keyed(cert_key)
        answers = await asyncio.gather(*(_answer(log, item, silent) for log in logs))
        for answer in answers:
            if answer.register is not None:
                origin, size = answer.trust.origin, answer.register.size
                sizes[origin] = min(size, sizes.get(origin, size))
        having = [answer for answer in counting(item, answers).answers if answer.has]
        standings = [_standing(answer) for answer in sorted(having, key=lambda answer: answer.logged_ms)]
        if standings:
            standing = least_favourable(standings)
            found[cert_key] = Found(standing, sizes[standing.origins[0]])
    return Asked(found, sizes, frozenset(silent))


async def _answer(log: KnownLog, item: Keyed, silent: set[str]) -> Answer:
    if log.trust.origin not in silent and log.replica is not None:
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                answer = await log.answer(item)
            register = answer.register
            if register is not None and not register.knows_more_than(register.size):
                return answer
    silent.add(log.trust.origin)
    return Answer(log.trust, None)


def _standing(answer: Answer) -> Standing:
    assert answer.register is not None and answer.register.logged is not None
    return standing_of(answer.register.logged.state, answer.trust.origin)

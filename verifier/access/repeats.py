"""POSTs that may be sent again: one `Idempotency-Key` with the same body gets the answer of the first, for an hour.

    1 the same key with another body                     refused: IDEMPOTENCY_KEY_REUSED
    2 while the first is still being answered            the repeat waits for its answer, a minute at most
    3 after it                                           the stored answer
    4 when the first failed with 5xx, or was cut off     nothing is stored, the repeat is a first one

Kept in memory only, as the lists are that these answers name: a process that ends forgets both.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import Malformed, Refused, Unavailable
from ledger.text import Text

KEPT_MS: Final = 3_600_000
WAIT_S: Final = 60.0  # also where one first after the other fails
MAX_KEY: Final = 100  # characters
MAX_BODY: Final = 1024 * 1024  # bytes of an answer; a larger one is not kept
MAX_KEPT: Final = 32 * 1024 * 1024  # bytes of all answers; the oldest go first
_MOST: Final = 1_000
_REUSED: Final = Text("同一 Idempotency-Key 用于不同的内容", "This Idempotency-Key was used for something else before")


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer that may be given again."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Kept:
    question: bytes
    until_ms: int
    answer: asyncio.Future[Stored | None]
    size: int = 0  # bytes of the answer


class Repeats:
    """The answers of one process, by who asked and the key."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._memory = 0

    @property
    def memory(self) -> int:
        """Bytes of the answers that are kept."""
        return self._memory

    async def once(self, who: str, key: str, question: bytes, answer: Callable[[], Awaitable[Stored]]) -> Stored:
        """What `answer` gives, or gave. `question`: method, path, type and body. Raises Malformed, Refused, Unavailable
        when the first has no answer in time, and what `answer` raises."""
        if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
            raise Malformed("Idempotency-Key: 1 to 100 printable ASCII characters")
        digest = sha256(question).digest()
        try:
            async with asyncio.timeout(WAIT_S):
                stored = await self._stored(who, key, digest)
        except TimeoutError as error:
            raise Unavailable(
                Text(
                    "同一幂等键的首个请求尚未答复，请稍后重试",
                    "the first request with this key is not answered yet; try again later",
                )
            ) from error
        if stored is not None:
            return stored
        mine = _Kept(digest, self._now_ms() + KEPT_MS, asyncio.get_running_loop().create_future())
        self._kept[who, key] = mine
        if len(self._kept) > _MOST:
            self._drop(next(iter(self._kept)))
        try:
            given = await answer()
        except BaseException:
            self._end(who, key, mine, None)  # 4
            raise
        self._end(who, key, mine, given if given.status < 500 and len(given.body) <= MAX_BODY else None)
        return given

    async def _stored(self, who: str, key: str, digest: bytes) -> Stored | None:
        """What the first was answered; None: this one is the first, and nobody else is when this returns."""
        while (kept := self._find(who, key)) is not None:
            if kept.question != digest:  # 1
                raise Refused("IDEMPOTENCY_KEY_REUSED", "Idempotency-Key", _REUSED)
            stored = await asyncio.shield(kept.answer)  # 2, 3
            if stored is not None:
                return stored
        return None

    def _find(self, who: str, key: str) -> _Kept | None:
        now = self._now_ms()
        while self._kept and next(iter(self._kept.values())).until_ms <= now:
            self._drop(next(iter(self._kept)))
        return self._kept.get((who, key))

    def _end(self, who: str, key: str, kept: _Kept, stored: Stored | None) -> None:
        if not kept.answer.done():
            kept.answer.set_result(stored)
        if self._kept.get((who, key)) is not kept:
            return  # too many came in between
        if stored is None:
            del self._kept[who, key]
            return
        kept.size = len(stored.body)
        self._memory += kept.size
        while self._memory > MAX_KEPT:
            self._drop(next(name for name, one in self._kept.items() if one.size))

    def _drop(self, name: tuple[str, str]) -> None:
        kept = self._kept.pop(name)
        self._memory -= kept.size
        if not kept.answer.done():
            kept.answer.set_result(None)

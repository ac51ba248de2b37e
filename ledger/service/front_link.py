"""From a front to whoever sequences: one address after the other, until one answers or time is up.

Sending again is safe. A statement is in the log once and its answer is a durable fact, so that a request that was
carried out without an answer gets that answer the second time; what only reads may be asked twice anyway. A signed
request that a sequencer has seen before is answered 401 there, and its sender signs it again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, TypeAlias

import aiohttp
from yarl import URL

from ledger.errors import Unavailable
from ledger.service.standby import STANDBY
from ledger.text import Text

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
journal = logging.getLogger(__name__)
_CONNECT_S: Final = 1.0
_AGAIN_S: Final = 0.2  # between two rounds
_LARGEST: Final = 32 * 1024 * 1024  # bytes of an answer
_AS_THEY_CAME: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_NOBODY: Final = Text(
    "暂时没有定序进程应答，请稍后重试；重复提交不会重复登记",
    "No sequencer answers right now; please try again later: what is sent twice is logged once",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sequencer said, whole. Header names as they came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """That of an error (ledger.edge); "" for anything else."""
        try:
            return str(json.loads(self.body)["error"]["code"]) if self.status >= 400 else ""
        except (ValueError, KeyError, TypeError):
            return ""


class SequencerLink:
    """The internal addresses of the sequencers. `answer_s` bounds one answer, `search_s` the search for one."""

    def __init__(self, addresses: Sequence[str], *, answer_s: float, search_s: float) -> None:
        assert addresses
        self._addresses = [address.rstrip("/") for address in addresses]
        self._answer_s, self._search_s = answer_s, search_s
        self._current = 0  # the one that answered last
        self._alone = False  # nobody answered lately, and that was said
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> SequencerLink:
        timeout = aiohttp.ClientTimeout(total=self._answer_s, connect=_CONNECT_S)
        connector = aiohttp.TCPConnector(limit=256)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, path: str, headers: Callable[[], Headers], body: bytes) -> Answer:
        """The answer of the one that leads. `path` is the raw target; `headers` are made for each attempt.

        Raises Unavailable when nobody leads for `search_s`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._search_s
        while True:
            first = self._current
            for step in range(len(self._addresses)):
                at = (first + step) % len(self._addresses)
                answer = await self._ask(self._addresses[at], method, path, headers(), body)
                if answer is not None:
                    self._current, self._alone = at, False
                    return answer
                if loop.time() >= until:
                    break
            if not self._alone:
                journal.warning("no sequencer leads", extra={"fields": {"asked": len(self._addresses)}})
            self._alone = True
            if loop.time() >= until:
                raise Unavailable("no sequencer answers", retry_after=2, text=_NOBODY)
            await asyncio.sleep(_AGAIN_S)

    async def _ask(self, address: str, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:
        """One answer; None when there is none, or that of one which stands by."""
        assert self._session is not None
        url = URL(address + path, encoded=True)
        try:
            async with self._session.request(
                method, url, headers=headers, data=body or None, allow_redirects=False, skip_auto_headers=_AS_THEY_CAME
            ) as response:
                raw = await response.content.read(_LARGEST + 1)
                while len(raw) <= _LARGEST and (more := await response.content.read(_LARGEST + 1 - len(raw))):
                    raw += more
                if len(raw) > _LARGEST:
                    return None
                answer = Answer(response.status, response.headers, raw)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
        return None if answer.code == STANDBY else answer

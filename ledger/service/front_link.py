"""From a front to whoever sequences: one address after the other, until one answers or time is up.

One that says nothing for a moment is waited for on while the others are asked, again and again: it may have much to
do, or hang for as long as it likes (a process that stands still, a disk that does), and another one lead meanwhile.
Who answered last is asked first from then on, who said nothing last, and nobody waits for that one alone again.

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

from ledger.errors import ERROR_CODE, Unavailable
from ledger.service.examined import PATH
from ledger.service.standby import STANDBY
from ledger.text import Text

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
journal = logging.getLogger(__name__)
_CONNECT_S: Final = 1.0
_PATIENCE_S: Final = 3.0  # with one alone: a log that has much to do answers within two
_AGAIN_S: Final = 0.2  # between two rounds
_BESIDE_S: Final = 1.0  # the same while one is waited for
_CONNECTIONS: Final = 256  # to each: what one that hangs keeps is not the others'
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
    def is_leaders(self) -> bool:
        """And not that of one which stands by, or of a proxy whose sequencer is gone."""
        return self.status < 500 or self.headers.get(ERROR_CODE, STANDBY) != STANDBY

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
        self._silent: set[int] = set()  # who said nothing, whatever they were asked last
        self._alone = False  # nobody answered lately, and that was said
        self._readers: aiohttp.ClientSession | None = None
        self._submitters: aiohttp.ClientSession | None = None  # who wait for publication, and take no reader's place

    async def __aenter__(self) -> SequencerLink:
        # To wait for a free connection is no silence of whom it leads to.
        timeout = aiohttp.ClientTimeout(total=self._answer_s, sock_connect=_CONNECT_S)
        self._readers, self._submitters = (
            aiohttp.ClientSession(
                timeout=timeout,
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS),
                auto_decompress=False,
            )
            for _ in range(2)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._readers, self._submitters):
            if session is not None:
                await session.close()

    async def send(self, method: str, path: str, headers: Callable[[], Headers], body: bytes) -> Answer:
        """The answer of the one that leads. `path` is the raw target; `headers` are made for each attempt.

        Raises Unavailable when nobody leads for `search_s`, and one that was asked by then has not answered either
        within `answer_s` and a moment more.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._search_s
        latest = max(until, loop.time() + self._answer_s + _PATIENCE_S)
        waiting: dict[asyncio.Task[Answer | None], int] = {}  # for whom, that was asked
        try:
            while True:
                for at in self._order():
                    if at in waiting.values():
                        continue
                    silent = at in self._silent
                    waiting[loop.create_task(self._ask(at, method, path, headers(), body))] = at
                    if not silent and (answer := await self._heard(waiting, _PATIENCE_S)) is not None:
                        return answer
                    if at in waiting.values():
                        self._silent.add(at)
                    if not waiting and loop.time() >= until:
                        break
                over = loop.time() >= (latest if waiting else until)
                if not self._alone and (over or not waiting):
                    journal.warning("no sequencer leads", extra={"fields": {"asked": len(self._addresses)}})
                    self._alone = True
                if over:
                    raise Unavailable(_NOBODY, retry_after=2, public=True)
                if not waiting:
                    await asyncio.sleep(_AGAIN_S)
                elif (answer := await self._heard(waiting, _BESIDE_S)) is not None:
                    return answer
        finally:
            for task in waiting:
                task.cancel()

    def _order(self) -> list[int]:
        first, count = self._current, len(self._addresses)
        return sorted(range(count), key=lambda at: (at in self._silent, (at - first) % count))

    async def _heard(self, waiting: dict[asyncio.Task[Answer | None], int], patience_s: float) -> Answer | None:
        """The first answer; None when somebody has none, or nobody said anything for so long."""
        done, _ = await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            at = waiting.pop(task)
            answer = task.result()
            if answer is not None:
                self._current, self._alone = at, False
                return answer
        return None

    async def _ask(self, at: int, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:
        """One answer; None when there is none, or that of one which stands by."""
        session = self._submitters if path == PATH else self._readers
        assert session is not None
        url = URL(self._addresses[at] + path, encoded=True)
        answer: Answer | None = None
        try:
            async with session.request(
                method, url, headers=headers, data=body or None, allow_redirects=False, skip_auto_headers=_AS_THEY_CAME
            ) as response:
                raw = await response.content.read(_LARGEST + 1)
                while len(raw) <= _LARGEST and (more := await response.content.read(_LARGEST + 1 - len(raw))):
                    raw += more
                if len(raw) > _LARGEST:
                    return None
                answer = Answer(response.status, response.headers, raw)
        except TimeoutError:
            self._silent.add(at)
            return None
        except (aiohttp.ClientError, OSError):
            pass  # it is not there, or went away
        self._silent.discard(at)
        return answer if answer is not None and answer.is_leaders else None

"""Reads a stranger's picture or PDF without letting it harm this process: in a child, few at a time, few waiting.

1 who has hung up is not read for, and gives up the place in the queue
2 a client has one file read at a time
3 past the end of the queue the client that has most waiting is told to come again
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from ledger.errors import Unavailable
from ledger.scan_apart import SECONDS, PdfScan, read_apart
from ledger.text import Text

AT_ONCE: Final = 2
WAITING: Final = 8
_BUSY: Final = Text("正在读取的文件过多，请稍后再试", "Too many files are being read; please try again later")


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose request a file came with. `client` None: the program's own, which no other shares."""

    client: str | None
    listens: Callable[[], bool]
    desk: str = ""  # of requests


_OWN: Final = Asker(None, lambda: True)
_asker: Final[ContextVar[Asker]] = ContextVar("asker", default=_OWN)


@contextmanager
def asked_by(client: str | None, listens: Callable[[], bool], desk: str = "") -> Iterator[None]:
    """What is read in here, and in the tasks that begin in here, is for this client, while `listens` says so."""
    token = _asker.set(Asker(client, listens, desk))
    try:
        yield
    finally:
        _asker.reset(token)


@dataclass(eq=False, slots=True)
class _Turn:
    asker: Asker
    comes: asyncio.Future[None]


class Scanner:
    """Runs `ledger.scan_apart.read_apart` off the event loop: for requests at most `at_once` at a time, one for each
    other desk."""

    def __init__(
        self, read: Callable[[bytes], PdfScan] = read_apart, *, at_once: int = AT_ONCE, waiting: int = WAITING
    ) -> None:
        self._read = read
        self._most = waiting
        self._desks = {"": Desk(at_once, waiting)}

    async def read(self, data: bytes) -> PdfScan:
        """QR texts and text layer. Raises Malformed when it cannot be decoded within the limits, Unavailable when
        too many wait, and when the decoder does not run."""
        asker = _asker.get()
        desk = self._desks.setdefault(asker.desk, Desk(1, self._most))
        async with desk.turn(asker):
            return await asyncio.to_thread(self._read, data)


class Desk:
    """Places to read at, and the queue for them."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once, self._most = at_once, waiting
        self.waiting: list[_Turn] = []
        self.reading: list[_Turn] = []

    @asynccontextmanager
    async def turn(self, asker: Asker) -> AsyncIterator[None]:
        """A place. Raises Unavailable when there will be none."""
        turn = _Turn(asker, asyncio.get_running_loop().create_future())
        self.waiting.append(turn)
        self._move()
        try:
            await turn.comes
            yield
        finally:
            (self.reading if turn in self.reading else self.waiting).remove(turn)
            self._move()

    def _move(self) -> None:
        """Whoever's turn it is begins, whoever has none to come is told. A turn leaves its list in `turn`."""
        waiting = [turn for turn in self.waiting if not turn.comes.done()]
        for turn in list(waiting):
            if not turn.asker.listens():  # 1
                waiting.remove(turn)
                turn.comes.set_exception(Unavailable(Text("已无人等待这个文件", "nobody waits for this file any more")))
            elif len(self.reading) < self._at_once and not self._reads_for(turn.asker.client):  # 2
                waiting.remove(turn)
                self.waiting.remove(turn)
                self.reading.append(turn)
                turn.comes.set_result(None)
        while len(waiting) > self._most:  # 3
            shares = Counter(_who(turn) for turn in waiting)
            last = max(waiting, key=lambda turn: (shares[_who(turn)], waiting.index(turn)))
            waiting.remove(last)
            last.comes.set_exception(Unavailable(_BUSY, retry_after=SECONDS, public=True))

    def _reads_for(self, client: str | None) -> bool:
        return client is not None and any(turn.asker.client == client for turn in self.reading)


def _who(turn: _Turn) -> object:
    return turn if turn.asker.client is None else turn.asker.client

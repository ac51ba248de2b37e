"""How whoever is asked and says nothing is left alone: a ledger, the database of a replica, a receiver of webhooks.

    1 alone   for a while after its silence it is asked nothing: Unavailable, at once. To be asked makes that no shorter
    2 wait    else it is waited for, up to a limit; what it was asked ends with that
    3 silent  is who lets its time pass, and who fails so late that not everybody should have to wait for that
    4 heard   any answer ends the pause, a refusal too: it was somebody else's question that was slow

A pause ends by the clock or by the loop's, whichever comes first: a clock that is set back makes it no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from ledger.errors import CertLedgerError, Unavailable
from ledger.text import Text

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Until:
    """A moment to come, which is there when one of two clocks says so."""

    ms: int  # since 1970
    loop_s: float  # of the running loop

    @classmethod
    def after(cls, ms: int, now_ms: int) -> Self:
        return cls(now_ms + ms, asyncio.get_running_loop().time() + ms / 1000)

    def is_over(self, now_ms: int) -> bool:
        return now_ms >= self.ms or asyncio.get_running_loop().time() >= self.loop_s


class Neighbour:
    """One that is asked. `who` it is for whoever reads an error; `wait_s`: for an answer, None where its own deadlines
    do; `late_s`: an Unavailable that took as long is silence too, None: none is; `alone_ms`: the pause. `tell` hears of
    each silence."""

    def __init__(
        self,
        who: Text,
        now_ms: Callable[[], int],
        *,
        wait_s: float | None,
        late_s: float | None,
        alone_ms: int,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._who, self._now_ms, self._tell = who, now_ms, tell
        self._wait_s, self._late_s, self._alone_ms = wait_s, late_s, alone_ms
        self._alone: Until | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it is left alone now."""
        return self._alone is not None and not self._alone.is_over(self._now_ms())

    async def ask(self, question: Callable[[], Awaitable[_T]]) -> _T:
        """Its answer. Raises what it raises; Unavailable when it does not answer in time, or did not a moment ago."""
        if self.is_silent:  # 1
            raise Unavailable(
                Text(
                    f"{self._who.zh}刚才没有应答，请稍后重试",
                    f"{self._who.en} did not answer a moment ago; try again later",
                )
            )
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._wait_s):  # 2
                answer = await question()
        except TimeoutError as error:  # 3
            self._leave_alone()
            raise Unavailable(
                Text(f"{self._who.zh}没有应答，请稍后重试", f"{self._who.en} does not answer; try again later")
            ) from error
        except Unavailable:
            if self._late_s is not None and clock() - began >= self._late_s:
                self._leave_alone()
            raise
        except CertLedgerError:
            self._alone = None  # 4
            raise
        self._alone = None  # 4
        return answer

    def _leave_alone(self) -> None:
        self._alone = Until.after(self._alone_ms, self._now_ms())
        self._tell()

"""A store that fails on purpose: wraps a real one and passes everything through but what it is told to spoil."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ledger.errors import Unavailable
from ledger.store.protocol import StoredBatch
from ledger.text import Text

ReadBack = Callable[[Sequence[bytes]], Sequence[bytes]]


class FaultStore:
    """`alter` changes what is read back before the commit; `fail` loses the batch or only the answer of an append.

    `held`: an append waits until this event is set; `reached` counts those that were begun."""

    def __init__(
        self,
        inner: Any,
        *,
        alter: ReadBack = lambda entries: entries,
        fail: str = "",
        held: asyncio.Event | None = None,
    ) -> None:
        assert fail in ("", "before", "after")
        self.inner, self.alter, self.fail, self.held = inner, alter, fail, held
        self.reached = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def append(self, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        self.reached += 1
        if self.held is not None:
            await self.held.wait()
        if self.fail == "before":
            raise Unavailable(Text("没有应答", "store: disk full; outcome unknown"))
        await self.inner.append(batch, lambda entries: check(self.alter(entries)))
        if self.fail == "after":
            raise Unavailable(Text("没有应答", "store: the answer was lost; outcome unknown"))


def flip(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed; `bit` wraps round."""
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << (bit % 8)
    return bytes(changed)

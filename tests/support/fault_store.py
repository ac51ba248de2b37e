"""A store that fails on purpose: wraps a real one and passes everything through but what it is told to spoil."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ledger.errors import Unavailable
from ledger.store.protocol import StoredBatch

ReadBack = Callable[[Sequence[bytes]], Sequence[bytes]]


class FaultStore:
    """`alter` changes what is read back before the commit; `fail` loses the batch or only the answer of an append."""

    def __init__(self, inner: Any, *, alter: ReadBack = lambda entries: entries, fail: str = "") -> None:
        assert fail in ("", "before", "after")
        self.inner, self.alter, self.fail = inner, alter, fail

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def append(self, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        if self.fail == "before":
            raise Unavailable("store: disk full; outcome unknown")
        await self.inner.append(batch, lambda entries: check(self.alter(entries)))
        if self.fail == "after":
            raise Unavailable("store: the answer was lost; outcome unknown")


def flip(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed; `bit` wraps round."""
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << (bit % 8)
    return bytes(changed)

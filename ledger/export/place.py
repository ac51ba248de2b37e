"""Where a log is written out to, and what every such place promises."""

from __future__ import annotations

from typing import Protocol

from ledger.errors import Refused
from ledger.text import Text

_OTHER_BYTES = Text(
    "{path} 处已有不同内容：该处属于另一日志，或日志出现分叉；未作改动",
    "{path} is there with other bytes: this place is of another log, or the log has forked; nothing was overwritten",
)


class OtherBytes(Refused):
    """What lies at `path` is not what this log has there."""

    def __init__(self, path: str) -> None:
        super().__init__("OTHER_BYTES", path, _OTHER_BYTES.format(path=path))


class Place(Protocol):
    """One writer at a time. Raises Unavailable when the medium does not answer."""

    async def read(self, path: str) -> bytes | None:
        """What lies at `path`, or None."""

    async def add(self, path: str, body: bytes) -> None:
        """Put a tile where nothing is yet, whole or not at all. Nothing to do when the same bytes are there; raises
        OtherBytes when others are."""

    async def settle(self) -> None:
        """When this returns, everything that was added survives a power cut."""

    async def publish(self, note: bytes) -> None:
        """Replace the checkpoint, whole or not at all, durably."""

    async def drop_partials(self, path: str) -> None:
        """Remove the partial tiles beside the full one at `path`."""

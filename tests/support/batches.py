"""Batches of which a store understands nothing: every row that one can carry, made from labels."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from ledger.records.kinds import Kind as StatementKind
from ledger.records.view import Signed
from ledger.store.map_rows import FIRST_CHANGE
from ledger.store.protocol import (
    EntryRow,
    EnvelopeRow,
    IndexRow,
    PrivateRows,
    Purpose,
    Slot,
    StateRow,
    StoredBatch,
    StoredHead,
)


def h(label: object) -> bytes:
    return sha256(str(label).encode()).digest()


def batch(before: StoredHead | None, count: int = 2, label: str = "") -> StoredBatch:
    """`count` leaves with everything that a batch can carry. The store does not look inside."""
    start = before.size if before else 0
    size = start + count
    head = StoredHead(size, h(f"root {size}{label}"), h(f"chain {size}"), size - 1, 1000 + size, h(f"map {size}"), size)
    rows = [
        EntryRow(at, f"entry {at}{label}".encode(), h(f"chain {at}"), 4, h(f"id {at}{label}"))
        for at in range(start, size)
    ]
    state = StateRow(h(f"key {start}"), h(f"value {size}"), b"subject", b"track", b"state body")
    return StoredBatch(
        before,
        head,
        rows,
        [(0, 0, h("tile") * size)],
        [state],
        [(start % 4, h(f"bucket {size}"))],
        [(4, f"name {start}{label}", start)],
        [("Y000051000001", Signed(start, StatementKind.ISSUE, h(f"cert {start}"), b"key name", 20_600))],
        [(h("cert 0"), start + 1)],
        PrivateRows(
            (IndexRow(h(f"hmac {start}{label}"), Purpose.NUMBER, 1, b"row"),),
            (IndexRow(h("renewed"), Purpose.LOOKUP, 1, f"row {start}".encode()),),
            (EnvelopeRow(h(f"place {start}"), Slot.FACE, b"sealed"),),
        ),
    )


def accept(entries: Sequence[bytes]) -> None:
    """A check with nothing to say."""


async def contents(store: Any) -> list[Any]:
    """Everything a reader can see."""
    return [
        await store.head(),
        await store.rows(0, 100),
        await store.tile(0, 0),
        await store.leaves([(bytes(32), b"\xff" * 32)]),
        await store.map_chunks(),
        await store.map_changes(FIRST_CHANGE, 100),
        await store.named(4),
        await store.find_named(4, "name 2"),
        await store.signed("Y000051000001", 0, 100),
        await store.events(h("cert 0")),
        await store.signed_after("", -1, 100),
        await store.events_after(b"", -1, 100),
        await store.index([h("hmac 0"), h("hmac 2"), h("hmac 2x"), h("renewed")]),
        await store.envelope(h("place 0"), Slot.FACE),
        await store.envelope(h("place 2"), Slot.FACE),
    ]

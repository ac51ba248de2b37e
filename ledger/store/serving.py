"""The state map that proofs are made against: that of the published head, while batches behind it are committed.

It begins as a copy of the committed map, hears of every committed batch, and advances to the head that is published
(`publish`, from the publication hook). Its leaves are read from the store "as of" its seal. Memory: one more map
(64 bytes << depth), and one again while publication is far behind.

Publication may skip heads and never goes back. Where it names a head from before this process opened the store, or
one that was given up to save memory during a long backlog, the map is of another head (`size` says which) until a later
publication; whoever needs it then rebuilds it (history.py).
"""

from __future__ import annotations

from collections import deque

from ledger.store.batch import Prepared
from ledger.store.integrate import Integrator
from ledger.store.protocol import StoredHead
from ledger.tlog.map_tree import MapChange, MapTree

MAX_PENDING = 200_000  # map nodes kept of batches that are not published; about 30 MiB


class Serving:
    """The published map of one integrator. Used from the event loop only."""

    def __init__(self, integrator: Integrator, *, max_pending: int = MAX_PENDING) -> None:
        self.map = integrator.map.copy()
        self.head: StoredHead | None = integrator.head
        self._integrator = integrator
        self._max_pending = max_pending
        self._pending: deque[tuple[StoredHead, MapChange]] = deque()  # that follow `_staged`, or `head`
        self._pending_nodes = 0
        self._staged: tuple[StoredHead, MapTree] | None = None  # a later map; what led to it was given up
        integrator.watchers.append(self._committed)

    @property
    def size(self) -> int:
        """Leaves of the head whose map this is; 0 before the first."""
        return self.head.size if self.head else 0

    def publish(self, size: int) -> None:
        """Advance to the committed head of `size` leaves, if it is later than the present one."""
        if self._staged is not None and self._staged[0].size <= size:
            self.head, self.map = self._staged
            self._staged = None
        while self._staged is None and self._pending and self._pending[0][0].size <= size:
            self.head, change = self._pending.popleft()
            self._pending_nodes -= len(change.nodes)
            self.map.accept(change)

    def _committed(self, prepared: Prepared) -> None:
        self._pending.append((prepared.head, prepared.change))
        self._pending_nodes += len(prepared.change.nodes)
        if self._pending_nodes > self._max_pending:
            self._staged = prepared.head, self._integrator.map.copy()
            self._pending.clear()
            self._pending_nodes = 0

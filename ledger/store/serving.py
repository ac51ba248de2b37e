"""The state map that proofs are made against: that of the published head, while batches behind it are committed.

It begins as a view of the committed map, hears of every committed batch, and advances to the head that is published
(`publish`, from the publication hook). Its leaves are read from the store "as of" its seal. Memory: what the batches
between changed, and a map of its own (64 bytes << depth) while publication is far behind.

Publication may skip heads and never goes back. Where it names a head from before this process opened the store, or
one that was given up to save memory during a long backlog, the map is of another head (`size` says which) until a later
publication; whoever needs it then rebuilds it (history.py).
"""

from __future__ import annotations

from collections import deque

from ledger.store.batch import Prepared
from ledger.store.integrate import Integrator
from ledger.store.protocol import StoredHead
from ledger.tlog.map_tree import MapTree, MapView

MAX_PENDING = 200_000  # map nodes kept of batches that are not published; about 30 MiB


class Serving:
    """The published map of one integrator. Used from the event loop only."""

    def __init__(self, integrator: Integrator, *, max_pending: int = MAX_PENDING) -> None:
        self.head: StoredHead | None = integrator.head
        self._view = integrator.map.view()  # of `head`; while the map of that is kept apart, of `_later`
        self._apart: MapTree | None = None
        self._later: StoredHead | None = None  # what led to it from `head` was given up
        self._integrator = integrator
        self._max_pending = max_pending
        self._pending: deque[tuple[StoredHead, int]] = deque()  # behind the view, with the nodes that each changed
        self._pending_nodes = 0
        integrator.watchers.append(self._committed)

    @property
    def size(self) -> int:
        """Leaves of the head whose map this is; 0 before the first."""
        return self.head.size if self.head else 0

    @property
    def map(self) -> MapTree | MapView:
        """The map of `head`, which may go on with it to the next."""
        return self._view if self._apart is None else self._apart

    def kept_map(self) -> MapTree | MapView:
        """The map of the present `head`, which stays that: for whoever waits before the proof is made."""
        return self._view.twin() if self._apart is None else self._apart

    def publish(self, size: int) -> None:
        """Advance to the committed head of `size` leaves, if it is later than the present one."""
        if self._later is not None and self._later.size <= size:
            self.head, self._later, self._apart = self._later, None, None
        while self._later is None and self._pending and self._pending[0][0].size <= size:
            self.head, nodes = self._pending.popleft()
            self._pending_nodes -= nodes
            self._view.advance(self.head.map_count, nodes)

    def _committed(self, prepared: Prepared) -> None:
        nodes = len(prepared.change.nodes)
        self._pending.append((prepared.head, nodes))
        self._pending_nodes += nodes
        if self._pending_nodes > self._max_pending:
            if self._apart is None:
                self._apart = self._view.copy()
            self._view, self._later = self._integrator.map.view(), prepared.head
            self._pending.clear()
            self._pending_nodes = 0

"""A log that a witness is asked to cosign: it can sign any continuation of its tree, also two that exclude each other.

log = GrowingLog(ORIGIN)
head = log.grown(b"leaf", ...)    a signed continuation; the log itself stays where it is
log.adopt(head)                   from here on
head.request()                    the add-checkpoint body from the log's size to the head's
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.tlog.add_checkpoint import AddCheckpoint, format_add_checkpoint
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import EMPTY_ROOT, Frontier, leaf_hash, prove_consistency
from tests.support.builders import octets

TIME_S = 1_790_000_000


@dataclass(frozen=True)
class Head:
    """A signed checkpoint, and how to get there from the size it was grown from."""

    old: int
    size: int
    root: bytes
    note: bytes
    proof: tuple[bytes, ...]
    frontier: Frontier
    subtrees: Mapping[tuple[int, int], bytes]  # those completed since `old`

    def request(self, old: int | None = None) -> bytes:
        """The body; from the head's own size, when `old` says so, it carries no proof."""
        start = self.old if old is None else old
        return format_add_checkpoint(AddCheckpoint(start, self.proof if start == self.old else (), self.note))


class GrowingLog:
    def __init__(self, origin: str, *, time_s: int = TIME_S) -> None:
        self.origin, self.time_s = origin, time_s
        self.signer = CheckpointSigner(
            origin, Ed25519Signer(octets("ed " + origin, 32)), MlDsa44Signer(octets("ml " + origin, 32))
        )
        self.vkeys = self.signer.vkeys
        self._frontier = Frontier.empty()
        self._subtrees: dict[tuple[int, int], bytes] = {}

    @property
    def size(self) -> int:
        return self._frontier.size

    def grown(self, *leaves: bytes) -> Head:
        """Signed; without leaves, the tree as it is."""
        frontier, completed = self._frontier.append([leaf_hash(leaf) for leaf in leaves])
        known = ChainMap(completed, self._subtrees)
        proof: tuple[bytes, ...] = ()
        if 0 < self.size < frontier.size:
            proof = prove_consistency(self.size, frontier.size, lambda wanted: [known[each] for each in wanted])
        root = frontier.root() if frontier.size else EMPTY_ROOT
        return Head(self.size, frontier.size, root, self.sign(frontier.size, root), proof, frontier, completed)

    def sign(self, size: int, root: bytes) -> bytes:
        return self.signer.sign(Checkpoint(self.origin, size, root), self.time_s)

    def adopt(self, head: Head) -> None:
        assert head.old == self.size
        self._frontier = head.frontier
        self._subtrees.update(head.subtrees)

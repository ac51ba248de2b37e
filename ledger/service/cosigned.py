"""Heads that readers saw, and for every line that came after publication the newest head that bears it.

Who checks without a copy of the log needs a map auditor's line on the very checkpoint. It comes a moment after the head
was published, and under a stream of batches the next head is then the newest, which has none yet: so the last head with
the line is remembered, with all its cosignatures. Nothing is kept on disk: after a start the first lines come within a
second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ledger.service.witness import Signed
from ledger.tlog.checkpoint import add_cosignatures
from ledger.tlog.note import NoteSignature


@dataclass(frozen=True, slots=True)
class Published:
    """What readers see: one signed head, and the seal that ends it."""

    signed: Signed
    note: bytes  # with the cosignatures
    seal: bytes  # the entry

    @property
    def size(self) -> int:
        return self.signed.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.signed.checkpoint.root

    def bearing(self, lines: Sequence[NoteSignature]) -> Published:
        """The same with these cosignatures, which were opened."""
        return replace(self, note=add_cosignatures(self.note, lines))


class LastCosigned:
    """The newest published head of each line that came later; as many as the policy has keys."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Published] = {}  # by key ID

    def take(self, published: Published, lines: Sequence[NoteSignature]) -> None:
        """`published` bears `lines`."""
        for line in lines:
            known = self._heads.get(line.key_id)
            if known is None or known.size <= published.size:
                self._heads[line.key_id] = published

    def newest(self, key_ids: Sequence[bytes]) -> Published | None:
        """The newest head that bears a line of one of these keys."""
        found = [self._heads[key_id] for key_id in key_ids if key_id in self._heads]
        return max(found, key=lambda one: one.size, default=None)

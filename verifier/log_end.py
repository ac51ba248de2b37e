"""The end of a log, as it shows by itself: the authority's statement that closed it and named its successor. Pure.

A closed log takes nothing more, and such a statement is alone in its batch: so it is the last leaf but the seal under
every checkpoint from then on, and whoever holds that checkpoint needs the statement and its inclusion. That the
authority signed it is what the log checked before it took it in, as with everything else under its checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.commitments import parse_hashes
from ledger.records.evidence import check_path
from ledger.records.rotation import LogKey
from ledger.records.statements import parse_statement
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import leaf_hash, verify_inclusion

BEHIND: Final = 2  # leaves from the closing statement to the end: itself and its seal


@dataclass(frozen=True, slots=True)
class LogEnd:
    entry: bytes
    path: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.entry) <= canonical.MAX_BYTES:
            raise Malformed("end of a log: the length of its statement")
        check_path(self.path)

    def as_value(self) -> list[canonical.Value]:
        return [self.entry, list(self.path)]

    def successor(self, checkpoint: Checkpoint) -> str:
        """The origin that follows. Raises Unverified (or Malformed) unless the log ends with this under `checkpoint`,
        which was opened already."""
        body = parse_statement(self.entry).body
        if not isinstance(body, LogKey) or not body.successor or checkpoint.size <= BEHIND:
            raise Unverified("end of a log: its last statement does not close it")
        index = checkpoint.size - BEHIND
        verify_inclusion(leaf_hash(self.entry), index, checkpoint.size, self.path, checkpoint.root)
        return body.successor


def parse_end(value: object) -> LogEnd:
    """`[entry, [hash]]`. Raises Malformed."""
    match value:
        case [bytes(entry), [*path]]:
            return LogEnd(entry, parse_hashes(path))
    raise Malformed("end of a log: [entry, [hash]]")

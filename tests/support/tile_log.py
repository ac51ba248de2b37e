"""A log of arbitrary entries that is served as C2SP tlog-tiles says, from the slow definitions: what an exporter reads.

log = TileLog(); log.grow(300)      entries of different lengths
log.asked                           every path that was fetched
log.altered[path] = b"…"            answers that are not the log's
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from ledger.errors import Refused, Unavailable
from ledger.text import Text
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import VerifierKey
from tests.support import slow_tree
from tests.support.builders import octets

TIME_S = 1_790_000_000


def signer(origin: str, seed: str = "") -> CheckpointSigner:
    return CheckpointSigner(
        origin, Ed25519Signer(octets(f"ed {origin}{seed}", 32)), MlDsa44Signer(octets(f"ml {origin}{seed}", 32))
    )


@dataclass
class TileLog:
    origin: str = "log.test.example/tiles"
    entries: list[bytes] = field(default_factory=list)
    time_s: int = TIME_S
    altered: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    def __post_init__(self) -> None:
        self.signer = signer(self.origin)
        self._levels: list[list[bytes]] = [[]]
        self._notes: dict[tuple[int, bytes, int], bytes] = {}

    @property
    def vkeys(self) -> tuple[VerifierKey, VerifierKey]:
        return self.signer.vkeys

    @property
    def size(self) -> int:
        return len(self.entries)

    def grow(self, count: int, label: str = "") -> TileLog:
        for at in range(self.size, self.size + count):
            self.entries.append(f"{label}{at} ".encode() * (at % 7))
        return self

    def root(self) -> bytes:
        """From whole subtrees of 256, then by the definition: quick enough for a level more."""
        return _root(self.entries)

    async def checkpoint(self) -> bytes:
        if self.down:
            raise Unavailable(Text("没有应答", "the log does not answer"))
        return self.altered.get("checkpoint") or self.note()

    def note(self, size: int | None = None) -> bytes:
        """The same bytes for the same head and time, although one of its signatures is drawn."""
        entries = self.entries[:size]
        head = len(entries), _root(entries), self.time_s
        if head not in self._notes:
            self._notes[head] = self.signer.sign(Checkpoint(self.origin, *head[:2]), self.time_s)
        return self._notes[head]

    async def tile(self, path: str) -> bytes:
        self.asked.append(path)
        if path in self.altered:
            return self.altered[path]
        return self.content(path)

    def content(self, path: str) -> bytes:
        """What the specification says stands at `path`. Refused when nothing does."""
        kind, number, width = split_path(path)
        if kind == "entries":
            part = self.entries[256 * number : 256 * number + width]
            body = b"".join(len(entry).to_bytes(2, "big") + entry for entry in part)
        else:
            row = self._row(int(kind))
            part = row[256 * number : 256 * number + width]
            body = b"".join(part)
        if len(part) < width:
            raise Refused("not_found", "path", Text("没有", "not there"))
        return body

    def _row(self, level: int) -> list[bytes]:
        """The complete subtrees of 256**level entries."""
        leaves = self._levels[0]
        leaves += [slow_tree.leaf(entry) for entry in self.entries[len(leaves) :]]
        while len(self._levels) <= level:
            self._levels.append([])
        for upper in range(1, level + 1):
            below, row = self._levels[upper - 1], self._levels[upper]
            while len(row) < len(below) // 256:
                row.append(slow_tree.root(below[256 * len(row) : 256 * len(row) + 256]))
        return self._levels[level]


def split_path(path: str) -> tuple[str, int, int]:
    """Kind, number and width in the path of a tile."""
    _, kind, rest = path.split("/", 2)
    number, _, width = rest.partition(".p/")
    return kind, int(number.replace("x", "").replace("/", "")), int(width or 256)


def _root(entries: list[bytes]) -> bytes:
    whole = len(entries) // 65_536 * 65_536
    if not whole:
        return slow_tree.root([slow_tree.leaf(entry) for entry in entries])
    left = slow_tree.root([slow_tree.leaf(entry) for entry in entries[:whole]])
    if whole == len(entries):
        return left
    return sha256(b"\1" + left + _root(entries[whole:])).digest()

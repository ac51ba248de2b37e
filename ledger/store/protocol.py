"""What the log needs of a store, and what a store promises.

One writer at a time. `append` is the only way the log grows: one transaction, one durable commit, decided by
compare-and-swap on the old size and root, so that a second writer loses instead of forking. When `append`
returns, everything in the batch survives a power cut; when it raises, nothing of it is there, except when it
raises Unavailable("… unknown …"), after which the caller must read the head again before it does anything.
Reads see only committed batches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Final, Protocol, TypeAlias

import msgspec

from ledger.errors import Damaged, Unavailable
from ledger.records.kinds import CERTIFICATE_KINDS, Kind
from ledger.records.view import Signed
from ledger.text import Text


class Purpose(IntEnum):
    """What a row of the private index is for; each purpose has an HMAC key of its own."""

    NUMBER = 1  # certificate number taken -> log index
    PERSON = 2  # person and lineage -> track id
    MATCH = 3  # statement whose commitments count, and last 4 of the ID number
    LOOKUP = 4  # number and name -> sealed cert key, face salt and leaf hash of the statement
    CLAIM = 5  # nullifier -> leaf hash of the claim that took it last; makes a nullifier unique
    LINK = 6  # leaf hash of a claim -> sealed cert key


HEAD_MOVED: Final = Text("日志已被另一进程写入", "Another process has written to this log")
ROW_THERE: Final = Text(
    "存储：随一批写入的行已经存在，而日志中没有，请运行 fsck",
    "store: a row that comes with a batch is there already, which the log does not have; run fsck",
)
SEAL_KIND: Final = 0  # of the log's own leaves, which are no statements


class Slot(IntEnum):
    """Which of a certificate's two envelopes."""

    FACE = 1
    REST = 2


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The committed end of the log. `size` counts leaves; leaf `seal` = size - 1 is the last seal."""

    size: int
    root: bytes
    chain: bytes  # chain value of the last leaf
    seal: int
    time: int  # of the last batch, ms
    map_root: bytes
    map_count: int


# Rows are frozen structs and no dataclasses: a certificate takes seven, and each costs a tenth of a frozen dataclass.
class StateRow(msgspec.Struct, frozen=True, array_like=True):
    """One certificate or filing in the state map."""

    map_key: bytes
    value: bytes
    subject: bytes
    track: bytes  # the place of its track (`TrackPlaces`); empty: in none
    body: bytes


class StateVersion(msgspec.Struct, frozen=True, array_like=True):
    """What one map key held from the seal at `since` on. Older versions are kept."""

    since: int
    value: bytes
    body: bytes


class EntryRow(msgspec.Struct, frozen=True, array_like=True):
    """One leaf with its place in the hash chain."""

    index: int
    body: bytes
    chain: bytes
    kind: int
    known_as: bytes  # as `known_as` says


def known_as(kind: int, identity: bytes, index: int) -> bytes:
    """Under what a store finds an entry that is sent again: a statement by its identity; what is found otherwise (a
    certificate by its cert key, a seal not at all) has its index, 8 bytes big-endian, so that its row in that order
    lies beside the one before."""
    return index.to_bytes(8, "big") if kind == SEAL_KIND or kind in CERTIFICATE_KINDS else identity


class IndexRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of the private index. `hmac` is its key, 32 bytes: an HMAC, or begins with what it is to lie beside."""

    hmac: bytes
    purpose: Purpose
    key_version: int
    body: bytes


class EnvelopeRow(msgspec.Struct, frozen=True, array_like=True):
    """One of a certificate's two envelopes. `place` is 32 bytes, and no locator: what the ledger makes of one."""

    place: bytes
    slot: Slot
    body: bytes


@dataclass(frozen=True, slots=True)
class PrivateRows:
    """What a batch writes into the ledger's own tables. `renewed` takes the place of what is there; envelopes never."""

    index: Sequence[IndexRow] = field(default=())  # new: one that exists is an error
    renewed: Sequence[IndexRow] = field(default=())
    envelopes: Sequence[EnvelopeRow] = field(default=())


StateValues: TypeAlias = tuple[bytes, bytes, int, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """Everything one batch changes, ready to commit."""

    before: StoredHead | None
    head: StoredHead
    entries: Sequence[EntryRow]
    tiles: Sequence[tuple[int, int, bytes]]  # level, index, whole row
    states: Sequence[StateRow]
    buckets: Sequence[tuple[int, bytes]]
    named: Sequence[tuple[int, str, int]]  # kind, name, index
    signed: Sequence[tuple[str, Signed]] = field(default=())  # filing number, row
    events: Sequence[tuple[bytes, int]] = field(default=())  # cert key, index
    private: PrivateRows = field(default_factory=PrivateRows)
    held: Collection[bytes] | None = None  # keys of `states` that the sealed map holds; None: any may be one
    chunks: Sequence[tuple[int, int, bytes]] = field(default=())  # of the map, written anew: chunk, seal, roots
    floor: int = -1  # the changes of this seal and all before it are in every chunk; -1: of none

    def state_values(self) -> tuple[list[StateValues], list[StateValues]]:
        """The columns of its states: those whose key must be new, and those that take the place of what is there,
        which is kept. Looking for something to keep under every key would read each of its random places once more.
        """
        fresh: list[StateValues] = []
        later: list[StateValues] = []
        held, since = self.held, self.head.seal
        for row in self.states:
            place = later if held is None or row.map_key in held else fresh
            place.append((row.map_key, row.value, since, row.subject, row.track, row.body))
        return fresh, later


def signed_row(index: int, kind: int, cert_key: bytes, kid: bytes, day: int) -> Signed:
    """What a row of `signed` says. Raises Unverified."""
    try:
        return Signed(index, Kind(kind), cert_key, kid, day)
    except ValueError as error:
        raise Damaged(
            Text("存储：有一行签署记录的类型未知，请运行 fsck", "store: a signed row of an unknown kind; run fsck")
        ) from error


def index_values(rows: Iterable[IndexRow]) -> list[tuple[bytes, int, int, bytes]]:
    """The columns of rows of the private index."""
    return [(row.hmac, int(row.purpose), row.key_version, row.body) for row in rows]


class Store(Protocol):
    """The log's durable half. Every method raises Unavailable when the medium does not answer."""

    async def meta(self, name: str) -> bytes | None: ...
    async def put_meta(self, values: Mapping[str, bytes]) -> None:
        """Write settings that are fixed at creation. Raises Refused when one exists with another value."""

    async def head(self) -> StoredHead | None: ...
    async def append(self, batch: StoredBatch, check: Callable[[Sequence[bytes]], None]) -> None:
        """Commit one batch. `check` gets the new entries as read back inside the transaction and raises to
        abort it. Raises Refused("HEAD_MOVED") when the head is not `batch.before`, and Damaged when a row of it is
        there already."""

    async def entries(self, start: int, end: int) -> list[bytes]: ...
    async def rows(self, start: int, end: int) -> list[EntryRow]: ...
    async def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Where these statements are, of those that bring no cert key: only the identity tells that one is there
        already. A certificate is found by its key, among the states."""

    async def tile(self, level: int, index: int) -> bytes | None: ...
    async def states(self, map_keys: Sequence[bytes]) -> dict[bytes, StateRow]: ...
    async def tracks(self, places: Sequence[bytes]) -> list[StateRow]:
        """The members of the tracks at these places (`TrackPlaces`)."""

    async def leaves(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        """(key, value) of the state map with low <= key <= high for each range, rising by key."""

    async def map_chunks(self) -> list[tuple[int, int, bytes]]:
        """(chunk, since, roots) of the state map's buckets (`ledger.store.map_rows`), rising."""

    async def map_changes(self, seal: int, count: int) -> list[tuple[int, bytes]]:
        """The next (seal, changed buckets) after `seal`, rising."""

    async def named(self, kind: int) -> dict[str, int]: ...
    async def find_named(self, kind: int, name: str) -> int | None: ...
    async def signed(self, number: str, first: int, last: int) -> list[Signed]:
        """What the record keys of a filing issued and corrected at first <= index <= last, rising."""

    async def events(self, cert_key: bytes) -> list[int]:
        """The indexes of the statements that changed a certificate after it was issued, rising."""

    async def signed_after(self, number: str, index: int, count: int) -> list[tuple[str, Signed]]:
        """The next rows of all filings after (number, index), in this order; ("", -1) begins."""

    async def events_after(self, cert_key: bytes, index: int, count: int) -> list[tuple[bytes, int]]:
        """The next events of all certificates after (cert key, index), in this order; (b"", -1) begins."""

    async def checkpoint(self) -> bytes | None: ...
    async def checkpoint_size(self) -> int | None:
        """How many leaves the kept checkpoint covers by its row; None where that says nothing."""

    async def put_checkpoint(self, note: bytes, size: int) -> None:
        """Keep a checkpoint over `size` leaves, durably on return. Raises Refused("HEAD_MOVED") where one over more is
        kept, or the head has fewer: somebody else has gone on, or the store is another one."""

    async def close(self) -> None: ...


async def entry_at(store: Store, index: int) -> bytes:
    """One entry that the head says is there. Raises Unavailable when its row is missing."""
    found = await store.entries(index, index + 1)
    if not found:
        raise Unavailable(Text(f"存储：缺少条目 {index}，请运行 fsck", f"store: entry {index} is missing; run fsck"))
    return found[0]


class VersionedStore(Store, Protocol):
    """A store that keeps what each seal's map held: what proofs are made from. An auditor's keeps only the newest.

    `reads_at_once`: its reads never wait, they have ended before the event loop goes on; but for those of many
    identities, states, tracks, leaves or rows of the private index at a time.
    `tracks_in_order`: tracks whose places are neighbours lie beside each other (`ledger.store.track_places`).
    `reads_first`: what a batch reads had better be read before the batch ahead of it is committed than beside that.
    """

    reads_at_once: ClassVar[bool]
    reads_first: ClassVar[bool]
    tracks_in_order: ClassVar[bool]

    async def state_as_of(self, map_key: bytes, seal: int) -> StateVersion | None:
        """The version in the map that the seal at this index commits to; None when it has no such key."""

    async def leaves_as_of(self, ranges: Sequence[tuple[bytes, bytes]], seal: int) -> list[list[tuple[bytes, bytes]]]:
        """`leaves` in the map that the seal at this index commits to."""

    async def bucket_as_of(
        self, low: bytes, high: bytes, map_key: bytes, seal: int
    ) -> tuple[list[tuple[bytes, bytes]], StateVersion | None]:
        """`leaves_as_of` one range and `state_as_of` a key that has no version outside it, in one question where none
        of them changed since."""

    async def changed_since(self, seal: int, after: bytes, limit: int) -> list[tuple[int, bytes]]:
        """(seal, map key) of keys whose newest version came with a later seal, or with this one and a greater key than
        `after`; rising, at most `limit`. The last one given back asks for what follows; 32 bytes of ff begin behind a
        seal."""

    async def history_after(self, map_key: bytes, since: int, count: int) -> list[tuple[bytes, StateVersion]]:
        """The next older versions of all keys after (map key, since), in this order; (b"", -1) begins. What holds now
        is none of them."""

    async def seal_from(self, index: int) -> int | None:
        """The index of the first seal at `index` or later."""


def unchanged_bucket(
    rows: Iterable[tuple[bytes, bytes, int, bytes | None]], seal: int
) -> tuple[list[tuple[bytes, bytes]], StateVersion | None] | None:
    """What `bucket_as_of` gives, out of what its keys hold now; None where one of them changed since."""
    leaves: list[tuple[bytes, bytes]] = []
    version = None
    for key, value, since, body in rows:
        if since > seal:
            return None
        leaves.append((key, value))
        if body is not None:
            version = StateVersion(since, value, body)
    return leaves, version


class PrivateStore(VersionedStore, Protocol):
    """The ledger's own store: with envelopes and the private index beside the log."""

    async def envelope(self, place: bytes, slot: Slot) -> bytes | None: ...
    async def index(self, hmacs: Sequence[bytes]) -> dict[bytes, bytes]: ...
    async def claim(self, rows: Sequence[IndexRow]) -> dict[bytes, bytes]:
        """Insert the rows whose HMAC is not there yet, durably, and return what is there now for each."""

    async def some_member(self) -> StateRow | None:
        """A certificate that is in a track, whichever; None when none is."""

    async def hold(self) -> None:
        """Stay the one writer. Raises Refused when another process has taken that over, or has written meanwhile."""

    async def check_durable(self) -> None:
        """Raise Refused or Unavailable while no commit would be durable, so that none is made."""

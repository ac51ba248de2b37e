"""How an auditor's store keeps many small things in few rows: what a row costs is mostly that it is one. Pure.

    entries    up to ENTRIES of the log in order, each behind its length (as in a bundle of C2SP tlog-tiles)
    states     up to STATES rows of the state map: subject, track and body of each, framed the same way
    leaves     of one map bucket in the order they came: key, value, and the place of the state, LEAF_BYTES each
    signed     what the record keys of one filing signed in one batch, rising by index, SIGNED_BYTES each

Whoever reads a row raises Malformed when it is not whole. Nothing is believed for its packing: roots and values are
compared by those who ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final, TypeVar

from ledger.errors import Malformed
from ledger.records.kinds import Kind
from ledger.records.view import Signed
from ledger.store.protocol import StateRow
from ledger.tlog.tiles import format_entries, parse_entries

T = TypeVar("T")
ENTRIES: Final = 32
STATES: Final = 16
LEAF_BYTES: Final = 72
_KEY: Final = 32
_VALUE_END: Final = 64
_SIGNED: Final = Struct(">QBi32s8s")  # index, kind, day, cert key, kid
SIGNED_BYTES: Final = _SIGNED.size
_STATE_FIELDS: Final = 3


def pieces(items: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    """`items` in order, `count` at a time."""
    return (items[at : at + count] for at in range(0, len(items), count))


def pack_states(states: Sequence[StateRow]) -> bytes:
    """At most STATES of them."""
    return format_entries([part for state in states for part in (state.subject, state.track, state.body)])


def unpack_state(packed: bytes, count: int, slot: int) -> tuple[bytes, bytes, bytes]:
    """Subject, track and body of one of `count` states. Raises Malformed."""
    if not 0 <= slot < count:
        raise Malformed("audit store: no such state")
    subject, track, body = parse_entries(packed, _STATE_FIELDS * count)[slot * _STATE_FIELDS :][:_STATE_FIELDS]
    return subject, track, body


def pack_leaf(key: bytes, value: bytes, place: int) -> bytes:
    """One leaf of a bucket; `place` is where its state is, 0 <= place < 2**64."""
    return key + value + place.to_bytes(8, "big")


def newest_leaves(packed: bytes) -> tuple[list[bytes], bool]:
    """The leaves of a bucket rising by key, the last one of each key; and whether there were others of the same key.

    `packed` is in the order in which they came. Raises Malformed.
    """
    if len(packed) == LEAF_BYTES:
        return [packed], False
    came = _split(packed, LEAF_BYTES)
    newest = {leaf[:_KEY]: leaf for leaf in came}
    return sorted(newest.values()), len(newest) < len(came)


def open_leaves(leaves: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Key and value of each."""
    return [(leaf[:_KEY], leaf[_KEY:_VALUE_END]) for leaf in leaves]


def find_leaf(leaves: Iterable[bytes], key: bytes) -> tuple[bytes, int] | None:
    """The value under `key` and the place of its state."""
    for leaf in leaves:
        if leaf.startswith(key):
            return leaf[_KEY:_VALUE_END], int.from_bytes(leaf[_VALUE_END:], "big")
    return None


def pack_signed(rows: Iterable[Signed]) -> bytes:
    """The rows of one filing and batch."""
    return b"".join([_SIGNED.pack(one.index, one.kind, one.day, one.cert_key, one.kid) for one in rows])


def unpack_signed(packed: bytes) -> list[Signed]:
    """Inverse of `pack_signed`. Raises Malformed."""
    fields = [_SIGNED.unpack(one) for one in _split(packed, SIGNED_BYTES)]
    return [Signed(index, Kind(kind), cert_key, kid, day) for index, kind, day, cert_key, kid in fields]


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """At most ENTRIES of them."""
    return format_entries(entries)


def unpack_entries(packed: bytes, count: int) -> list[bytes]:
    """Inverse of `pack_entries`. Raises Malformed."""
    return parse_entries(packed, count)


def _split(packed: bytes, width: int) -> list[bytes]:
    if len(packed) % width:
        raise Malformed("audit store: a row is not whole")
    return [packed[at : at + width] for at in range(0, len(packed), width)]

"""The two tables of an auditor's store that are asked for in no order: leaves of the state map, members of tracks.

Their rows lie by hash, so that each statement changes a page of its own. What is new is therefore kept in memory and
written at the next flush, in order of the tables: a page is then written once for many statements, and not at all
before. What is read is always both together. Memory: about 300 bytes for each statement since the last flush.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from ledger.store.protocol import StateRow
from ledger.tlog.map_slots import buckets_of
from verifier.audit.packed import find_leaf, newest_leaves, open_leaves, pack_leaf, pieces

AT_ONCE: Final = 256  # keys in one SQL text
KEPT: Final = 8_192  # buckets read for a batch that is being folded: it asks for each once more to hash it
SCHEMA: Final = """
CREATE TABLE bucket (bucket INTEGER PRIMARY KEY, root BLOB NOT NULL, leaves BLOB NOT NULL);
CREATE TABLE track (track INTEGER, leaf INTEGER, PRIMARY KEY (track, leaf)) WITHOUT ROWID; -- 8 bytes of a hash each
"""
_ADD: Final = """INSERT INTO bucket VALUES (?, ?, ?) ON CONFLICT (bucket) DO UPDATE
    SET root = excluded.root, leaves = CAST(leaves || excluded.leaves AS BLOB)"""


class Buckets:
    """Leaves by bucket and map keys by track, in `db` and since the last flush. Raises sqlite3.Error, and Malformed
    for rows that are not whole."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.forget()

    def forget(self) -> None:
        """Everything since the last flush was taken back."""
        self._fresh: dict[int, bytes] = {}  # bucket -> leaves packed, the newest last
        self._roots: dict[int, bytes] = {}
        self._tracks: dict[int, tuple[int, ...]] = {}  # by 8 bytes of their hash -> the first 8 bytes of map keys
        self._read: dict[int, list[bytes]] = {}  # bucket -> its leaves as they are now, rising
        self._names: dict[bytes, int] = {}  # tracks that this batch asked for -> by what they are told apart
        self._outdated: set[int] = set()  # buckets seen to hold leaves that newer ones took the place of

    def take(self, states: Sequence[StateRow], first: int, roots: Iterable[tuple[int, bytes]], depth: int) -> None:
        """What a batch changes: its states, which lie at the places from `first` on, and the roots of their buckets."""
        fresh, tracks, names = self._fresh, self._tracks, self._names
        numbers = buckets_of([state.map_key for state in states], depth)
        for place, (state, number) in enumerate(zip(states, numbers, strict=True), first):
            key = state.map_key
            leaf = pack_leaf(key, state.value, place)
            fresh[number] = fresh[number] + leaf if number in fresh else leaf
            if state.track:
                short, track = _short(key), names.get(state.track) or _track(state.track)
                members = tracks.get(track, ())
                if short not in members:
                    tracks[track] = (*members, short)
        self._roots.update(roots)
        self._read, self._names = {}, {}

    def flush(self) -> None:
        """Write what is new into the open transaction."""
        for numbers in pieces(sorted(self._outdated & self._fresh.keys()), AT_ONCE):
            stored = self._stored(numbers)
            for number in numbers:  # written anew, so that they grow by their keys and not by their changes
                self._fresh[number] = b"".join(newest_leaves(stored.get(number, b"") + self._fresh[number])[0])
            self._db.executemany("DELETE FROM bucket WHERE bucket = ?", [(number,) for number in numbers])
        rows = ((number, self._roots[number], self._fresh[number]) for number in sorted(self._fresh))
        self._db.executemany(_ADD, rows)
        members = ((track, key) for track in sorted(self._tracks) for key in self._tracks[track])
        self._db.executemany("INSERT OR IGNORE INTO track VALUES (?, ?)", members)
        self.forget()

    def roots(self) -> dict[int, bytes]:
        """The root of every bucket that is not empty."""
        return dict(self._db.execute("SELECT bucket, root FROM bucket").fetchall()) | self._roots

    def leaves(self, first: int, last: int) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) in the buckets first <= number <= last, rising by key."""
        stored = dict(self._db.execute("SELECT bucket, leaves FROM bucket WHERE bucket BETWEEN ? AND ?", (first, last)))
        numbers = stored.keys() | {number for number in self._fresh if first <= number <= last}
        for number in sorted(numbers):
            yield from open_leaves(newest_leaves(stored.get(number, b"") + self._fresh.get(number, b""))[0])

    def of(self, numbers: Iterable[int]) -> Mapping[int, Sequence[bytes]]:
        """The leaves of these buckets, and perhaps of others, packed and rising by key; empty ones have none."""
        if len(self._read) > KEPT:
            self._read = {}
        read, fresh = self._read, self._fresh
        missing = [number for number in dict.fromkeys(numbers) if number not in read]
        for piece in pieces(sorted(missing), AT_ONCE):
            stored = self._stored(piece)
            for number in piece:
                read[number], outdated = newest_leaves(stored.get(number, b"") + fresh.get(number, b""))
                if outdated:
                    self._outdated.add(number)
        return read

    def find(self, keys: Sequence[bytes], depth: int) -> dict[bytes, tuple[bytes, int]]:
        """The value of each key that is in the map, and the place of its state."""
        numbers = buckets_of(keys, depth)
        leaves = self.of(numbers)
        found = {}
        for key, number in zip(keys, numbers, strict=True):
            leaf = find_leaf(leaves[number], key)
            if leaf is not None:
                found[key] = leaf
        return found

    def members(self, tracks: Iterable[bytes], depth: int) -> list[bytes]:
        """The map keys of whatever may be in these tracks: all that is, and perhaps others, which the states tell."""
        keys: set[int] = set()
        self._names = {track: _track(track) for track in tracks}
        for piece in pieces([*self._names.values()], AT_ONCE):
            keys.update(key for (key,) in self._each("SELECT leaf FROM track WHERE track", piece))
            keys.update(key for track in piece for key in self._tracks.get(track, ()))
        begins = [key.to_bytes(8, "big", signed=True) for key in sorted(keys)]
        numbers = buckets_of([begin.ljust(32, b"\0") for begin in begins], depth)
        leaves = self.of(numbers)
        return [
            leaf[:32]
            for begin, number in zip(begins, numbers, strict=True)
            for leaf in leaves[number]
            if leaf.startswith(begin)
        ]

    def _stored(self, numbers: Sequence[int]) -> dict[int, bytes]:
        return dict(self._each("SELECT bucket, leaves FROM bucket WHERE bucket", numbers))

    def _each(self, text: str, keys: Sequence[Any]) -> list[Any]:
        return self._db.execute(f"{text} IN ({', '.join('?' * len(keys))})", keys).fetchall()


def _short(digest: bytes) -> int:
    """Its first 8 bytes as SQLite has integers: a third of the room. Nobody makes many digests that begin alike."""
    return int.from_bytes(digest[:8], "big", signed=True)


def _track(track: bytes) -> int:
    """Hashed, since whoever writes a log may choose track ids that begin alike."""
    return _short(sha256(track).digest())

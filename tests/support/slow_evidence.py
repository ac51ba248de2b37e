"""A slow twin of the product's evidence: every row of the log read, the bytes written as one CBOR array.

raw = await slow_evidence(store, cert_key, note, size)            as of the last seal of the first `size` leaves
raw = await slow_evidence(store, cert_key, note, size, at)        as of the seal at this index

It shares the store with the product, and what an entry and a state are; nothing of how an answer is put together.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import cbor2

from ledger.records.seal import is_seal
from ledger.store.protocol import VersionedStore
from tests.support import slow_tree

_ALL = bytes(32), b"\xff" * 32
# Places in a state's array (docs/formats.cddl).
_FILING, _ISSUE_INDEX, _ISSUE, _COMMITMENTS, _EVENT, _SUMMARY = 6, 7, 8, 10, 12, 18


async def slow_evidence(store: VersionedStore, cert_key: bytes, note: bytes, size: int, at: int | None = None) -> bytes:
    entries = await store.entries(0, size)
    hashes = [slow_tree.leaf(entry) for entry in entries]
    seal = size - 1 if at is None else at

    def placed(index: int) -> list[Any]:
        return [entries[index], slow_tree.inclusion(index, hashes)]

    def named(leaf: bytes) -> bytes:
        return entries[hashes.index(leaf)]

    later = [index for index in range(seal + 1, size) if is_seal(entries[index])]
    map_key = _map_key(cert_key)
    (leaves,) = await store.leaves_as_of([_ALL], seal)
    parts = ["certledger/evidence/v1", cert_key, note, *placed(seal), placed(later[0]) if later else []]
    parts.append(_map_proof(dict(leaves), map_key))
    version = await store.state_as_of(map_key, seal)
    if version is None:
        return cbor2.dumps([*parts, b"", [], [], [], b"", []])
    state = cbor2.loads(version.body)
    issue, commitments, event = state[_ISSUE], state[_COMMITMENTS], state[_EVENT]
    best = state[_SUMMARY][0]
    highest: list[Any] = []
    if best and best[2] != cert_key:
        other = await store.state_as_of(_map_key(best[2]), seal)
        assert other is not None
        index = cbor2.loads(other.body)[_ISSUE_INDEX]
        entry, inclusion = placed(index)
        highest = [entry, index, inclusion]
    return cbor2.dumps(
        [
            *parts,
            version.body,
            placed(state[_ISSUE_INDEX]),
            [] if commitments == issue else [named(commitments)],
            [] if event in (issue, commitments) else [named(event)],
            named(state[_FILING]),
            highest,
        ]
    )


def _map_key(cert_key: bytes) -> bytes:
    return sha256(b"certledger/map/cert/v1\n" + cert_key).digest()


def _map_proof(leaves: dict[bytes, bytes], key: bytes) -> bytes:
    """Sides of the search for `key`, from the top: what it passes by, and at last what it ends at."""
    siblings: list[bytes] = []
    for bit in range(256):
        left = {k: v for k, v in leaves.items() if not k[bit // 8] >> 7 - bit % 8 & 1}
        right = {k: v for k, v in leaves.items() if k not in left}
        if not left or not right:
            continue
        own, other = (right, left) if key[bit // 8] >> 7 - bit % 8 & 1 else (left, right)
        siblings.insert(0, bytes([bit]) + slow_tree.map_root(other, bit + 1))
        leaves = own
    ((found, value),) = leaves.items()
    return (b"" if found == key else found + value) + b"".join(siblings)

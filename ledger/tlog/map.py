"""The state map as its users import it: hashing and proofs (`map_proof`), the tree in memory (`map_tree`)."""

from __future__ import annotations

from ledger.tlog.map_proof import (
    Leaf,
    MapProof,
    format_map_proof,
    map_root,
    parse_map_proof,
    prove,
    subtree,
    verify_absence,
    verify_presence,
)
from ledger.tlog.map_slots import bucket_of
from ledger.tlog.map_tree import MapChange, MapTree

__all__ = [
    "Leaf",
    "MapChange",
    "MapProof",
    "MapTree",
    "bucket_of",
    "format_map_proof",
    "map_root",
    "parse_map_proof",
    "prove",
    "subtree",
    "verify_absence",
    "verify_presence",
]

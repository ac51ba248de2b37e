from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.tlog.map import (
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
from ledger.tlog.map_proof import prove_rooted
from ledger.tlog.merkle import EMPTY_ROOT
from tests.support import slow_tree

words = st.binary(min_size=32, max_size=32)
# Keys that crowd together: few bits vary, at both ends.
crowded = st.builds(lambda a, b: bytes([a]) + bytes(30) + bytes([b]), st.integers(0, 7), st.integers(0, 7))
maps = st.dictionaries(crowded | words, words, max_size=24)


def test_the_shared_vectors(vectors: Path) -> None:
    cases = json.loads((vectors / "map.json").read_text())["cases"]
    assert [case["n"] for case in cases] == [0, 1, 2, 3, 10]
    for case in cases:
        leaves = sorted((bytes.fromhex(k), bytes.fromhex(v)) for k, v in case["leaves"])
        root = map_root(leaves)
        assert root.hex() == case["root"]
        for expected in case["proofs"]:
            key = bytes.fromhex(expected["key"])
            proof = prove(key, leaves)
            assert format_map_proof(proof).hex() == expected["proof"]
            assert parse_map_proof(bytes.fromhex(expected["proof"])) == proof
            if expected["found"]:
                verify_presence(root, key, bytes.fromhex(expected["value"]), proof)
            else:
                verify_absence(root, key, proof)


@given(maps, crowded | words)
@settings(max_examples=150, deadline=None)
def test_the_map_is_that_of_the_slow_tree_and_proves_every_key(entries: dict[bytes, bytes], stranger: bytes) -> None:
    leaves = sorted(entries.items())
    root = map_root(leaves)
    assert root == slow_tree.map_root(entries)
    for key in {*entries, stranger}:
        proof = prove(key, leaves)
        assert prove_rooted(key, leaves) == (proof, root)
        assert parse_map_proof(format_map_proof(proof)) == proof
        if key in entries:
            verify_presence(root, key, entries[key], proof)
            with pytest.raises(Unverified):
                verify_absence(root, key, proof)
            with pytest.raises(Unverified):
                verify_presence(root, key, bytes([entries[key][0] ^ 1]) + entries[key][1:], proof)
        else:
            verify_absence(root, key, proof)
            with pytest.raises(Unverified):
                verify_presence(root, key, bytes(32), proof)


def some_map(count: int) -> list[Leaf]:
    return sorted((slow_tree.leaf(b"key %d" % i), slow_tree.leaf(b"value %d" % i)) for i in range(count))


def test_no_proof_is_made_of_a_key_that_comes_twice() -> None:
    leaves = some_map(3)
    for at, (key, _) in enumerate(leaves):
        twice = [*leaves[: at + 1], (key, bytes(32)), *leaves[at + 1 :]]
        for asked, _ in leaves:
            with pytest.raises(Malformed, match="ascend"):
                prove(asked, twice)


def test_every_flipped_bit_of_a_proof_is_noticed() -> None:
    leaves = some_map(60)
    root = map_root(leaves)
    for key, value in (leaves[17], (slow_tree.leaf(b"absent"), b"")):
        data = format_map_proof(prove(key, leaves))
        for i in range(len(data) * 8):
            flipped = bytearray(data)
            flipped[i // 8] ^= 1 << i % 8
            with pytest.raises((Malformed, Unverified)):
                proof = parse_map_proof(bytes(flipped))
                if value:
                    verify_presence(root, key, value, proof)
                else:
                    verify_absence(root, key, proof)


def test_another_leaf_off_the_search_path_does_not_show_absence() -> None:
    leaves = some_map(60)
    root = map_root(leaves)
    hidden, _ = leaves[30]
    for key, value in leaves:
        if key != hidden:
            with pytest.raises(Unverified):
                verify_absence(root, hidden, MapProof(prove(key, leaves).siblings, (key, value)))
    with pytest.raises(Unverified):
        verify_absence(root, hidden, MapProof(prove(hidden, leaves).siblings, leaves[30]))


def test_a_leaf_in_the_wrong_place_of_a_forged_map_does_not_show_absence() -> None:
    key, other, sibling = bytes(32), (b"\x80" + bytes(31), bytes(32)), bytes(32)
    forged = sha256(subtree([other]) + sibling + b"\x00").digest()  # `other` belongs on the right
    with pytest.raises(Unverified):
        verify_absence(forged, key, MapProof(((0, sibling),), other))


def test_a_proof_is_of_one_kind() -> None:
    leaves = some_map(20)
    key, value = leaves[3]
    with pytest.raises(Unverified):
        verify_presence(map_root(leaves), key, value, MapProof(prove(key, leaves).siblings, leaves[4]))
    with pytest.raises(Unverified):
        verify_absence(EMPTY_ROOT, key, prove(key, leaves))


def test_the_empty_map() -> None:
    proof = prove(bytes(32), [])
    assert format_map_proof(proof) == b""
    assert map_root([]) == EMPTY_ROOT
    verify_absence(EMPTY_ROOT, bytes(32), proof)
    with pytest.raises(Unverified):
        verify_absence(bytes(32), bytes(32), proof)
    with pytest.raises(Unverified):
        verify_presence(EMPTY_ROOT, bytes(32), bytes(32), proof)


def test_a_proof_does_not_hold_in_another_map() -> None:
    leaves = some_map(20)
    key, value = leaves[3]
    with pytest.raises(Unverified):
        verify_presence(map_root(some_map(21)), key, value, prove(key, leaves))


@pytest.mark.parametrize("length", [1, 32, 34, 63, 65, 64 + 32, 64 + 34, 64 + 257 * 33, 257 * 33, 10**6])
def test_proofs_of_a_wrong_length_are_refused(length: int) -> None:
    with pytest.raises(Malformed):
        parse_map_proof(bytes(length))


def test_every_prefix_and_extension_of_a_proof_is_refused_or_does_not_hold() -> None:
    leaves = some_map(60)
    root = map_root(leaves)
    key, value = leaves[17]
    data = format_map_proof(prove(key, leaves))
    others = [data[:end] for end in range(len(data))] + [data + bytes(n) for n in (1, 32, 33, 64, 97)]
    for other in others:
        with pytest.raises((Malformed, Unverified)):
            verify_presence(root, key, value, parse_map_proof(other))


@pytest.mark.parametrize("bits", [(1, 2), (5, 5), (255, 3, 3), (0, 255)])
def test_bits_that_do_not_fall_are_refused(bits: tuple[int, ...]) -> None:
    with pytest.raises(Malformed):
        MapProof(tuple((bit, bytes(32)) for bit in bits), None)
    with pytest.raises(Malformed):
        parse_map_proof(b"".join(bytes([bit]) + bytes(32) for bit in bits))


def test_256_siblings_are_the_most() -> None:
    full = tuple((bit, bytes(32)) for bit in range(255, -1, -1))
    for other in (None, (bytes(32), bytes(32))):
        proof = MapProof(full, other)
        assert parse_map_proof(format_map_proof(proof)) == proof
    with pytest.raises(Malformed):
        MapProof(((256, bytes(32)),), None)
    with pytest.raises(Malformed):
        MapProof(((-1, bytes(32)),), None)


def test_leaves_out_of_order_or_shape_are_refused() -> None:
    leaves = some_map(5)
    for wrong in (
        leaves[::-1],
        [*leaves, leaves[-1]],
        [(b"short", bytes(32))],
        [(bytes(32), b"short")],
        [(bytes(33), bytes(32))],
    ):
        with pytest.raises(Malformed):
            subtree(wrong)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_keys_and_values_are_32_bytes(length: int) -> None:
    bad, good = bytes(length), bytes(32)
    with pytest.raises(Malformed):
        prove(bad, [])
    with pytest.raises(Malformed):
        verify_absence(EMPTY_ROOT, bad, MapProof((), None))
    with pytest.raises(Malformed):
        verify_presence(EMPTY_ROOT, bad, good, MapProof((), None))
    with pytest.raises(Malformed):
        verify_presence(EMPTY_ROOT, good, bad, MapProof((), None))
    with pytest.raises(Malformed):
        MapProof((), (good, bad))
    with pytest.raises(Malformed):
        MapProof(((3, bad),), None)

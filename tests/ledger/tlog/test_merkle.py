from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    HashReader,
    Subtree,
    consistency_nodes,
    cover,
    inclusion_nodes,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    root_at,
    root_from_inclusion,
    verify_consistency,
    verify_inclusion,
)
from tests.support import slow_tree

N = 130
LEAVES = [leaf_hash(b"entry %d" % i) for i in range(N)]
ROOTS = [slow_tree.root(LEAVES[:n]) for n in range(N + 1)]


def appended_root(leaves: Sequence[bytes]) -> bytes:
    return Frontier.empty().append(leaves)[0].root()


def reader(leaves: list[bytes]) -> HashReader:
    _, completed = Frontier.empty().append(leaves)
    return lambda subtrees: [completed[s] for s in subtrees]


READ = reader(LEAVES)


def decoded(texts: list[str] | None) -> list[bytes]:
    return [base64.b64decode(t) for t in texts or []]


def test_the_classic_eight_leaf_tree(vectors: Path) -> None:
    tree = json.loads((vectors / "rfc6962-tree8.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(x)) for x in tree["leaf_inputs_hex"]]
    for size, root in enumerate(tree["root_by_size_hex"]):
        assert appended_root(leaves[:size]).hex() == root
        assert root_at(size, reader(leaves)).hex() == root


def test_the_98_inclusion_vectors(vectors: Path) -> None:
    cases = json.loads((vectors / "rfc6962-inclusion.json").read_text())["vectors"]
    failed = 0
    for name, case in cases.items():
        proof = decoded(case["proof"])
        root, leaf = base64.b64decode(case["root"]), base64.b64decode(case["leafHash"])
        if not case["wantErr"]:
            verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
            continue
        failed += 1
        with pytest.raises((Malformed, Unverified)):
            verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
            pytest.fail(name)
    assert (len(cases), failed) == (98, 92)


def test_the_98_consistency_vectors(vectors: Path) -> None:
    cases = json.loads((vectors / "rfc6962-consistency.json").read_text())["vectors"]
    failed = 0
    for name, case in cases.items():
        old, new = (case["size1"], base64.b64decode(case["root1"])), (case["size2"], base64.b64decode(case["root2"]))
        if not case["wantErr"]:
            verify_consistency(*old, *new, decoded(case["proof"]))
            continue
        failed += 1
        with pytest.raises((Malformed, Unverified)):
            verify_consistency(*old, *new, decoded(case["proof"]))
            pytest.fail(name)
    assert (len(cases), failed) == (98, 92)


def test_the_hash_inputs_are_told_apart_by_their_first_byte() -> None:
    assert leaf_hash(b"\x01" + bytes(64)) != node_hash(bytes(32), bytes(32))
    assert EMPTY_ROOT == appended_root([]) == root_at(0, READ) == Frontier.empty().root()


def test_every_root_and_every_proof_is_that_of_the_slow_tree() -> None:
    for size in range(1, N + 1):
        assert appended_root(LEAVES[:size]) == root_at(size, READ) == ROOTS[size]
    for size in (*range(1, 40), 63, 64, 65, 100, 127, 128, 129, 130):
        for other in range(size):
            assert list(prove_inclusion(other, size, READ)) == slow_tree.inclusion(other, LEAVES[:size])
            old = other + 1
            assert list(prove_consistency(old, size, READ)) == slow_tree.consistency(old, LEAVES[:size])


def flips(proof: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    return [(*proof[:i], bytes([h[0] ^ 0x80]) + h[1:], *proof[i + 1 :]) for i, h in enumerate(proof)]


def test_every_inclusion_verifies_and_a_flipped_bit_in_any_hash_does_not() -> None:
    for size in range(1, 111):
        for index in range(size):
            proof = prove_inclusion(index, size, READ)
            verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            for wrong in flips(proof):
                assert root_from_inclusion(LEAVES[index], index, size, wrong) != ROOTS[size]
            with pytest.raises(Unverified):
                verify_inclusion(LEAVES[index - 1], index, size, proof, ROOTS[size] if size > 1 else bytes(32))


def test_every_consistency_verifies_and_a_flipped_bit_in_any_hash_does_not() -> None:
    for new in range(1, 111):
        for old in range(1, new + 1):
            proof = prove_consistency(old, new, READ)
            verify_consistency(old, ROOTS[old], new, ROOTS[new], proof)
            for wrong in flips(proof):
                with pytest.raises(Unverified):
                    verify_consistency(old, ROOTS[old], new, ROOTS[new], wrong)


def test_an_inclusion_proof_holds_for_its_index_and_size_only() -> None:
    for size in (1, 2, 3, 7, 8, 9, 33):
        for index in range(size):
            proof = prove_inclusion(index, size, READ)
            for other in range(40):
                if other != index:
                    with pytest.raises(Unverified):
                        verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size])
            for shorter_or_longer in (proof[:-1], (*proof, bytes(32)), (bytes(32), *proof)):
                if shorter_or_longer != proof:
                    with pytest.raises(Unverified):
                        verify_inclusion(LEAVES[index], index, size, shorter_or_longer, ROOTS[size])


def test_a_consistency_proof_holds_for_its_roots_only() -> None:
    for old, new in ((1, 2), (3, 7), (4, 8), (6, 8), (8, 9), (31, 33), (64, 100)):
        proof = prove_consistency(old, new, READ)
        for args in (
            (old, ROOTS[old + 1], new, ROOTS[new], proof),
            (old, ROOTS[old], new, ROOTS[new - 1], proof),
            (old, ROOTS[old], new, ROOTS[new], proof[:-1]),
            (old, ROOTS[old], new, ROOTS[new], (*proof, bytes(32))),
            (new, ROOTS[new], old, ROOTS[old], proof),
        ):
            with pytest.raises(Unverified):
                verify_consistency(*args)
    with pytest.raises(Unverified):
        verify_consistency(5, ROOTS[5], 5, ROOTS[5], (bytes(32),))
    with pytest.raises(Unverified):
        verify_consistency(5, ROOTS[5], 5, ROOTS[6], ())


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (6, 5), (0, 0), (0, -1), (0, 2**63), (2**64, 2**65)])
def test_indexes_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(Malformed):
        inclusion_nodes(index, size)
    with pytest.raises(Unverified):
        verify_inclusion(bytes(32), index, size, (), bytes(32))


@pytest.mark.parametrize(("old", "new"), [(0, 5), (-1, 5), (6, 5), (0, 0), (1, 2**63)])
def test_sizes_without_a_consistency_proof(old: int, new: int) -> None:
    with pytest.raises(Malformed):
        consistency_nodes(old, new)
    with pytest.raises(Unverified):
        verify_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, ())


@pytest.mark.parametrize("length", [0, 31, 33])
def test_hashes_of_other_lengths_are_refused(length: int) -> None:
    bad, good = bytes(length), bytes(32)
    for leaf, size, proof, root in ((bad, 2, (good,), good), (good, 2, (bad,), good), (good, 1, (), bad)):
        with pytest.raises(Malformed):
            verify_inclusion(leaf, 0, size, proof, root)
    for old, new, proof in ((bad, good, (good,)), (good, bad, (good,)), (good, good, (bad,))):
        with pytest.raises(Malformed):
            verify_consistency(1, old, 2, new, proof)
    with pytest.raises(Malformed):
        Frontier.empty().append([bytes(32), bad])
    with pytest.raises(Malformed):
        Frontier(1, (bad,))


def test_proofs_of_the_largest_trees_are_short() -> None:
    size = 2**63 - 1
    for index in (0, 1, 2**62, size - 1):
        nodes = inclusion_nodes(index, size)
        assert len(nodes) <= 63
        with pytest.raises(Unverified):
            verify_inclusion(bytes(32), index, size, [bytes(32)] * len(nodes), bytes(32))
    assert len(consistency_nodes(2**62 + 1, size)) <= 64


@given(st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_frontier_grows_in_any_steps_to_the_same_tree(steps: list[int]) -> None:
    frontier, completed = Frontier.empty(), {}
    for step in steps:
        step = min(step, N - frontier.size)
        before = frontier.size
        frontier, new = frontier.append(LEAVES[before : before + step])
        assert not completed.keys() & new.keys()
        completed.update(new)
        assert frontier.root() == ROOTS[frontier.size]
    at_once, all_completed = Frontier.empty().append(LEAVES[: frontier.size])
    assert completed == all_completed
    assert (frontier.size, frontier.hashes) == (at_once.size, at_once.hashes)
    if frontier.size:
        again = Frontier.read(frontier.size, READ)
        assert (again.size, again.hashes) == (frontier.size, frontier.hashes)


def test_append_completes_exactly_the_subtrees_of_the_tree() -> None:
    _, completed = Frontier.empty().append(LEAVES[:100])
    expected = {(level, i) for level in range(8) for i in range(100 >> level)}
    assert completed.keys() == expected
    for level, i in expected:
        assert completed[level, i] == slow_tree.root(LEAVES[i << level : (i + 1) << level])


def test_a_frontier_is_not_changed_by_append() -> None:
    frontier, _ = Frontier.empty().append(LEAVES[:5])
    hashes = frontier.hashes
    frontier.append(LEAVES[5:20])
    assert (frontier.size, frontier.hashes) == (5, hashes)


def test_a_frontier_has_one_hash_per_bit_of_its_size() -> None:
    for size, count in ((1, 0), (0, 1), (3, 1), (4, 2), (-1, 0)):
        with pytest.raises(Malformed):
            Frontier(size, (bytes(32),) * count)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_covers_are_complete_subtrees_side_by_side(start: int, width: int) -> None:
    start <<= width.bit_length()
    at = start
    for level, index in cover(start, start + width):
        assert index << level == at
        at += 1 << level
    assert at == start + width


def test_a_proof_reads_once_and_only_complete_subtrees() -> None:
    asked: list[Sequence[Subtree]] = []

    def counting(subtrees: Sequence[Subtree]) -> Sequence[bytes]:
        asked.append(subtrees)
        return READ(subtrees)

    prove_inclusion(17, 100, counting)
    prove_consistency(17, 100, counting)
    assert len(asked) == 2
    assert all((index + 1) << level <= 100 for subtrees in asked for level, index in subtrees)
